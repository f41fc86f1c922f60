"""How a search space is written: what params and the command line say, and what is wrong with it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, RangeSweep

from mcqa.config.errors import nearest
from mcqa.sweep.space.dimension import Choice, Dimension, Interval, Range
from mcqa.sweep.space.override_text import plain, text_of

NOTHING = "there is nothing to choose from."


@dataclass(frozen=True)
class Entry:
    """One key: `line` is the override as written, `name` the key without +; no dimension when it is fixed."""

    line: str
    name: str
    adds: bool
    dimension: Dimension | None


@dataclass(frozen=True)
class Known:
    """The base configuration, the option at which each group stands, and Hydra's loader where there is one."""

    base: Mapping[str, Any]
    groups: Mapping[str, Any]
    loader: Any


def entries(params: Mapping[str, Any], overrides: Sequence[str], known: Known) -> tuple[list[Entry], list[str]]:
    """What is swept and what is fixed, the command line winning by key, and every problem found."""
    found: dict[str, Entry] = {}
    problems = []
    written = [*leaves(params).items(), *((None, line) for line in overrides)]
    for key, value in written:
        try:
            entry = _entry(key, value, known.loader)
            found[entry.name] = entry
        except ValueError as error:
            problems.append(str(error))
    swept_groups = [_package(name) for name in found if name in known.groups]
    for entry in found.values():
        problems += _problems(entry, known, swept_groups)
    return list(found.values()), problems


def jobs(line: str, loader: Any) -> list[str]:
    """The overrides that one line of a plain --multirun stands for, as Hydra's own sweeper writes them.

    Raises:
        ValueError: when it cannot be enumerated.
    """
    override = _parsed(line, loader)
    if not override.is_sweep_override():
        return [line]
    key, sweep = override.get_key_element(), override.value()
    if isinstance(sweep, IntervalSweep):
        raise ValueError(
            f"{line}: an interval has no list of values; a study can draw from it (hydra.sweeper.n_trials)."
        )
    try:
        if isinstance(sweep, RangeSweep):
            _range(key, sweep)  # for its errors: Hydra would count on without an end
        elif not _options(override):
            raise ValueError(NOTHING)
    except ValueError as error:
        raise ValueError(f"{line}: {error}") from error
    return [f"{key}={text}" for text in override.sweep_string_iterator()]


def _entry(key: str | None, value: Any, loader: Any) -> Entry:
    """
    Args:
        key: None when the value is a whole line of the command line.
    """
    if key is not None and isinstance(value, list):
        return _listed(key, value, loader)
    line = value if key is None else f"{key}={value if isinstance(value, str) else text_of(value)}"
    override = _parsed(line, loader)
    name = override.get_key_element().lstrip("+")
    adds = override.is_add() or override.is_force_add()
    if not override.is_sweep_override():
        return Entry(line, name, adds, None)
    try:
        return Entry(line, name, adds, _dimension(override))
    except ValueError as error:
        raise ValueError(f"{line}: {error}") from error


def _listed(key: str, values: Sequence[Any], loader: Any) -> Entry:
    """A YAML list: its items are the values themselves, no grammar."""
    override = _parsed(f"{key}=null", loader)
    choice = Choice(override.get_key_element(), tuple(values), shuffled=False)
    try:
        line = f"{key}={','.join(choice.texts)}"
    except ValueError as error:
        raise ValueError(f"{key}: {error}.") from error
    if not values:
        raise ValueError(f"{key}=[]: {NOTHING}")
    return Entry(line, choice.name, choice.key.startswith("+"), choice)


def _parsed(line: str, loader: Any) -> Any:
    """
    Raises:
        ValueError: when Hydra's grammar does not have it.
    """
    try:
        return OverridesParser.create(config_loader=loader).parse_overrides([line])[0]
    except Exception as error:  # the parser has several kinds
        hint = " A null stands in a plain list: a,null." if "NoneType" in str(error) else ""
        raise ValueError(f"{line}: {' '.join(str(error).split())}.{hint}") from error


def _dimension(override: Any) -> Dimension:
    """
    Raises:
        ValueError: what is wrong with it.
    """
    key, sweep = override.get_key_element(), override.value()
    if set(getattr(sweep, "tags", ())) - {"log"}:
        raise ValueError(f"the tags {sorted(sweep.tags)} say nothing here; the only one is log.")
    if isinstance(sweep, IntervalSweep):
        return _interval(key, sweep)
    if getattr(sweep, "tags", ()):
        raise ValueError("only an interval can have a log scale: tag(log,interval(a,b)).")
    if isinstance(sweep, RangeSweep):
        return _range(key, sweep)
    options = _options(override)
    if not options:
        raise ValueError(NOTHING)
    return Choice(key, options, bool(getattr(sweep, "shuffle", False)))


def _options(override: Any) -> tuple[Any, ...]:
    """In the order in which they are written: of shuffle(...) Hydra would hand out another one each time."""
    if hasattr(override.value(), "list"):
        return tuple(map(plain, override.value().list))
    if override.config_loader is None:
        raise ValueError("glob(...) needs the options of a group, which are not known here.")
    return tuple(override.sweep_iterator())


def _interval(key: str, sweep: Any) -> Interval:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("an interval needs two finite ends.")
    if low > high:
        raise ValueError(f"the lower end {low} is above the upper end {high}.")
    if log and low <= 0:
        raise ValueError(f"a log scale cannot begin at {low}; give a lower end above 0.")
    return Interval(key, low, high, log)


def _range(key: str, sweep: Any) -> Range:
    numbers = (sweep.start, sweep.stop, sweep.step)
    if not all(map(math.isfinite, numbers)) or sweep.step == 0:
        raise ValueError("a range needs finite ends and a step other than 0.")
    found = Range(key, *numbers, shuffled=bool(sweep.shuffle))
    if found.size() == 0:
        raise ValueError("there is nothing in this range; the end does not belong to it.")
    return found


def _problems(entry: Entry, known: Known, swept_groups: Sequence[str]) -> list[str]:
    """What is wrong with a readable entry on this base configuration."""
    path = _package(entry.name)
    if path == "hydra" or path.startswith("hydra."):
        return [f"{entry.line}: what configures Hydra itself cannot differ from trial to trial."]
    if isinstance(entry.dimension, Choice) and len(set(entry.dimension.texts)) < len(entry.dimension.texts):
        return [f"{entry.line}: a value stands there twice."]
    if entry.name.split("@")[0] in known.groups:
        return _unknown_options(entry, known)
    below = any(path.startswith(f"{group}.") for group in swept_groups)
    if entry.adds or below or entry.line.startswith("~") or entry.name in _names(known):
        return []
    near = nearest(entry.name, _names(known)) or f" Write +{entry.line} if it is meant to be new."
    return [f"{entry.line}: the configuration has no {entry.name}.{near}"]


def _unknown_options(entry: Entry, known: Known) -> list[str]:
    if known.loader is None or not isinstance(entry.dimension, Choice):
        return []
    options = known.loader.get_group_options(entry.name.split("@")[0])
    chosen = [name for option in entry.dimension.options for name in (option if isinstance(option, list) else [option])]
    return [
        f"{entry.line}: {entry.name} has no option {name!r}.{nearest(str(name), options)}"
        for name in chosen
        if name not in options
    ]


def _names(known: Known) -> set[str]:
    """Every key that the configuration has, with the inner ones."""
    names = set(known.groups) | set(leaves(known.base))
    return names | {name[:end] for name in names for end, sign in enumerate(name) if sign == "."}


def _package(name: str) -> str:
    """Where a group's content stands in the configuration."""
    group, _, package = name.partition("@")
    return package or group.replace("/", ".")


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value that is no mapping (or an empty one) by its dotted name."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        inner = leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {}
        found |= inner or {f"{prefix}{key}": value}
    return found


def value_at(tree: Mapping[str, Any], name: str) -> Any:
    """
    Raises:
        KeyError: when there is no such key.
    """
    found: Any = tree
    for part in name.split("."):
        if not isinstance(found, Mapping):
            raise KeyError(name)
        found = found[part]
    return found
