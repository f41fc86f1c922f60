"""Where trials run: the small interface that the controller's loop drives, and which launcher gets which backend."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from mcqa.config.errors import ConfigError, McqaError
from mcqa.runs.mailbox import Submission
from mcqa.sweep.backends.job import Job

State = Literal["running", "over"]


LauncherOf = Callable[[Path], Mapping[str, Any]]
"""hydra.launcher for the trial in a folder, whose own configuration may decide how much it asks for."""


class SubmissionError(McqaError):
    """A trial that could not be submitted, in the scheduler's own words."""


class MakeJob(Protocol):
    def __call__(self, folder: Path, *, token: str) -> Job: ...


class Backend(Protocol):
    """Nothing here waits for a trial, save for debugging, and none of it needs a thread."""

    name: str
    grace_s: float
    """For the result of a job that is over to appear on the file system."""

    def submit(self, folder: Path, attempt: int, slot: int) -> str:
        """The job of the trial in `folder`, which is written down in its job.json too.

        slot: from 0, free of other trials of this study.

        Raises:
            SubmissionError: it was refused, or could not be.
        """
        ...

    def state(self, job: str) -> State:
        """Whether a submitted or attached job may still write a result. Waiting to start counts as running."""
        ...

    def reason(self, job: str) -> str:
        """How a job ended that is over: for the user, where the trial left no result."""
        ...

    def cancel(self, job: str) -> None:
        """End it soon, with everything that it started. It leaves no result."""
        ...

    def attach(self, folder: Path, entry: Submission) -> str | None:
        """Watch again what an earlier controller submitted: its job where that may still run, else None.

        Finds a job too whose id was never written down. What is left of a trial that ended is cleared away.
        """
        ...

    def close(self) -> None:
        """The controller ends; its jobs go on."""
        ...


def kind_of(launcher: Mapping[str, Any]) -> str:
    """The name of its class: SlurmLauncher, LocalLauncher, BasicLauncher …"""
    return str(launcher.get("_target_", "")).rpartition(".")[2]


def for_launcher(
    launcher: Mapping[str, Any], make_job: MakeJob, slots: int, launcher_of: LauncherOf | None = None
) -> Backend:
    """The backend for the composed and resolved `hydra.launcher`.

    Raises:
        ConfigError: for a launcher that runs whole batches only.
    """
    kind = kind_of(launcher)
    if kind == "LocalLauncher":
        from mcqa.sweep.backends.local import Local

        return Local(make_job, launcher, slots, launcher_of=launcher_of)
    if kind == "SlurmLauncher":
        from mcqa.sweep.backends.slurm import Slurm

        return Slurm(make_job, launcher, launcher_of=launcher_of)
    if kind == "BasicLauncher":
        from mcqa.sweep.backends.in_process import InProcess

        return InProcess(make_job)
    raise ConfigError(
        f"hydra/launcher: {kind or 'none'} cannot run one trial at a time; choose submitit_local (processes on this "
        "machine), submitit_slurm, or basic (within this process, for debugging)."
    )
