import os
from functools import partial
from pathlib import Path

import pytest

from mcqa.config.errors import ConfigError
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.backends.job import Job
from mcqa.sweep.backends.launcher import InProcess, make_backend
from mcqa.sweep.backends.local import Local
from mcqa.sweep.backends.slurm import Slurm
from tests.sweep.submitted import CONTEXT, app, trial_folder

make_job = partial(Job, task_function=app(), hydra_context=CONTEXT)


@pytest.mark.parametrize(
    ("target", "kind"), [("a.LocalLauncher", Local), ("a.SlurmLauncher", Slurm), ("hydra.BasicLauncher", InProcess)]
)
def test_the_launcher_decides_where_trials_run(target: str, kind: type) -> None:
    assert isinstance(make_backend({"_target_": target}, make_job, lambda folder: {}, slots=2), kind)


def test_a_launcher_of_whole_batches_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"JoblibLauncher.*submitit_local"):
        make_backend({"_target_": "a.JoblibLauncher"}, make_job, lambda folder: {}, slots=2)


def test_debugging_runs_the_trial_at_its_submission_in_this_process(tmp_path: Path) -> None:
    folder, seen = trial_folder(tmp_path), []
    backend = InProcess(partial(Job, task_function=lambda cfg: seen.append(os.getpid()), hydra_context=CONTEXT))
    job = backend.submit(folder, 0, 0)
    assert seen == [os.getpid()] and backend.state(job) == "over"
    assert (Mailbox(folder).result() or {})["status"] == "complete"
    (entry,) = Mailbox(folder).submissions()
    assert (entry.backend, entry.job) == ("debug", job) and backend.attach(folder, entry) is None
