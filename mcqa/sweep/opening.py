"""Opening a study: whether what is asked of it goes together, and its storage."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage

from mcqa.errors import ConfigError, nearest
from mcqa.sweep.journal import Journal, mend
from mcqa.sweep.samplers import GRID
from mcqa.sweep.space import Space

DIRECTIONS = ("minimize", "maximize")


def check(space: Space, directions: Sequence[str], sampler: Mapping[str, Any], pruner: Mapping[str, Any]) -> None:
    """
    Raises:
        ConfigError: with everything that does not go together.
    """
    problems = [
        f"hydra.sweeper.direction: {direction!r} is neither minimize nor maximize.{nearest(direction, DIRECTIONS)}"
        for direction in directions
        if direction not in DIRECTIONS
    ]
    if not directions:
        problems.append("hydra.sweeper.direction: give one, or a list of them.")
    if len(directions) > 1 and pruner.get("name") != "none":
        problems.append(
            "hydra.sweeper.pruner: with several directions there is no pruning (hydra/sweeper/pruner=none)."
        )
    if not space.dimensions and not space.function:
        problems.append("hydra.sweeper.params: nothing varies. Give a key several values, such as seed: range(0,5).")
    if sampler.get("name") == GRID:
        problems += _problems_of_grid(space, sampler)
    if problems:
        raise ConfigError("This study cannot be made:\n  " + "\n  ".join(problems))


def _problems_of_grid(space: Space, sampler: Mapping[str, Any]) -> list[str]:
    problems = []
    if uncountable := space.uncountable():
        keys = ", ".join(uncountable)
        problems.append(f"hydra.sweeper.sampler=grid: {keys} has no list of values; give choice(...) or range(...).")
    if options := sorted(set(sampler) - {"name"}):
        problems.append(f"hydra.sweeper.sampler=grid takes no options, got {', '.join(options)}.")
    return problems


def open_storage(folder: Path, storage: str | None) -> tuple[Journal | None, BaseStorage]:
    if storage is None:
        path = folder / "journal.log"
        mend(path)
        journal = Journal(path)
        return journal, JournalStorage(journal)
    try:
        return None, optuna.storages.get_storage(storage)
    except Exception as error:  # as many kinds as there are databases
        shown = re.sub(r"://([^:/@]*):[^@]*@", r"://\1:***@", storage)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"hydra.sweeper.storage={shown}: cannot be opened: {reason.replace(storage, shown)}. "
            "It wants a URL such as sqlite:///study.db, or null for a journal in the study's folder."
        ) from error


def check_directions(study: optuna.Study, wanted: Sequence[str]) -> None:
    found = [direction.name.lower() for direction in study.directions]
    if found != list(wanted):
        raise ConfigError(
            f"hydra.sweeper.direction={','.join(wanted)}: the study {study.study_name!r} was begun with "
            f"{','.join(found)}. Restore that, or give another study_name."
        )
