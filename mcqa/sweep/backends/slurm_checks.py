"""What is wrong with submitting a job to this cluster, found without submitting one.

SLURM itself often accepts a job that can never start and leaves it in the queue, so its limits are compared here. Where
nothing is wrong by that, sbatch --test-only has the last word.
"""

import getpass
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa.config.errors import nearest
from mcqa.sweep.backends import slurm_commands
from mcqa.sweep.backends.slurm_commands import Partition
from mcqa.sweep.backends.submission import make_executor

Launcher = Mapping[str, Any]

PREEMPTION_SEEN_MIN = 10
"""submitit takes a preemption for a timeout after 80 % of the limit, or in its last ten minutes."""


def script(launcher: Launcher, folder: Path) -> str:
    """Return what sbatch would be given for a job that keeps its logs in this folder.

    Raises:
        Exception: submitit's own, about options that it does not know or cannot use.
    """
    executor = make_executor("slurm", launcher, folder)
    return str(executor._make_submission_file_text(executor._submitit_command_str, ""))


def problems_of(launcher: Launcher, text: str, partitions: Sequence[Partition]) -> list[str]:
    """Return why a job with this script would be refused or wait for ever.

    partitions: those of the cluster; empty where SLURM does not answer.
    """
    return (list(_partition_problems(launcher, partitions)) if partitions else []) or _sbatch_problems(text)


def warnings_of(launcher: Launcher, partitions: Sequence[Partition]) -> list[str]:
    """Return what may delay a job or cut it short."""
    return [*_partition_warnings(launcher, partitions), *_account_warnings(launcher), *_time_limit_warnings(launcher)]


# ---- partition, limits, account


def _candidates(launcher: Launcher, partitions: Sequence[Partition]) -> list[str]:
    """The names of the partitions that may take the job."""
    named = launcher.get("partition")
    return str(named).split(",") if named else [each.name for each in partitions if each.is_default][:1]


def _partition_problems(launcher: Launcher, partitions: Sequence[Partition]) -> Iterator[str]:
    known = sorted({each.name for each in partitions})
    for name in _candidates(launcher, partitions):
        if name in known:
            yield from _limit_problems(launcher, name, [each for each in partitions if each.name == name])
        else:
            yield f"partition={name}: there is none; known are {', '.join(known)}.{nearest(name, known)}"
    if not launcher.get("partition") and not any(each.is_default for each in partitions):
        yield f"partition: this cluster has no default; known are {', '.join(known)}."


def _limit_problems(launcher: Launcher, name: str, kinds: Sequence[Partition]) -> Iterator[str]:
    """What no node of the partition could give. kinds: its nodes, by their make."""
    minutes, nodes = launcher.get("timeout_min") or 0, int(launcher.get("nodes") or 1)
    if kinds[0].minutes is not None and minutes > kinds[0].minutes:
        yield f"timeout_min={minutes}: partition {name} allows {kinds[0].minutes:.0f} at most."
    if nodes > (available := sum(kind.nodes for kind in kinds)):
        yield f"nodes={nodes}: partition {name} has {available}."
    tasks, cpus = launcher.get("tasks_per_node") or 1, launcher.get("cpus_per_task") or 1
    per_node = (
        ("gpus_per_node", launcher.get("gpus_per_node") or 0, max(kind.gpus for kind in kinds), "GPUs"),
        ("tasks_per_node * cpus_per_task", tasks * cpus, max(kind.cpus for kind in kinds), "CPUs"),
        ("memory", _memory_mb(launcher), max(kind.memory_mb for kind in kinds), "MB"),
    )
    for key, value, most, unit in per_node:
        if value > most:
            yield f"{key}={value}: a node of partition {name} has {most} {unit} at most."


def _memory_mb(launcher: Launcher) -> int:
    """The memory that a node must have."""
    tasks, cpus = launcher.get("tasks_per_node") or 1, launcher.get("cpus_per_task") or 1
    if launcher.get("mem_gb"):
        return int(launcher["mem_gb"] * 1024)
    if launcher.get("mem_per_gpu"):
        return _megabytes(launcher["mem_per_gpu"]) * int(launcher.get("gpus_per_node") or 0)
    return _megabytes(launcher.get("mem_per_cpu") or 0) * tasks * cpus


def _megabytes(text: Any) -> int:
    """4G, 4000M or 4000, as SLURM reads them."""
    match = re.match(r"([\d.]+)\s*([KMGT]?)", str(text).upper())
    if not match:
        return 0
    return int(float(match[1]) * {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[match[2]])


def _sbatch_problems(text: str) -> list[str]:
    """What sbatch has against a script, in its words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.sh"
        path.write_text(text, "utf-8")
        output, message = slurm_commands.run("sbatch", "--test-only", str(path))
    return [] if output is not None else [message or "sbatch --test-only fails without a message."]


def _account_warnings(launcher: Launcher) -> Iterator[str]:
    user = getpass.getuser()
    known = slurm_commands.associations(user) if launcher.get("account") or launcher.get("qos") else None
    if not known:  # no accounting, or one that does not enforce associations
        return
    accounts = sorted({account for account, _, _ in known})
    qos = sorted(frozenset[str]().union(*(names for _, _, names in known)))
    for key, names in (("account", accounts), ("qos", qos)):
        value = launcher.get(key)
        if value and names and value not in names:
            yield f"{key}={value}: not one of {user}'s, which are {', '.join(names)}.{nearest(str(value), names)}"


def _partition_warnings(launcher: Launcher, partitions: Sequence[Partition]) -> Iterator[str]:
    for name in _candidates(launcher, partitions):
        if not all(each.is_up for each in partitions if each.name == name):
            yield f"partition={name}: it is not up; jobs wait until it is."


def _time_limit_warnings(launcher: Launcher) -> Iterator[str]:
    minutes, timeouts = launcher.get("timeout_min") or 0, launcher.get("max_num_timeout", 0)
    if minutes <= PREEMPTION_SEEN_MIN:
        yield (
            f"timeout_min={minutes}: up to {PREEMPTION_SEEN_MIN} minutes every preemption counts as a timeout, of "
            f"which max_num_timeout={timeouts} may happen."
        )
    elif not timeouts:
        yield "max_num_timeout=0: a job that reaches its time limit is not requeued but submitted anew."
