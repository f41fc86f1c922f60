"""What SLURM's own commands say. None stands for no answer, which is what a busy or absent SLURM gives."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import NamedTuple

TIMEOUT_S = 30.0  # with a command


TOKEN = re.compile(r"[0-9a-f]{16}")


NOT_HERE = (
    "there is no sbatch on this machine. Give the command on a login node of the cluster, or take "
    "hydra/launcher=local for processes on this machine."
)


class Queued(NamedTuple):
    """A job in the queue. nodes: as SLURM writes them; since: when it started, or was submitted, as SLURM writes it."""

    word: str  # SLURM's name for the state
    why: str  # its reason for that
    comment: str
    nodes: str = ""
    since: str = ""


def is_of(queued: Queued, token: str) -> bool:
    """Whether it is the job that was submitted with this token, as far as its comment tells.

    A SLURM that is killed before it has written a job down gives the job's id to another one.
    """
    tokens = list(filter(TOKEN.fullmatch, queued.comment.split()))
    return not tokens or token in tokens


class Partition(NamedTuple):
    """Nodes of one make in a partition; None: no limit, or not told. minutes: the longest time a job may ask for."""

    name: str
    is_default: bool
    is_up: bool
    minutes: float | None
    nodes: int
    cpus: int
    memory_mb: int
    gpus: int


def is_here() -> bool:
    return shutil.which("sbatch") is not None


def lists_jobs() -> bool:
    return shutil.which("squeue") is not None


def answer(*command: str, patience_s: float = TIMEOUT_S) -> str | None:
    return said(*command, patience_s=patience_s)[0]


def said(*command: str, patience_s: float = TIMEOUT_S) -> tuple[str | None, str]:
    """What a command prints, None where it fails, and what it complains about."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return (done.stdout if done.returncode == 0 else None), done.stderr.strip()


# ---- jobs


def queue(patience_s: float = TIMEOUT_S) -> dict[str, Queued] | None:
    """All jobs of this user that SLURM remembers, ended ones for some minutes too."""
    asked = ("--noheader", f"--user={os.getuid()}", "--states=all", "--format=%i|%T|%r|%k|%N|%S|%V")
    told = answer("squeue", *asked, patience_s=patience_s)
    return None if told is None else dict(map(_queued, filter(str.strip, told.splitlines())))


def _queued(line: str) -> tuple[str, Queued]:
    """job|state|reason|comment|nodes|start|submission, of which only the comment may hold a | itself."""
    job, word, why, rest = [*line.split("|", 3), "", "", ""][:4]
    comment, nodes, started, submitted = rest.rsplit("|", 3) if rest.count("|") >= 3 else (rest, "", "", "")
    since = submitted if word == "PENDING" else started
    return job.strip(), Queued(_first_word(word), why, comment, nodes, since)


def accounting(jobs: Sequence[str], patience_s: float = TIMEOUT_S) -> dict[str, Queued] | None:
    if not jobs:
        return None
    asked = ("--allocations", "--noheader", "--parsable2", f"--jobs={','.join(jobs)}")
    told = answer("sacct", *asked, "--format=JobID,State,NodeList,Start,End", patience_s=patience_s)
    if told is None:
        return None
    rows = [[*line.split("|"), "", "", "", ""] for line in told.splitlines() if line.strip()]
    return {
        job.strip(): Queued(_first_word(word), "", "", nodes, started if ended in ("", "Unknown") else ended)
        for job, word, nodes, started, ended, *_ in rows
    }


def _first_word(state: str) -> str:
    """`CANCELLED by 0` is CANCELLED."""
    return (state.split() or [""])[0]


# ---- nodes


def dead_nodes(lists: Iterable[str]) -> set[str]:
    """Of the nodes in these lists, as SLURM writes them, those that do not answer it or are known to be down."""
    told = answer("sinfo", "--noheader", "--Node", f"--nodes={','.join(sorted(set(lists)))}", "--format=%N|%T")
    rows = [line.partition("|") for line in (told or "").splitlines()]
    return {name.strip() for name, _, state in rows if "*" in state or state.strip().startswith(("down", "fail"))}


def names(nodes: str) -> set[str]:
    """`n[1-2,7],m3` are n1, n2, n7 and m3."""
    from submitit.slurm.slurm import _parse_node_list

    return set(_parse_node_list(nodes))


# ---- the cluster


def partitions() -> list[Partition] | None:
    told = answer("sinfo", "--noheader", "--exact", "--format=%P|%a|%l|%D|%c|%m|%G")
    if told is None:
        return None
    return [_partition(line.split("|")) for line in told.splitlines() if line.count("|") == 6]


def _partition(row: Sequence[str]) -> Partition:
    name, availability, limit, nodes, cpus, memory, gres = (part.strip() for part in row)
    return Partition(
        name.rstrip("*"),
        name.endswith("*"),
        availability.startswith("up"),
        minutes(limit),
        _whole(nodes),
        _whole(cpus),
        _whole(memory),
        sum(int(count) for count in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", gres)),
    )


def _whole(text: str) -> int:
    return int(re.sub(r"\D.*", "", text) or 0)


def minutes(limit: str) -> float | None:
    """A time as SLURM writes it: minutes, minutes:seconds, hours:minutes:seconds or days-… before; None: no limit."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", limit.strip())
    if not found:
        return None
    days, *rest = found.groups()
    parts = [int(part) for part in rest if part is not None]
    if days is not None or len(parts) == 3:
        hours, mins, seconds = (*parts, 0, 0)[:3]
    else:
        hours, mins, seconds = 0, *(*parts, 0)[:2]
    return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60


def associations(user: str) -> list[tuple[str, str, frozenset[str]]] | None:
    """(account, partition or empty, qualities of service) of a user by the accounting; None: it tells nothing."""
    asked = ("show", "associations", f"user={user}", "format=Account,Partition,QOS")
    told = answer("sacctmgr", "--noheader", "--parsable2", *asked)
    rows = [line.split("|") for line in (told or "").splitlines() if line.count("|") == 2]
    return [(account, partition, frozenset(filter(None, qos.split(",")))) for account, partition, qos in rows] or None
