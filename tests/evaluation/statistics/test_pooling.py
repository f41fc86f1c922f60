"""Several seeds on the same questions, against Welch's test, analysis of variance and the paired test."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation.statistics.intervals import clustered_accuracy, wilson_interval
from mcqa.evaluation.statistics.paired import mcnemar
from mcqa.evaluation.statistics.pooling import pooled_accuracy_interval, pooled_difference


@st.composite
def experiments(draw):
    """Runs before, runs after, and clusters (at least two) of up to twelve questions."""
    questions = draw(st.integers(2, 12))
    run = st.lists(st.booleans(), min_size=questions, max_size=questions)
    clusters = draw(st.lists(st.sampled_from("abc"), min_size=questions, max_size=questions))
    sides = draw(st.lists(run, min_size=1, max_size=3)), draw(st.lists(run, min_size=1, max_size=3))
    return *sides, draw(st.sampled_from([None, ["d", *clusters[1:]] if "d" not in clusters[1:] else clusters]))


def runs(generator, seeds, noise, questions=300):
    hard = generator.normal(0, 1, questions)
    logits = hard + generator.normal(0, noise, (seeds, 1))
    return (generator.random((seeds, questions)) < 1 / (1 + np.exp(-logits))).tolist()


def repeated(accuracies, questions=4000):
    """Runs that are right on the same share of the questions wherever one looks: chance answers add nothing."""
    return [[right] * questions for right in accuracies]


def test_noise_of_seeds_alone_gives_welchs_test():
    from scipy.stats import ttest_ind

    before, after = [0, 1, 0, 0, 1], [1, 1, 0, 1]
    found, theirs = pooled_difference(repeated(before), repeated(after)), ttest_ind(after, before, equal_var=False)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-3)
    assert found.degrees_of_freedom == pytest.approx(theirs.df, rel=1e-3)
    low, high = theirs.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, min(1, high)), abs=2e-3)


def test_one_seed_each_gives_the_paired_test():
    generator = np.random.default_rng(1)
    before, after = runs(generator, 2, 0.3)
    found = pooled_difference([before], [after])
    paired = mcnemar(before, after, [f"q{number}" for number in range(len(before))])
    assert (found.difference, found.low, found.high) == pytest.approx((paired.difference, paired.low, paired.high))
    assert found.p == pytest.approx(paired.p_clustered)
    assert found.standard_error == found.from_questions
    assert found.from_seeds is None


def test_what_seeds_add_is_the_variance_component_of_a_two_way_analysis():
    """Between runs, less the residual mean square of y ~ run + question: both over seeds, the latter per question."""
    from statsmodels.formula.api import ols

    generator = np.random.default_rng(2)
    before, after = runs(generator, 1, 0, 60), runs(generator, 4, 1.0, 60)
    answers = np.array(after, float)
    table = {
        "y": answers.ravel(),
        "run": np.repeat(np.arange(4), 60),
        "question": np.tile(np.arange(60), 4),
    }
    chance = ols("y ~ C(run) + C(question)", table).fit().mse_resid / (4 * 60)
    found = pooled_difference(before, after, every_side_has_seeds=False)
    assert found.from_seeds**2 == pytest.approx(answers.mean(1).var(ddof=1) / 4 - chance)


def test_one_seed_is_taken_to_vary_as_the_other_side_does():
    """Noise of seeds alone gives Student's t-test of one value against others, here 0 against 0, 1, 1, 0, 1."""
    from scipy.stats import ttest_ind

    before, after = [0], [1, 1, 0, 1, 1]
    found, theirs = pooled_difference(repeated(before), repeated(after)), ttest_ind(after, before)
    assert (found.p, found.degrees_of_freedom) == pytest.approx((theirs.pvalue, 4), rel=1e-3)
    certain = pooled_difference(repeated(before), repeated(after), every_side_has_seeds=False)
    assert found.from_seeds == pytest.approx(6**0.5 * certain.from_seeds)
    back = pooled_difference(repeated(after), repeated(before))
    assert back.p == pytest.approx(found.p)


def test_runs_that_do_not_differ_add_nothing():
    generator = np.random.default_rng(3)
    before, after = runs(generator, 2, 0)
    found, once = pooled_difference([before] * 3, [after] * 3), pooled_difference([before], [after])
    assert found.from_seeds == 0
    assert (found.low, found.high, found.p) == pytest.approx((once.low, once.high, once.p))


def test_configurations_that_answer_the_same_differ_by_nothing_but_not_for_certain():
    found = pooled_difference([[True, False, True]], [[True, False, True]])
    assert found.difference == 0 and found.p == 1 and found.low == -found.high < 0


def test_more_seeds_shorten_the_interval_where_seeds_are_noise():
    generator = np.random.default_rng(4)
    before, after = runs(generator, 12, 0.5), runs(generator, 12, 0.5)
    few, many = pooled_difference(before[:3], after[:3]), pooled_difference(before, after)
    assert many.from_seeds < few.from_seeds and many.high - many.low < few.high - few.low


@settings(deadline=None)
@given(experiments())
def test_the_squares_of_both_sources_add_up(experiment):
    found = pooled_difference(*experiment)
    assert found.standard_error**2 == pytest.approx(found.from_questions**2 + (found.from_seeds or 0) ** 2)
    assert (found.from_seeds is None) == all(len(side) == 1 for side in experiment[:2])


@settings(deadline=None)
@given(experiments())
def test_swapping_the_configurations_turns_the_difference(experiment):
    before, after, clusters = experiment
    found, back = pooled_difference(before, after, clusters), pooled_difference(after, before, clusters)
    assert back.difference == pytest.approx(-found.difference)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    assert (back.p, back.standard_error) == pytest.approx((found.p, found.standard_error))


@settings(deadline=None)
@given(experiments(), st.randoms(use_true_random=False))
def test_neither_the_order_of_questions_nor_of_seeds_matters(experiment, random):
    before, after, clusters = experiment
    order = random.sample(range(len(before[0])), len(before[0]))
    moved = [[[run[index] for index in order] for run in reversed(side)] for side in (before, after)]
    names = clusters and [clusters[index] for index in order]
    found, again = pooled_difference(before, after, clusters), pooled_difference(*moved, names)
    for field in ("difference", "low", "high", "p", "standard_error", "degrees_of_freedom"):
        assert getattr(again, field) == pytest.approx(getattr(found, field)), field


@settings(deadline=None)
@given(experiments())
def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_zero(experiment):
    found = pooled_difference(*experiment)
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_one_cluster_proves_nothing():
    found = pooled_difference([[False] * 4], [[True] * 4] * 2, ["a"] * 4)
    assert (found.difference, found.low, found.high, found.p) == (1, -1, 1, 1)
    assert math.isnan(found.standard_error)


# --- the accuracy of one configuration --------------------------------------------------------------------------------


@settings(deadline=None)
@given(experiments())
def test_seeds_that_answer_the_same_have_the_interval_of_one_run(experiment):
    (run, *_), _, clusters = experiment
    names = clusters or [f"q{number}" for number in range(len(run))]
    one = clustered_accuracy(run, names)
    assert pooled_accuracy_interval([run, run, run], clusters) == pytest.approx((one.low, one.high))


@settings(deadline=None)
@given(experiments())
def test_the_interval_over_seeds_holds_the_mean_and_mirrors_that_of_the_wrong_answers(experiment):
    seeds, others, clusters = experiment
    runs = [*seeds, *others]
    low, high = pooled_accuracy_interval(runs, clusters)
    assert 0 <= low <= np.mean(runs) <= high <= 1
    assert pooled_accuracy_interval([[not one for one in run] for run in runs], clusters) == pytest.approx(
        (1 - high, 1 - low)
    )


def test_noise_between_seeds_widens_the_interval_of_their_mean():
    """Accuracies of 0, 1, 1: their mean has a variance of 1/9, so p with (p - 2/3)**2 = t**2 p (1 - p) / 2, df 2."""
    low, high = pooled_accuracy_interval(repeated([0, 1, 1]))
    for end in (low, high):
        assert (end - 2 / 3) ** 2 == pytest.approx(4.302653**2 * end * (1 - end) / 2, rel=1e-3)
    assert high - low > wilson_interval(2 * 4000, 3 * 4000)[1] - wilson_interval(2 * 4000, 3 * 4000)[0]


def test_one_cluster_says_nothing_about_an_accuracy():
    assert pooled_accuracy_interval([[True] * 4] * 2, ["a"] * 4) == (0, 1)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [([], [[True]], "same questions"), ([[True], [True, False]], [[True]], "same questions"),
     ([[True]], [[True, False]], "1 questions before, but 2 after")],
)  # fmt: skip
def test_runs_on_other_questions_are_not_pooled(before, after, words):
    with pytest.raises(ValueError, match=words):
        pooled_difference(before, after)


def test_the_order_of_questions_does_not_matter_where_the_size_of_a_flip_is_a_tie():
    """It is 2.5 questions here, so that rounding errors of sums in another order would make it 2 or 3."""
    before = ["000000111111", "000010000011", "001000101100"]
    after = ["000000111111", "010110100110", "110111011101"]
    clusters = "dbabacacacaca"[:12]
    intervals = set()
    for seed in range(50):
        order = Random(seed).sample(range(12), 12)
        sides = [[[run[place] == "1" for place in order] for run in side] for side in (before, after)]
        pooled = pooled_difference(*sides, [clusters[place] for place in order])
        intervals.add((round(pooled.low, 9), round(pooled.high, 9)))
    assert len(intervals) == 1
