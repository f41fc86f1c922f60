"""What SLURM's own commands print. None stands for no answer, which is what a busy or absent SLURM gives."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import NamedTuple

TIMEOUT_S = 30.0  # of one command

TOKEN = re.compile(r"[0-9a-f]{16}")  # of a submission (mcqa.sweep.backends.submission)

NOT_AVAILABLE = (
    "there is no sbatch on this machine. Run the command on a login node of the cluster, or take "
    "hydra/launcher=local for processes on this machine."
)


class Queued(NamedTuple):
    """A job in the queue, or in the accounting."""

    state: str  # SLURM's name for it
    why: str = ""  # SLURM's reason for that state
    comment: str = ""
    nodes: str = ""  # as SLURM writes them: n[1-2,7]
    since: str = ""  # when it started, was submitted or ended, as SLURM writes it

    def belongs_to(self, token: str) -> bool:
        """Whether it is the job that was submitted with this token, as far as its comment tells.

        A SLURM that is killed before it has saved a job gives the job's id to another one.
        """
        tokens = list(filter(TOKEN.fullmatch, self.comment.split()))
        return not tokens or token in tokens


class Partition(NamedTuple):
    """Nodes of one kind in a partition."""

    name: str
    is_default: bool
    is_up: bool
    minutes: float | None  # the longest time a job may ask for; None: no limit, or unknown
    nodes: int
    cpus: int
    memory_mb: int
    gpus: int


def is_available(command: str = "sbatch") -> bool:
    return shutil.which(command) is not None


def run(*command: str, timeout_s: float = TIMEOUT_S) -> tuple[str | None, str]:
    """Return the standard output of a command, None where it fails, and its error message."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return (done.stdout if done.returncode == 0 else None), done.stderr.strip()


def _lines(*command: str, timeout_s: float = TIMEOUT_S) -> list[str] | None:
    output, _ = run(*command, timeout_s=timeout_s)
    return None if output is None else [line for line in output.splitlines() if line.strip()]


# ---- jobs


def queue(timeout_s: float = TIMEOUT_S) -> dict[str, Queued] | None:
    """Return all jobs of this user that SLURM remembers by id, ended ones for some minutes too."""
    options = ("--noheader", f"--user={os.getuid()}", "--states=all", "--format=%i|%T|%r|%k|%N|%S|%V")
    lines = _lines("squeue", *options, timeout_s=timeout_s)
    return None if lines is None else dict(map(_queued, lines))


def _queued(line: str) -> tuple[str, Queued]:
    """job|state|reason|comment|nodes|start|submission, of which only the comment may contain a | itself."""
    job, state, why, rest = [*line.split("|", 3), "", "", ""][:4]
    comment, nodes, started, submitted = rest.rsplit("|", 3) if rest.count("|") >= 3 else (rest, "", "", "")
    since = submitted if state == "PENDING" else started
    return job.strip(), Queued(_first_word(state), why, comment, nodes, since)


def accounting(jobs: Sequence[str], timeout_s: float = TIMEOUT_S) -> dict[str, Queued] | None:
    """Return what SLURM's accounting has of these jobs; it remembers them for long."""
    if not jobs:
        return None
    options = ("--allocations", "--noheader", "--parsable2", f"--jobs={','.join(jobs)}")
    lines = _lines("sacct", *options, "--format=JobID,State,NodeList,Start,End", timeout_s=timeout_s)
    if lines is None:
        return None
    rows = [[*line.split("|"), "", "", "", ""] for line in lines]
    return {
        job.strip(): Queued(_first_word(state), "", "", nodes, start if end in ("", "Unknown") else end)
        for job, state, nodes, start, end, *_ in rows
    }


def _first_word(state: str) -> str:
    """`CANCELLED by 0` is CANCELLED."""
    return (state.split() or [""])[0]


# ---- nodes


def dead_nodes(lists: Iterable[str]) -> set[str]:
    """Return the nodes of these lists, each as SLURM writes them, that do not respond or are known to be down."""
    nodes = ",".join(sorted(set(lists)))
    rows = [line.partition("|") for line in _lines("sinfo", "-hN", f"--nodes={nodes}", "--format=%N|%T") or []]
    return {name.strip() for name, _, state in rows if "*" in state or state.strip().startswith(("down", "fail"))}


def expand_nodes(nodes: str) -> set[str]:
    """Expand `n[1-2,7],m3` to n1, n2, n7 and m3."""
    from submitit.slurm.slurm import _parse_node_list

    return set(_parse_node_list(nodes))


# ---- the cluster


def partitions() -> list[Partition] | None:
    lines = _lines("sinfo", "--noheader", "--exact", "--format=%P|%a|%l|%D|%c|%m|%G")
    if lines is None:
        return None
    return [_partition(line.split("|")) for line in lines if line.count("|") == 6]


def _partition(row: Sequence[str]) -> Partition:
    name, availability, limit, nodes, cpus, memory, gres = (part.strip() for part in row)
    return Partition(
        name.rstrip("*"),
        name.endswith("*"),
        availability.startswith("up"),
        parse_minutes(limit),
        _whole(nodes),
        _whole(cpus),
        _whole(memory),
        sum(int(count) for count in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", gres)),
    )


def _whole(text: str) -> int:
    """`64+` is 64: some nodes have more."""
    return int(re.sub(r"\D.*", "", text) or 0)


def parse_minutes(limit: str) -> float | None:
    """Read a time as SLURM writes it: [days-]hours:minutes:seconds, minutes:seconds or minutes; None: no limit."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", limit.strip())
    if not match:
        return None
    days, *rest = match.groups()
    parts = [int(part) for part in rest if part is not None]
    if days is not None or len(parts) == 3:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    else:
        hours, minutes, seconds = 0, *(*parts, 0)[:2]
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def associations(user: str) -> list[tuple[str, str, frozenset[str]]] | None:
    """Return (account, partition or empty, QOS) of a user by the accounting; None where it has none."""
    options = ("show", "associations", f"user={user}", "format=Account,Partition,QOS")
    lines = _lines("sacctmgr", "--noheader", "--parsable2", *options) or []
    rows = [line.split("|") for line in lines if line.count("|") == 2]
    return [(account, partition, frozenset(filter(None, qos.split(",")))) for account, partition, qos in rows] or None
