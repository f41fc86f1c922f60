"""The search space: `hydra.sweeper.params` and the command line, in Hydra's own grammar.

    params:
      optimizer.learning_rate: tag(log,interval(1e-5,1e-2))
      peft: none,lora                               # a group
      peft.targets: [[q_proj], [q_proj, v_proj]]    # a YAML list holds the values themselves
      seed: 3                                       # one value: fixed for every trial

What the command line says of a key replaces what params say of it. A function may add dimensions that depend on
others:

    def function(trial: optuna.Trial, config: dict) -> dict | None:
        if trial.params["peft"] == "lora":
            trial.suggest_int("peft.rank", 4, 64, log=True)

Whatever it suggests becomes an override by the name it suggests it under, and so does whatever it returns; a key
that it returns wins. `config` is the base configuration, a copy.
"""

import copy
import itertools
import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.utils import get_method

from mcqa.config.errors import ConfigError
from mcqa.sweep.space import parsing
from mcqa.sweep.space.dimension import Dimension
from mcqa.sweep.space.override_text import read_back, text_of


class DefaultOutsideSpace(ValueError):
    """The base configuration is no point of the space; the message says which keys are the reason."""


@dataclass(frozen=True)
class Point:
    """One trial settled beforehand: Optuna's values and distributions by name, and the overrides they become."""

    params: dict[str, Any]
    distributions: dict[str, Any]
    overrides: list[str]


@dataclass(frozen=True)
class Space:
    """`fixed` are the overrides that every trial has; `groups` says which option each Hydra group stands at."""

    dimensions: tuple[Dimension, ...]
    fixed: tuple[str, ...]
    function: str | None
    base: Mapping[str, Any]
    groups: Mapping[str, Any]

    def grammar(self) -> dict[str, str]:
        """Text by key, the same however it was spelt, to tell whether a space has changed."""
        texts = {dimension.key: dimension.grammar() for dimension in self.dimensions}
        return texts | ({"function": self.function} if self.function else {})

    def draw(self, trial: Any) -> list[str]:
        """The overrides of one Optuna trial, which is asked for every dimension.

        Raises:
            ConfigError: when the function fails or suggests what no override can say.
        """
        texts = {dimension.key: dimension.suggest(trial) for dimension in self.dimensions}
        if self.function:
            texts |= self._conditional(trial, self.function)
        return [f"{key}={text}" for key, text in texts.items()]

    def _conditional(self, trial: Any, path: str) -> dict[str, str]:
        names = {dimension.name for dimension in self.dimensions}
        try:
            returned = get_method(path)(trial, copy.deepcopy(dict(self.base))) or {}
            suggested = {name: value for name, value in trial.params.items() if name not in names}
            return {key: text_of(value) for key, value in (suggested | dict(returned)).items()}
        except Exception as error:
            hint = " A key has the same choices in every trial." if "dynamic value space" in str(error) else ""
            raise ConfigError(f"hydra.sweeper.function={path}: {type(error).__name__}: {error}{hint}") from error

    def point(self, params: Mapping[str, Any]) -> Point:
        """The trial with these values, without asking a study."""
        from optuna.trial import FixedTrial

        trial = FixedTrial(dict(params))
        overrides = self.draw(trial)
        return Point(dict(trial.params), dict(trial.distributions), overrides)

    def default(self) -> Point:
        """The base configuration as a trial.

        Raises:
            Outside: when a swept key has no value there, or one that Optuna could not suggest.
        """
        params, problems = self._standing()
        if problems:
            raise DefaultOutsideSpace("; ".join(problems))
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # how Optuna says that a value lies outside
            try:
                return self.point(self._leaves() | params if self.function else params)
            except ConfigError as error:
                raise DefaultOutsideSpace(str(error)) from error

    def moved(self, default: Point) -> Iterator[str]:
        """What the function makes of the default that the base configuration is not."""
        swept = {dimension.key for dimension in self.dimensions}
        for key, text in (line.split("=", 1) for line in default.overrides):
            if key in swept:
                continue
            try:
                standing, made = self._value(key.lstrip("+")), read_back(text)
            except (KeyError, ValueError):
                standing, made = None, text
            if standing != made or isinstance(standing, bool) != isinstance(made, bool):
                yield f"function={self.function} gives {key}={text}"

    def _standing(self) -> tuple[dict[str, Any], list[str]]:
        """What the base has for each dimension, and what it has not."""
        params: dict[str, Any] = {}
        problems = []
        for dimension in self.dimensions:
            try:
                params[dimension.name] = dimension.param(self._value(dimension.name))
            except KeyError:
                problems.append(f"{dimension.name} is not in the base configuration")
            except ValueError as error:
                problems.append(f"{dimension.name}={self._value(dimension.name)} {error}")
        return params, problems

    def _value(self, name: str) -> Any:
        return self.groups[name] if name in self.groups else parsing.value_at(self.base, name)

    def _leaves(self) -> dict[str, Any]:
        """Every value of the base under the names that a function may suggest it by."""
        leaves = parsing.leaves(self.base)
        return {prefix + name: value for prefix in ("", "+", "++") for name, value in leaves.items()}

    def size(self) -> int | None:
        """How many combinations there are; None where they cannot be counted."""
        sizes = [dimension.size() for dimension in self.dimensions]
        counted = [size for size in sizes if size is not None]
        return None if self.function or len(counted) < len(sizes) else math.prod(counted)

    def uncountable(self) -> list[str]:
        """What keeps a grid from being enumerated."""
        keys = [dimension.name for dimension in self.dimensions if dimension.size() is None]
        return keys + ([f"function={self.function}"] if self.function else [])

    def combinations(self, seed: int | None) -> Iterator[dict[str, Any]]:
        """Every combination by name, the last key fastest; shuffle(...) is drawn from the seed, the same each time."""
        columns = [self._column(dimension, seed) for dimension in self.dimensions]
        names = [dimension.name for dimension in self.dimensions]
        return (dict(zip(names, row, strict=True)) for row in itertools.product(*columns))

    def _column(self, dimension: Dimension, seed: int | None) -> list[Any]:
        values = list(dimension.params())
        if dimension.shuffled:
            random.Random(f"{seed}:{dimension.name}").shuffle(values)
        return values


def parse(
    params: Mapping[str, Any],
    overrides: Sequence[str],
    base: Mapping[str, Any],
    groups: Mapping[str, Any],
    function: str | None,
    loader: Any = None,
) -> Space:
    """The space of a sweep.

    Args:
        params: `hydra.sweeper.params`, plain containers; a nested mapping is the same as dotted keys.
        overrides: of the task, as typed on the command line.
        base: the resolved configuration without what is swept, plain containers.
        groups: `hydra.runtime.choices`.
        loader: Hydra's ConfigLoader, to know a group's options (`model=glob(*)`, and typing errors).

    Raises:
        ConfigError: with every problem found.
    """
    found, problems = parsing.entries(params, overrides, parsing.Known(base, groups, loader))
    if function:
        problems += _problem_of_function(function)
    if problems:
        raise ConfigError("The search space cannot be read:\n  " + "\n  ".join(problems))
    dimensions = tuple(entry.dimension for entry in found if entry.dimension is not None)
    fixed = tuple(entry.line for entry in found if entry.dimension is None)
    return Space(dimensions, fixed, function, base, groups)


def _problem_of_function(path: str) -> list[str]:
    try:
        get_method(path)
    except Exception as error:
        reason = str(error).splitlines()[0]
        return [f"function={path}: no function is found there ({reason}). It wants package.module.name."]
    return []


def product(overrides: Sequence[str], loader: Any = None) -> list[list[str]]:
    """The jobs of a --multirun without a study: every combination of the lists, the last key fastest.

    A value that stands twice in a list runs twice, as with Hydra's own sweeper.

    Raises:
        ConfigError: with every problem found.
    """
    columns: list[list[str]] = []
    problems = []
    for line in overrides:
        try:
            columns.append(parsing.jobs(line, loader))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("These overrides cannot be swept:\n  " + "\n  ".join(problems))
    return [list(row) for row in itertools.product(*columns)]
