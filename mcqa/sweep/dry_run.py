"""Where jobs would go and what they may cost, shown without submitting any: dry_run=true."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar, cast

from omegaconf import OmegaConf

from mcqa.config.errors import ConfigError
from mcqa.config.schema import ConfigDict
from mcqa.config.secrets import HIDDEN
from mcqa.evaluation.report.formatting import count
from mcqa.runs.duration import duration
from mcqa.runs.environment import node_local_warnings
from mcqa.runs.lookup import seconds_of
from mcqa.sweep.backends import slurm_commands
from mcqa.sweep.backends.launcher import launcher_class
from mcqa.sweep.compose import HydraSweep, app_config, hydra_errors_as_config_errors
from mcqa.sweep.display import say
from mcqa.sweep.options import Options

if TYPE_CHECKING:
    from mcqa.sweep.space.space import Space

T = TypeVar("T")

MAX_CONFIGS = 200  # of a study, that are composed and checked


@dataclass(frozen=True)
class DryRunPlan:
    """What would be submitted."""

    launchers: Sequence[ConfigDict]  # hydra.launcher of each job; of each kind that may come up, if `jobs` is more
    jobs: int
    at_once: int
    folder: Path
    seconds: Sequence[float]  # what earlier jobs of this kind took

    def of_jobs(self, cost: Callable[[ConfigDict], float]) -> list[float]:
        """Return the cost of each job; the highest one for all where it is open of which kind each is."""
        costs = [cost(launcher) for launcher in self.launchers]
        return costs if len(costs) == self.jobs else [max(costs)] * self.jobs


# ---- hydra.launcher of a job


def launcher_of(sweep: HydraSweep, config_dict: ConfigDict) -> ConfigDict:
    """Resolve hydra.launcher for a job with this configuration; on a cluster its script sets the app's variables."""
    raw = cast(ConfigDict, OmegaConf.to_container(sweep.hydra.launcher))
    raw.pop("submitit_folder", None)  # each trial keeps its own
    hydra = {key: OmegaConf.to_container(sweep.hydra[key]) for key in sweep.hydra if f"hydra.{key}." in json.dumps(raw)}
    hydra["launcher"] = raw
    text = json.dumps(hydra)
    named = {key: value for key, value in config_dict.items() if key in text}  # the rest would take 0.1 s
    config = OmegaConf.create({**named, "hydra": hydra})
    launcher = cast(ConfigDict, OmegaConf.to_container(config.hydra.launcher, resolve=True))
    if sweep.hooks and launcher_class(launcher) == "SlurmLauncher":
        exports = [f"export {name}={value}" for name, value in sweep.hooks.variables(config_dict).items()]
        launcher["setup"] = exports + (launcher.get("setup") or [])
    return launcher


def is_cluster(sweep: HydraSweep) -> bool:
    return launcher_class(sweep.hydra.launcher) == "SlurmLauncher"


def sends_jobs(sweep: HydraSweep) -> bool:
    """Whether trials run outside this process."""
    return launcher_class(sweep.hydra.launcher) in ("SlurmLauncher", "LocalLauncher")


# ---- before anything is submitted


def check(sweep: HydraSweep, config_dicts: Iterable[ConfigDict], folder: Path | None = None) -> list[str]:
    """Return what keeps jobs with these configurations from running where they would go.

    folder: of the study or product; given, SLURM is asked whether it would accept the jobs and could ever start them.
    """
    if not sends_jobs(sweep):
        return []
    config_dicts = list(config_dicts)
    launchers = (launcher_of(sweep, config_dict) for config_dict in config_dicts)
    if not is_cluster(sweep):
        from mcqa.sweep.backends import local

        return _distinct(problem for launcher in _distinct(launchers) for problem in local.problems_of(launcher))
    problems = sweep.hooks.missing(config_dicts) if sweep.hooks else []
    if not slurm_commands.is_available():
        problems.append(f"hydra/launcher={sweep.choices.get('hydra/launcher')}: {slurm_commands.NOT_AVAILABLE}")
    elif folder is not None and not problems:
        problems += _distinct(_ask_slurm(_distinct(launchers), folder).problems)
    return problems


@dataclass
class _SlurmAnswer:
    problems: list[str]
    warnings: list[str]
    script: str = ""  # of the first job


def _ask_slurm(launchers: Sequence[ConfigDict], folder: Path) -> _SlurmAnswer:
    """Ask SLURM about a job of each launcher, with logs in the folder."""
    from mcqa.sweep.backends import slurm_checks

    partitions = slurm_commands.partitions() or []
    answer = _SlurmAnswer([], [])
    for launcher in launchers:
        try:
            script = slurm_checks.script(launcher, folder)
        except Exception as error:  # submitit's, about options that it does not know
            answer.problems.append(f"hydra.launcher: {error}")
            continue
        answer.script = answer.script or script
        answer.problems += slurm_checks.problems_of(launcher, script, partitions)
        answer.warnings += slurm_checks.warnings_of(launcher, partitions)
    return answer


def sampled_configs(sweep: HydraSweep, space: "Space", every: bool = True) -> Iterator[ConfigDict]:
    """Yield the base configuration with each value of each list that is swept, the other lists at their first ones.

    every: otherwise only all lists at their first ones. Factors stay 1. What cannot be composed is left out: that fails
    its trial alone when it comes up.
    """
    swept = {dimension.name for dimension in space.dimensions}
    fixed = [text for text in sweep.arguments if text.partition("=")[0].lstrip("+") not in swept]
    lists = [
        [f"{each.key}={text}" for text in each.texts]
        for each in space.dimensions
        if each.options and not each.is_factor
    ]
    first = [lines[0] for lines in lists]
    points = [[*first[:place], line, *first[place + 1 :]] for place, lines in enumerate(lists) for line in lines]
    for point in [first, *(point for point in points if every and point != first)][:MAX_CONFIGS]:
        with suppress(ConfigError), hydra_errors_as_config_errors(point):
            config_dict = app_config(sweep.composer([*fixed, *point]), lenient=sweep.hooks is None)
            if not sweep.problems(config_dict, [*fixed, *point]):
                yield config_dict


# ---- what is shown


def show(sweep: HydraSweep, folder: Path, config_dicts: Sequence[ConfigDict], jobs: int, options: Options) -> list[Any]:
    """Print where jobs with these configurations would go and what they may cost.

    Raises:
        ConfigError: with everything that would keep the jobs from running.
    """
    if not config_dicts or not sends_jobs(sweep):
        return []
    problems, warnings, memory, script = check(sweep, config_dicts), list[str](), list[str](), ""
    seconds = seconds_of((folder / "trials").glob("*/result.json"))
    if sweep.hooks and is_cluster(sweep):
        seconds = seconds or sweep.hooks.seconds(config_dicts[0])
        if not problems:
            memory, problems = sweep.hooks.memory(config_dicts)
    launchers = [launcher_of(sweep, config_dict) for config_dict in config_dicts]
    plan = DryRunPlan(launchers, jobs, options.n_jobs, folder, seconds)
    if is_cluster(sweep) and slurm_commands.is_available():
        if not slurm_commands.partitions():
            problems.append("sinfo does not answer: is SLURM down? The partitions could not be checked.")
        answer = _ask_slurm(_distinct(launchers), folder / "trials" / "0" / ".submitit" / "0")
        problems += answer.problems
        warnings, script = [*answer.warnings, *_unshared_folders(folder)], answer.script
        for line in sweep.hydra.launcher.get("setup") or []:
            script = script.replace(line, re.sub(r"(\w=).*", rf"\1{HIDDEN}", line))
    say(*_lines(plan), *(f"  {line}" for line in memory), *(f"Warning: {line}" for line in _distinct(warnings)))
    if script:
        say("The script of a job:", script.strip())
    if problems:
        raise ConfigError("\n  ".join(["No job would run like this:", *_distinct(problems)]))
    return []


def _unshared_folders(folder: Path) -> list[str]:
    code = Path(__file__).parents[2]
    return node_local_warnings({"The folder of the jobs": folder, "Python": Path(sys.prefix), "The code": code})


def _lines(plan: DryRunPlan) -> Iterator[str]:
    launcher = launcher_class(plan.launchers[0])
    where = {"SlurmLauncher": "on SLURM", "LocalLauncher": "on this machine"}.get(launcher, f"by {launcher}")
    at_once = min(plan.jobs, plan.at_once)
    yield f"{count(plan.jobs, 'job')} {where}, {at_once} at a time, with logs under {plan.folder}/trials/"
    for each in _distinct(plan.launchers):
        times = f"{plan.launchers.count(each)} x " if len(plan.launchers) == plan.jobs else ""
        yield f"  {times}{_size(each)}, at most {duration(60 * each['timeout_min'])} per start"
    if launcher == "SlurmLauncher":
        yield f"  {_cost(plan)}"
    if launcher == "LocalLauncher" and (sharing := _gpu_sharing(plan)):
        yield f"  {sharing}"
    if not plan.seconds:
        return
    longest, limit = max(plan.seconds), min(60 * each["timeout_min"] for each in plan.launchers)
    earlier = count(len(plan.seconds), "earlier job")
    if len(plan.seconds) == 1:
        yield f"  an earlier job took {duration(longest)}"
    else:
        yield f"  {earlier} took {duration(median(plan.seconds))} (median), the longest {duration(longest)}"
    if longest > limit and launcher == "SlurmLauncher":
        yield f"  Warning: timeout_min={limit / 60:g} is shorter; such a job is stopped and resumes from its checkpoint"


def _size(launcher: ConfigDict) -> str:
    nodes, tasks = launcher.get("nodes") or 1, launcher.get("tasks_per_node") or 1
    each = " each" if nodes > 1 else ""
    parts = [count(nodes, "node"), f"{tasks} process{'es' * (tasks != 1)}{each}"]
    if gpus := _gpus(launcher):
        parts.append(count(gpus, "GPU") + each)
    return ", ".join(parts)


def _cost(plan: DryRunPlan) -> str:
    once = sum(plan.of_jobs(_node_hours))
    gpus = sum(plan.of_jobs(lambda launcher: _node_hours(launcher) * _gpus(launcher)))
    # starts of one submission that runs into its time limit as often as it may
    often = sum(plan.of_jobs(lambda launcher: _node_hours(launcher) * (1 + (launcher.get("max_num_timeout") or 0))))
    return (
        f"At most {_hours(once)} node hours{f' ({_hours(gpus)} GPU hours)' if gpus else ''} for one start of each job, "
        f"{_hours(often)} if each reaches its time limit as often as max_num_timeout allows; starts after a preemption "
        "and resubmissions come on top"
    )


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _node_hours(launcher: ConfigDict) -> float:
    """The most that one start of a job may take."""
    return float((launcher.get("nodes") or 1) * launcher["timeout_min"] / 60)


def _gpus(launcher: ConfigDict) -> int:
    """Of each node."""
    return int(launcher.get("gpus_per_node") or 0)


def _gpu_sharing(plan: DryRunPlan) -> str:
    """Whether the GPUs of this machine are enough for any of the jobs that may run at a time."""
    from mcqa.sweep.backends.local import visible_gpus

    each, available = sorted(plan.of_jobs(_gpus), reverse=True)[: plan.at_once], len(visible_gpus())
    if not each or not each[0] or not available:
        return ""
    room = sum(total <= available for total in accumulate(each))
    if room < len(each):
        return f"Warning: {room} at a time have GPUs of their own; more of them may share."
    return f"This machine's {count(available, 'GPU')} have room for {room} at a time."


def _distinct(items: Iterable[T]) -> list[T]:
    """The first of each, in their order; also of what cannot be hashed."""
    distinct: list[T] = []
    for item in items:
        if item not in distinct:
            distinct.append(item)
    return distinct
