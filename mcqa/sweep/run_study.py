"""A study, from the command to its report."""

import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mcqa.config.errors import SweepError
from mcqa.config.schema import SEEDS, ConfigDict
from mcqa.runs import looks, run_folder
from mcqa.runs.environment import commit_of, folder_of
from mcqa.runs.files import flatten
from mcqa.sweep import dry_run, start, study_folder
from mcqa.sweep.compose import HydraSweep
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import COMPLETE, EXHAUSTED, LEFT_RUNNING, Limits, RecoveredTrial
from mcqa.sweep.display import say
from mcqa.sweep.hooks import Observer
from mcqa.sweep.options import Direction, Options
from mcqa.sweep.optuna_study import samplers, storage
from mcqa.sweep.optuna_study.study import OptunaStudy
from mcqa.sweep.space.dimension import times
from mcqa.sweep.space.space import DefaultOutsideSpace, Space, parse
from mcqa.sweep.trial_source import JobList, recover, submitted_jobs

MAX_IDENTICAL_FAILURES = 3  # at the start, after which the values are hardly the cause


@dataclass(frozen=True, kw_only=True)
class StudyRequest(start.Request):
    base: ConfigDict  # completed by the app
    space: Space
    direction: Direction


def run(sweep: HydraSweep, options: Options) -> list[Any]:
    """Run a study, resume it, or show it where dry_run is set; main.sweep says what it returns and raises."""
    request = study_request(sweep, options)
    description = _description(request)
    if sweep.is_dry_run:
        return _dry_run(request, description)
    config_dicts = partial(dry_run.sampled_configs, sweep, request.space)
    with start.checked_folder(request, config_dicts, study_folder.STUDY):
        reason, controller = _search(request, description)
        if options.confirm and reason in (COMPLETE, EXHAUSTED):
            reason = _confirm(request) or reason
    return _finish(request, reason, controller)


def study_request(sweep: HydraSweep, options: Options) -> StudyRequest:
    """Check the whole request.

    Raises:
        ConfigError: with everything that does not go together.
    """
    base = sweep.base
    problems = sweep.problems(base, sweep.fixed)
    space = space_of(sweep, options, base)
    direction: Direction = options.direction or (sweep.hooks.direction(base) if sweep.hooks else "maximize")
    if sweep.hooks and not problems:
        problems += sweep.hooks.check(base, space, options.metric, str(options.pruner.get("name")))
    if options.confirm:
        from mcqa.sweep import confirmation

        problems += confirmation.problems(base, list(space.distributions))
    start.refuse([*problems, *_problems_of_arms(options, space)])
    list(space.recommended)  # for its errors
    storage.check(space, options.sampler)
    if options.sampler.get("name") != samplers.GRID:
        samplers.make_sampler(options.sampler, options.seed)
    samplers.make_pruner(options.pruner)
    folder = sweep.folder_for(options.study_name or sweep.default_name, resumable=True)
    return StudyRequest(sweep=sweep, options=options, folder=folder, base=base, space=space, direction=direction)


def space_of(sweep: HydraSweep, options: Options, base: ConfigDict) -> Space:
    loader = sweep.context.config_loader
    return parse(options.params, sweep.arguments, base, sweep.choices, options.function, loader, sweep.base_with)


def _problems_of_arms(options: Options, space: Space) -> Iterator[str]:
    """Why arms could not be compared: each of them has to get the same trials, and to be trained as long."""
    lists = [dimension.name for dimension in space.dimensions if dimension.options and dimension.name not in SEEDS]
    if unknown := [key for key in options.arms if key not in lists]:
        known = ", ".join(lists) or "none"
        yield f"hydra.sweeper.arms: {', '.join(unknown)} is not swept by a list; such keys are {known}."
    elif options.arms:
        swept, size = space.distributions, space.size()
        if options.sampler.get("name") != samplers.GRID:
            yield "hydra.sweeper.arms: each arm gets the same trials only in a grid (hydra/sweeper/sampler=grid)."
        if options.pruner.get("name") != "none":
            yield "hydra.sweeper.arms: each arm is trained to its end; use hydra/sweeper/pruner=none."
        if options.n_trials is not None and size is not None and options.n_trials < size:
            yield f"hydra.sweeper.n_trials={options.n_trials}: the arms have {size} trials together."
        if any(key in swept for key in SEEDS):
            yield "hydra.sweeper.arms: the seed is swept, so the luckiest one of each arm would count; use confirm=3."


def _description(request: StudyRequest) -> dict[str, Any]:
    """What study.yaml says of a study that begins now."""
    sweep, options = request.sweep, request.options
    return {
        "name": request.folder.name,
        "sweep": sweep.choices.get("sweeps"),
        "created": time.time(),
        "commit": commit_of(folder_of(sweep.task)),
        "directions": [request.direction],  # a list: earlier versions could have several objectives
        "metric": options.metric,
        "sampler": options.sampler,
        "pruner": options.pruner,
        "seed": options.seed,
        "storage": storage.absolute(options.storage) if options.storage else None,
        "space": request.space.grammar(),
        "base": request.base,
        "interpolations": study_folder.interpolations(sweep.config),
        "overrides": list(sweep.arguments),
        "n_trials": options.n_trials,
        "n_jobs": options.n_jobs,
    } | ({"arms": options.arms} if options.arms else {})


def _dry_run(request: StudyRequest, description: Mapping[str, Any]) -> list[Any]:
    """Show what would be studied."""
    sweep, options, folder, space = request.sweep, request.options, request.folder, request.space
    run_description = {**description, "base": request.base | {"dry_run": False}}
    study_folder.check_same(folder, run_description, allow_changes=options.allow_changes)
    say(*describe_study(folder, description, space))
    if ended := len(list(folder.glob("trials/*/result.json"))):
        say(f"  {ended} of them have ended")
    config_dicts = list(dry_run.sampled_configs(sweep, space, every=dry_run.sends_jobs(sweep)))
    left = max(0, (options.n_trials or space.size() or 1) - ended)
    return dry_run.show(sweep, folder, config_dicts, left, options)


def describe_study(folder: Path, description: Mapping[str, Any], space: Space) -> Iterator[str]:
    """Yield lines that say what is studied. description: of study.yaml."""
    number, pruner = description["n_trials"] or space.size(), description["pruner"]["name"]
    yield f"Study {description['name']} in {run_folder.shown(folder)}"
    yield (
        f"  {number} trials, {description['n_jobs']} at a time; {description['sampler']['name']} sampler, "
        f"{'no' if pruner == 'none' else pruner} pruner; "
        f"{' and '.join(description['directions'])} {description['metric'] or 'what the app returns'}"
    )
    values = _values_of_factors(space)
    for key, text in description["space"].items():
        yield f"  {key}: {text}"
        yield from values.get(key, [])
    try:
        differences = "; ".join(space.differences(space.default()))
    except DefaultOutsideSpace as why:
        yield f"  the default configuration is not among the trials: {why}"
    else:
        where = "one of the trials" if description["sampler"]["name"] == samplers.GRID else "trial 0"
        yield f"  {where} is the default configuration{differences and f', but {differences}'}"


def _values_of_factors(space: Space) -> dict[str, list[str]]:
    """Return lines by key: `peft=none: 2e-05 to 0.002; 0.0002 is recommended`."""
    lines: dict[str, list[str]] = {}
    for dimension in space.dimensions:
        for choice, value in space.recommended.get(dimension.name, {}).items():
            numbers = [f"{times(each, value):.3g}" for each in dimension.values_or_ends()]
            text = (", " if dimension.enumerable else " to ").join(numbers)
            where = f"{choice}: " if choice else ""
            lines.setdefault(dimension.key, []).append(f"    {where}{text}; {value:.3g} is recommended")
    return lines


def describe_progress(known: Sequence[RecoveredTrial], n_trials: int | None) -> str:
    """Return how far the study is."""
    if not known:
        return "  a new study"
    ended = sum(trial.outcome is not None for trial in known)
    if n_trials is not None and ended >= n_trials:
        return f"  all {ended} trials have ended; a larger hydra.sweeper.n_trials asks for more"
    return f"  resumes: {start.resumes(ended, 'trial', len(known) - ended)}"


def _search(request: StudyRequest, description: Mapping[str, Any]) -> tuple[str, Controller]:
    """Run the trials, from where an earlier command left them. The caller holds the folder."""
    options, folder = request.options, request.folder
    stored = study_folder.check_same(folder, description, allow_changes=options.allow_changes)
    study = OptunaStudy(
        folder,
        name=stored["name"],  # the first one; the folder may have been renamed since
        space=request.space,
        direction=request.direction,
        sampler=options.sampler,
        pruner=options.pruner,
        seed=options.seed,
        storage=description["storage"],
        take_over=options.allow_changes,
    )
    start.write_description(request, stored, description["commit"], study_folder.STUDY)
    for trial in study.known():
        if aside := study_folder.set_aside(folder / "trials" / str(trial.trial), study.own_overrides(trial.trial)):
            say(study_folder.describe_moved_folder(trial.trial, aside))
    study_folder.check_unfinished(folder, [trial.trial for trial in study.known() if trial.outcome is None])
    known = [recover(folder, trial.trial, trial.outcome) for trial in study.known()]
    observers = _observers(request, stored)
    say(*describe_study(folder, stored, request.space), describe_progress(known, options.n_trials))
    limits = Limits(
        options.n_trials,
        options.n_jobs,
        options.max_failures,
        options.max_resubmits,
        options.timeout_s,
        MAX_IDENTICAL_FAILURES,
    )
    return start.run(request, study, limits, known, observers, request.direction)


def _observers(request: StudyRequest, description: Mapping[str, Any]) -> Sequence[Observer]:
    params = {key: value for key, value in description.items() if key not in ("base", "created")}
    hooks = request.sweep.hooks
    return hooks.observers(request.base, request.folder, flatten(params)) if hooks else []


def _confirm(request: StudyRequest) -> str | None:
    """Run the best few and the default with new seeds, as whole runs.

    The study's own report is written first, whatever becomes of them. Ctrl-C leaves them running for the next command;
    the reason returned is then LEFT_RUNNING.
    """
    from mcqa.sweep import confirmation
    from mcqa.sweep.report import load, write

    options, space, study = request.options, request.space, request.folder
    write.write_report(study)
    record, folder = load.read_study(study, time.time()), study / "confirm"
    configurations = confirmation.select_configurations(record, space.fixed)
    seed = confirmation.seed_of(record.base, space.fixed)
    order_is_fixed = confirmation.order_is_fixed(record.base, space.fixed)
    wanted = confirmation.jobs(configurations, seed, options.confirm, order_is_fixed)
    looks_at_test = confirmation.record_look(record, wanted)
    jobs = confirmation.update_plan(folder, wanted)
    if not jobs:
        say("No trial is complete, so there is nothing to confirm.")
        return None
    known = submitted_jobs(folder, len(jobs))
    study_folder.check_unfinished(folder, [job.trial for job in known if job.outcome is None])
    if looks_at_test:
        candidate = looks_at_test[-1].get("candidate")
        say(f"The candidate, named before test is looked at: trial {candidate}, the best on dev.")
    if len(looks_at_test) > 1:
        say(f"Looks at test in this study: {looks.times(looks_at_test)}.")
    say("Confirming, each a whole run measured on test:")
    say(*(f"  job {number}: {confirmation.describe_job(job)}" for number, job in enumerate(jobs)))
    job_list = JobList([job["overrides"] for job in jobs], known)
    limits = Limits(len(jobs), options.n_jobs, None, options.max_resubmits, None)
    try:
        reason, _ = start.run(replace(request, folder=folder), job_list, limits, known)
    finally:
        confirmation.write(study, folder, jobs, options.metric)
    return reason if reason == LEFT_RUNNING else None


def _finish(request: StudyRequest, reason: str, controller: Controller) -> list[Any]:
    """Write the report, and say what the study found or why it ended early."""
    from mcqa.sweep.report import write

    folder, complete = request.folder, reason in (COMPLETE, EXHAUSTED)
    summary = write.write_report(folder)
    if reason != LEFT_RUNNING:
        say(*summary.lines)
    failed = controller.counts["failed"]
    if complete and 0 < failed < len(controller.trials):
        say(f"Note: {_failures(controller)}")
    say(f"Report: {run_folder.shown(folder / 'report.html')}")
    if request.sweep.hooks:
        request.sweep.hooks.finished(summary, complete)
    if not complete:
        raise SweepError(start.unfinished(request, reason, controller, "trial"))
    if failed and failed == len(controller.trials):
        raise SweepError(_all_failed(request, controller))
    return [trial.outcome.value if trial.outcome else None for trial in controller.trials]


def _all_failed(request: StudyRequest, controller: Controller) -> str:
    folder = shlex.quote(run_folder.shown(request.folder))
    return (
        f"{_failures(controller)}\n"
        f"Their logs are listed by python -m mcqa.jobs {folder}. A study learns from failed trials and runs none of "
        "them again: once the cause is removed, give a larger hydra.sweeper.n_trials, or another "
        "hydra.sweeper.study_name to begin anew."
    )


def _failures(controller: Controller) -> str:
    """Return how many trials failed, with the commonest error."""
    outcomes = [trial.outcome for trial in controller.trials if trial.outcome and trial.outcome.status == "failed"]
    errors = Counter(((outcome.error or "").strip() or "failed").splitlines()[-1] for outcome in outcomes)
    (commonest, count), *others = errors.most_common()
    total, failed = len(controller.trials), len(outcomes)
    how_many = f"{failed} of {total} trials failed" if failed < total else f"All trials failed ({total})"
    return f"{how_many}, {f'{count} of them with' if others else 'with'}: {commonest}"
