"""Trials that run within the controller's process, one after the other: for breakpoints and for stepping through."""

from pathlib import Path

from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import MakeJob, State
from mcqa.sweep.backends.remote import Remote
from mcqa.sweep.backends.submission import record_submission


class InProcess:
    name = "debug"
    grace_s = 0.0

    def __init__(self, make_job: MakeJob) -> None:
        self._make_job = make_job
        self._remote: dict[str, Remote] = {}

    def submit(self, folder: Path, attempt: int, slot: int) -> str:
        """Run the trial and return when it has ended. Ctrl-C and quitting the debugger leave it without a result."""
        token = record_submission(folder, attempt, slot, self.name).token
        Mailbox(folder).set_job_id(token, token)
        try:
            self._make_job(folder, token=token)(in_process=True)
        except BaseException:
            Mailbox(folder).end_submission("cancelled")
            raise
        return token

    def state(self, job: str) -> State:
        return "running" if job in self._remote and self._remote[job].alive() else "over"

    def reason(self, job: str) -> str:
        return self._remote[job].reason() if job in self._remote else "interrupted"

    def cancel(self, job: str) -> None:
        """Nothing runs here when the controller could ask for it."""

    def attach(self, folder: Path, submission: Submission) -> str | None:
        trial = Remote(folder, submission)
        if not trial.alive():
            return None
        self._remote[trial.job] = trial
        return trial.job

    def close(self) -> None:
        """Nothing is held."""
