"""The failures of a run's processes: each records its own, and the first process raises the one that came first."""

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
    """What one process recorded before it ended.

    seconds: since the epoch. of_another: all that it noticed is that another process was gone, or late.
    """

    rank: int
    host: str
    seconds: float
    of_another: bool
    text: str


def failure_message(failures: Sequence[Failure], hosts: Sequence[str], timeout_s: float) -> str:
    """Return the message of the first failure that has a cause of its own; if there is none, who is missing.

    hosts: of every process, by rank. Clocks of several machines may differ by more than two failures do, so the
    first is only the most likely cause.
    """
    own = sorted((failure for failure in failures if not failure.of_another), key=lambda failure: failure.seconds)
    if len(own) == len(hosts) and len({failure.text for failure in own}) == 1:
        return own[0].text  # the same everywhere, as in a run of one process
    if own:
        return f"rank {own[0].rank} of {len(hosts)} on {own[0].host} failed:\n{own[0].text}"
    recorded = {failure.rank for failure in failures}
    missing = [f"rank {rank} on {host}" for rank, host in enumerate(hosts) if rank not in recorded]
    if missing and failures:
        return (
            f"{', '.join(missing)} did not arrive where the others waited, for up to hardware.timeout_s={timeout_s:g} "
            f"seconds: hung, gone, or much slower than they. What rank {failures[0].rank} saw:\n"
            f"{_last_line(failures[0].text)}"
        )
    return "\n".join(["the processes lost each other.", *(_last_line(failure.text) for failure in failures[:1])])


def _last_line(text: str) -> str:
    return text.strip().rsplit("\n", 1)[-1]


@contextmanager
def raise_first_failure(hardware: HardwareConfig) -> Iterator[None]:
    """Run the block in every process of the run; the first process raises the error of whichever failed first.

    Where a process of a job was killed, the job ends without a result, as if all of it had been killed.

    Raises:
        ProcessError: in the first process, with the rank and host of the one that failed. The others end silently.
    """
    group = join(hardware)
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
        watch().over()  # a signal of SLURM, which now ends the other processes, must not requeue this one
        host = group.hosts[group.rank]
        failure = Failure(group.rank, host, time.time(), _is_of_another(error), error_text(error))
        record_failure(group.store, failure)
        if group.rank:
            sys.exit(1)
        if isinstance(error, McqaError):
            raise  # the same as in a run of one process
        failed = _error_of_run(group)
        if _was_killed(group, error):
            print(f"{failed}\nThis job ends without a result.", file=sys.stderr, flush=True)
            os._exit(1)
        raise failed from error


def error_text(error: BaseException) -> str:
    """Return what a user needs of the error that is being handled: its message, or the traceback of a bug."""
    return str(error) if isinstance(error, McqaError) else traceback.format_exc().strip()


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
    """Whether another process of a job is gone without a record: it was killed, or its machine was lost.

    The controller of a study submits such a job again, as where all processes die at once; a result would be final.
    """
    from mcqa.runs.trial import VARIABLE

    unrecorded = all(failure.of_another for failure in recorded_failures(group.store, group.size))
    return VARIABLE in os.environ and STARTED not in os.environ and unrecorded and "Timed out" not in str(error)


def record_failure(store: Any, failure: Failure) -> None:
    """Write a failure to the store through which the processes met."""
    with suppress(RuntimeError):  # the store is gone with the first process
        store.set(f"failure/{failure.rank}", json.dumps(failure.__dict__))
        store.set("failed", "")


def recorded_failures(store: Any, size: int) -> list[Failure]:
    """Return the failures that processes have recorded so far, by rank."""
    keys = [f"failure/{number}" for number in range(size)]
    return [Failure(**json.loads(store.get(key))) for key in keys if store.check([key])]


def _error_of_run(group: Group) -> ProcessError:
    """Wait a little for a failure that has a cause of its own, and return the error to raise."""
    until = time.monotonic() + FAILURE_WAIT_S
    while (
        all(failure.of_another for failure in recorded_failures(group.store, group.size)) and time.monotonic() < until
    ):
        time.sleep(0.1)
    return ProcessError(failure_message(recorded_failures(group.store, group.size), group.hosts, group.timeout_s))
