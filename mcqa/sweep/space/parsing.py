"""How a search space is written: what params and the command line say, and what is wrong with it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from mcqa.config.errors import ConfigError, nearest
from mcqa.runs.files import flatten
from mcqa.sweep.space.dimension import NO_VALUES, Dimension, choice, factors, interval, number_range
from mcqa.sweep.space.override_text import text_of

LOG, FACTOR = "log", "factor"  # tags


@dataclass(frozen=True)
class ParsedKey:
    """One key: `line` is the override as written, `name` the key without +; no dimension when it is fixed."""

    line: str
    name: str
    adds: bool
    dimension: Dimension | None


@dataclass(frozen=True)
class BaseConfig:
    """The base configuration, the option that each group has in it, and Hydra's loader where there is one."""

    config_dict: Mapping[str, Any]
    groups: Mapping[str, Any]
    loader: Any

    def names(self) -> set[str]:
        """Return every key that the configuration has, with the inner ones."""
        names = set(self.groups) | set(flatten(self.config_dict))
        return names | {name[:end] for name in names for end, sign in enumerate(name) if sign == "."}


def parsed_keys(
    params: Mapping[str, Any], overrides: Sequence[str], base: BaseConfig
) -> tuple[list[ParsedKey], list[str]]:
    """Return what is swept and what is fixed, the command line winning by key, and every problem."""
    keys: dict[str, ParsedKey] = {}
    problems = []
    for name, value in [*flatten(params).items(), *((None, line) for line in overrides)]:
        try:
            key = _parsed_key(name, value, base.loader)
            keys[key.name] = key
        except ValueError as error:
            problems.append(str(error))
    swept_groups = [_package(name) for name in keys if name in base.groups]
    for key in keys.values():
        problems += _problems(key, base, swept_groups)
    return list(keys.values()), problems


def read_dimension(key: str, grammar: str) -> Dimension | None:
    """Return the range of a key by its text in study.yaml; None where it is fixed.

    Raises:
        ValueError: it cannot be read.
    """
    return _parsed_key(key, grammar, None).dimension


def product(overrides: Sequence[str], loader: Any = None) -> list[list[str]]:
    """Return the jobs of a --multirun without a study: every combination of the lists, the last key fastest.

    A value that stands twice in a list runs twice, as with Hydra's own sweeper.

    Raises:
        ConfigError: with every problem found.
    """
    columns: list[list[str]] = []
    problems = []
    for line in overrides:
        try:
            columns.append(_enumerated(line, loader))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("These overrides cannot be swept:\n  " + "\n  ".join(problems))
    return [list(row) for row in itertools.product(*columns)]


def _enumerated(line: str, loader: Any) -> list[str]:
    """The overrides that one line stands for, as Hydra's own sweeper writes them."""
    override = _parsed(line, loader)
    if not override.is_sweep_override():
        return [line]
    if isinstance(override.value(), IntervalSweep):
        raise ValueError(
            f"{line}: an interval has no list of values; a study can draw from it (hydra.sweeper.n_trials)."
        )
    key, sweep = override.get_key_element(), override.value()
    if FACTOR in getattr(sweep, "tags", ()):
        raise ValueError(f"{line}: factors of the recommended value belong to a study (hydra/sweeper/sampler=grid).")
    try:
        if isinstance(sweep, RangeSweep):
            number_range(key, sweep.start, sweep.stop, sweep.step)  # for its errors: Hydra would count without an end
        elif not _options(override):
            raise ValueError(NO_VALUES)
    except ValueError as error:
        raise ValueError(f"{line}: {error}") from error
    return [f"{key}={text}" for text in override.sweep_string_iterator()]


def _parsed_key(name: str | None, value: Any, loader: Any) -> ParsedKey:
    """name: None when the value is a whole line of the command line."""
    if isinstance(value, list):  # of YAML: its items are the values themselves, no grammar
        key = _parsed(f"{name}=null", loader).get_key_element()
        try:
            dimension = choice(key, value)
        except ValueError as error:
            raise ValueError(f"{name}={value}: {error}") from error
        return ParsedKey(f"{name}={','.join(dimension.texts)}", dimension.name, key.startswith("+"), dimension)
    line = value if name is None else f"{name}={value if isinstance(value, str) else text_of(value)}"
    override = _parsed(line, loader)
    try:
        swept = _dimension(override) if override.is_sweep_override() else None
    except ValueError as error:
        raise ValueError(f"{line}: {error}") from error
    adds = override.is_add() or override.is_force_add()
    return ParsedKey(line, override.get_key_element().lstrip("+"), adds, swept)


def _parsed(line: str, loader: Any) -> Override:
    """Raises ValueError where the line is not in Hydra's grammar."""
    try:
        return OverridesParser.create(config_loader=loader).parse_overrides([line])[0]
    except Exception as error:  # the parser has several kinds
        hint = " A null stands in a plain list: a,null." if "NoneType" in str(error) else ""
        raise ValueError(f"{line}: {' '.join(str(error).split())}.{hint}") from error


def _dimension(override: Override) -> Dimension:
    """Raises ValueError with what is wrong with it."""
    tags = set(getattr(override.value(), "tags", ()))
    if unknown := tags - {LOG, FACTOR}:
        raise ValueError(f"the tags {sorted(unknown)} have no meaning here; the only ones are {LOG} and {FACTOR}.")
    dimension = _of_values(override, is_log=LOG in tags)
    return factors(dimension) if FACTOR in tags else dimension


def _of_values(override: Override, is_log: bool) -> Dimension:
    key, sweep = override.get_key_element(), override.value()
    if isinstance(sweep, IntervalSweep):
        return interval(key, sweep.start, sweep.end, is_log)
    if is_log:
        raise ValueError("only an interval can have a log scale: tag(log,interval(a,b)).")
    if isinstance(sweep, RangeSweep):
        return number_range(key, sweep.start, sweep.stop, sweep.step, sweep.shuffle)
    return choice(key, _options(override), bool(getattr(sweep, "shuffle", False)))


def _options(override: Override) -> list[Any]:
    """In the order in which they are written: of shuffle(...) Hydra would return another one each time."""
    sweep: Any = override.value()
    if hasattr(sweep, "list"):
        return [Override._convert_value(option) for option in sweep.list]
    if override.config_loader is None:
        raise ValueError("glob(...) needs the options of a group, which are not known here.")
    return list(override.sweep_iterator())


def _problems(key: ParsedKey, base: BaseConfig, swept_groups: Sequence[str]) -> list[str]:
    """What is wrong with a readable key on this base configuration."""
    path = _package(key.name)
    if path == "hydra" or path.startswith("hydra."):
        return [f"{key.line}: what configures Hydra itself cannot differ from trial to trial."]
    texts = key.dimension.texts if key.dimension else ()
    if len(set(texts)) < len(texts):
        return [f"{key.line}: the same value stands there twice."]
    group = key.name.split("@")[0]
    if group in base.groups:
        return _unknown_options(key, group, base.loader)
    below = any(path.startswith(f"{swept}.") for swept in swept_groups)
    names = base.names()
    if key.adds or below or key.line.startswith("~") or key.name in names:
        return []
    near = nearest(key.name, names) or f" Write +{key.line} if it is meant to be new."
    return [f"{key.line}: the configuration has no {key.name}.{near}"]


def _unknown_options(key: ParsedKey, group: str, loader: Any) -> list[str]:
    if loader is None or key.dimension is None:
        return []
    known = loader.get_group_options(group)
    chosen = [name for option in key.dimension.options for name in (option if isinstance(option, list) else [option])]
    return [
        f"{key.line}: {key.name} has no option {name!r}.{nearest(str(name), known)}"
        for name in chosen
        if name not in known
    ]


def _package(name: str) -> str:
    """Where a group's content stands in the configuration."""
    group, _, package = name.partition("@")
    return package or group.replace("/", ".")
