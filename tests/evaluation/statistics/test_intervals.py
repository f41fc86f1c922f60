"""Intervals of one accuracy, against published values, the formula, SciPy and statsmodels."""

import math
from statistics import stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation.statistics.intervals import clustered_accuracy, standard_error, wilson_interval

counts = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
marked = st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef")), min_size=2, max_size=60)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(right, n, low, high):
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=5e-5)


@settings(deadline=None)
@given(counts)
def test_wilsons_interval_is_the_formulas(count):
    right, n = count
    z, share = 1.959963984540054, right / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert wilson_interval(right, n) == pytest.approx((max(0, centre - half), min(1, centre + half)), abs=1e-9)


@settings(deadline=None)
@given(counts)
def test_wilsons_interval_is_scipys_and_the_same_seen_from_the_wrong_answers(count):
    from scipy.stats import binomtest

    right, n = count
    interval = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, n) == pytest.approx((interval.low, interval.high))
    low, high = wilson_interval(n - right, n)
    assert wilson_interval(right, n) == pytest.approx((1 - high, 1 - low))


@settings(deadline=None)
@given(st.integers(2, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_standard_error_divides_by_n_minus_1(count):
    right, n = count
    assert standard_error(right, n) == pytest.approx(stdev([1.0] * right + [0.0] * (n - right)) / math.sqrt(n))


def test_one_question_has_no_standard_error():
    assert standard_error(1, 1) == standard_error(0, 1) == 0


def answers(*clusters):
    """Marks like "110" for the questions of one cluster."""
    correct = [mark == "1" for marks in clusters for mark in marks]
    return correct, [f"passage {number}" for number, marks in enumerate(clusters) for _ in marks]


def test_the_clustered_standard_error_is_the_one_worked_by_hand():
    """Accuracy 1/2; the clusters' sums of residuals are 1, -1 and 0, so the variance is 3/2 * 2 / 6**2 = 1/12."""
    found = clustered_accuracy(*answers("11", "00", "10"))
    assert found.standard_error == pytest.approx(math.sqrt(1 / 12))
    assert found.design_effect == pytest.approx((1 / 12) / (1 / 20))  # independent: 1/2 * 1/2 / 5
    assert found.clusters == 3


def test_clusters_of_equal_size_give_the_standard_error_of_statsmodels():
    from statsmodels.api import OLS

    correct, names = answers("1111", "1010", "0000", "1110", "0111")
    groups = [int(name.split()[1]) for name in names]
    theirs = OLS([float(mark) for mark in correct], [1.0] * 20).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert clustered_accuracy(correct, names).standard_error == pytest.approx(theirs.bse[0])


def test_the_clustered_interval_is_wilsons_with_the_effective_number_of_questions_and_students_t():
    """Shares p with (p - 1/2)**2 = t**2 p (1 - p) / n, where n = 6 / 1.8 and t has two degrees of freedom.

    With a cluster of two right and one of two wrong answers added the sums of residuals are 1, -1, 0, 1 and -1, so the
    variance is 5/4 * 4 / 10**2 = 1/20, where that of independent answers is 1/36.
    """
    found = clustered_accuracy(*answers("11", "00", "10"))
    n, t = 6 / 1.8, 4.302652729911275
    for end in (found.low, found.high):
        assert (end - 0.5) ** 2 == pytest.approx(t**2 * end * (1 - end) / n)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=200, max_size=300))
def test_questions_alone_have_wilsons_interval_and_the_simple_standard_error(correct):
    found = clustered_accuracy(correct, [f"q{number}" for number in range(len(correct))])
    assert (found.low, found.high) == pytest.approx(wilson_interval(sum(correct), len(correct)), abs=1e-3)
    assert found.standard_error == pytest.approx(standard_error(sum(correct), len(correct)))
    assert found.design_effect == pytest.approx(1)


@settings(deadline=None)
@given(marked)
def test_the_clustered_interval_holds_the_accuracy_and_is_never_shorter_than_wilsons(rows):
    correct, clusters = zip(*rows, strict=True)
    found, (low, high) = clustered_accuracy(correct, clusters), wilson_interval(sum(correct), len(correct))
    assert 0 <= found.low <= sum(correct) / len(correct) <= found.high <= 1
    assert found.high - found.low >= high - low - 1e-12


@settings(deadline=None)
@given(marked)
def test_the_clustered_interval_of_wrong_answers_is_the_mirror_image(rows):
    correct, clusters = zip(*rows, strict=True)
    found, mirror = clustered_accuracy(correct, clusters), clustered_accuracy([not mark for mark in correct], clusters)
    assert (found.low, found.high) == pytest.approx((1 - mirror.high, 1 - mirror.low))


@pytest.mark.parametrize(("mark", "ends"), [("1", (20 / (20 + 4.385), 1)), ("0", (0, 4.385 / (20 + 4.385)))])
def test_all_right_or_all_wrong_counts_every_cluster_as_one_question(mark, ends):
    """Twenty clusters: Wilson's bound n / (n + t**2) with n = 20; t = 2.0930 has 19 degrees of freedom."""
    found = clustered_accuracy(*answers(*[mark * 5] * 20))
    assert (found.low, found.high) == pytest.approx((ends[0], ends[1]), abs=5e-3)
    assert (found.standard_error, found.design_effect) == (0, 5)


def test_one_wrong_cluster_is_not_the_last_that_there_may_be():
    """Where 39 of 40 clusters are right throughout, and one wrong, the design effect is that of wholes; where ten
    questions of ten clusters are wrong, they are wrong alone."""
    whole, alone = (
        clustered_accuracy(*answers("0" * 10, *["1" * 10] * 39)),
        clustered_accuracy(*answers(*["0" + "1" * 9] * 10, *["1" * 10] * 30)),
    )
    assert whole.low == pytest.approx(wilson_interval(39, 40)[0], abs=0.01)
    assert alone.low == pytest.approx(wilson_interval(390, 400)[0], abs=0.01)


def test_one_cluster_says_nothing_about_others():
    found = clustered_accuracy(*answers("1110"))
    assert (found.low, found.high, found.clusters) == (0, 1, 1)
    assert math.isnan(found.standard_error) and math.isnan(found.design_effect)
