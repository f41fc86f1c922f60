"""The backend of each launcher of Hydra. That of its basic one is here: trials within the controller's process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa.config.errors import ConfigError
from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import Backend, LauncherOf, MakeJob, State
from mcqa.sweep.backends.submission import Remote, record_submission


class InProcess:
    """Trials that run within the controller's process, one after the other: for breakpoints and stepping through."""

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


def launcher_class(launcher: Mapping[str, Any]) -> str:
    """Return the name of the class of `hydra.launcher`: SlurmLauncher, LocalLauncher, BasicLauncher …"""
    return str(launcher.get("_target_", "")).rpartition(".")[2]


def make_backend(
    launcher: Mapping[str, Any], make_job: MakeJob, launcher_of: LauncherOf, slots: int, modules: Sequence[str] = ()
) -> Backend:
    """Return the backend for the composed and resolved `hydra.launcher`.

    modules: what every job imports, for a process on this machine that imports them once for all of them.

    Raises:
        ConfigError: the launcher runs whole batches only.
    """
    name = launcher_class(launcher)
    if name == "LocalLauncher":
        from mcqa.sweep.backends.local import Local

        return Local(make_job, launcher_of, slots, modules=modules)
    if name == "SlurmLauncher":
        from mcqa.sweep.backends.slurm import Slurm

        return Slurm(make_job, launcher_of)
    if name == "BasicLauncher":
        return InProcess(make_job)
    raise ConfigError(
        f"hydra/launcher: {name or 'none'} cannot run one trial at a time; choose submitit_local (processes on this "
        "machine), submitit_slurm, or basic (within this process, for debugging)."
    )
