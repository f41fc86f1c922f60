"""Confirm a study: its best few trials and the default configuration again, with new seeds, as whole runs.

A best of many is optimistic, because it was chosen on the very questions that it is judged by. New seeds and the test
split, which no trial has seen, say what is left of it.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcqa.runs.files import read_yaml, write_json, write_yaml
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.report.confirmation import FILE
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord
from mcqa.sweep.report.ties import study_result

FEW = 3  # of the trials that are tied with the best


OVERRIDES = "overrides.yaml"  # in a trial's folder

Job = dict[str, Any]


@dataclass(frozen=True)
class Configuration:
    """trial None: the default, which was none of the trials."""

    trial: int | None
    default: bool
    params: Mapping[str, Any]
    overrides: tuple[str, ...]


def problems(base: Mapping[str, Any], swept: Collection[str]) -> list[str]:
    """Why a study could not be confirmed, to be told before it begins."""
    told = []
    if "seed" in swept:
        told.append("the seed is swept itself, so no seed is a new one.")
    elif not isinstance(base.get("seed"), int) or isinstance(base["seed"], bool):
        told.append("new seeds need a whole number `seed` in the configuration.")
    return [f"hydra.sweeper.confirm: {one}" for one in told]


def chosen(study: StudyRecord, fixed: Sequence[str]) -> list[Configuration]:
    """The best, others tied with it up to FEW, and the default; none of them where no trial is complete.

    fixed: the overrides that all trials have.
    """
    found = study_result(study)
    if found.best is None:
        return []
    numbers = list(dict.fromkeys([found.best.number, *found.tied]))[:FEW]
    usual = study.default_trial
    if usual is not None:
        numbers = list(dict.fromkeys([*numbers, usual.number]))
    trials = {trial.number: trial for trial in study.trials if (trial.folder / OVERRIDES).exists()}
    best = [_configuration(trials[number], trials[number] is usual) for number in numbers if number in trials]
    return best if usual is not None else [*best, Configuration(None, True, {}, tuple(fixed))]


def named(job: Job) -> str:
    """For the user."""
    who = "the default" if job["trial"] is None else f"trial {job['trial']}"
    return f"{who}{', the default,' if job['default'] and job['trial'] is not None else ''} with seed {job['seed']}"


def _configuration(trial: TrialRecord, default: bool) -> Configuration:
    return Configuration(trial.number, default, trial.params, tuple(read_yaml(trial.folder / OVERRIDES)))


def jobs(configurations: Sequence[Configuration], seed: int, seeds: int) -> list[Job]:
    """Every configuration with every new seed: those that follow the study's own."""
    return [
        {"trial": one.trial, "default": one.default, "params": _plain(one.params), "seed": seed + 1 + k,
         "overrides": [*one.overrides, f"seed={seed + 1 + k}"]}
        for one in configurations
        for k in range(seeds)
    ]  # fmt: skip


def seed_of(base: Mapping[str, Any], fixed: Sequence[str]) -> int:
    """What the trials ran with."""
    given = [text.partition("=")[2] for text in fixed if text.partition("=")[0].lstrip("+") == "seed"]
    return int(given[-1] if given else base["seed"])


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, str | int | float | bool | None) else str(value)
        for key, value in params.items()
    }


def planned(folder: Path, found: Sequence[Job]) -> list[Job]:
    """What was planned before, under the same numbers, so that a restart goes on with it; then what is new, noted."""
    path = folder / "jobs.yaml"
    stored: list[Job] = read_yaml(path) if path.exists() else []
    have = {_same(job) for job in stored}
    plan = [*stored, *(job for job in found if _same(job) not in have)]
    if plan != stored:
        folder.mkdir(parents=True, exist_ok=True)
        write_yaml(path, plan)
    return plan


def _same(job: Job) -> tuple[Any, int]:
    """The default may have been no trial when it was planned, and be one now."""
    return "default" if job["default"] else job["trial"], job["seed"]


def write(study: Path, folder: Path, found: Sequence[Job], metric: str | None) -> None:
    """confirm.json of what has ended so far. metric: what the study judges by, None where the app does not name it."""
    results = [Mailbox(folder / "trials" / str(number)).result() or {} for number in range(len(found))]
    name, values = _measured(results, metric)
    configurations: dict[tuple[int | None, bool], dict[str, Any]] = {}
    for job, result, value in zip(found, results, values, strict=True):
        row = configurations.setdefault(
            (job["trial"], job["default"]), {key: job[key] for key in ("trial", "default", "params")} | {"runs": []}
        )
        run: dict[str, Any] = {"seed": job["seed"], "value": value}
        if "folder" in result:
            run["folder"] = os.path.relpath(result["folder"], study)
        if result.get("status") == "failed":
            run["error"] = str(result.get("error") or "failed").strip()
        row["runs"].append(run)
    write_json(study / FILE, {"metric": name, "configurations": list(configurations.values())})


def _measured(results: Sequence[Mapping[str, Any]], metric: str | None) -> tuple[str, list[Any]]:
    """On test what the trials were judged by; of an app that does not measure that, what it returns."""
    _, slash, name = (metric or "").partition("/")
    on_test = [result.get("metrics", {}).get(f"test/{name}") for result in results]
    if slash and (any(value is not None for value in on_test) or not any(results)):
        return f"test/{name}", on_test
    return metric or "value", [result.get("value") for result in results]
