"""A study, from what is asked for to its report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mcqa.config.errors import SweepError
from mcqa.runs import run_folder
from mcqa.runs.environment import commit_of, folder_of
from mcqa.runs.files import flat
from mcqa.sweep import dry_run, messages, start, study_folder
from mcqa.sweep.compose import HydraSweep
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import COMPLETE, EXHAUSTED, LEFT_RUNNING, Limits
from mcqa.sweep.hooks import ConfigDict, Observer
from mcqa.sweep.messages import unfinished
from mcqa.sweep.options import Direction, Options
from mcqa.sweep.optuna_study import samplers, storage
from mcqa.sweep.optuna_study.study import OptunaStudy
from mcqa.sweep.recovery import begun, recover
from mcqa.sweep.space.space import Space, parse
from mcqa.sweep.start import say
from mcqa.sweep.trial_source import JobList


@dataclass(frozen=True)
class StudyRequest:
    """A study that goes together. tree: its base configuration, which the app has completed."""

    given: HydraSweep
    options: Options
    tree: ConfigDict
    space: Space
    direction: Direction
    folder: Path


def study_request(given: HydraSweep, options: Options) -> StudyRequest:
    """
    Raises:
        ConfigError: with what does not go together.
    """
    tree = given.base
    problems = given.problems(tree, given.fixed)
    space = space_of(given, options, tree)
    direction: Direction = options.direction or (given.hooks.direction(tree) if given.hooks else "maximize")
    if given.hooks and not problems:
        problems += given.hooks.check(tree, space, options.metric, options.pruner.get("name") != "none")
    start.refuse([*problems, *_unconfirmable(options, space, tree)])
    _check_search(options, space)
    folder = given.named(options.study_name or given.usual_name, found_again=True)
    return StudyRequest(given, options, tree, space, direction, folder)


def space_of(given: HydraSweep, options: Options, tree: ConfigDict) -> Space:
    return parse(options.params, given.arguments, tree, given.choices, options.function, given.context.config_loader)


def _unconfirmable(options: Options, space: Space, tree: ConfigDict) -> list[str]:
    if not options.confirm:
        return []
    from mcqa.sweep import confirmation

    return confirmation.problems(tree, [dimension.name for dimension in space.dimensions])


def _check_search(options: Options, space: Space) -> None:
    """What Optuna would refuse, before the study's folder says that this is what it searches."""
    storage.check(space, options.sampler)
    if options.sampler.get("name") != samplers.GRID:
        samplers.make_sampler(options.sampler, options.seed)
    samplers.make_pruner(options.pruner)


def description_of(asked: StudyRequest) -> dict[str, Any]:
    """Of a study that begins now, for study.yaml."""
    given, options = asked.given, asked.options
    return {
        "name": asked.folder.name,
        "sweep": given.choices.get("sweeps"),
        "created": time.time(),
        "commit": commit_of(folder_of(given.task)),
        "directions": [asked.direction],  # a list, as of earlier versions with several objectives
        "metric": options.metric,
        "sampler": options.sampler,
        "pruner": options.pruner,
        "seed": options.seed,
        "storage": storage_of(options),
        "space": asked.space.grammar(),
        "base": asked.tree,
        "interpolations": study_folder.interpolations(given.config),
        "overrides": list(given.arguments),
        "n_trials": options.n_trials,
        "n_jobs": options.n_jobs,
    }


def storage_of(options: Options) -> str | None:
    return storage.absolute(options.storage) if options.storage else None


MAX_ALIKE = 3  # failures at the start, after which it is hardly the values' fault


def run(given: HydraSweep, options: Options) -> list[Any]:
    """
    Raises:
        SweepError: it ended before all that was asked for.
    """
    asked = study_request(given, options)
    description = description_of(asked)
    if given.is_dry_run:
        return _look(asked, description)
    trees = partial(dry_run.trees_of, given, asked.space)
    start.refuse_what_cannot_run(given, trees, asked.folder, goes_on=(asked.folder / study_folder.STUDY).exists())
    run_folder.make(asked.folder, exist_ok=True)
    with study_folder.only_controller(asked.folder):
        reason, controller = _searched(asked, description)
        if options.confirm and reason in (COMPLETE, EXHAUSTED):
            reason = _confirm(asked) or reason
    return _ended(asked, reason, controller)


def _look(asked: StudyRequest, description: Mapping[str, Any]) -> list[Any]:
    """dry_run: what would be studied."""
    given, options, folder, space = asked.given, asked.options, asked.folder, asked.space
    real = {**description, "base": asked.tree | {"dry_run": False}}
    study_folder.check_same(folder, real, allow_changes=options.allow_changes)
    say(*messages.lines(folder, description, space))
    if ended := len(list(folder.glob("trials/*/result.json"))):
        say(f"  {ended} of them have ended")
    trees = list(dry_run.trees_of(given, space, every=dry_run.sends_jobs(given)))
    left = max(0, (options.n_trials or space.size() or 1) - ended)
    return dry_run.show(given, folder, trees, left, options)


# --- the search -------------------------------------------------------------------------------------------------------


def _searched(asked: StudyRequest, wanted: Mapping[str, Any]) -> tuple[str, Controller]:
    """The trials, from where an earlier command left them. The caller holds the study."""
    given, options, folder = asked.given, asked.options, asked.folder
    description = study_folder.check_same(folder, wanted, allow_changes=options.allow_changes)
    study = _opened(asked, description["name"])
    study_folder.write_description(folder, description)
    start.write_multirun(given, folder)
    if description["commit"] != wanted["commit"]:
        say(messages.other_code("the study", description["commit"], wanted["commit"]))
    _make_way(folder, study)
    known = [recover(folder, trial.trial, trial.outcome) for trial in study.known()]
    observers = _observers(asked, description)
    say(*messages.lines(folder, description, asked.space), messages.state(known, options.n_trials))
    limits = Limits(
        options.n_trials, options.n_jobs, options.max_failures, options.max_resubmits, options.timeout_s, MAX_ALIKE
    )
    return start.run(given, options, study, limits, known, folder, observers, asked.direction)


def _opened(asked: StudyRequest, name: str) -> OptunaStudy:
    """name: its first one; the folder may have been renamed since."""
    options = asked.options
    return OptunaStudy(
        asked.folder,
        name=name,
        space=asked.space,
        direction=asked.direction,
        sampler=options.sampler,
        pruner=options.pruner,
        seed=options.seed,
        storage=storage_of(options),
        take_over=options.allow_changes,
    )


def _make_way(folder: Path, study: OptunaStudy) -> None:
    """Where folders are not of its trials."""
    for known in study.known():
        if aside := study_folder.set_aside(folder / "trials" / str(known.trial), study.own_overrides(known.trial)):
            say(study_folder.moved(known.trial, aside))


def _observers(asked: StudyRequest, description: Mapping[str, Any]) -> Sequence[Observer]:
    params = {key: value for key, value in description.items() if key not in ("base", "created")}
    hooks = asked.given.hooks
    return hooks.observers(asked.tree, asked.folder, flat(params)) if hooks else []


# --- after it ---------------------------------------------------------------------------------------------------------


def _confirm(asked: StudyRequest) -> str | None:
    """The best few and the default with new seeds, as whole runs; what is left out by Ctrl-C goes on next time, and
    the reason is then LEFT_RUNNING. The study's own report is written first, whatever becomes of them."""
    from mcqa.sweep import confirmation
    from mcqa.sweep.report import load, write

    options, space, study = asked.options, asked.space, asked.folder
    write.write_report(study)
    recorded, folder = load.read_study(study, time.time()), study / "confirm"
    seed = confirmation.seed_of(recorded.base, space.fixed)
    jobs = confirmation.planned(
        folder, confirmation.jobs(confirmation.chosen(recorded, space.fixed), seed, options.confirm)
    )
    if not jobs:
        say("No trial is complete, so there is nothing to confirm.")
        return None
    known = begun(folder, len(jobs))
    say("Confirming, each a whole run measured on test:")
    say(*(f"  job {number}: {confirmation.named(job)}" for number, job in enumerate(jobs)))
    plan = JobList([job["overrides"] for job in jobs], known)
    limits = Limits(len(jobs), options.n_jobs, None, options.max_resubmits, None)
    try:
        reason, _ = start.run(asked.given, options, plan, limits, known, folder)
    finally:
        confirmation.write(study, folder, jobs, options.metric)
    return reason if reason == LEFT_RUNNING else None


def _ended(asked: StudyRequest, reason: str, controller: Controller) -> list[Any]:
    from mcqa.sweep.report import write as report

    given, folder, complete = asked.given, asked.folder, reason in (COMPLETE, EXHAUSTED)
    summary = report.write_report(folder)
    if reason != LEFT_RUNNING:
        say(summary.verdict, *summary.notes, *(f"Note: {problem}" for problem in summary.problems))
    say(f"Report: {run_folder.shown(folder / 'report.html')}")
    if given.hooks:
        given.hooks.finished(summary, complete)
    if not complete:
        raise SweepError(unfinished(reason, controller, folder, "trial"))
    return [trial.outcome.value if trial.outcome else None for trial in controller.trials]
