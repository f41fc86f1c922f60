"""A study, from what is asked for to its report."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mcqa import run_folder
from mcqa.errors import SweepError
from mcqa.sweep import dispatch, greeting, identity, running
from mcqa.sweep.asked import Asked, asked_for, description_of, storage_of
from mcqa.sweep.controller import Controller
from mcqa.sweep.earlier import begun, found
from mcqa.sweep.events import COMPLETE, EXHAUSTED, LEFT_RUNNING, Limits
from mcqa.sweep.given import Sweep
from mcqa.sweep.loop import Observer
from mcqa.sweep.options import Options
from mcqa.sweep.running import say
from mcqa.sweep.study import OptunaStudy, Plan
from mcqa.sweep.unfinished import unfinished

MAX_ALIKE = 3  # failures at the start, after which it is hardly the values' fault


def run(given: Sweep, options: Options) -> list[Any]:
    """
    Raises:
        SweepError: it ended before all that was asked for.
    """
    asked = asked_for(given, options)
    description = description_of(asked)
    if given.is_dry_run:
        return _look(asked, description)
    trees = partial(dispatch.trees_of, given, asked.space)
    running.refuse_what_cannot_run(given, trees, asked.folder, goes_on=(asked.folder / identity.STUDY).exists())
    run_folder.make(asked.folder, exist_ok=True)
    with identity.only_controller(asked.folder):
        reason, controller = _searched(asked, description)
        if options.confirm and reason in (COMPLETE, EXHAUSTED):
            reason = _confirm(asked) or reason
    return _ended(asked, reason, controller)


def _look(asked: Asked, description: Mapping[str, Any]) -> list[Any]:
    """dry_run: what would be studied."""
    given, options, folder, space = asked.given, asked.options, asked.folder, asked.space
    real = {**description, "base": asked.tree | {"dry_run": False}}
    identity.check_same(folder, real, allow_changes=options.allow_changes)
    say(*greeting.lines(folder, description, space))
    if ended := len(list(folder.glob("trials/*/result.json"))):
        say(f"  {ended} of them have ended")
    trees = list(dispatch.trees_of(given, space, every=dispatch.sends_jobs(given)))
    left = max(0, (options.n_trials or space.size() or 1) - ended)
    return dispatch.show(given, folder, trees, left, options)


# --- the search -------------------------------------------------------------------------------------------------------


def _searched(asked: Asked, wanted: Mapping[str, Any]) -> tuple[str, Controller]:
    """The trials, from where an earlier command left them. The caller holds the study."""
    given, options, folder = asked.given, asked.options, asked.folder
    description = identity.check_same(folder, wanted, allow_changes=options.allow_changes)
    study = _opened(asked, description["name"])
    identity.write_description(folder, description)
    running.write_multirun(given, folder)
    if description["commit"] != wanted["commit"]:
        say(greeting.other_code("the study", description["commit"], wanted["commit"]))
    _make_way(folder, study)
    known = [found(folder, trial.trial, trial.outcome) for trial in study.known()]
    observers = _observers(asked, description)
    say(*greeting.lines(folder, description, asked.space), greeting.state(known, options.n_trials))
    limits = Limits(
        options.n_trials, options.n_jobs, options.max_failures, options.max_resubmits, options.timeout_s, MAX_ALIKE
    )
    return running.run(given, options, study, limits, known, folder, observers, asked.directions)


def _opened(asked: Asked, name: str) -> OptunaStudy:
    """name: its first one; the folder may have been renamed since."""
    options = asked.options
    return OptunaStudy(
        asked.folder,
        name=name,
        space=asked.space,
        directions=asked.directions,
        sampler=options.sampler,
        pruner=options.pruner,
        seed=options.seed,
        storage=storage_of(options),
        take_over=options.allow_changes,
    )


def _make_way(folder: Path, study: OptunaStudy) -> None:
    """Where folders are not of its trials."""
    for known in study.known():
        if aside := identity.set_aside(folder / "trials" / str(known.trial), study.drawn(known.trial)):
            say(identity.moved(known.trial, aside))


def _observers(asked: Asked, description: Mapping[str, Any]) -> Sequence[Observer]:
    params = {key: value for key, value in description.items() if key not in ("base", "created")}
    hooks = asked.given.hooks
    return hooks.observers(asked.tree, asked.folder, run_folder.flat(params)) if hooks else []


# --- after it ---------------------------------------------------------------------------------------------------------


def _confirm(asked: Asked) -> str | None:
    """The best few and the default with new seeds, as whole runs; what is left out by Ctrl-C goes on next time, and
    the reason is then LEFT_RUNNING. The study's own report is written first, whatever becomes of them."""
    from mcqa.sweep import confirm, reading, report

    options, space, study = asked.options, asked.space, asked.folder
    report.write(study)
    recorded, folder = reading.read(study, time.time()), study / "confirm"
    seed = confirm.seed_of(recorded.base, space.fixed)
    jobs = confirm.planned(folder, confirm.jobs(confirm.chosen(recorded, space.fixed), seed, options.confirm))
    if not jobs:
        say("No trial is complete, so there is nothing to confirm.")
        return None
    known = begun(folder, len(jobs))
    say("Confirming, each a whole run measured on test:")
    say(*(f"  job {number}: {confirm.named(job)}" for number, job in enumerate(jobs)))
    plan = Plan([job["overrides"] for job in jobs], known)
    limits = Limits(len(jobs), options.n_jobs, None, options.max_resubmits, None)
    try:
        reason, _ = running.run(asked.given, options, plan, limits, known, folder)
    finally:
        confirm.write(study, folder, jobs, options.metric)
    return reason if reason == LEFT_RUNNING else None


def _ended(asked: Asked, reason: str, controller: Controller) -> list[Any]:
    from mcqa.sweep import report

    given, folder, complete = asked.given, asked.folder, reason in (COMPLETE, EXHAUSTED)
    summary = report.write(folder)
    if reason != LEFT_RUNNING:
        say(summary.verdict, *summary.notes, *(f"Note: {problem}" for problem in summary.problems))
    say(f"Report: {run_folder.shown(folder / 'report.html')}")
    if given.hooks:
        given.hooks.finished(summary, complete)
    if not complete:
        raise SweepError(unfinished(reason, controller, folder, "trial"))
    return [trial.outcome.values if trial.outcome else None for trial in controller.trials]
