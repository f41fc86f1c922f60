"""Which of the failures of a run's processes is the one to tell."""

from collections.abc import Sequence
from dataclasses import dataclass


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


def reported(failures: Sequence[Failure], hosts: Sequence[str], timeout_s: float) -> str:
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
