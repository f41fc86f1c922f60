"""The URL of a study's storage: made absolute, and shown without its password.

A password is written into no file. A report in the process that runs the study has it from there; a later one asks
the database without, which PostgreSQL answers by PGPASSWORD or ~/.pgpass.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.storages import BaseStorage, JournalStorage
from optuna.trial import FixedTrial

from mcqa.config.errors import ConfigError, nearest
from mcqa.sweep.optuna_study.journal import Journal, repair
from mcqa.sweep.optuna_study.samplers import GRID
from mcqa.sweep.space.dimension import Dimension, Interval
from mcqa.sweep.space.override_text import text_of
from mcqa.sweep.space.space import Space

SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)", re.DOTALL)  # a path that is relative


USER = re.compile(r"://([^:/@]*):[^@]*@")


QUERY = re.compile(r"([?&]password=)[^&]*")


HIDDEN = "***"

_given: dict[str, str] = {}  # the URLs that this process was given, by how they are shown


def absolute(url: str) -> str:
    """With the file of a relative SQLite URL below the working folder of now, wherever it is read later."""
    if not (found := SQLITE.fullmatch(url)):
        return url
    scheme, path, query = found.groups()
    return f"{scheme}{Path(path).absolute()}{query}"


def shown(url: str) -> str:
    return QUERY.sub(rf"\g<1>{HIDDEN}", USER.sub(rf"://\1:{HIDDEN}@", url))


def remembered(url: str) -> str:
    """How the URL is written down; `usable` leads back to it in this process."""
    _given[shown(url)] = url
    return shown(url)


def usable(written: str) -> str:
    """The URL that was written down, without a password where this process was never given one."""
    return _given.get(written) or written.replace(f":{HIDDEN}@", "@")


def hide(hydra: DictConfig) -> None:
    """Take the password of hydra.sweeper.storage out of hydra's node, also where it stands as typed."""
    url = OmegaConf.to_container(hydra.sweeper, resolve=False)["storage"]
    if not isinstance(url, str) or shown(url) == url:
        return
    with read_write(hydra), open_dict(hydra):
        hydra.sweeper.storage = shown(url)
        hydra.overrides.hydra = [shown(line) for line in hydra.overrides.hydra]


DIRECTIONS = ("minimize", "maximize")


FOLDER = "folder"  # user attribute of a study in Optuna: whose controller asks for its trials


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
        repair(path)
        journal = Journal(path)
        return journal, JournalStorage(journal)
    try:
        return None, optuna.storages.get_storage(storage)
    except Exception as error:  # as many kinds as there are databases
        url = shown(storage)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"hydra.sweeper.storage={url}: cannot be opened: {reason.replace(storage, url)}. "
            "It wants a URL such as sqlite:///study.db, or null for a journal in the study's folder."
        ) from error


def check_directions(study: optuna.Study, wanted: Sequence[str]) -> None:
    found = [direction.name.lower() for direction in study.directions]
    if found != list(wanted):
        raise ConfigError(
            f"hydra.sweeper.direction={','.join(wanted)}: the study {study.study_name!r} was begun with "
            f"{','.join(found)}. Restore that, or give another study_name."
        )


def check_choices(study: optuna.Study, space: Space) -> None:
    """Optuna keeps the choices of a key, and whether it is a whole number or on a log scale, as long as a study."""
    stored: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        stored |= trial.distributions
    problems = []
    for dimension in space.dimensions:
        if dimension.name not in stored:
            continue
        before, now = stored[dimension.name], _distribution(dimension)
        try:
            check_distribution_compatibility(before, now)
        except ValueError:
            problems.append(f"{dimension.name}: {_words(before)} -> {_words(now)}")
    if problems:
        raise ConfigError(
            f"The trials of the study {study.study_name!r} have other choices or kinds of numbers for some keys:\n  "
            + "\n  ".join(problems)
            + "\nRestore them, or give another hydra.sweeper.study_name."
        )


def _distribution(dimension: Dimension) -> BaseDistribution:
    value = dimension.low if isinstance(dimension, Interval) else next(dimension.params())
    trial = FixedTrial({dimension.name: value})
    dimension.suggest(trial)
    return trial.distributions[dimension.name]


def _words(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return f"choice({','.join(map(text_of, distribution.choices))})"
    whole, log = isinstance(distribution, IntDistribution), getattr(distribution, "log", False)
    return ("whole numbers" if whole else "floats") + (" on a log scale" if log else "")


def claim(study: optuna.Study, folder: Path, take: bool) -> None:
    """Note in a storage that others reach too which folder's controller asks for the trials.

    Args:
        take: it is this one's from now on, whoever had it.

    Raises:
        ConfigError: another folder has it, and is still there.
    """
    own = str(folder.absolute())
    owner = study.user_attrs.get(FOLDER)
    if owner in (None, own) or take or not Path(owner).is_dir():
        study.set_user_attr(FOLDER, own)
        owner = study.user_attrs[FOLDER]  # of two that begin at the same moment the later one has it
    if owner != own:
        raise ConfigError(
            f"hydra.sweeper.storage: the study {study.study_name!r} in it belongs to {owner}; two controllers would "
            f"number its trials twice. Go on there (hydra.sweep.dir={owner}), give another hydra.sweeper.study_name, "
            "or, when nothing runs there any more, take it over with hydra.sweeper.allow_changes=true."
        )
