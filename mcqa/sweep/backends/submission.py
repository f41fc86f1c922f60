"""What every submission goes through: recorded in the trial's job.json, then submitted as hydra.launcher says.

The token is recorded before and the job's id after, so that a controller that dies between the two can find by the
token whether the job exists.
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
from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import SubmissionError

MEMORY = ("mem_gb", "mem_per_cpu", "mem_per_gpu")  # sbatch takes one of them


def record_submission(folder: Path, attempt: int, slot: int, backend: str) -> Submission:
    """Add a submission without a job to the trial's job.json."""
    mailbox = Mailbox(folder)
    mailbox.clear_preemption()
    submission = Submission(attempt, secrets.token_hex(8), None, backend, socket.gethostname(), slot, time.time())
    mailbox.add_submission(submission)
    return submission


def log_folder(folder: Path, attempt: int) -> Path:
    """Return where submitit keeps the pickles and the logs of one submission."""
    return folder / ".submitit" / str(attempt)


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
