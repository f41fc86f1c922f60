"""What a study is asked to be: everything that does not go together is told before anything is written."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcqa.sweep import identity, opening, running, samplers
from mcqa.sweep import space as spaces
from mcqa.sweep import storage as storages
from mcqa.sweep.given import Sweep, Tree
from mcqa.sweep.job import commit_of, folder_of
from mcqa.sweep.options import Direction, Options
from mcqa.sweep.space import Space


@dataclass(frozen=True)
class Asked:
    """A study that goes together. tree: its base configuration, which the app has completed."""

    given: Sweep
    options: Options
    tree: Tree
    space: Space
    directions: list[Direction]
    folder: Path


def asked_for(given: Sweep, options: Options) -> Asked:
    """
    Raises:
        ConfigError: with what does not go together.
    """
    tree = given.base
    problems = given.problems(tree, given.fixed)
    space = space_of(given, options, tree)
    directions = _directions(given, options, tree)
    if given.hooks and not problems:
        problems += given.hooks.check(tree, space, options.metric, directions, options.pruner.get("name") != "none")
    running.refuse([*problems, *_unconfirmable(options, space, tree, directions)])
    _check_search(options, space, directions)
    folder = given.named(options.study_name or given.usual_name, found_again=True)
    return Asked(given, options, tree, space, directions, folder)


def space_of(given: Sweep, options: Options, tree: Tree) -> Space:
    return spaces.parse(
        options.params, given.arguments, tree, given.choices, options.function, given.context.config_loader
    )


def _directions(given: Sweep, options: Options, tree: Tree) -> list[Direction]:
    if isinstance(options.direction, list):
        return options.direction
    return [options.direction or (given.hooks.direction(tree) if given.hooks else "maximize")]


def _unconfirmable(options: Options, space: Space, tree: Tree, directions: Sequence[Direction]) -> list[str]:
    if not options.confirm:
        return []
    from mcqa.sweep import confirm

    return confirm.problems(tree, [dimension.name for dimension in space.dimensions], directions)


def _check_search(options: Options, space: Space, directions: Sequence[Direction]) -> None:
    """What Optuna would refuse, before the study's folder says that this is what it searches."""
    opening.check(space, directions, options.sampler, options.pruner)
    if options.sampler.get("name") != samplers.GRID:
        samplers.make_sampler(options.sampler, options.seed)
    samplers.make_pruner(options.pruner)


def description_of(asked: Asked) -> dict[str, Any]:
    """Of a study that begins now, for study.yaml."""
    given, options = asked.given, asked.options
    return {
        "name": asked.folder.name,
        "sweep": given.choices.get("sweeps"),
        "created": time.time(),
        "commit": commit_of(folder_of(given.task)),
        "directions": asked.directions,
        "metric": options.metric,
        "sampler": options.sampler,
        "pruner": options.pruner,
        "seed": options.seed,
        "storage": storages.remembered(url) if (url := storage_of(options)) else None,
        "space": asked.space.grammar(),
        "base": asked.tree,
        "interpolations": identity.interpolations(given.config),
        "overrides": list(given.arguments),
        "n_trials": options.n_trials,
        "n_jobs": options.n_jobs,
    }


def storage_of(options: Options) -> str | None:
    return storages.absolute(options.storage) if options.storage else None
