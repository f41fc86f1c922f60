"""Up to which seed variance a significant difference stays so."""

import math

import pytest
from scipy.stats import norm

from mcqa.evaluation.statistics import mcnemar
from mcqa.evaluation.statistics.seeds import seed_deviation_allowed, seed_deviation_allowed_of_best


@pytest.mark.parametrize(("runs", "pairs"), [(1, 1), (2, 1), (2, 3)])
def test_with_as_much_seed_variance_p_is_just_the_level(runs, pairs):
    difference, error = 0.03, 0.008
    p = 2 * norm.sf(difference / error)
    allowed = seed_deviation_allowed(difference, p, runs, 0.05 / pairs)
    assert 2 * norm.sf(difference / math.hypot(error, math.sqrt(runs) * allowed)) == pytest.approx(0.05 / pairs)


def test_no_seed_variance_is_allowed_where_nothing_is_significant_and_more_for_a_clear_difference():
    assert seed_deviation_allowed(0.03, 0.2, 2) == 0.0
    assert seed_deviation_allowed(0.03, 0.03, 2, level=0.02) == 0.0
    assert 0 < seed_deviation_allowed(0.03, 0.01, 2) < seed_deviation_allowed(0.03, 0.0, 2)


def test_the_best_of_many_runs_needs_more():
    assert seed_deviation_allowed_of_best(0.03, 1e-4, 2) == pytest.approx(seed_deviation_allowed(0.03, 1e-4, 2))
    assert seed_deviation_allowed_of_best(0.03, 1e-4, 16) < seed_deviation_allowed_of_best(0.03, 1e-4, 2)


def test_a_difference_of_two_points_on_a_large_test_allows_half_a_point():
    """14,042 questions of which 11 % flip, 910 gained and 610 lost: 2.1 points, p < .0001."""
    pair = mcnemar([False] * 910 + [True] * 13132, [True] * 910 + [False] * 610 + [True] * 12522)
    assert seed_deviation_allowed(pair.difference, pair.p, 2) == pytest.approx(0.0075, abs=0.0005)
