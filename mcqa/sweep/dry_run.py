"""Where jobs would go and what they may cost, shown without sending any: dry_run=true."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, cast

from omegaconf import OmegaConf
from rich.console import Console

from mcqa.config.errors import ConfigError
from mcqa.runs.lookup import seconds_of
from mcqa.sweep.backends import kind_of, slurm_commands
from mcqa.sweep.compose import HydraSweep, app_config, hydra_errors_as_config_errors
from mcqa.sweep.hooks import ConfigDict
from mcqa.sweep.options import Options

if TYPE_CHECKING:
    from mcqa.sweep.space.space import Space

MOST_LOOKED_AT = 200  # configurations


@dataclass(frozen=True)
class DryRunPlan:
    """launchers: hydra.launcher for each job, or for each kind that may come up where `jobs` is more.

    seconds: what earlier jobs of this kind took.
    """

    launchers: Sequence[ConfigDict]
    jobs: int
    at_once: int
    folder: Path
    seconds: Sequence[float]


# ---- hydra.launcher of a job


def launcher_of(given: HydraSweep, tree: ConfigDict) -> ConfigDict:
    """hydra.launcher, resolved for a job with this configuration, with the app's variables in a cluster's script."""
    raw = cast(ConfigDict, OmegaConf.to_container(given.hydra.launcher))
    raw.pop("submitit_folder", None)  # each trial keeps its own
    hydra = {key: OmegaConf.to_container(given.hydra[key]) for key in given.hydra if f"hydra.{key}." in json.dumps(raw)}
    hydra["launcher"] = raw
    text = json.dumps(hydra)
    named = {key: value for key, value in tree.items() if key in text}  # the rest would take a tenth of a second
    config = OmegaConf.create({**named, "hydra": hydra})
    launcher = cast(ConfigDict, OmegaConf.to_container(config.hydra.launcher, resolve=True))
    if given.hooks and kind_of(launcher) == "SlurmLauncher":
        exports = [f"export {name}={value}" for name, value in given.hooks.variables(tree).items()]
        launcher["setup"] = exports + (launcher.get("setup") or [])
    return launcher


def is_cluster(given: HydraSweep) -> bool:
    return kind_of(given.hydra.launcher) == "SlurmLauncher"


def sends_jobs(given: HydraSweep) -> bool:
    """Whether trials run elsewhere than in this process."""
    return kind_of(given.hydra.launcher) in ("SlurmLauncher", "LocalLauncher")


# ---- before anything is submitted


def check(given: HydraSweep, trees: Iterable[ConfigDict], folder: Path | None = None) -> list[str]:
    """What keeps jobs with these configurations from running where they would go.

    folder: of the study or multirun, where SLURM is to be asked whether it would take them and could ever start them.
    """
    if not sends_jobs(given):
        return []
    if not is_cluster(given):
        from mcqa.sweep.backends import local

        return list(dict.fromkeys(line for tree in trees for line in local.problems_of(launcher_of(given, tree))))
    trees = list(trees)
    problems = given.hooks.missing(trees) if given.hooks else []
    if not slurm_commands.is_here():
        problems.append(f"hydra/launcher={given.choices.get('hydra/launcher')}: {slurm_commands.NOT_HERE}")
    elif folder is not None and trees and not problems:
        problems += _refused(_kinds([launcher_of(given, tree) for tree in trees]), folder)
    return problems


def _refused(launchers: Sequence[ConfigDict], folder: Path) -> list[str]:
    from mcqa.sweep.backends import slurm_checks

    known, problems = slurm_commands.partitions() or [], list[str]()
    for launcher in launchers:
        try:
            problems += slurm_checks.problems_of(launcher, slurm_checks.script(launcher, folder), known)
        except Exception as error:  # submitit's, of options that it does not know
            problems.append(f"hydra.launcher: {error}")
    return list(dict.fromkeys(problems))


def trees_of(given: HydraSweep, space: "Space", every: bool = True) -> Iterator[ConfigDict]:
    """The base configuration with each value of each list that is searched, the other lists at their first ones.

    every: otherwise only all lists at their first ones. What cannot be composed is left out: it is told when that
    trial comes up, which alone it concerns.
    """
    searched = {dimension.name for dimension in space.dimensions}
    fixed = [text for text in given.arguments if text.partition("=")[0].lstrip("+") not in searched]
    lists = [[f"{one.key}={text}" for text in one.texts] for one in space.dimensions if one.options]
    first = [lines[0] for lines in lists]
    points = [[*first[:place], line, *first[place + 1 :]] for place, lines in enumerate(lists) for line in lines]
    for point in [first, *(point for point in points if every and point != first)][:MOST_LOOKED_AT]:
        with suppress(ConfigError), hydra_errors_as_config_errors(point):
            tree = app_config(given.composed([*fixed, *point]), lenient=given.hooks is None)
            if not given.problems(tree, [*fixed, *point]):
                yield tree


# ---- shown


def show(given: HydraSweep, folder: Path, trees: Sequence[ConfigDict], jobs: int, options: Options) -> list[Any]:
    """
    Raises:
        ConfigError: with everything that would keep the jobs from running.
    """
    if not trees or not sends_jobs(given):
        return []
    problems, warnings, text = check(given, trees), list[str](), ""
    seconds = seconds_of((folder / "trials").glob("*/result.json"))
    if not seconds and given.hooks and is_cluster(given):
        seconds = given.hooks.seconds(trees[0])
    needed = list[str]()
    if given.hooks and is_cluster(given) and not problems:
        needed, problems = given.hooks.memory(trees)
    launchers = [launcher_of(given, tree) for tree in trees]
    plan = DryRunPlan(launchers, jobs, options.n_jobs, folder, seconds)
    if is_cluster(given) and slurm_commands.is_here():
        text = _looked_at(plan, problems, warnings)
    console = Console()
    for line in (*_lines(plan), *(f"  {line}" for line in needed), *(f"Warning: {warning}" for warning in warnings)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if text:
        console.print("The script of a job:", text.strip(), sep="\n", highlight=False, markup=False, soft_wrap=True)
    if problems:
        raise ConfigError("\n  ".join(["No job would run like this:", *dict.fromkeys(problems)]))
    return []


def _looked_at(plan: DryRunPlan, problems: list[str], warnings: list[str]) -> str:
    """The first job's script; what is wrong with any of them is added to the lists."""
    from mcqa.runs.filesystem import unseen
    from mcqa.sweep.backends.slurm_checks import look, script

    first = ""
    for launcher in _kinds(plan.launchers):
        try:
            text = script(launcher, plan.folder / "trials" / "0" / ".submitit" / "0")
        except Exception as error:
            problems.append(f"hydra.launcher: {error}")
            continue
        first = first or text
        found = look(launcher, text)
        problems += [problem for problem in found.problems if problem not in problems]
        warnings += [warning for warning in found.warnings if warning not in warnings]
    warnings += unseen(
        {"The folder of the jobs": plan.folder, "Python": Path(sys.prefix), "The code": Path(__file__).parents[2]}
    )
    return first


def _lines(plan: DryRunPlan) -> Iterator[str]:
    kind = kind_of(plan.launchers[0])
    where = {"SlurmLauncher": "on SLURM", "LocalLauncher": "on this machine"}.get(kind, f"by {kind}")
    at_once = min(plan.jobs, plan.at_once)
    yield f"{_many(plan.jobs, 'job')} {where}, {at_once} at a time, with logs under {plan.folder}/trials/"
    for launcher in _kinds(plan.launchers):
        count = f"{plan.launchers.count(launcher)} x " if len(plan.launchers) == plan.jobs else ""
        yield f"  {count}{_size(launcher)}, at most {_time(60 * launcher['timeout_min'])} hours a start"
    if kind == "SlurmLauncher":
        yield f"  {_cost(plan)}"
    if kind == "LocalLauncher" and (told := _sharing(plan)):
        yield f"  {told}"
    yield from _estimate(plan)


def _size(launcher: ConfigDict) -> str:
    nodes, tasks = launcher.get("nodes") or 1, launcher.get("tasks_per_node") or 1
    each = " each" if nodes > 1 else ""
    parts = [_many(nodes, "node"), _many(tasks, "process") + each]
    if gpus := _gpus(launcher):
        parts.append(_many(gpus, "GPU") + each)
    return ", ".join(parts)


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}{'es' if what.endswith('s') else 's'}"


def _cost(plan: DryRunPlan) -> str:
    once = sum(_of_jobs(plan, _node_hours))
    gpus = sum(_of_jobs(plan, lambda launcher: _node_hours(launcher) * _gpus(launcher)))
    often = sum(_of_jobs(plan, lambda launcher: _node_hours(launcher) * _starts(launcher)))
    text = f"At most {_hours(once)} node hours" + (f" ({_hours(gpus)} GPU hours)" if gpus else "")
    return (
        f"{text} for one start of each job, {_hours(often)} if each comes to its time limit as often as "
        "max_num_timeout allows; starts after a preemption and further submissions come on top"
    )


def _starts(launcher: ConfigDict) -> int:
    """Of one submission that runs into its time limit as often as it may."""
    return 1 + int(launcher.get("max_num_timeout") or 0)


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _node_hours(launcher: ConfigDict) -> float:
    """Of one start."""
    return float((launcher.get("nodes") or 1) * launcher["timeout_min"] / 60)


def _gpus(launcher: ConfigDict) -> int:
    """Of a node."""
    return int(launcher.get("gpus_per_node") or 0)


def _of_jobs(plan: DryRunPlan, cost: Callable[[ConfigDict], float]) -> list[float]:
    """Of each job; where it is open which kind each is, all are the dearest."""
    costs = [cost(launcher) for launcher in plan.launchers]
    return costs if len(costs) == plan.jobs else [max(costs)] * plan.jobs


def _sharing(plan: DryRunPlan) -> str:
    """Of processes on this machine, whether their GPUs are enough for any of them that may run at a time."""
    from mcqa.sweep.backends.local import visible_gpus

    each, there = sorted(_of_jobs(plan, _gpus), reverse=True)[: plan.at_once], len(visible_gpus())
    if not each or not each[0] or not there:
        return ""
    room = sum(total <= there for total in accumulate(each))
    if room < len(each):
        return f"Warning: {room} at a time have GPUs of their own; more of them may share."
    return f"This machine's {_many(there, 'GPU')} have room for {room} at a time."


def _estimate(plan: DryRunPlan) -> Iterator[str]:
    if not plan.seconds:
        return
    middle, longest = median(plan.seconds), max(plan.seconds)
    yield f"  {len(plan.seconds)} earlier ones took {_time(middle)} (median) to {_time(longest)} hours"
    limit = min(60 * launcher["timeout_min"] for launcher in plan.launchers)
    if longest > limit and kind_of(plan.launchers[0]) == "SlurmLauncher":
        yield f"  Warning: timeout_min={limit / 60:g} is shorter; such a job is stopped and goes on from its checkpoint"


def _kinds(launchers: Sequence[ConfigDict]) -> list[ConfigDict]:
    return [launcher for place, launcher in enumerate(launchers) if launcher not in launchers[:place]]


def _time(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
