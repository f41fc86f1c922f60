"""Calibration, against hand calculations, scikit-learn and lm-evaluation-harness."""

import math
import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcqa.data.question import Question
from mcqa.evaluation.calibration import (
    area_under_risk_coverage,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    probabilities,
    reliability_bins,
    risk_coverage,
)
from mcqa.evaluation.calibration_error import calibration_metrics
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics import wilson_interval

NAN = math.nan
untimed = settings(deadline=None)  # the first example imports SciPy


def asked(scores, answer=0):
    question = Question("q", "?", tuple("abcdefgh"[: len(scores)]), answer)
    return Prediction(question, tuple(scores), (1,) * len(scores))


def sure(shares, answer=0):
    """A question whose choices have these probabilities."""
    return asked([math.log(share) for share in shares], answer)


def drawn(n, temperature=1.0, seed=0, choices=4):
    """Questions whose right choice is drawn from the softmax of the scores / temperature."""
    chance = random.Random(seed)
    rows = []
    for _ in range(n):
        row = asked([chance.gauss(-10, 3) for _ in range(choices)])
        answer = chance.choices(range(choices), probabilities(row, temperature))[0]
        rows.append(asked(row.scores, answer))
    return rows


scores = st.lists(st.floats(-60, 0), min_size=2, max_size=5)
questions = scores.flatmap(lambda found: st.builds(asked, st.just(found), st.integers(0, len(found) - 1)))
samples = st.lists(questions, min_size=1, max_size=12)


def scaled(rows, factor):
    return [asked([score * factor for score in row.scores], row.question.answer) for row in rows]


def permuted(row, order):
    return asked([row.scores[i] for i in order], order.index(row.question.answer))


def test_probabilities_are_the_softmax_of_the_scores_at_a_temperature():
    row = asked([math.log(0.9), math.log(0.1)])
    assert probabilities(row) == pytest.approx((0.9, 0.1))
    assert probabilities(row, 2.0) == pytest.approx((0.75, 0.25))  # square roots: 3 to 1


def test_scores_far_from_zero_neither_overflow_nor_vanish():
    assert probabilities(asked([-5000.0, -5000.0])) == (0.5, 0.5)
    assert negative_log_likelihood([asked([-5000.0, -3000.0])]) == pytest.approx(2000)
    assert math.isfinite(negative_log_likelihood([asked([-math.inf, -3.0])]))


def test_ece_of_a_hand_calculation():
    """Two questions at 0.9, one right: |0.5 - 0.9|. Two at 0.6, both right: |1 - 0.6|. One at 0.7, right: 0.3."""
    rows = [
        *(sure([0.9, 0.1], answer) for answer in (0, 1)),
        *(sure([0.6, 0.4]), sure([0.4, 0.6], 1)),
        sure([0.3, 0.7], 1),
    ]
    assert expected_calibration_error(rows, bins=10) == pytest.approx((2 * 0.4 + 2 * 0.4 + 0.3) / 5)


def test_a_bin_excludes_its_lower_and_includes_its_upper_edge():
    """With 15 bins 0.2 = 3/15 closes the third bin, where uniform questions with five choices lie."""
    (found,) = reliability_bins([asked([-1.0] * 5)])
    assert (found.low, found.high, found.confidence) == pytest.approx((2 / 15, 0.2, 0.2))
    (certain,) = reliability_bins([asked([0.0, -900.0])])
    assert (certain.high, certain.n, certain.accuracy) == (1.0, 1, 1.0)


def test_a_bin_has_wilsons_interval_of_its_accuracy():
    (found,) = reliability_bins([sure([0.9, 0.1], answer) for answer in (0, 0, 0, 1)])
    assert (found.n, found.accuracy) == (4, 0.75)
    assert (found.ci_low, found.ci_high) == wilson_interval(3, 4)


@untimed
@given(samples, st.integers(1, 20))
def test_every_question_lies_in_the_one_bin_of_its_confidence(rows, bins):
    found = reliability_bins(rows, bins=bins)
    assert sum(one.n for one in found) == len(rows)
    assert all(one.low - 1e-9 < one.confidence <= one.high + 1e-9 for one in found)


@untimed
@given(samples)
def test_with_one_bin_ece_is_the_distance_of_accuracy_and_mean_confidence(rows):
    right = np.mean([row.correct for row in rows])
    sure_of = np.mean([max(probabilities(row)) for row in rows])
    assert expected_calibration_error(rows, bins=1) == pytest.approx(abs(right - sure_of))


def test_answers_drawn_from_the_models_own_probabilities_are_calibrated():
    rows = drawn(4000)
    assert expected_calibration_error(rows) < 0.03
    assert expected_calibration_error(scaled(rows, 4)) > 0.1


def test_brier_of_a_hand_calculation():
    """0.7, 0.2, 0.1 with the first right: 0.09 + 0.04 + 0.01; with the last right: 0.49 + 0.04 + 0.81."""
    assert brier_score([sure([0.7, 0.2, 0.1])]) == pytest.approx(0.14)
    assert brier_score([sure([0.7, 0.2, 0.1]), sure([0.7, 0.2, 0.1], 2)]) == pytest.approx((0.14 + 1.34) / 2)


@untimed
@given(st.integers(2, 5), st.integers(1, 10), st.randoms())
def test_brier_is_the_one_of_lm_evaluation_harness(choices, n, chance):
    from lm_eval.api.metrics import brier_score as their_brier_score
    from lm_eval.utils import softmax

    rows = [asked([chance.uniform(-9, 0) for _ in range(choices)], chance.randrange(choices)) for _ in range(n)]
    theirs = their_brier_score([(row.question.answer, softmax(np.array(row.scores))) for row in rows])
    assert brier_score(rows) == pytest.approx(theirs)


def test_brier_and_nll_are_those_of_scikit_learn():
    from sklearn.metrics import brier_score_loss, log_loss

    two = drawn(50, choices=2)
    first_is_right = [row.question.answer == 0 for row in two]
    assert brier_score(two) == pytest.approx(
        2 * brier_score_loss(first_is_right, [probabilities(row)[0] for row in two])
    )
    four = drawn(50)
    answers, shares = [row.question.answer for row in four], [probabilities(row, 1.7) for row in four]
    assert negative_log_likelihood(four, 1.7) == pytest.approx(log_loss(answers, shares, labels=range(4)))


def test_a_model_that_knows_everything_and_one_that_knows_nothing():
    perfect = [asked([0.0, -1000.0, -1000.0, -1000.0])] * 5
    found = calibration_metrics(perfect, None)
    assert found.pop("ece_ci_high") > 0, "of five questions"
    assert set(found.values()) == {0.0}
    uniform = [asked([-3.0] * 4, answer) for answer in (0, 1, 2, 3)]
    found = calibration_metrics(uniform, None)
    expected = {"ece": 0.0, "ece_debiased": 0.0, "ece_ci_low": 0.0, "brier": 0.75, "nll": math.log(4), "aurc": 0.75}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_a_score_that_is_not_a_number_counts_as_a_guess_that_is_wrong():
    broken = asked([-1.0, NAN, -2.0, -3.0])
    assert probabilities(broken) == (0.25,) * 4
    found = calibration_metrics([broken], 3.0)
    assert found["ece"] == found["ece_scaled"] == 0.25
    assert found["brier"] == pytest.approx(0.75)
    assert found["nll"] == pytest.approx(math.log(4))
    assert found["aurc"] == 1


@untimed
@given(samples)
def test_scores_that_are_not_numbers_leave_the_temperature_as_it_is(rows):
    broken = [asked([NAN, -1.0]), asked([NAN] * 3, 2)]
    assert fit_temperature([*rows, *broken]) == pytest.approx(fit_temperature(rows))


@pytest.mark.parametrize(
    ("rows", "temperature"),
    [
        ([asked([-1.0, -2.0])], 0.01),  # right everywhere: the surer the better
        ([asked([0.0, -900.0])] * 3, 0.01),
        ([asked([-2.0, -1.0])], 100.0),  # wrong everywhere: the less sure the better
        ([asked([NAN, -1.0])], 1.0),
        ([asked([-1.0, -1.0])], 1.0),
        ([asked([-1.0])], 1.0),
        ([], 1.0),
    ],
)
def test_where_no_temperature_is_best_it_is_a_bound_or_1(rows, temperature):
    assert fit_temperature(rows) == temperature


def test_the_fitted_temperature_of_a_hand_calculation():
    """Three of four right at odds of 9 to 1: best at odds of 3 to 1, the square root."""
    assert fit_temperature([sure([0.9, 0.1], answer) for answer in (0, 0, 0, 1)]) == pytest.approx(2)


def test_the_fitted_temperature_recovers_the_one_that_answers_were_drawn_at():
    assert fit_temperature(drawn(6000, temperature=2.5)) == pytest.approx(2.5, rel=0.05)


@untimed
@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_scores_times_c_fit_c_times_the_temperature(seed, c):
    rows = drawn(12, seed=seed)
    before, after = fit_temperature(rows), fit_temperature(scaled(rows, c))
    assume(0.011 < before < 99 and 0.011 < after < 99)
    assert after == pytest.approx(c * before, rel=1e-6)


@untimed
@given(samples, st.floats(0.01, 100))
def test_no_temperature_has_a_lower_nll_than_the_fitted_one(rows, other):
    best = negative_log_likelihood(rows, fit_temperature(rows))
    assert best <= negative_log_likelihood(rows, other) + 1e-9


@untimed
@given(samples, st.floats(0.1, 10), st.randoms())
def test_another_order_of_choices_or_questions_changes_nothing(rows, temperature, chance):
    assume(all(len(set(row.scores)) == len(row.scores) for row in rows))  # of tied choices the first is the answer
    orders = [chance.sample(range(len(row.scores)), len(row.scores)) for row in rows]
    moved = [permuted(row, order) for row, order in zip(rows, orders, strict=True)]
    chance.shuffle(moved)
    assert calibration_metrics(moved, temperature) == pytest.approx(calibration_metrics(rows, temperature), abs=1e-12)
    fitted = negative_log_likelihood(rows, fit_temperature(rows))
    assert negative_log_likelihood(rows, fit_temperature(moved)) == pytest.approx(fitted, abs=1e-9)


def test_risk_grows_with_coverage_where_the_answers_of_low_confidence_are_wrong():
    rows = [sure([0.6, 0.4], 1), sure([0.9, 0.1]), sure([0.8, 0.2]), sure([0.7, 0.3], 1)]
    assert [coverage for coverage, _ in risk_coverage(rows)] == [0.25, 0.5, 0.75, 1]
    assert [risk for _, risk in risk_coverage(rows)] == pytest.approx([0, 0, 1 / 3, 0.5])
    assert area_under_risk_coverage(rows) == pytest.approx((1 / 3 + 1 / 2) / 4)


def test_equally_confident_questions_share_their_errors():
    rows = [sure([0.9, 0.1]), sure([0.6, 0.4], 1), sure([0.6, 0.4])]
    assert [risk for _, risk in risk_coverage(rows)] == pytest.approx([0, 0.25, 1 / 3])


def test_confidences_that_round_to_1_are_still_ranked():
    surer, less_sure = asked([0.0, -80.0]), asked([0.0, -40.0], 1)
    assert probabilities(surer)[0] == probabilities(less_sure)[0] == 1
    assert [risk for _, risk in risk_coverage([less_sure, surer])] == [0, 0.5]


@untimed
@given(samples)
def test_at_full_coverage_the_risk_is_the_share_of_wrong_answers(rows):
    coverage, risk = risk_coverage(rows)[-1]
    assert (coverage, risk) == pytest.approx((1, np.mean([not row.correct for row in rows])))


def test_without_a_temperature_nothing_is_scaled():
    rows = drawn(5)
    plain = {"ece", "ece_if_calibrated", "ece_debiased", "ece_ci_low", "ece_ci_high", "brier", "nll"}
    assert set(calibration_metrics(rows, None)) == plain | {"aurc"}
    found = calibration_metrics(rows, 2.0)
    assert set(found) == plain | {f"{name}_scaled" for name in plain} | {"aurc", "temperature"}
    assert (found["temperature"], found["nll_scaled"]) == (2.0, negative_log_likelihood(rows, 2.0))
    assert found["ece_scaled"] == expected_calibration_error(rows, 2.0)
    assert found["brier_scaled"] == brier_score(rows, 2.0)
