"""The search space: `hydra.sweeper.params` and the command line, in Hydra's own grammar.

    params:
      optimizer.learning_rate: tag(log,interval(1e-5,1e-2))
      optimizer.weight_decay: tag(factor,choice(0.3,1,3))     # times what the trial's configuration has without it
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from hydra.utils import get_method
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial, FixedTrial

from mcqa.config.errors import ConfigError
from mcqa.config.validation import NOT_CHOSEN
from mcqa.runs.files import flatten
from mcqa.sweep.space.dimension import Dimension, Number, times
from mcqa.sweep.space.override_text import read_back, text_of
from mcqa.sweep.space.parsing import BaseConfig, parsed_keys

MAX_COMBINATIONS = 64  # of swept groups, that recommended values are looked up for beforehand


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
    compose: Callable[[Sequence[str]], Mapping[str, Any]] | None = field(default=None, compare=False, repr=False)
    """The configuration with these overrides, for what a factor is multiplied by; None: always the base."""

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
        factors = {dimension.key: texts[dimension.key] for dimension in self.dimensions if dimension.is_factor}
        returned = self._conditional(trial, self.function) if self.function else {}
        texts |= returned
        if factors := {key: text for key, text in factors.items() if key not in returned}:
            config = self._configuration([f"{key}={text}" for key, text in texts.items() if key not in factors])
            for key, text in factors.items():
                texts[key] = text_of(times(Decimal(text), _recommended(config, key.lstrip("+"))))
        return [f"{key}={text}" for key, text in texts.items()]

    def _configuration(self, overrides: Sequence[str]) -> Mapping[str, Any]:
        """What a trial with these overrides has where no factor applies."""
        return self.base if self.compose is None else self.compose([*self.fixed, *overrides])

    @cached_property
    def recommended(self) -> dict[str, dict[str, Number]]:
        """By key, what its factors are multiplied by under every choice of the swept groups that matter for it.

        A choice is written as its overrides, "" where none matters; of very many the first ones are looked up.

        Raises:
            ConfigError: a key has no number there.
        """
        names = [dimension.name for dimension in self.dimensions if dimension.is_factor]
        known = {*self.groups, *NOT_CHOSEN}
        groups = [each for each in self.dimensions if each.name in known and not each.is_factor]
        options = [[f"{group.key}={text}" for text in group.texts] for group in groups]
        combinations = itertools.islice(itertools.product(*options), MAX_COMBINATIONS) if names else []
        configs = dict[tuple[str, ...], Mapping[str, Any]]()
        for combination in combinations:
            with suppress(ConfigError):  # which fails the trials that have it, and no others
                configs[combination] = self._configuration(combination)
        found = {name: {each: _recommended(config, name) for each, config in configs.items()} for name in names}
        return {name: {" ".join(each): value for each, value in _relevant(found[name]).items()} for name in names}

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
                value = 1 if dimension.is_factor else self._value(dimension.name)
                params[dimension.name] = dimension.param(value)
            except KeyError:
                problems.append(f"{dimension.name} is not in the base configuration")
            except ValueError as error:
                what = " times the recommended value" if dimension.is_factor else ""
                problems.append(f"{dimension.name}={value}{what} {error}")
        return params, problems

    def _value(self, name: str) -> Any:
        """The value of a key of the base configuration. Raises KeyError where there is no such key.

        Of a group from which nothing is chosen by default, such as experiment, the first option that is swept stands
        for it.
        """
        first = [dimension.options[0] for dimension in self.dimensions if dimension.name == name and dimension.options]
        if first and name in NOT_CHOSEN and name not in self.groups:
            return first[0]
        return self.groups[name] if name in self.groups else _leaf(self.base, name)

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
    compose: Callable[[Sequence[str]], Mapping[str, Any]] | None = None,
) -> Space:
    """Read the space of a sweep.

    Args:
        params: `hydra.sweeper.params`, plain containers; a nested mapping is the same as dotted keys.
        overrides: of the task, as typed on the command line.
        base: the resolved configuration without what is swept, plain containers.
        groups: `hydra.runtime.choices`.
        loader: Hydra's ConfigLoader, to know a group's options (`model=glob(*)`, and typing errors).
        compose: returns the configuration with these overrides; may raise ConfigError. None: always `base`.

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
    return Space(dimensions, fixed, function, base, groups, compose)


def _leaf(config: Mapping[str, Any], name: str) -> Any:
    """The value of a key. Raises KeyError where there is no such key."""
    value: Any = config
    for part in name.split("."):
        if not isinstance(value, Mapping):
            raise KeyError(name)
        value = value[part]
    return value


def _relevant(values: Mapping[tuple[str, ...], Number]) -> Mapping[tuple[str, ...], Number]:
    """Leave out of the combinations the groups that make no difference."""
    for place in reversed(range(len(next(iter(values), ())))):
        without: dict[tuple[str, ...], set[Number]] = {}
        for combination, value in values.items():
            without.setdefault((*combination[:place], *combination[place + 1 :]), set()).add(value)
        if all(len(each) == 1 for each in without.values()):
            values = {combination: each.pop() for combination, each in without.items()}
    return values


def _recommended(config: Mapping[str, Any], name: str) -> Number:
    """Raises ConfigError where the configuration has no number for factors of it."""
    try:
        value = _leaf(config, name)
    except KeyError:
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value == 0:
        raise ConfigError(f"{name}: a factor needs a number other than 0 to multiply; the configuration has {value!r}.")
    return value


def _problem_of_function(path: str) -> list[str]:
    try:
        get_method(path)
    except Exception as error:
        reason = str(error).splitlines()[0]
        return [f"function={path}: no function is found there ({reason}). It wants package.module.name."]
    return []
