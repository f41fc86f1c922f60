from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from mcqa.sweep import start
from mcqa.sweep.controller.events import Limits, Outcome, RecoveredTrial


def modules(n_trials: int | None, ended: int = 0, launcher: str = "a.LocalLauncher", **variables: str) -> Any:
    hydra = OmegaConf.create({"launcher": {"_target_": launcher}, "job": {"env_set": variables}})
    sweep: Any = SimpleNamespace(hooks=SimpleNamespace(modules=lambda: ["torch"]), hydra=hydra)
    known = [RecoveredTrial(number, Outcome("complete", 1.0, None), 1, None) for number in range(ended)]
    return start._modules(sweep, Limits(n_trials, 2, None, 3, None), known)


@pytest.mark.parametrize(("n_trials", "ended"), [(3, 0), (None, 0), (10, 7)])
def test_one_process_imports_for_all_where_a_slot_runs_more_than_one_job(n_trials: int | None, ended: int) -> None:
    assert modules(n_trials, ended) == ["torch"]


def test_nothing_is_imported_for_as_many_jobs_as_slots() -> None:
    assert modules(2) == modules(10, ended=8) == ()


def test_nothing_is_imported_before_variables_that_a_job_sets() -> None:
    assert modules(10, HF_HOME="/elsewhere") == ()


def test_nothing_is_imported_for_jobs_elsewhere() -> None:
    assert modules(10, launcher="a.SlurmLauncher") == modules(10, launcher="a.BasicLauncher") == ()
