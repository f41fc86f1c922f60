"""From a plain tree to dataclasses, with everything that is wrong with it rather than the first thing.

Understands dataclasses, Literal, lists, dicts, unions with None or between scalars, and numbers with a bound
(`Annotated[float, "above 0"]`).
"""

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from mcqa.config.errors import ConfigError, listing, nearest
from mcqa.config.rules import RULES
from mcqa.config.schema import Config

BOUNDS: dict[str, Callable[[float], bool]] = {
    "above 0": lambda value: value > 0,
    "at least 0": lambda value: value >= 0,
    "from 0 to 4294967295": lambda value: 0 <= value < 2**32,
    "at least 1": lambda value: value >= 1,
    "from 0 to below 1": lambda value: 0 <= value < 1,
    "above 0 and below 1": lambda value: 0 < value < 1,
}


BAD = object()
"""Stands for a value that was reported. A section under construction goes without it, so that a rule which looks
for it ends in an AttributeError instead of speaking of what was told already."""

NOT_CHOSEN = ("experiment", "sweeps")
"""Groups of which nothing is chosen unless the command line says so, by +experiment=…"""


def members(kind: type, tree: Any, path: str, problems: list[str]) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    for key in tree:
        if key not in hints:
            known = hints if path else (*hints, *NOT_CHOSEN)
            problems.append(f"{path}{key}: unknown key.{nearest(str(key), known)}")
    values: dict[str, Any] = {}
    for key, hint in hints.items():
        if key not in tree:
            problems.append(f"{path}{key}: missing; it belongs to the file that was chosen for this group.")
        elif (value := _value(hint, tree[key], path + key, problems)) is not BAD:
            values[key] = value
    return values


def _value(hint: Any, value: Any, path: str, problems: list[str]) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = _value(arguments[0], value, path, problems)
        if isinstance(found, (int, float)) and not BOUNDS[arguments[1]](found):
            problems.append(f"{path}: must be {arguments[1]}, got {value!r}.")
            return BAD
        return found
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, path, problems)
    if is_dataclass(hint):
        if isinstance(value, Mapping):
            section = members(cast(type, hint), value, f"{path}.", problems)
            return SimpleNamespace(**section) if problems else cast(type, hint)(**section)
    elif origin is Literal:
        if value in arguments:
            return value
        near = nearest(str(value), [str(option) for option in arguments])
        problems.append(f"{path}: must be one of {', '.join(map(str, arguments))}, got {value!r}.{near}")
        return BAD
    elif origin is list:
        if isinstance(value, (list, tuple)):
            items = [_value(arguments[0], item, f"{path}[{i}]", problems) for i, item in enumerate(value)]
            return BAD if BAD in items else items
    elif origin is dict:
        if isinstance(value, Mapping):
            return dict(value)
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    problems.append(f"{path}: must be {_describe(hint)}, got {value!r}.")
    return BAD


def _one_of(options: tuple[Any, ...], value: Any, path: str, problems: list[str]) -> Any:
    """The first option that takes the value; else the problem of the only real option, or of all of them."""
    if value is None and type(None) in options:
        return None
    real = [option for option in options if option is not type(None)]
    for option in real:
        attempt: list[str] = []
        found = _value(option, value, path, attempt)
        if not attempt:
            return found
    if len(real) == 1 or isinstance(value, Mapping):
        return _value(real[0], value, path, problems)
    problems.append(f"{path}: must be {' or '.join(map(_describe, real))}, got {value!r}.")
    return BAD


def _describe(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        base, bound = get_args(hint)
        return f"{_describe(base)} {bound}"
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    if get_origin(hint) is list:
        return "a list"
    if get_origin(hint) is dict or is_dataclass(hint):
        return "a mapping of keys"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}.get(hint, str(hint))


# --- from the composed tree to a Config -------------------------------------------------------------------------------

C = TypeVar("C", bound=Config)


def problems_of(tree: Mapping[str, Any], kind: type[Config] = Config) -> tuple[dict[str, Any], list[str]]:
    """The values of a composed tree by field of `kind`, and everything that is wrong with them."""
    problems: list[str] = []
    values = members(kind, tree, "", problems)
    for rule in RULES:
        try:
            problems += rule(cast(Config, SimpleNamespace(**values)))
        except AttributeError:
            if not problems:  # otherwise the rule asked for one of the values that were reported already
                raise
    return values, problems


def typed(tree: Mapping[str, Any], kind: type[C]) -> C:
    """The composed, resolved tree as a Config.

    Raises:
        ConfigError: with every unknown key, missing key, wrong type, impossible value and broken rule at once.
    """
    values, problems = problems_of(tree, kind)
    if problems:
        raise ConfigError(listing(problems))
    return kind(**values)
