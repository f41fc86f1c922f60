"""Where trials run: the small interface that the controller's loop drives."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from mcqa.config.errors import McqaError
from mcqa.runs.mailbox import Submission
from mcqa.sweep.backends.job import Job

State = Literal["running", "over"]

LauncherOf = Callable[[Path], Mapping[str, Any]]
"""hydra.launcher for the trial in a folder, whose own configuration may decide how much it asks for."""


class SubmissionError(McqaError):
    """A trial could not be submitted, in the scheduler's own words."""


class MakeJob(Protocol):
    def __call__(self, folder: Path, *, token: str) -> Job: ...


class Backend(Protocol):
    """Nothing here waits for a trial, except in-process for debugging, and none of it needs a thread."""

    name: str
    grace_s: float
    """How long the result of a job that is over may take to appear on the file system."""

    def submit(self, folder: Path, attempt: int, slot: int) -> str:
        """Submit the trial in `folder`, record that in its job.json, and return the job.

        slot: from 0, not used by another trial of this study.

        Raises:
            SubmissionError: it was refused, or cannot be submitted.
        """
        ...

    def state(self, job: str) -> State:
        """Whether a submitted or attached job may still write a result. Waiting to start counts as running."""
        ...

    def reason(self, job: str) -> str:
        """Return how a job that is over ended: for the user, where the trial left no result."""
        ...

    def cancel(self, job: str) -> None:
        """End the job soon, with every process that it started. It leaves no result."""
        ...

    def attach(self, folder: Path, submission: Submission) -> str | None:
        """Watch what an earlier controller submitted: return its job where that may still run, else None.

        A job whose id was never recorded is found too. What is left of a trial that ended is cleared away.
        """
        ...

    def close(self) -> None:
        """The controller ends; its jobs keep running."""
        ...
