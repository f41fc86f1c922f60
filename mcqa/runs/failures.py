"""Which of the failures of a run's processes is the one to tell."""

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from mcqa.config.errors import McqaError, ProcessError
from mcqa.config.schema import HardwareConfig
from mcqa.runs.processes import FAILURE_WAIT_S, STARTED, Group, join


@dataclass(frozen=True)
class Failure:
    """What one process told before it ended.

    seconds: since the epoch. of_another: it only noticed that another process was gone, or late.
    """

    rank: int
    host: str
    seconds: float
    of_another: bool
    text: str


def failure_message(failures: Sequence[Failure], hosts: Sequence[str], timeout_s: float) -> str:
    """The first failure that has a cause of its own; else who is missing.

    hosts: of every process, by rank. Clocks of several machines may differ by more than two failures do, so the
    first is only the likeliest.
    """
    own = sorted((failure for failure in failures if not failure.of_another), key=lambda failure: failure.seconds)
    if len(own) == len(hosts) and len({failure.text for failure in own}) == 1:
        return own[0].text  # nothing that one of them had to itself
    if own:
        return f"rank {own[0].rank} of {len(hosts)} on {own[0].host} failed:\n{own[0].text}"
    heard = {failure.rank for failure in failures}
    missing = [f"rank {rank} on {host}" for rank, host in enumerate(hosts) if rank not in heard]
    if missing and failures:
        return (
            f"{', '.join(missing)} did not arrive where the others waited, for up to hardware.timeout_s={timeout_s:g} "
            f"seconds: hung, gone, or much slower than they. What rank {failures[0].rank} saw:\n"
            f"{_last_line(failures[0].text)}"
        )
    return "\n".join(["the processes lost each other.", *(_last_line(failure.text) for failure in failures[:1])])


def _last_line(text: str) -> str:
    return text.strip().rsplit("\n", 1)[-1]


# --- whose error it was -----------------------------------------------------------------------------------------------


@contextmanager
def raise_first_failure(config: HardwareConfig) -> Iterator[None]:
    """Run the block in every process of the run. An error in any of them is the one that the first one raises.

    Where that one was killed in a job, the job ends without a result, as if it had been killed as a whole.

    Raises:
        ProcessError: in the first process, with the rank and host of the one that failed. The others end quietly.
    """
    group = join(config)
    if group is None:
        yield
        return
    try:
        yield
    except Exception as error:
        from mcqa.runs.signals import watch
        from mcqa.runs.trial import Preempted, Pruned

        if isinstance(error, Pruned | Preempted):
            raise
        watch().over()  # SLURM, which now ends the others, does not ask this one to go on later
        record_failure(group.store, _failure(group, error))
        if group.rank:
            sys.exit(1)
        if isinstance(error, McqaError):
            raise  # it would be as true in a run of one process
        failed = _of_all(group)
        if _was_killed(group, error):
            print(f"{failed}\nThis job ends without a result.", file=sys.stderr, flush=True)
            os._exit(1)
        raise failed from error


def _failure(group: Group, error: Exception) -> Failure:
    text = str(error) if isinstance(error, McqaError) else traceback.format_exc().strip()
    return Failure(group.rank, group.hosts[group.rank], time.time(), _is_of_another(error), text)


def _is_of_another(error: BaseException | None) -> bool:
    """Whether all that the error says is that another process is gone or late."""
    import torch.distributed as dist

    while error is not None:
        text = str(error)
        if isinstance(error, dist.DistError) or (
            isinstance(error, RuntimeError)
            and any(word in text for word in ("gloo", "NCCL", "Connection", "Timed out"))
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _was_killed(group: Group, error: Exception) -> bool:
    """Whether another process of a job is gone and left no word: it was killed, or its machine was lost. A controller
    submits such a job again, as it does where all its processes die at once; a result would be final."""
    from mcqa.runs.trial import VARIABLE

    unsaid = all(failure.of_another for failure in recorded_failures(group.store, group.size))
    return VARIABLE in os.environ and STARTED not in os.environ and unsaid and "Timed out" not in str(error)


def record_failure(store: Any, failure: Failure) -> None:
    with suppress(RuntimeError):  # the store is gone with the first process
        store.set(f"failure/{failure.rank}", json.dumps(failure.__dict__))
        store.set("failed", "")


def recorded_failures(store: Any, size: int) -> list[Failure]:
    """What the processes have told of their failures so far."""
    keys = [f"failure/{number}" for number in range(size)]
    return [Failure(**json.loads(store.get(key))) for key in keys if store.check([key])]


def _of_all(group: Group) -> ProcessError:
    """The error to report; waits a little for the process that failed first to tell its own."""
    until = time.monotonic() + FAILURE_WAIT_S
    while (
        all(failure.of_another for failure in recorded_failures(group.store, group.size)) and time.monotonic() < until
    ):
        time.sleep(0.1)
    return ProcessError(failure_message(recorded_failures(group.store, group.size), group.hosts, group.timeout_s))
