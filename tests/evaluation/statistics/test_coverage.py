"""Intervals hold the truth and tests err as often as they say: the worlds of benchmarks/coverage.py, fewer times."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from mcqa.evaluation import statistics

REPETITIONS = 600


def benchmark():
    path = Path(__file__).parents[3] / "benchmarks" / "coverage.py"
    spec = spec_from_file_location("simulated_worlds", path)
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


worlds = benchmark()


@pytest.mark.parametrize("case", worlds.CASES, ids=lambda case: f"{case.what}: {case.world}")
def test_the_share_of_simulated_worlds_is_within_its_bounds(case):
    assert case.low <= case.share(REPETITIONS, seed=1) <= case.high


@pytest.mark.parametrize(("n", "disagreement"), [(100, 0.2), (200, 0.1), (200, 0.4), (400, 0.1), (672, 0.05)])
def test_mcnemars_test_errs_in_5_percent_at_most_and_rarely_says_something_else_than_the_interval(n, disagreement):
    """The exact test contradicts the interval in two to four percent of these comparisons, and finds less."""
    size, otherwise = worlds.mcnemar_rates(n, disagreement)
    assert size <= 0.05 and otherwise <= 0.02
    difference = statistics.minimum_detectable_difference(n, disagreement)
    found, otherwise = worlds.mcnemar_rates(n, disagreement, difference)
    found_exactly, otherwise_exactly = worlds.mcnemar_rates(n, disagreement, difference, p=worlds.exact_p)
    assert found > found_exactly + 0.02 and otherwise <= 0.02 < otherwise_exactly
