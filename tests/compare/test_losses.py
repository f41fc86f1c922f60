"""Paired tests of the Brier score, the negative log-likelihood and the loss."""

import csv
import math
import random

import numpy as np
import pytest
from scipy import stats

from mcqa.compare import export, losses, page, sections
from mcqa.compare.estimates import estimate_of_means
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.predictions import Prediction
from tests.compare.finished_runs import asked, compared, make_run, predicted, question


def rows(margin, seed, questions=120, tokens=(1, 2, 3, 4), **changes):
    draw = random.Random(seed)
    return [
        Prediction(
            question(i, **changes), tuple(-5 + draw.gauss(0, 1) + margin * (choice == 1) for choice in range(4)), tokens
        )
        for i in range(questions)
    ]


def two(tmp_path, before, after):
    return make_run(tmp_path, "a", before, peft__rank=1), make_run(tmp_path, "b", after, peft__rank=2)


@pytest.mark.parametrize(("measure", "metric"), [("Brier", "brier"), ("NLL", "nll"), ("loss", "loss")])
def test_the_means_are_the_metrics_of_the_runs(tmp_path, measure, metric):
    before, after = rows(0.5, 1), rows(1.5, 2, tokens=(2, 1, 3, 1))
    [found] = [one for one in losses.losses(compared(*two(tmp_path, before, after))) if one.measure == measure]
    assert (found.before, found.after) == pytest.approx([compute_metrics(side)[metric] for side in (before, after)])
    assert found.estimate.centre == pytest.approx(found.after - found.before)


def test_two_single_runs_are_compared_by_the_paired_t_test(tmp_path):
    before, after = rows(0.5, 1), rows(1.0, 2)
    for one in losses.losses(compared(*two(tmp_path, before, after))):
        expected = stats.ttest_rel(losses.MEASURES[one.measure](after), losses.MEASURES[one.measure](before))
        assert one.estimate.p == pytest.approx(expected.pvalue)
        assert one.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_the_loss_is_a_ratio_whose_variance_is_that_of_a_jackknife():
    """Right choices of one to four tokens."""
    draw = random.Random(4)
    of = [question(i, answer=draw.randrange(4)) for i in range(80)]
    mixed = [Prediction(one, tuple(-draw.random() * t - 1 for t in (1, 2, 3, 4)), (1, 2, 3, 4)) for one in of]
    values, n = losses.loss(mixed), len(mixed)
    left_out = [compute_metrics(mixed[:i] + mixed[i + 1 :])["loss"] for i in range(n)]
    jackknife = math.sqrt((n - 1) / n * sum((one - np.mean(left_out)) ** 2 for one in left_out))
    assert values.std(ddof=1) / math.sqrt(n) == pytest.approx(jackknife, rel=0.05)


def test_identical_runs_do_not_differ_and_one_cluster_shows_nothing(tmp_path):
    same = rows(0.5, 1)
    assert [one.estimate.p for one in losses.losses(compared(*two(tmp_path / "same", same, same)))] == [1, 1, 1]
    before, after = (rows(margin, 1, context="one") for margin in (0, 3))
    found = losses.losses(compared(*two(tmp_path / "one", before, after)))
    assert [one.estimate.p for one in found] == [1, 1, 1]
    assert found[0].interval == (-math.inf, math.inf)


def test_clusters_and_seeds_widen_the_interval():
    generator = np.random.default_rng(0)
    before = generator.normal(0, 1, (1, 50)).repeat(4, axis=1) + np.zeros((3, 1))
    after = before + 0.1 + 0.2 * generator.normal(size=(3, 1)) + generator.normal(0, 0.5, (1, 50)).repeat(4, axis=1)
    plain = estimate_of_means(before[:1], after[:1], None, False)
    clustered = estimate_of_means(before[:1], after[:1], [f"c{i // 4}" for i in range(200)], False)
    seeds = estimate_of_means(before, after, None, True)
    assert clustered.standard_error == pytest.approx(2 * plain.standard_error, rel=0.02)
    assert seeds.standard_error > plain.standard_error and seeds.degrees_of_freedom < 10


def test_a_loss_that_is_no_number_is_left_out(tmp_path):
    before, after = rows(0.5, 1), rows(1.0, 2)
    broken = [Prediction(before[0].question, (math.nan,) * 4, (1,) * 4), *before[1:]]
    assert {one.measure for one in losses.losses(compared(*two(tmp_path, broken, after)))} == {"Brier", "NLL"}


def test_p_is_adjusted_for_the_pairs_of_a_measure(tmp_path):
    runs = [make_run(tmp_path, f"r{i}", rows(0.3 * i, i), peft__rank=i) for i in range(3)]
    found = losses.losses(compared(*runs))
    assert len(found) == 9
    for one in found:
        assert one.estimate.p < one.p_adjusted <= 3 * one.estimate.p
        assert one.significant == (not one.interval[0] <= 0 <= one.interval[1])


def test_the_answer_is_in_a_sentence_and_in_every_file(tmp_path):
    runs = two(tmp_path, rows(0.0, 1), rows(3.0, 2))
    comparison, chosen = compared(*runs), asked(*runs, out=str(tmp_path / "out"))
    answers = [its for its in sections.answer(comparison, chosen) if its.name == "losses"]
    assert answers[0].answers[0].startswith("rank=2 against rank=1: Brier significantly lower (−")
    assert answers[0].answers[0].endswith("; one seed each, so this is about these runs, not their configurations.")
    kept = list(csv.DictReader((export.write(comparison, chosen, answers) / "losses.csv").open()))
    assert [row["measure"] for row in kept] == ["Brier", "NLL", "loss"]
    assert "Cochran 1977" in page.render_page(comparison, {}, answers)


def test_right_and_wrong_alone_say_nothing_about_probabilities(tmp_path):
    """Two runs that answer alike, one of them surer."""
    right = [i % 3 > 0 for i in range(60)]
    runs = two(tmp_path, *([predicted(one, question(i), m) for i, one in enumerate(right)] for m in (1.0, 4.0)))
    comparison = compared(*runs)
    assert not comparison.pairs[0].significant
    [nll] = [one for one in losses.losses(comparison) if one.measure == "NLL"]
    assert nll.after != nll.before
