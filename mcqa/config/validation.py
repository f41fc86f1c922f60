"""From a composed configuration to dataclasses, with every problem it has rather than the first one.

Understands dataclasses, Literal, lists, dicts, unions with None or between scalars, and numbers with a bound
(`Annotated[float, "above 0"]`).
"""

import math
import types
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import is_dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from mcqa.config.errors import ConfigError, listing, nearest
from mcqa.config.rules import RULES
from mcqa.config.schema import Config, ConfigDict

BOUNDS: dict[str, Callable[[float], bool]] = {
    "above 0": lambda value: value > 0,
    "at least 0": lambda value: value >= 0,
    "from 0 to 4294967295": lambda value: 0 <= value < 2**32,
    "at least 1": lambda value: value >= 1,
    "from 0 to below 1": lambda value: 0 <= value < 1,
    "above 0 and below 1": lambda value: 0 < value < 1,
}

INVALID = object()
"""Stands for a value that was reported. A section under construction lacks it, so that a rule which looks for it ends
in an AttributeError instead of reporting the same value again."""

NOT_CHOSEN = ("experiment", "sweeps")
"""Groups from which nothing is chosen unless the command line says so, by +experiment=…"""

RENAMED = {"peft.r": "peft.rank", "peft.trains": "peft.trainable"}
"""Keys that had another name once (`group.key` before and now), so that stored runs and studies can still be read."""


def with_current_names(config_dict: ConfigDict) -> ConfigDict:
    """Return a stored configuration under the names that keys have now."""
    renamed = deepcopy(config_dict)
    for old, new in RENAMED.items():
        group, key = old.split(".")
        if isinstance(section := renamed.get(group), dict) and key in section:
            section[new.split(".")[1]] = section.pop(key)
    return renamed


def members(kind: type, section: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """Return the valid values of a section by the fields of `kind`; append a line to `problems` for everything else.

    path: of the section, with a dot behind it; empty for the root.
    """
    hints = get_type_hints(kind, include_extras=True)
    for key in section:
        if key not in hints:
            known = hints if path else (*hints, *NOT_CHOSEN)
            renamed = RENAMED.get(f"{path}{key}")
            hint = f" It is called {renamed} now." if renamed else nearest(str(key), known)
            problems.append(f"{path}{key}: unknown key.{hint}")
    values: dict[str, Any] = {}
    for key, hint in hints.items():
        if key not in section:
            problems.append(f"{path}{key}: missing; it belongs to the file that was chosen for this group.")
        elif (value := _value(hint, section[key], path + key, problems)) is not INVALID:
            values[key] = value
    return values


def _value(hint: Any, value: Any, path: str, problems: list[str]) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        number = _value(arguments[0], value, path, problems)
        if isinstance(number, (int, float)) and not BOUNDS[arguments[1]](number):
            problems.append(f"{path}: must be {arguments[1]}, got {value!r}.")
            return INVALID
        return number
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, path, problems)
    if is_dataclass(hint):
        if isinstance(value, Mapping):
            fields = members(cast(type, hint), value, f"{path}.", problems)
            return SimpleNamespace(**fields) if problems else cast(type, hint)(**fields)
    elif origin is Literal:
        if value in arguments:
            return value
        near = nearest(str(value), [str(option) for option in arguments])
        problems.append(f"{path}: must be one of {', '.join(map(str, arguments))}, got {value!r}.{near}")
        return INVALID
    elif origin is list:
        if isinstance(value, (list, tuple)):
            items = [_value(arguments[0], item, f"{path}[{i}]", problems) for i, item in enumerate(value)]
            return INVALID if INVALID in items else items
    elif origin is dict:
        if isinstance(value, Mapping):
            return dict(value)
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    problems.append(f"{path}: must be {_describe(hint)}, got {value!r}.")
    return INVALID


def _one_of(options: tuple[Any, ...], value: Any, path: str, problems: list[str]) -> Any:
    """Return the value by the first option that takes it; else report for the only real option, or for all of them."""
    if value is None and type(None) in options:
        return None
    real = [option for option in options if option is not type(None)]
    for option in real:
        attempt: list[str] = []
        accepted = _value(option, value, path, attempt)
        if not attempt:
            return accepted
    if len(real) == 1 or isinstance(value, Mapping):
        return _value(real[0], value, path, problems)
    problems.append(f"{path}: must be {' or '.join(map(_describe, real))}, got {value!r}.")
    return INVALID


def _describe(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        base, bound = get_args(hint)
        return f"{_describe(base)} {bound}"
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    kind = dict if is_dataclass(hint) else get_origin(hint) or hint
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
    return words.get(kind, "a mapping of keys" if kind is dict else str(hint))


C = TypeVar("C", bound=Config)


def problems_of(config_dict: Mapping[str, Any], kind: type[Config] = Config) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a composed configuration by field of `kind`, and a line for every problem."""
    problems: list[str] = []
    values = members(kind, config_dict, "", problems)
    for rule in RULES:
        try:
            problems += rule(cast(Config, SimpleNamespace(**values)))
        except AttributeError:
            if not problems:  # otherwise the rule asked for one of the values that were reported already
                raise
    return values, problems


def typed(config_dict: Mapping[str, Any], kind: type[C]) -> C:
    """Return a composed, resolved configuration as the dataclass `kind`.

    Raises:
        ConfigError: with every unknown key, missing key, wrong type, impossible value and broken rule at once.
    """
    values, problems = problems_of(config_dict, kind)
    if problems:
        raise ConfigError(listing(problems))
    return kind(**values)
