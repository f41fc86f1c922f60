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
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial, FixedTrial

from mcqa.config.errors import ConfigError
from mcqa.runs.files import flatten
from mcqa.sweep.space.dimension import Dimension
from mcqa.sweep.space.override_text import read_back, text_of
from mcqa.sweep.space.parsing import BaseConfig, parsed_keys


class DefaultOutsideSpace(ValueError):
    """The base configuration is no point of the space; the message says which keys are the reason."""


@dataclass(frozen=True)
class Point:
    """One trial known beforehand: Optuna's values by name, and the overrides they become."""

    params: dict[str, Any]
    overrides: list[str]


@dataclass(frozen=True)
class Space:
    """What a study varies."""

    dimensions: tuple[Dimension, ...]
    fixed: tuple[str, ...]  # the overrides that every trial has
    function: str | None  # the path of a function that adds conditional dimensions
    base: Mapping[str, Any]  # the base configuration
    groups: Mapping[str, Any]  # the option that each Hydra group has in it

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Of the keys that every trial has, by their names in Optuna."""
        return {dimension.name: dimension.distribution for dimension in self.dimensions}

    def grammar(self) -> dict[str, str]:
        """Return the text of each key, the same however it was spelt, to see whether a space has changed."""
        texts = {dimension.key: dimension.grammar for dimension in self.dimensions}
        return texts | ({"function": self.function} if self.function else {})

    def overrides(self, trial: BaseTrial) -> list[str]:
        """Return the overrides of a trial, which is asked for the keys that it has no value for yet.

        Raises:
            ConfigError: the function fails or suggests what no override can say.
        """
        params, texts = trial.params, dict[str, str]()
        for dimension in self.dimensions:
            value = params[dimension.name] if dimension.name in params else dimension.suggest(trial)
            texts[dimension.key] = dimension.text(value)
        if self.function:
            texts |= self._conditional(trial, self.function)
        return [f"{key}={text}" for key, text in texts.items()]

    def _conditional(self, trial: BaseTrial, path: str) -> dict[str, str]:
        try:
            returned = get_method(path)(trial, copy.deepcopy(dict(self.base))) or {}
            suggested = {name: value for name, value in trial.params.items() if name not in self.distributions}
            return {key: text_of(value) for key, value in (suggested | dict(returned)).items()}
        except Exception as error:
            hint = " A key has the same choices in every trial." if "dynamic value space" in str(error) else ""
            raise ConfigError(f"hydra.sweeper.function={path}: {type(error).__name__}: {error}{hint}") from error

    def default(self) -> Point:
        """Return the base configuration as a trial.

        Raises:
            DefaultOutsideSpace: a swept key has no value there, or one that Optuna could not suggest.
        """
        params, problems = self._base_params()
        if problems:
            raise DefaultOutsideSpace("; ".join(problems))
        trial = FixedTrial(self._suggestable() | params if self.function else params)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # how Optuna says that a value lies outside
            try:
                overrides = self.overrides(trial)
            except ConfigError as error:
                raise DefaultOutsideSpace(str(error)) from error
        return Point(dict(trial.params), overrides)

    def differences(self, default: Point) -> Iterator[str]:
        """Yield what the function makes of the default configuration that the base configuration is not."""
        swept = {dimension.key for dimension in self.dimensions}
        for key, text in (line.split("=", 1) for line in default.overrides):
            if key in swept:
                continue
            try:
                base, made = self._value(key.lstrip("+")), read_back(text)
            except (KeyError, ValueError):
                base, made = None, text
            if base != made or isinstance(base, bool) != isinstance(made, bool):
                yield f"function={self.function} gives {key}={text}"

    def _base_params(self) -> tuple[dict[str, Any], list[str]]:
        """Optuna's value of each dimension in the base configuration, and what has none."""
        params: dict[str, Any] = {}
        problems = []
        for dimension in self.dimensions:
            try:
                value = self._value(dimension.name)
                params[dimension.name] = dimension.param(value)
            except KeyError:
                problems.append(f"{dimension.name} is not in the base configuration")
            except ValueError as error:
                problems.append(f"{dimension.name}={value} {error}")
        return params, problems

    def _value(self, name: str) -> Any:
        """The value of a key of the base configuration. Raises KeyError where there is no such key."""
        if name in self.groups:
            return self.groups[name]
        value: Any = self.base
        for part in name.split("."):
            if not isinstance(value, Mapping):
                raise KeyError(name)
            value = value[part]
        return value

    def _suggestable(self) -> dict[str, Any]:
        """Every value of the base configuration under the names that a function may suggest it by."""
        return {prefix + name: value for prefix in ("", "+", "++") for name, value in flatten(self.base).items()}

    def size(self) -> int | None:
        """Return how many combinations there are; None where they cannot be counted."""
        sizes = [dimension.size() for dimension in self.dimensions]
        counted = [size for size in sizes if size is not None]
        return None if self.function or len(counted) < len(sizes) else math.prod(counted)

    def not_enumerable(self) -> list[str]:
        """Return what keeps a grid from being enumerated."""
        keys = [dimension.name for dimension in self.dimensions if not dimension.enumerable]
        return keys + ([f"function={self.function}"] if self.function else [])

    def combinations(self, seed: int | None) -> Iterator[dict[str, Any]]:
        """Yield every combination by name, the last key fastest. The seed decides the order of shuffle(...)."""
        columns = [self._column(dimension, seed) for dimension in self.dimensions]
        return (dict(zip(self.distributions, row, strict=True)) for row in itertools.product(*columns))

    def _column(self, dimension: Dimension, seed: int | None) -> list[Any]:
        values = list(dimension.values())
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
    """Read the space of a sweep.

    Args:
        params: `hydra.sweeper.params`, plain containers; a nested mapping is the same as dotted keys.
        overrides: of the task, as typed on the command line.
        base: the resolved configuration without what is swept, plain containers.
        groups: `hydra.runtime.choices`.
        loader: Hydra's ConfigLoader, to know a group's options (`model=glob(*)`, and typing errors).

    Raises:
        ConfigError: with every problem found.
    """
    keys, problems = parsed_keys(params, overrides, BaseConfig(base, groups, loader))
    if function:
        problems += _problem_of_function(function)
    if problems:
        raise ConfigError("The search space cannot be read:\n  " + "\n  ".join(problems))
    dimensions = tuple(key.dimension for key in keys if key.dimension is not None)
    fixed = tuple(key.line for key in keys if key.dimension is None)
    return Space(dimensions, fixed, function, base, groups)


def _problem_of_function(path: str) -> list[str]:
    try:
        get_method(path)
    except Exception as error:
        reason = str(error).splitlines()[0]
        return [f"function={path}: no function is found there ({reason}). It wants package.module.name."]
    return []
