"""Confirm a study: run its best few trials and the default configuration again, with new seeds, as whole runs.

The value of a best trial is optimistic (selection bias), because the trial was chosen on the very questions that it is
measured on. New seeds and the test split, which no trial has seen, say what is left of it.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcqa.config.errors import FileError
from mcqa.config.schema import SEEDS
from mcqa.runs import looks
from mcqa.runs.files import read_stored, write_json, write_yaml
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.report.confirmation import FILE, trains, trains_nothing
from mcqa.sweep.report.next_step import to_confirm
from mcqa.sweep.report.study_data import StudyRecord
from mcqa.sweep.report.ties import study_result
from mcqa.sweep.study_folder import stored_overrides

Job = dict[str, Any]  # trial, default and params of its configuration, seed, overrides
FOLLOWS_SEED = "order_seed=null"
JOB_KEYS = ("trial", "default", "params", "seed", "overrides")


@dataclass(frozen=True)
class Configuration:
    """trial: None for the default configuration where no trial has it. trains: not objective=none, which no seed
    changes."""

    trial: int | None
    default: bool
    params: Mapping[str, Any]
    overrides: tuple[str, ...]
    trains: bool = True


def problems(base: Mapping[str, Any], swept: Collection[str]) -> list[str]:
    """Return why a study could not be confirmed, before it begins."""
    problem, swept_seeds = None, [key for key in SEEDS if key in swept]
    if swept_seeds:
        problem = f"{', '.join(swept_seeds)} is swept, so a trial's seeds are a part of it and none is a new one."
    elif not isinstance(base.get("seed"), int) or isinstance(base["seed"], bool):
        problem = "new seeds need a whole number `seed` in the configuration."
    return [f"hydra.sweeper.confirm: {problem}"] if problem else []


def select_configurations(study: StudyRecord, fixed: Sequence[str]) -> list[Configuration]:
    """Return the trials that are worth it and the default; nothing where no trial is complete.

    fixed: the overrides that all trials have.
    """
    result, default = study_result(study), study.default_trial
    if result.best is None:
        return []
    numbers = [*dict.fromkeys([*to_confirm(study, result), *([default.number] if default else [])])]
    trials = {trial.number: trial for trial in study.trials}
    configurations = [
        Configuration(number, trial is default, trial.params, tuple(overrides), trains(trial.folder))
        for number in numbers
        if (trial := trials.get(number)) and (overrides := stored_overrides(trial.folder)) is not None
    ]
    if default:
        return configurations
    return [*configurations, Configuration(None, True, {}, tuple(fixed), not trains_nothing(study.base))]


def describe_job(job: Job) -> str:
    name = "the default" if job["trial"] is None else f"trial {job['trial']}"
    return f"{name}{', the default,' if job['default'] and job['trial'] is not None else ''} with seed {job['seed']}"


def jobs(configurations: Sequence[Configuration], seed: int, n_seeds: int, order_is_fixed: bool = False) -> list[Job]:
    """Return every configuration with every new seed: those that follow the study's own, `seed`; with the first of them
    alone where it trains nothing.

    order_is_fixed: the order of questions has a seed of its own, which would be the same in all; it is to follow
    `seed` then.
    """
    order = [FOLLOWS_SEED] if order_is_fixed else []
    return [
        {
            "trial": configuration.trial,
            "default": configuration.default,
            "params": {
                key: value if isinstance(value, str | int | float | bool | None) else str(value)
                for key, value in configuration.params.items()
            },
            "seed": new,
            "overrides": [*configuration.overrides, f"seed={new}", *order],
        }
        for configuration in configurations
        for new in range(seed + 1, seed + 1 + (n_seeds if configuration.trains else 1))
    ]


def record_look(study: StudyRecord, jobs: Sequence[Job]) -> list[looks.Look]:
    """Write down that test is looked at, and which trial is the candidate, before the jobs start; return all looks.

    The candidate is the trial that is best on dev. Jobs that an earlier look has covered are no new one. Nothing is
    written where no trial is complete, or by an application whose metric is not one of dev.
    """
    earlier = looks.read(study.folder)
    if not jobs or not study.complete or not study.metric.startswith("dev/"):
        return earlier
    known = {(trial, seed) for look in earlier for trial in look.get("trials", []) for seed in look.get("seeds", [])}
    wanted = [_identity(job) for job in jobs]
    if {*wanted} <= known:
        return earlier
    data = study.base.get("data")
    looks.add(
        study.folder,
        "hydra.sweeper.confirm",
        str(data.get("name")) if isinstance(data, Mapping) else "",
        candidate=study.complete[0].number,
        trials=list(dict.fromkeys(trial for trial, _ in wanted)),
        seeds=sorted({seed for _, seed in wanted}),
    )
    return looks.read(study.folder)


def seed_of(base: Mapping[str, Any], fixed: Sequence[str]) -> int:
    """Return the seed that the trials ran with."""
    seeds = [text.partition("=")[2] for text in fixed if text.partition("=")[0].lstrip("+") == "seed"]
    return int(seeds[-1] if seeds else base["seed"])


def order_is_fixed(base: Mapping[str, Any], fixed: Sequence[str]) -> bool:
    """Return whether the trials ran with a seed of the order that is not that of all else."""
    orders = [text.partition("=")[2] for text in fixed if text.partition("=")[0].lstrip("+") == "order_seed"]
    return orders[-1] not in ("null", "None") if orders else base.get("order_seed") is not None


def update_plan(folder: Path, wanted: Sequence[Job]) -> list[Job]:
    """Return the jobs planned before, under the same numbers, so that a restart resumes them, then the new ones."""
    path = folder / "jobs.yaml"
    remedy = f"It says which confirmation each folder in {folder / 'trials'} is; restore it, or move {folder} away."
    stored: list[Job] = read_stored(path, remedy, list) if path.exists() else []
    if not all(
        isinstance(job, dict) and job.keys() >= {*JOB_KEYS} and isinstance(job["overrides"], list) for job in stored
    ):
        raise FileError(f"{path} is damaged: a job in it lacks some of {', '.join(JOB_KEYS)}. {remedy}")
    known = {_identity(job) for job in stored}
    plan = [*stored, *(job for job in wanted if _identity(job) not in known)]
    if plan != stored:
        folder.mkdir(parents=True, exist_ok=True)
        write_yaml(path, plan)
    return plan


def _identity(job: Job) -> tuple[Any, int]:
    """The default may have been no trial when it was planned, and be one now."""
    return "default" if job["default"] else job["trial"], job["seed"]


def write(study: Path, folder: Path, jobs: Sequence[Job], metric: str | None) -> None:
    """Write confirm.json with what has ended so far. metric: the study's; None where the app does not name it."""
    results = [Mailbox(folder / "trials" / str(number)).result() or {} for number in range(len(jobs))]
    name, values = _measured(results, metric)
    rows: dict[tuple[int | None, bool], dict[str, Any]] = {}
    for job, result, value in zip(jobs, results, values, strict=True):
        configuration = {key: job[key] for key in ("trial", "default", "params")}
        row = rows.setdefault((job["trial"], job["default"]), configuration | {"runs": []})
        run: dict[str, Any] = {"seed": job["seed"], "value": value}
        if isinstance(result.get("folder"), str):
            run["folder"] = os.path.relpath(result["folder"], study)
        if result.get("status") == "failed":
            run["error"] = str(result.get("error") or "failed").strip()
        row["runs"].append(run)
    write_json(study / FILE, {"metric": name, "configurations": list(rows.values())})


def _measured(results: Sequence[Mapping[str, Any]], metric: str | None) -> tuple[str, list[Any]]:
    """The study's metric on test, with its name; of an app that does not measure that, the value that it returns."""
    _, slash, name = (metric or "").partition("/")
    metrics = [each if isinstance(each := result.get("metrics"), dict) else {} for result in results]
    on_test = [each.get(f"test/{name}") for each in metrics]
    if slash and (any(value is not None for value in on_test) or not any(results)):
        return f"test/{name}", on_test
    return metric or "value", [result.get("value") for result in results]
