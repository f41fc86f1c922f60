"""The plain product of --multirun: every combination of the lists, each job once, over as many commands as it takes."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcqa.config.errors import SweepError
from mcqa.runs import run_folder
from mcqa.runs.environment import commit_of, folder_of
from mcqa.runs.files import flat
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep import dry_run, messages, start, study_folder
from mcqa.sweep.compose import HydraSweep
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import COMPLETE, EXHAUSTED, Limits, RecoveredTrial
from mcqa.sweep.hooks import ConfigDict
from mcqa.sweep.messages import SAME_COMMAND, unfinished
from mcqa.sweep.options import Options
from mcqa.sweep.recovery import begun, ended_for_good
from mcqa.sweep.space.override_text import text_of
from mcqa.sweep.space.parsing import product
from mcqa.sweep.start import say
from mcqa.sweep.trial_source import JobList


@dataclass(frozen=True)
class Product:
    """jobs: the overrides of each. again: the command that goes on with them, for the user."""

    given: HydraSweep
    options: Options
    jobs: list[list[str]]
    folder: Path
    again: str


def run(given: HydraSweep, options: Options) -> list[Any]:
    """Every combination once. It ends with an error where one of them failed."""
    product = _asked_for(given, options)
    trees = configurations(given, product.folder, product.jobs)
    if given.is_dry_run:
        return _look(product, trees)
    goes_on = (product.folder / study_folder.PRODUCT).exists()
    start.refuse_what_cannot_run(given, lambda: trees, product.folder, goes_on)
    run_folder.make(product.folder, exist_ok=True)
    with study_folder.only_controller(product.folder):
        reason, controller = _run(product)
    return _ended(product, reason, controller)


# --- what is asked for ------------------------------------------------------------------------------------------------


def _asked_for(given: HydraSweep, options: Options) -> Product:
    todo = jobs(given, options)
    if options.study_name is not None:
        return Product(given, options, todo, given.named(options.study_name, found_again=True), SAME_COMMAND)
    folder = given.named(f"{given.usual_name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")
    found_by = f"study_name={folder.name}" if given.is_placed_by_name else f"sweep.dir={run_folder.shown(folder)}"
    key = "hydra.sweeper" if given.is_placed_by_name else "hydra"
    return Product(given, options, todo, folder, f"{SAME_COMMAND} with {key}.{found_by}")


def jobs(given: HydraSweep, options: Options) -> list[list[str]]:
    """The overrides of each."""
    return product([*_lines(options.params, given.arguments), *given.arguments], given.context.config_loader)


def _lines(params: Mapping[str, Any], arguments: Sequence[str]) -> list[str]:
    """hydra.sweeper.params as on a command line, without what that says otherwise."""
    named = {text.partition("=")[0].lstrip("+") for text in arguments}
    return [f"{key}={_values(value)}" for key, value in flat(params).items() if key.lstrip("+") not in named]


def _values(value: Any) -> str:
    if isinstance(value, list):  # of YAML: the values themselves
        return ",".join(map(text_of, value))
    return value if isinstance(value, str) else text_of(value)


def configurations(given: HydraSweep, folder: Path, jobs: Sequence[Sequence[str]]) -> list[ConfigDict]:
    """Of every job. A mistake in the last one is told before the first one starts."""
    problems: dict[str, None] = {}
    trees = []
    for number, job in enumerate(jobs):
        _, tree = given.of_job(folder, number, job)
        problems |= dict.fromkeys(given.problems(tree, job))
        trees.append(tree)
    start.refuse(problems)
    return trees


def _description(product: Product) -> dict[str, Any]:
    """Of one that begins now, for product.yaml."""
    given = product.given
    asks_to_run = {"dry_run": False} if given.is_dry_run else {}
    return {
        "name": product.folder.name,
        "created": time.time(),
        "commit": commit_of(folder_of(given.task)),
        "jobs": {str(number): _told(job) for number, job in enumerate(product.jobs)},
        "base": given.base | asks_to_run,
        "interpolations": study_folder.interpolations(given.config),
    }


def _told(job: Sequence[str]) -> str:
    return " ".join(text for text in job if text.partition("=")[0] != "dry_run")


def _look(product: Product, trees: Sequence[ConfigDict]) -> list[Any]:
    """dry_run: what would run."""
    options, folder = product.options, product.folder
    study_folder.check_same(folder, _description(product), options.allow_changes, study_folder.PRODUCT)
    kept = {one.trial for one in begun(folder, len(product.jobs)) if ended_for_good(one.outcome)}
    say(_summary(product))
    say(*(f"  {number}: {_told(job)}{' (has ended)' * (number in kept)}" for number, job in enumerate(product.jobs)))
    left = [tree for number, tree in enumerate(trees) if number not in kept]
    return dry_run.show(product.given, folder, left, len(left), options)


def _summary(product: Product) -> str:
    count, where = len(product.jobs), run_folder.shown(product.folder)
    return f"{count} job{'s' * (count != 1)}, {product.options.n_jobs} at a time, in {where}"


# --- the jobs ---------------------------------------------------------------------------------------------------------


def _run(product: Product) -> tuple[str, Controller]:
    """The jobs, from where an earlier command left them. The caller holds the folder."""
    given, options, folder = product.given, product.options, product.folder
    _describe(product)
    start.write_multirun(given, folder)
    known = begun(folder, len(product.jobs))
    say(_summary(product), _state(product, known))
    known = [one if one.outcome is None or ended_for_good(one.outcome) else _anew(folder, one) for one in known]
    count = len(product.jobs)
    limits = Limits(count, options.n_jobs, options.max_failures, options.max_resubmits, options.timeout_s)
    return start.run(given, options, JobList(product.jobs, known), limits, known, folder, again=product.again)


def _describe(product: Product) -> None:
    wanted = _description(product)
    described = study_folder.check_same(product.folder, wanted, product.options.allow_changes, study_folder.PRODUCT)
    study_folder.write_description(product.folder, described, study_folder.PRODUCT)
    if described["commit"] != wanted["commit"]:
        say(messages.other_code("these jobs", described["commit"], wanted["commit"]))


def _state(product: Product, known: Sequence[RecoveredTrial]) -> str:
    """Where it is as its command begins."""
    if not known:
        return f"  should this command end early, {product.again} goes on"
    kept = sum(ended_for_good(one.outcome) for one in known)
    failed = sum(one.outcome is not None for one in known) - kept
    again = f", {failed} failed and run again" if failed else ""
    return f"  goes on: {kept} have ended{again}, {len(known) - kept - failed} had begun"


def _anew(folder: Path, failed: RecoveredTrial) -> RecoveredTrial:
    """As one that was submitted before and waits."""
    Mailbox(folder / "trials" / str(failed.trial)).delete_result()
    return replace(failed, outcome=None, job=None)


def _ended(product: Product, reason: str, controller: Controller) -> list[Any]:
    if reason not in (COMPLETE, EXHAUSTED) or controller.counts["failed"]:
        raise SweepError(unfinished(reason, controller, product.folder, "job", product.again))
    jobs = sorted(controller.trials, key=lambda job: job.number)
    results = [Mailbox(product.folder / "trials" / str(job.number)).result() or {} for job in jobs]
    say(*(f"job {number}: {one['folder']}" for number, one in enumerate(results) if "folder" in one))
    return [job.outcome.value if job.outcome else None for job in jobs]
