import os
from functools import partial
from pathlib import Path

from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.backends.in_process import InProcess
from mcqa.sweep.backends.job import Job
from tests.sweep.submitted import CONTEXT, trial_folder


def test_debugging_runs_the_trial_at_its_submission_in_this_process(tmp_path: Path) -> None:
    folder, seen = trial_folder(tmp_path), []
    backend = InProcess(partial(Job, task_function=lambda cfg: seen.append(os.getpid()), hydra_context=CONTEXT))
    job = backend.submit(folder, 0, 0)
    assert seen == [os.getpid()] and backend.state(job) == "over"
    assert (Mailbox(folder).result() or {})["status"] == "complete"
    (entry,) = Mailbox(folder).submissions()
    assert (entry.backend, entry.job) == ("debug", job) and backend.attach(folder, entry) is None
