"""What every submission goes through: recorded in the trial's job.json, then submitted as hydra.launcher says.

The token is recorded before and the job's id after, so that a controller that dies between the two can find by the
token whether the job exists. What was submitted from elsewhere is known by its heartbeat only (Remote).
"""

import contextlib
import io
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcqa.config.errors import ConfigError
from mcqa.runs.mailbox import HEARTBEAT_S, Mailbox, Submission
from mcqa.sweep.backends import SubmissionError

LOST_S = 6 * HEARTBEAT_S
"""Silent for so long, a trial is taken to be over. If it only waited to start, it finds itself superseded then."""

TOKEN_BYTES = 8

MEMORY = ("mem_gb", "mem_per_cpu", "mem_per_gpu")  # sbatch takes one of them


def record_submission(folder: Path, attempt: int, slot: int, backend: str) -> Submission:
    """Add a submission without a job to the trial's job.json."""
    mailbox = Mailbox(folder)
    mailbox.clear_preemption()
    token, host = secrets.token_hex(TOKEN_BYTES), socket.gethostname()
    submission = Submission(attempt, token, None, backend, host, slot, time.time())
    mailbox.add_submission(submission)
    return submission


def log_folder(folder: Path, attempt: int) -> Path:
    """Return where submitit keeps the pickles and the logs of one submission."""
    return folder / ".submitit" / str(attempt)


def make_log_folder(folder: Path, attempt: int) -> Path:
    """Create that folder, for its user alone: job script and pickle hold launcher.setup and job.env_set."""
    logs = log_folder(folder, attempt)
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    return logs


def make_executor(cluster: str, launcher: Mapping[str, Any], logs: Path) -> Any:
    """Return submitit's executor with all options of hydra.launcher, passed on as Hydra's own launcher does.

    Only the folder differs: each trial keeps its own.

    Raises:
        ConfigError: memory is requested in two ways, which sbatch would refuse.
    """
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    memory = [f"{key}={launcher[key]}" for key in MEMORY if launcher.get(key) is not None]
    if cluster == "slurm" and len(memory) > 1:
        raise ConfigError(f"{' and '.join(memory)}: SLURM takes one of them; set the others to null.")
    common = set(BaseQueueConf.__dataclass_fields__)  # options of every executor; others need the cluster's prefix
    options = {key: value for key, value in launcher.items() if key not in ("_target_", "submitit_folder")}
    if_null = {"max_num_timeout": 0, "python": None}
    at_start = {f"{cluster}_{key}": options.pop(key) or if_null[key] for key in if_null if key in options}
    if cluster == "slurm" and options.get("gpus_per_node") == 0:  # a cluster without GPUs would refuse the option
        options["gpus_per_node"] = None
    executor = submitit.AutoExecutor(folder=logs, cluster=cluster, **at_start)
    executor.update_parameters(**{k if k in common else f"{cluster}_{k}": value for k, value in options.items()})
    return executor._executor


@contextlib.contextmanager
def submission_errors() -> Iterator[None]:
    """Raise whatever goes wrong in a submission as a SubmissionError with the original message."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints sbatch's message besides raising it
            yield
    except SubmissionError:
        raise
    except Exception as error:  # options, pickling, the file system, the scheduler
        raise SubmissionError(str(error).strip() or type(error).__name__) from error


def repair_pickle(logs: Path, job: str) -> None:
    """Name the pickle after the job, as submitit does once it knows the id, where the controller died before that."""
    named = logs / f"{job}_submitted.pkl"
    unnamed = [path for path in logs.glob("*.pkl") if not path.name.endswith(("_submitted.pkl", "_result.pkl"))]
    if not named.exists() and len(unnamed) == 1:
        unnamed[0].rename(named)


class Remote:
    """A trial that runs where this backend cannot look: on another machine, or started by another kind of backend.

    It is known by its heartbeat only, and cannot be cancelled from here.
    """

    def __init__(self, folder: Path, submission: Submission) -> None:
        self._mailbox, self._submission = Mailbox(folder), submission

    @property
    def job(self) -> str:
        submission = self._submission
        return f"{submission.backend}-{submission.host}-{submission.job or submission.token}"

    def alive(self) -> bool:
        if self._submission.backend == "debug":  # it ended with the process that submitted it
            return False
        now = time.time()
        silent_s = self._mailbox.silent_s(now)
        return min(now - self._submission.submitted, now if silent_s is None else silent_s) < LOST_S

    def clear(self) -> None:
        """Nothing there is in reach."""

    def kill(self) -> None:
        """Nothing there is in reach."""

    def reason(self) -> str:
        return f"no heartbeat from {self._submission.host} for {LOST_S:.0f} s"
