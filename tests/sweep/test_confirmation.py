"""The plan of a confirmation: kept over restarts, and refused where it cannot be read."""

import pytest
import yaml

from mcqa.config.errors import FileError
from mcqa.sweep.confirmation import Configuration, jobs, order_is_fixed, problems, update_plan


def planned(*trials):
    return jobs([Configuration(trial, trial == 0, {"x": trial}, (f"x={trial}",)) for trial in trials], 5, n_seeds=1)


def test_jobs_keep_their_numbers_and_new_ones_follow(tmp_path):
    first = update_plan(tmp_path, planned(3, 0))
    assert update_plan(tmp_path, planned(0, 7)) == [*first, *planned(7)]
    assert yaml.safe_load((tmp_path / "jobs.yaml").read_text()) == [*first, *planned(7)]


@pytest.mark.parametrize("content", ["", "x", "{}", "[3]", "- {trial: 1}", "- [", "\0", "[" * 500])
def test_a_damaged_plan_is_an_error_that_leaves_it_as_it_is(tmp_path, content):
    (tmp_path / "jobs.yaml").write_text(content)
    with pytest.raises(FileError, match=r"jobs\.yaml is damaged: .* restore it, or move .* away"):
        update_plan(tmp_path, planned(1))
    assert (tmp_path / "jobs.yaml").read_text() == content


@pytest.mark.parametrize("key", ["seed", "order_seed", "data.seed"])
def test_a_study_that_sweeps_a_seed_is_not_confirmed(key):
    (problem,) = problems({"seed": 0}, [key, "x"])
    assert problem.startswith(f"hydra.sweeper.confirm: {key} is swept, ")
    assert problems({"seed": 0}, ["x"]) == []


@pytest.mark.parametrize(
    ("base", "fixed", "is_fixed"),
    [
        ({"seed": 0}, [], False),
        ({"seed": 0, "order_seed": None}, [], False),
        ({"seed": 0, "order_seed": 3}, [], True),
        ({"seed": 0, "order_seed": None}, ["order_seed=3"], True),
        ({"seed": 0, "order_seed": 3}, ["order_seed=null"], False),
    ],
)
def test_new_seeds_vary_the_order_too(base, fixed, is_fixed):
    assert order_is_fixed(base, fixed) is is_fixed
    [job] = jobs([Configuration(1, False, {}, tuple(fixed))], 0, 1, is_fixed)
    assert job["overrides"] == [*fixed, "seed=1", *(["order_seed=null"] if is_fixed else [])]
