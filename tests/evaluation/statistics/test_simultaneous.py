"""Adjusted p-values by the largest statistic, and the level of the intervals that agree with them."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtr
from scipy.stats import norm, studentized_range

from mcqa.compare.estimates import adjust, estimate
from mcqa.evaluation.statistics import Estimate, holm, max_t, pair_correlation, pooled_difference
from mcqa.evaluation.statistics.estimate import Source


def contrasts(configurations):
    pairs = list(combinations(range(configurations), 2))
    rows = np.zeros((len(pairs), configurations))
    for row, (before, after) in zip(rows, pairs, strict=True):
        row[before], row[after] = -1, 1
    return rows


@pytest.mark.parametrize("configurations", [3, 4, 6])
def test_with_equally_correlated_configurations_it_is_tukeys_test(configurations):
    rows = contrasts(configurations)
    ps = [0.05, 0.01, 0.001, *[0.7] * (len(rows) - 3)]
    found = max_t(ps, rows @ rows.T / 2)
    expected = [studentized_range.sf(2**0.5 * norm.isf(p / 2), configurations, np.inf) for p in ps[:3]]
    assert found.p_adjusted[:3] == pytest.approx(expected, abs=1e-3)
    critical = studentized_range.isf(0.05, configurations, np.inf) / 2**0.5
    assert found.level == pytest.approx(2 * norm.sf(critical), rel=0.02)


def test_independent_statistics_are_adjusted_by_sidak_and_copies_of_one_not_at_all():
    assert max_t([0.02, 0.3], np.eye(2)).p_adjusted == pytest.approx([1 - 0.98**2, 1 - 0.7**2], abs=5e-4)
    same = max_t([0.02, 0.02, 0.02], np.ones((3, 3)))
    assert (*same.p_adjusted, same.level) == pytest.approx((0.02, 0.02, 0.02, 0.05), abs=5e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(-0.45, 0.95))
def test_a_p_below_the_level_is_below_5_percent_adjusted_and_between_itself_and_bonferroni(ps, alike):
    found = max_t(ps, np.full((3, 3), alike) + (1 - alike) * np.eye(3))
    for p, adjusted in zip(ps, found.p_adjusted, strict=True):
        assert (adjusted < 0.05) == (p < found.level)
        assert p <= adjusted <= min(1, 3 * p)


def test_a_tiny_p_stays_tiny_the_order_does_not_matter_and_two_calls_agree():
    rows = contrasts(4)
    correlation, ps = rows @ rows.T / 2, [1e-40, 0.004, 0.02, 0.2, 0.6, 1.0]
    found, turned = max_t(ps, correlation), max_t(ps[::-1], correlation[::-1, ::-1])
    assert found.p_adjusted[0] == pytest.approx(6e-40)
    assert turned.p_adjusted[::-1] == pytest.approx(found.p_adjusted, abs=1e-3)
    assert max_t(ps, correlation) == found
    assert max_t([0.03], np.eye(1)) == (found.__class__((0.03,), 0.05))


def test_pairs_that_share_a_configuration_are_correlated_by_what_they_share():
    """The second and the third hardly differ, so that what the first differs by is nearly the same for both."""
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 1, 4000)) < 0.5
    third = np.where(generator.random(4000) < 0.02, ~second, second)
    values = [one.astype(float) for one in (first, second, third)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    differences = np.array([values[j][0] - values[i][0] for i, j in pairs])
    errors = [float(own.std() / 4000**0.5) for own in differences]
    found = pair_correlation(values, pairs, errors, np.arange(4000))
    assert found == pytest.approx(np.corrcoef(differences), abs=1e-9)
    assert found[0, 1] > 0.97
    doubled = pair_correlation(values, pairs, [2 * error for error in errors], np.arange(4000))
    assert doubled[0, 1] == pytest.approx(found[0, 1] / 4, rel=1e-3)


def test_identical_configurations_and_one_cluster_are_no_error():
    values = [np.ones((1, 20))] * 3
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert pair_correlation(values, pairs, [0.0] * 3, np.arange(20)).tolist() == np.eye(3).tolist()
    assert pair_correlation(values, pairs, [np.nan] * 3, np.zeros(20, int)).tolist() == np.eye(3).tolist()
    unknown = adjust([Estimate(0.1, np.nan, 0.0)] * 3, values, np.zeros(20, int), pairs)
    assert [(its.p, its.interval) for its in unknown] == [(1, (-1, 1))] * 3


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("clusters", [None, [f"c{i // 10}" for i in range(200)]])
def test_an_interval_leaves_out_0_just_where_the_adjusted_p_is_below_5_percent(seeds, clusters):
    generator, pairs = np.random.default_rng(seeds), [(0, 1), (0, 2), (1, 2)]
    ids, verdicts = np.arange(200) if clusters is None else np.arange(200) // 10, set()
    for _ in range(30):
        answers = [generator.random((seeds, 200)) < share for share in (0.5, 0.6, 0.63)]
        estimates = [estimate(answers[i].tolist(), answers[j].tolist(), clusters, True) for i, j in pairs]
        for its in adjust(estimates, [own.astype(float) for own in answers], ids, pairs):
            low, high = its.interval
            assert (its.p < 0.05) == (not low <= 0 <= high)
            verdicts.add(its.p < 0.05)
    assert verdicts == {True, False}


def test_at_small_levels_the_critical_value_is_the_mean_of_those_of_questions_and_seeds():
    its = Estimate(3.0, 1.0, 5.0, (Source(0.75, 400.0), Source(0.25, 4.0)))
    p = its.p_at_small_levels
    assert stdtr(4, -3) > p / 2 > stdtr(400, -3)
    low, high = its.interval_at_small_levels(p, limit=np.inf)
    assert (low, high) == pytest.approx((0, 6))
    alone = Estimate(3.0, 1.0, 5.0)
    assert alone.p_at_small_levels == alone.p
    assert alone.interval_at_small_levels(0.05, 10) == pytest.approx(alone.interval(0.95, 10))
    assert 0 < Estimate(0.9, 1e-9, 5.0, (Source(1.0, np.inf), Source(0.0, 4.0))).p_at_small_levels < 1e-90
    assert Estimate(0.0, 1.0, 5.0, its.sources).p_at_small_levels == 1


def test_the_estimate_over_seeds_is_that_of_the_pooled_difference():
    generator = np.random.default_rng(3)
    before, after = ((generator.random((3, 100)) < share).tolist() for share in (0.5, 0.7))
    found, pooled = estimate(before, after, None, True), pooled_difference(before, after)
    assert (found.p, found.standard_error, *found.interval(0.95)) == pytest.approx(
        (pooled.p, pooled.standard_error, pooled.low, pooled.high)
    )
    assert sum(source.share for source in found.sources) == pytest.approx(1)


def test_holm_rejects_no_more_than_alike_pairs_allow():
    """Nearly identical configurations: what Holm takes for three comparisons is hardly more than one."""
    assert max_t([0.03, 0.03, 0.9], np.array([[1, 0.99, 0], [0.99, 1, 0], [0, 0, 1.0]])).p_adjusted[0] < 0.07
    assert holm([0.03, 0.03, 0.9])[0] == pytest.approx(0.09)
