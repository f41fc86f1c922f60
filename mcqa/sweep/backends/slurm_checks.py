"""What is wrong with sending a job to this cluster, found without sending one.

SLURM itself often takes a job that can never start and leaves it in the queue, so its limits are compared here. Where
nothing is wrong by that, sbatch --test-only has the last word.
"""

import getpass
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mcqa.config.errors import nearest
from mcqa.sweep.backends import slurm_commands
from mcqa.sweep.backends.slurm_commands import Partition
from mcqa.sweep.backends.submission import executor

Launcher = Mapping[str, Any]


PREEMPTION_SEEN_MIN = 10
"""submitit takes a preemption for a timeout after 80 % of the limit, or in its last ten minutes."""


class Findings(NamedTuple):
    problems: list[str]  # the job would be refused, or wait forever
    warnings: list[str]


def script(launcher: Launcher, folder: Path) -> str:
    """What sbatch would be given for a job that keeps its logs in this folder.

    Raises:
        Exception: submitit's own, of options that it does not know or cannot use.
    """
    made = executor("slurm", launcher, folder)
    return str(made._make_submission_file_text(made._submitit_command_str, ""))


def look(launcher: Launcher, text: str) -> Findings:
    """text: the script of a job."""
    known = slurm_commands.partitions() or []
    silent = [] if known else ["sinfo does not answer: is SLURM down? Nothing about partitions could be looked up."]
    doubtful = [*_not_up(launcher, known), *_wrong_account(launcher), *_short(launcher)]
    return Findings([*silent, *(problems_of(launcher, text, known))], doubtful)


def problems_of(launcher: Launcher, text: str, known: Sequence[Partition]) -> list[str]:
    """What keeps a job from running for ever. known: the partitions, as far as SLURM tells."""
    return (list(_wrong_place(launcher, known)) if known else []) or refused(text)


# ---- partition, limits, account


def nodes_of(launcher: Launcher) -> int:
    return int(launcher.get("nodes") or 1)


def _names(launcher: Launcher, known: Sequence[Partition]) -> list[str]:
    """Of the partitions that may take it."""
    named = launcher.get("partition")
    return str(named).split(",") if named else [one.name for one in known if one.is_default][:1]


def _wrong_place(launcher: Launcher, known: Sequence[Partition]) -> Iterator[str]:
    named = launcher.get("partition")
    for name in _names(launcher, known):
        makes = [one for one in known if one.name == name]
        if makes:
            yield from _too_much(launcher, name, makes)
        else:
            names = sorted({one.name for one in known})
            yield f"partition={name}: there is none; known are {', '.join(names)}.{nearest(name, names)}"
    if not named and not any(one.is_default for one in known):
        yield f"partition: this cluster has no default; known are {', '.join(sorted({one.name for one in known}))}."


def _too_much(launcher: Launcher, name: str, makes: Sequence[Partition]) -> Iterator[str]:
    """What no node of the partition could give."""
    asked = launcher.get("timeout_min") or 0
    if makes[0].minutes is not None and asked > makes[0].minutes:
        yield f"timeout_min={asked}: partition {name} allows {makes[0].minutes:.0f} at most."
    if nodes_of(launcher) > (there := sum(one.nodes for one in makes)):
        yield f"nodes={nodes_of(launcher)}: partition {name} has {there}."
    tasks, cpus = launcher.get("tasks_per_node") or 1, launcher.get("cpus_per_task") or 1
    wanted = (
        ("gpus_per_node", launcher.get("gpus_per_node") or 0, max(one.gpus for one in makes), "GPUs"),
        ("tasks_per_node * cpus_per_task", tasks * cpus, max(one.cpus for one in makes), "CPUs"),
        ("memory", _memory_mb(launcher), max(one.memory_mb for one in makes), "MB"),
    )
    for key, value, most, unit in wanted:
        if value > most:
            yield f"{key}={value}: a node of partition {name} has {most} {unit} at most."


def _memory_mb(launcher: Launcher) -> int:
    """That a node must give."""
    tasks, cpus = launcher.get("tasks_per_node") or 1, launcher.get("cpus_per_task") or 1
    if launcher.get("mem_gb"):
        return int(launcher["mem_gb"] * 1024)
    if launcher.get("mem_per_gpu"):
        return _megabytes(launcher["mem_per_gpu"]) * int(launcher.get("gpus_per_node") or 0)
    return _megabytes(launcher.get("mem_per_cpu") or 0) * tasks * cpus


def _megabytes(text: Any) -> int:
    """Of 4G, 4000M or 4000, as SLURM reads them."""
    found = re.match(r"([\d.]+)\s*([KMGT]?)", str(text).upper())
    if not found:
        return 0
    return int(float(found[1]) * {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[found[2]])


def _wrong_account(launcher: Launcher) -> Iterator[str]:
    user = getpass.getuser()
    known = slurm_commands.associations(user) if launcher.get("account") or launcher.get("qos") else None
    if not known:  # no accounting, or one that holds nobody to anything
        return
    accounts = sorted({account for account, _, _ in known})
    qualities = sorted(frozenset[str]().union(*(qos for _, _, qos in known)))
    for key, names in (("account", accounts), ("qos", qualities)):
        value = launcher.get(key)
        if value and names and value not in names:
            yield f"{key}={value}: not one of {user}'s, which are {', '.join(names)}.{nearest(str(value), names)}"


def refused(text: str) -> list[str]:
    """What sbatch has against a script, in its words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.sh"
        path.write_text(text, "utf-8")
        out, words = slurm_commands.said("sbatch", "--test-only", str(path))
    return [] if out is not None else [words or "sbatch --test-only fails and does not say why."]


def _not_up(launcher: Launcher, known: Sequence[Partition]) -> Iterator[str]:
    for name in _names(launcher, known):
        if not all(one.is_up for one in known if one.name == name):
            yield f"partition={name}: it is not up; jobs wait until it is."


def _short(launcher: Launcher) -> Iterator[str]:
    asked, times = launcher.get("timeout_min") or 0, launcher.get("max_num_timeout", 0)
    if asked <= PREEMPTION_SEEN_MIN:
        yield (
            f"timeout_min={asked}: up to {PREEMPTION_SEEN_MIN} minutes every preemption counts as a timeout, of which "
            f"max_num_timeout={times} may happen."
        )
    elif not times:
        yield "max_num_timeout=0: a job that comes to its time limit is not put back into the queue but submitted anew."
