"""The plain product of --multirun: every combination of the lists, each job once, over as many commands as it takes."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcqa.config.errors import SweepError
from mcqa.config.schema import ConfigDict
from mcqa.evaluation.report.formatting import count
from mcqa.runs import run_folder
from mcqa.runs.environment import commit_of, folder_of
from mcqa.runs.files import flatten
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep import dry_run, job_table, start, study_folder
from mcqa.sweep.compose import HydraSweep
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import COMPLETE, EXHAUSTED, LEFT_RUNNING, Limits, RecoveredTrial
from mcqa.sweep.display import say
from mcqa.sweep.options import Options
from mcqa.sweep.space.override_text import text_of
from mcqa.sweep.space.parsing import product
from mcqa.sweep.trial_source import JobList, is_final, submitted_jobs


@dataclass(frozen=True, kw_only=True)
class ProductRequest(start.Request):
    jobs: list[list[str]]  # the overrides of each


def run(sweep: HydraSweep, options: Options) -> list[Any]:
    """Run every combination once, or show them where dry_run is set; main.sweep says what it returns and raises."""
    request = _request(sweep, options)
    config_dicts = configurations(sweep, request.folder, request.jobs)
    if sweep.is_dry_run:
        return _dry_run(request, config_dicts)
    with start.checked_folder(request, lambda: config_dicts, study_folder.PRODUCT):
        reason, controller = _run_jobs(request)
    return _finish(request, reason, controller)


def _request(sweep: HydraSweep, options: Options) -> ProductRequest:
    overrides = jobs(sweep, options)
    if options.study_name is not None:
        folder = sweep.folder_for(options.study_name, resumable=True)
        return ProductRequest(sweep=sweep, options=options, folder=folder, jobs=overrides)
    folder = sweep.folder_for(f"{sweep.default_name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")
    place = (
        f"hydra.sweeper.study_name={folder.name}"
        if sweep.is_placed_by_name
        else f"hydra.sweep.dir={run_folder.shown(folder)}"
    )
    return ProductRequest(sweep=sweep, options=options, folder=folder, jobs=overrides, needed=(place,))


def jobs(sweep: HydraSweep, options: Options) -> list[list[str]]:
    """Return the overrides of each job. For a key that both name, the command line wins over hydra.sweeper.params."""
    typed = {text.partition("=")[0].lstrip("+") for text in sweep.arguments}
    params = [
        f"{key}={_values(value)}" for key, value in flatten(options.params).items() if key.lstrip("+") not in typed
    ]
    return product([*params, *sweep.arguments], sweep.context.config_loader)


def _values(value: Any) -> str:
    if isinstance(value, list):  # of YAML: the values themselves
        return ",".join(map(text_of, value))
    return value if isinstance(value, str) else text_of(value)


def configurations(sweep: HydraSweep, folder: Path, jobs: Sequence[Sequence[str]]) -> list[ConfigDict]:
    """Compose every job, so that a mistake in the last one is reported before the first one starts.

    Raises:
        ConfigError: with everything that is wrong with any of them.
    """
    problems: dict[str, None] = {}
    config_dicts = []
    for number, job in enumerate(jobs):
        _, config_dict = sweep.compose_job(folder, number, job)
        problems |= dict.fromkeys(sweep.problems(config_dict, job))
        config_dicts.append(config_dict)
    start.refuse(problems)
    return config_dicts


def _description(request: ProductRequest) -> dict[str, Any]:
    """What product.yaml says of a product that begins now."""
    sweep = request.sweep
    return {
        "name": request.folder.name,
        "created": time.time(),
        "commit": commit_of(folder_of(sweep.task)),
        "jobs": {str(number): _job_text(job) for number, job in enumerate(request.jobs)},
        "base": sweep.base | ({"dry_run": False} if sweep.is_dry_run else {}),
        "interpolations": study_folder.interpolations(sweep.config),
    }


def _job_text(job: Sequence[str]) -> str:
    return " ".join(text for text in job if text.partition("=")[0] != "dry_run")


def _dry_run(request: ProductRequest, config_dicts: Sequence[ConfigDict]) -> list[Any]:
    """Show what would run."""
    options, folder = request.options, request.folder
    _check_same(request)
    ended = {job.trial for job in submitted_jobs(folder, len(request.jobs)) if is_final(job.outcome)}
    say(_summary(request))
    for number, job in enumerate(request.jobs):
        say(f"  {number}: {_job_text(job)}{' (has ended)' if number in ended else ''}")
    left = [config_dict for number, config_dict in enumerate(config_dicts) if number not in ended]
    return dry_run.show(request.sweep, folder, left, len(left), options)


def _check_same(request: ProductRequest) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return what product.yaml is to say, and what it would say of a product that begins now."""
    description = _description(request)
    allowed = request.options.allow_changes
    return study_folder.check_same(request.folder, description, allowed, study_folder.PRODUCT), description


def _summary(request: ProductRequest) -> str:
    where = run_folder.shown(request.folder)
    return f"{count(len(request.jobs), 'job')}, {request.options.n_jobs} at a time, in {where}"


def _run_jobs(request: ProductRequest) -> tuple[str, Controller]:
    """Run the jobs, from where an earlier command left them. The caller holds the folder."""
    options, folder = request.options, request.folder
    stored, description = _check_same(request)
    start.write_description(request, stored, description["commit"], study_folder.PRODUCT)
    known = submitted_jobs(folder, len(request.jobs))
    study_folder.check_unfinished(folder, [job.trial for job in known if job.outcome is None])
    say(_summary(request), _progress(request, known))
    known = [job if job.outcome is None or is_final(job.outcome) else _reset(folder, job) for job in known]
    limits = Limits(len(request.jobs), options.n_jobs, options.max_failures, options.max_resubmits, options.timeout_s)
    job_list = JobList(request.jobs, known)
    return start.run(request, job_list, limits, known)


def _progress(request: ProductRequest, known: Sequence[RecoveredTrial]) -> str:
    if not known:
        return f"  if this command ends early, {request.resume_command} resumes"
    ended = sum(is_final(job.outcome) for job in known)
    failed = sum(job.outcome is not None for job in known) - ended
    again = f", {failed} failed and run again" if failed else ""
    return f"  resumes: {start.resumes(ended, 'job', len(known) - ended - failed)}{again}"


def _reset(folder: Path, failed: RecoveredTrial) -> RecoveredTrial:
    """A job that failed as one that was submitted before and waits."""
    Mailbox(folder / "trials" / str(failed.trial)).delete_result()
    return replace(failed, outcome=None, job=None)


def _finish(request: ProductRequest, reason: str, controller: Controller) -> list[Any]:
    ended = sorted((job for job in controller.trials if job.outcome), key=lambda job: job.number)
    results = {job.number: Mailbox(request.folder / "trials" / str(job.number)).result() or {} for job in ended}
    if ended and reason != LEFT_RUNNING:
        say(*job_table.lines(request.jobs, results, {job.number: job.outcome for job in ended if job.outcome}))
    if reason not in (COMPLETE, EXHAUSTED) or controller.counts["failed"]:
        raise SweepError(start.unfinished(request, reason, controller, "job"))
    return [job.outcome.value if job.outcome else None for job in sorted(controller.trials, key=lambda job: job.number)]
