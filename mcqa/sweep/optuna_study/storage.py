"""Where the trials of a study are kept: the journal in its folder, or any storage that Optuna opens by a URL."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.storages import BaseStorage, JournalStorage

from mcqa.config.errors import ConfigError
from mcqa.sweep.options import Direction
from mcqa.sweep.optuna_study.journal import Journal, repair
from mcqa.sweep.optuna_study.samplers import GRID
from mcqa.sweep.space.override_text import text_of
from mcqa.sweep.space.space import Space

RELATIVE_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)", re.DOTALL)

FOLDER = "folder"  # user attribute of a study in Optuna: whose controller asks for its trials


def absolute(url: str) -> str:
    """Return the URL with a relative SQLite path resolved in the working folder, so that it is valid from any other."""
    if not (match := RELATIVE_SQLITE.fullmatch(url)):
        return url
    scheme, path, query = match.groups()
    return f"{scheme}{Path(path).absolute()}{query}"


def without_mask(stored: str) -> str:
    """Return the URL in a study.yaml without the *** that earlier versions wrote in the place of a password."""
    return re.sub(r"([?&])password=\*\*\*&?", r"\1", stored.replace(":***@", "@")).rstrip("?&")


def check(space: Space, sampler: Mapping[str, Any]) -> None:
    """Raise a ConfigError with everything of the space and the sampler that does not go together."""
    problems = []
    if not space.dimensions and not space.function:
        problems.append("hydra.sweeper.params: nothing varies. Give a key several values, such as seed: range(0,5).")
    if sampler.get("name") == GRID:
        if keys := space.not_enumerable():
            problems.append(
                f"hydra.sweeper.sampler=grid: {', '.join(keys)} has no list of values; give choice(...) or range(...)."
            )
        if options := sorted(set(sampler) - {"name"}):
            problems.append(f"hydra.sweeper.sampler=grid takes no options, got {', '.join(options)}.")
    if problems:
        raise ConfigError("This study cannot be made:\n  " + "\n  ".join(problems))


def open_storage(folder: Path, url: str | None) -> tuple[Journal | None, BaseStorage]:
    """Open the storage at the URL, or the journal in the folder. Raises ConfigError where Optuna cannot."""
    if url is None:
        path = folder / "journal.log"
        repair(path)
        journal = Journal(path)
        with journal.replaying():
            return journal, JournalStorage(journal)
    try:
        return None, optuna.storages.get_storage(url)
    except Exception as error:  # as many kinds as there are databases
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"hydra.sweeper.storage={url}: cannot be opened: {reason}. "
            "It wants a URL such as sqlite:///study.db, or null for a journal in the study's folder."
        ) from error


def check_same(study: optuna.Study, direction: Direction, space: Space) -> None:
    """Check that the study was begun with this direction, and with distributions that this space can continue.

    Optuna keeps the choices of a key, and whether it is a whole number or on a log scale, as long as a study.
    """
    stored = [each.name.lower() for each in study.directions]
    if stored != [direction]:
        raise ConfigError(
            f"hydra.sweeper.direction={direction}: the study {study.study_name!r} was begun with {','.join(stored)}. "
            "Restore that, or give another study_name."
        )
    known: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        known |= trial.distributions
    problems = []
    for name, distribution in space.distributions.items():
        if name not in known:
            continue
        try:
            check_distribution_compatibility(known[name], distribution)
        except ValueError:
            problems.append(f"{name}: {_describe(known[name])} -> {_describe(distribution)}")
    if problems:
        raise ConfigError(
            f"The trials of the study {study.study_name!r} have other choices or kinds of numbers for some keys:\n  "
            + "\n  ".join(problems)
            + "\nRestore them, or give another hydra.sweeper.study_name."
        )


def _describe(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return f"choice({','.join(map(text_of, distribution.choices))})"
    whole, log = isinstance(distribution, IntDistribution), getattr(distribution, "log", False)
    return ("whole numbers" if whole else "floats") + (" on a log scale" if log else "")


def claim(study: optuna.Study, folder: Path, take: bool) -> None:
    """Note in a storage that others can reach too which folder's controller asks for the trials.

    take: this one from now on, whichever had it.

    Raises:
        ConfigError: another folder has it, and still exists.
    """
    own = str(folder.absolute())
    owner = study.user_attrs.get(FOLDER)
    if owner in (None, own) or take or not Path(owner).is_dir():
        study.set_user_attr(FOLDER, own)
        owner = study.user_attrs[FOLDER]  # of two that begin at the same moment the later one has it
    if owner != own:
        raise ConfigError(
            f"hydra.sweeper.storage: the study {study.study_name!r} in it belongs to {owner}; two controllers would "
            f"number its trials twice. Resume it there (hydra.sweep.dir={owner}), give another "
            "hydra.sweeper.study_name, or, when nothing runs there any more, take it over with "
            "hydra.sweeper.allow_changes=true."
        )
