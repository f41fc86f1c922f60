"""Intervals hold the truth and tests err as often as they say: the worlds of benchmarks/coverage.py, fewer times."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

REPETITIONS = 600


def benchmark():
    path = Path(__file__).parents[3] / "benchmarks" / "coverage.py"
    spec = spec_from_file_location("simulated_worlds", path)
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", benchmark().CASES, ids=lambda case: f"{case.what}: {case.world}")
def test_the_share_of_simulated_worlds_is_within_its_bounds(case):
    assert case.low <= case.share(REPETITIONS, seed=1) <= case.high
