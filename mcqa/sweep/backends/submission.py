"""What every submission goes through: announced in the trial's job.json, then handed over as hydra.launcher says.

The token is written down before and the job's id after, so that a controller that dies between the two can find by the
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

MEMORY = ("mem_gb", "mem_per_cpu", "mem_per_gpu")


def record_submission(folder: Path, attempt: int, slot: int, backend: str) -> Submission:
    """A new entry in the trial's job.json, without a job."""
    mailbox = Mailbox(folder)
    mailbox.clear_preemption()
    entry = Submission(attempt, secrets.token_hex(8), None, backend, socket.gethostname(), slot, time.time())
    mailbox.add_submission(entry)
    return entry


def logs_of(folder: Path, attempt: int) -> Path:
    """Where submitit keeps the pickles and the logs of one submission."""
    return folder / ".submitit" / str(attempt)


def executor(cluster: str, launcher: Mapping[str, Any], logs: Path) -> Any:
    """submitit's executor with all options of hydra.launcher, given to it as the stock launcher does.

    Only the folder is another: each trial keeps its own.

    Raises:
        ConfigError: memory is asked for in two ways, which sbatch would refuse.
    """
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    memory = [f"{key}={launcher[key]}" for key in MEMORY if launcher.get(key) is not None]
    if cluster == "slurm" and len(memory) > 1:
        raise ConfigError(f"{' and '.join(memory)}: SLURM takes one of them; set the others to null.")
    of_all = set(BaseQueueConf.__dataclass_fields__)
    options = {key: value for key, value in launcher.items() if key not in ("_target_", "submitit_folder")}
    none = {"max_num_timeout": 0, "python": None}
    of_start = {f"{cluster}_{key}": options.pop(key) or none[key] for key in none if key in options}
    if cluster == "slurm" and options.get("gpus_per_node") == 0:  # a cluster without GPUs would refuse the word
        options["gpus_per_node"] = None
    made = submitit.AutoExecutor(folder=logs, cluster=cluster, **of_start)
    made.update_parameters(**{key if key in of_all else f"{cluster}_{key}": value for key, value in options.items()})
    return made._executor


@contextlib.contextmanager
def refusals_told() -> Iterator[None]:
    """Whatever goes wrong in a submission is a SubmissionError in the words of who refused it."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints sbatch's words besides raising them
            yield
    except SubmissionError:
        raise
    except Exception as error:  # options, pickling, the file system, the scheduler
        raise SubmissionError(str(error).strip() or type(error).__name__) from error


def repair_pickle(logs: Path, job: str) -> None:
    """submitit names the pickle after the job when it knows the id; a controller that died before left it unnamed."""
    named = logs / f"{job}_submitted.pkl"
    unnamed = [path for path in logs.glob("*.pkl") if not path.name.endswith(("_submitted.pkl", "_result.pkl"))]
    if not named.exists() and len(unnamed) == 1:
        unnamed[0].rename(named)
