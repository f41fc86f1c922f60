import os
import time
from functools import partial
from pathlib import Path

import pytest

from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import Backend
from mcqa.sweep.backends.job import Job
from mcqa.sweep.backends.launcher import InProcess
from mcqa.sweep.backends.local import Local
from mcqa.sweep.backends.slurm import Slurm
from mcqa.sweep.backends.submission import LOST_S
from tests.sweep.submitted import CONTEXT, app, trial_folder

make_job = partial(Job, task_function=app(), hydra_context=CONTEXT)


@pytest.mark.parametrize(
    ("backend", "submitted_by", "host"),
    [("local", "local", "another"), ("local", "slurm", "this"), ("slurm", "local", "this"), ("debug", "local", "this")],
)
def test_a_trial_that_runs_elsewhere_is_known_by_its_heartbeat(
    tmp_path: Path, backend: str, submitted_by: str, host: str
) -> None:
    known: dict[str, Backend] = {
        "local": Local(make_job, lambda folder: {}, slots=2, gpus=[]),
        "slurm": Slurm(make_job, lambda folder: {}),
        "debug": InProcess(make_job),
    }
    long_ago = time.time() - 2 * LOST_S
    folder = trial_folder(tmp_path)
    entry = Submission(0, "t", "1", submitted_by, os.uname().nodename if host == "this" else host, 0, long_ago)
    assert known[backend].attach(folder, entry) is None
    Mailbox(folder).heartbeat()
    job = known[backend].attach(folder, entry)
    assert job is not None and known[backend].state(job) == "running"
    os.utime(folder / "heartbeat", (0, long_ago))
    assert known[backend].state(job) == "over" and "no heartbeat" in known[backend].reason(job)
