"""The plain product of --multirun: every combination of the lists, each job once."""

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa import run_folder
from mcqa.errors import SweepError
from mcqa.sweep import dispatch, running
from mcqa.sweep import space as spaces
from mcqa.sweep.controller import Controller
from mcqa.sweep.events import COMPLETE, EXHAUSTED, Limits
from mcqa.sweep.given import Sweep, Tree
from mcqa.sweep.mailbox import Mailbox
from mcqa.sweep.options import Options
from mcqa.sweep.running import say
from mcqa.sweep.spelling import leaves
from mcqa.sweep.study import Plan
from mcqa.sweep.texts import text_of
from mcqa.sweep.unfinished import unfinished


def run(given: Sweep, options: Options) -> list[Any]:
    """Every combination once. It ends with an error where one of them failed."""
    todo = jobs(given, options)
    folder = given.named(f"{given.usual_name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")
    trees = configurations(given, folder, todo)
    if given.is_dry_run:
        return _look(given, options, folder, todo, trees)
    running.refuse(dispatch.check(given, trees, folder))
    folder.mkdir(parents=True, exist_ok=True)
    running.write_multirun(given, folder)
    limits = Limits(len(todo), options.n_jobs, options.max_failures, options.max_resubmits, options.timeout_s)
    reason, controller = running.run(given, options, Plan(todo), limits, [], folder, goes_on=False)
    return _ended(folder, reason, controller)


def jobs(given: Sweep, options: Options) -> list[list[str]]:
    """The overrides of each."""
    return spaces.product([*_lines(options.params, given.arguments), *given.arguments], given.context.config_loader)


def _lines(params: Mapping[str, Any], arguments: Sequence[str]) -> list[str]:
    """hydra.sweeper.params as on a command line, without what that says otherwise."""
    named = {text.partition("=")[0].lstrip("+") for text in arguments}
    return [f"{key}={_values(value)}" for key, value in leaves(params).items() if key.lstrip("+") not in named]


def _values(value: Any) -> str:
    if isinstance(value, list):  # of YAML: the values themselves
        return ",".join(map(text_of, value))
    return value if isinstance(value, str) else text_of(value)


def configurations(given: Sweep, folder: Path, jobs: Sequence[Sequence[str]]) -> list[Tree]:
    """Of every job. A mistake in the last one is told before the first one starts."""
    problems: dict[str, None] = {}
    trees = []
    for number, job in enumerate(jobs):
        _, tree = given.of_job(folder, number, job)
        problems |= dict.fromkeys(given.problems(tree, job))
        trees.append(tree)
    running.refuse(problems)
    return trees


def _look(
    given: Sweep, options: Options, folder: Path, jobs: Sequence[Sequence[str]], trees: Sequence[Tree]
) -> list[Any]:
    """dry_run: what would run."""
    say(f"{len(jobs)} jobs, {options.n_jobs} at a time, in {run_folder.shown(folder)}")
    say(*(f"  {number}: {' '.join(job)}" for number, job in enumerate(jobs)))
    return dispatch.show(given, folder, trees, len(jobs), options)


def _ended(folder: Path, reason: str, controller: Controller) -> list[Any]:
    if reason not in (COMPLETE, EXHAUSTED) or controller.counts["failed"]:
        raise SweepError(unfinished(reason, controller, folder, "job"))
    results = [Mailbox(folder / "trials" / str(trial.number)).result() or {} for trial in controller.trials]
    say(*(f"job {number}: {one['folder']}" for number, one in enumerate(results) if "folder" in one))
    return [trial.outcome.values if trial.outcome else None for trial in controller.trials]
