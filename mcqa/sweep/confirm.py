"""Confirm a study: its best few trials and the default configuration again, with new seeds, as whole runs.

A best of many is optimistic, because it was chosen on the very questions that it is judged by. New seeds and the test
split, which no trial has seen, say what is left of it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcqa import run_folder
from mcqa.errors import ConfigError
from mcqa.sweep.answer import answer
from mcqa.sweep.confirmed import FILE
from mcqa.sweep.controller import Known
from mcqa.sweep.loop import outcome
from mcqa.sweep.mailbox import Mailbox
from mcqa.sweep.recorded import Recorded, Trial

FEW = 3  # of the trials that are tied with the best

Job = dict[str, Any]


@dataclass(frozen=True)
class Configuration:
    """trial None: the default, which was none of the trials."""

    trial: int | None
    default: bool
    params: Mapping[str, Any]
    overrides: tuple[str, ...]


def chosen(study: Recorded) -> list[Configuration]:
    """The best, others tied with it up to FEW, and the default.

    Raises:
        ConfigError: no trial is complete, or there are several objectives.
    """
    found = answer(study)
    if found.best is None:
        raise ConfigError("hydra.sweeper.confirm: the study has no complete trial, or no single best one, to confirm.")
    trials = {trial.number: trial for trial in study.trials}
    numbers = list(dict.fromkeys([found.best.number, *found.tied]))[:FEW]
    usual = study.default.number if study.default else None
    if usual is not None and usual not in numbers:
        numbers.append(usual)
    best = [_configuration(trials[number], number == usual) for number in numbers]
    return best if usual is not None else [*best, Configuration(None, True, {}, _fixed(study))]


def _fixed(study: Recorded) -> tuple[str, ...]:
    """The command line of the study without what it swept."""
    swept = {key.lstrip("+") for key in study.description.get("space", ())}
    return tuple(text for text in study.overrides if text.partition("=")[0].lstrip("+") not in swept)


def _configuration(trial: Trial, default: bool) -> Configuration:
    return Configuration(
        trial.number, default, trial.params, tuple(run_folder.read_yaml(trial.folder / "overrides.yaml"))
    )


def jobs(configurations: Sequence[Configuration], base: Mapping[str, Any], seeds: int) -> list[Job]:
    """Every configuration with every new seed: those that follow the study's own.

    Raises:
        ConfigError: the base configuration has no whole number `seed`.
    """
    first = base.get("seed")
    if not isinstance(first, int):
        raise ConfigError("hydra.sweeper.confirm: new seeds need a whole number `seed` in the configuration.")
    return [
        {"trial": one.trial, "default": one.default, "params": _plain(one.params), "seed": first + 1 + k,
         "overrides": [*one.overrides, f"seed={first + 1 + k}"]}
        for one in configurations
        for k in range(seeds)
    ]  # fmt: skip


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, str | int | float | bool | None) else str(value)
        for key, value in params.items()
    }


def planned(folder: Path, found: list[Job]) -> list[Job]:
    """What was planned at the first start, so that a restart goes on with the same; otherwise these jobs, noted."""
    path = folder / "jobs.yaml"
    if path.exists():
        stored: list[Job] = run_folder.read_yaml(path)
        return stored
    folder.mkdir(parents=True, exist_ok=True)
    run_folder.write_yaml(path, found)
    return found


def known(folder: Path, count: int) -> list[Known]:
    """What an earlier controller started of them."""
    started = []
    for number in range(count):
        box = Mailbox(folder / "trials" / str(number))
        if entries := box.jobs():
            result = box.result()
            ended = outcome(result) if result and box.is_over() else None
            started.append(Known(number, ended, len(entries), entries[-1].job or entries[-1].token))
    return started


def write(study: Path, folder: Path, found: Sequence[Job], metric: str) -> None:
    """confirm.json of what has ended so far."""
    configurations: dict[tuple[int | None, bool], dict[str, Any]] = {}
    for number, job in enumerate(found):
        result = Mailbox(folder / "trials" / str(number)).result() or {}
        row = configurations.setdefault(
            (job["trial"], job["default"]), {key: job[key] for key in ("trial", "default", "params")} | {"runs": []}
        )
        run: dict[str, Any] = {"seed": job["seed"], "value": result.get("metrics", {}).get(metric)}
        if "folder" in result:
            run["folder"] = os.path.relpath(result["folder"], study)
        row["runs"].append(run)
    run_folder.write_json(study / FILE, {"metric": metric, "configurations": list(configurations.values())})
