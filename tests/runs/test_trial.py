from pathlib import Path

import numpy as np
import pytest

from mcqa.runs import trial
from mcqa.runs.mailbox import Mailbox
from tests.sweep.submitted import trial_folder


def test_outside_a_study_there_is_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(trial.VARIABLE, raising=False)
    assert trial.current() is None


def test_a_job_of_a_plain_product_is_no_trial(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(trial.VARIABLE, str(trial_folder(tmp_path, study=False)))
    assert trial.current() is None


def test_a_trial_speaks_through_the_folder_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = trial_folder(tmp_path)
    monkeypatch.setenv(trial.VARIABLE, str(folder))
    me = trial.current()
    assert me is not None and not me.should_prune() and me.last_reported() is None
    assert me.study == tmp_path
    me.report(np.float32(0.5), point=np.int64(800), seen=816)  # type: ignore[arg-type]
    (report,) = Mailbox(folder).reports()
    assert (report.point, report.value, report.seen) == (800, 0.5, 816)
    with pytest.raises(ValueError, match="point=-1"):
        me.report(0.5, point=-1)
    Mailbox(folder).request_prune()
    assert me.should_prune() and me.last_reported() == 0.5
    assert not me.should_pause()
    Mailbox(folder).request_pause()
    assert me.should_pause()


def test_a_job_that_starts_again_has_the_folder_of_its_first_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Path] = []

    def make() -> Path:
        made.append(tmp_path / f"run {len(made)}")
        made[-1].mkdir()
        return made[-1]

    monkeypatch.delenv(trial.VARIABLE, raising=False)
    assert trial.persistent_folder(make) != trial.persistent_folder(make)
    monkeypatch.setenv(trial.VARIABLE, str(trial_folder(tmp_path, study=False)))
    assert trial.persistent_folder(make) == trial.persistent_folder(make) == made[2]
    made[2].rmdir()
    assert trial.persistent_folder(make) == made[3] == trial.persistent_folder(make)
