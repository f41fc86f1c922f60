"""From a composed configuration to dataclasses, with every problem it has rather than the first one.

Understands dataclasses, Literal, lists, dicts, unions with None or between scalars, numbers with bounds
(`Annotated[float, "above 0 and at most 10"]`) and paths (`Annotated[str, "path"]`).
"""

import math
import operator
import os
import re
import types
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from mcqa.config.errors import ConfigError, listing, nearest, quoted
from mcqa.config.rules import RULES
from mcqa.config.schema import PATH, Config, ConfigDict, ObjectiveConfig, Recommended, SetConfig, StageConfig
from mcqa.config.trainer_args import NUMBERS, argument_types

COMPARED = {
    "above": operator.gt,
    "from": operator.ge,
    "at least": operator.ge,
    "to": operator.le,
    "at most": operator.le,
    "below": operator.lt,
    "to below": operator.lt,
}
"""The words of a bound such as `from 0 to below 1`, each before a number."""

LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes, on the file systems of Linux

UNWRITABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, which no path can have, and what a command line has instead of bytes that are no UTF-8."""

T = TypeVar("T")
C = TypeVar("C", bound=Config)

INVALID = object()
"""Stands for a value that was reported. A section under construction lacks it, so that a rule which looks for it ends
in an AttributeError instead of reporting the same value again."""

NOT_CHOSEN = ("experiment", "sweeps")
"""Groups from which nothing is chosen unless the command line says so, by +experiment=…"""

RENAMED = {"peft.r": "peft.rank", "peft.trains": "peft.trainable"}
"""Keys that had another name once (`group.key` before and now), so that stored runs and studies can still be read."""


ADDED: dict[str, Any] = {
    "order_seed": None,
    "stages": [],
    "model.run": None,
    "data.answers": None,
    "data.header": True,
    "data.delimiter": None,
    "data.encoding": None,
    "data.general_texts": None,
    "data.sheet": None,
    "data.columns.fixed_choices": None,
    "data.columns.right": None,
    "data.columns.wrong": None,
    "data.columns.empty_choices": "refuse",
    "data.columns.strip_labels": False,
    "data.equal_choices": "refuse",
    "data.conversations": None,
    "data.harness_task": None,
    "data.sets": [],
    "data.temperature": None,
    "data.text_column": "text",
    "data.paraphrases": None,
    "data.paraphrase_columns": None,
    "data.reversed": False,
    "data.shuffle_choices": False,
    "data.clean": [],
    "data.allow_overlap": True,
    "data.prompt": {"style": None, "instruction": "", "template": None, "answer_template": None},
    "data.split_by": "question",
    "evaluation.context": None,
    "evaluation.context_k": 3,
    "evaluation.before": True,
    "evaluation.max_forgetting": None,
    "evaluation.max_time_share": None,
    "evaluation.min_delta": 0.0,
    "evaluation.passages": None,
    "evaluation.stop_metric": None,
    "evaluation.test_limit": None,
    "objective.curriculum": None,
    "objective.packing": False,
    "objective.replay_share": None,
    "objective.label_smoothing": 0.0,
    "objective.sft_weight": None,
    "objective.unlikelihood_weight": None,
    "objective.normalise": None,
    "objective.temperature": None,
    "objective.learning_rate_factor": 1.0,
    "objective.pairs": None,
    "objective.preference_loss": None,
    "objective.beta": None,
    "objective.tail_weight": None,
    "objective.neftune_alpha": None,
    "prompt.template": None,
    "prompt.answer_template": None,
    "optimizer.momentum": None,
    "optimizer.groups": {},
    **dict.fromkeys(
        f"scheduler.{key}"
        for key in ("min_lr_ratio", "initial_lr_ratio", "cycles", "step_ratio", "decay_ratio", "gamma", "patience")
    ),
    "hardware.training_tokens": None,
    "hardware.compile": False,
    "hardware.tf32": False,
    "peft.path": None,
    "peft.modules_to_save": None,
    "peft.dora": False,
    "peft.rslora": False,
}
"""Keys that earlier versions did not have (`group.key`, or `key`), with the value that does what these versions did."""


def with_current_names(config_dict: ConfigDict) -> ConfigDict:
    """Return a stored configuration with the keys that there are now, under the names that they have now."""
    current = deepcopy(config_dict)
    for old, new in RENAMED.items():
        group, key = old.split(".")
        if isinstance(section := current.get(group), dict) and key in section:
            section[new.split(".")[1]] = section.pop(key)
    if get_type_hints(Config).keys() - ADDED.keys() <= current.keys():  # a study may be of another application
        for name, value in ADDED.items():
            *groups, key = name.split(".")
            for section in _sections(current, groups):
                section.setdefault(key, deepcopy(value))
    for stage in stages if isinstance(stages := current.get("stages"), list) else []:
        if isinstance(stage, dict) and isinstance(earlier := stage.get("config"), dict):
            stage["config"] = with_current_names(earlier)
    return current


def _sections(config_dict: ConfigDict, groups: list[str]) -> list[ConfigDict]:
    """Return the section at these keys, and for keys of data that of every further question set too."""
    found: list[Any] = [config_dict[groups[0]] if groups else config_dict]
    if groups[:1] == ["data"]:
        found += _further_data(config_dict)
    for group in groups[1:]:
        found = [section.get(group) for section in found if isinstance(section, dict)]
    return [section for section in found if isinstance(section, dict)]


def _further_data(config_dict: ConfigDict) -> list[Any]:
    """Return the data of the further question sets, in a stored configuration that may be damaged."""
    evaluation = config_dict["evaluation"] if isinstance(config_dict["evaluation"], dict) else {}
    sets = evaluation.get("sets")
    further = [evaluation.get("dev"), *(sets if isinstance(sets, list) else [])]
    return [one.get("data") for one in further if isinstance(one, dict)]


def members(kind: type, section: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """Return the valid values of a section by the fields of `kind`; append a line to `problems` for everything else.

    path: of the section, with a dot behind it; empty for the root.
    """
    hints = get_type_hints(kind, include_extras=True)
    for key in section:
        if key not in hints:
            problems.append(f"{path}{key}: unknown key.{_meant(path, str(key), hints)}")
    values: dict[str, Any] = {}
    for key, hint in hints.items():
        if key not in section:
            problems.append(f"{path}{key}: missing; it belongs to the file that was chosen for this group.")
        elif (value := _value(hint, section[key], path + key, problems)) is not INVALID:
            values[key] = value
    return values


SHORT = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "r": "rank",
    "grad_accum": "gradient_accumulation_steps",
}
"""Names of the field for a few keys."""

NOT_TYPED = (SetConfig, Recommended)
"""Sections whose keys nobody means who has mistyped one: further question sets have those of data."""


def _meant(path: str, key: str, hints: Mapping[str, Any]) -> str:
    """Return a sentence about what an unknown key of a section stands for: its new name, or the nearest known ones."""
    if renamed := RENAMED.get(f"{path}{key}"):
        return f" It is called {renamed} now."
    leaf = SHORT.get(key, key)
    if elsewhere := [known for known in _hints(Config) if known.rpartition(".")[2] == leaf]:
        return f" Did you mean {' or '.join(elsewhere)}?"
    if near := nearest(key, hints if path else (*hints, *NOT_CHOSEN)):
        return near
    if near := nearest(key, {known.rpartition(".")[2] for known in _hints(Config)}):
        return _meant(path, near.split("'")[1], hints)
    return f" {path[:-1]} has {', '.join(hints)}." if path else ""


def known_values(key: str) -> list[str]:
    """Return the values of a key such as optimizer.name that has only a few, as they are typed."""
    hint = _hints(Config).get(key)
    choices = [one for one in (hint, *get_args(hint)) if get_origin(one) is Literal]
    flags = ["true", "false"] if bool in (hint, *get_args(hint)) else []
    return [*(str(value) for one in choices for value in get_args(one)), *flags]


@cache
def _hints(kind: type, path: str = "") -> dict[str, Any]:
    """Return the type of every key of all sections of `kind`, by its name with dots."""
    hints: dict[str, Any] = {}
    for key, hint in get_type_hints(kind).items():
        sections = [
            one for one in (hint, *get_args(hint)) if is_dataclass(one) and get_origin(hint) not in (list, dict)
        ]
        if sections and sections[0] not in NOT_TYPED:
            hints |= _hints(cast(type, sections[0]), f"{path}{key}.")
        elif not sections:
            hints[f"{path}{key}"] = hint
    return hints


def is_within(value: float, bound: str) -> bool:
    """Whether a number is within a bound such as `above 0 and at most 10`."""
    limits = re.findall(rf"({'|'.join(sorted(COMPARED, key=len, reverse=True))}) (\S+)", bound)
    return all(COMPARED[word](value, float(limit)) for word, limit in limits)


def path_problem(path: str) -> str | None:
    """Return why nothing can have this path."""
    if "\0" in path:
        return "no path has a NUL in it."
    if not path.strip():
        return "must not be empty."
    if len(os.fsencode(path)) > LONGEST_PATH or any(len(os.fsencode(n)) > LONGEST_NAME for n in path.split("/")):
        return f"no path has a name of more than {LONGEST_NAME} bytes or {LONGEST_PATH} in all, got {quoted(path)}."
    try:
        Path(path).expanduser()
    except RuntimeError:
        return f"there is no such user, got {quoted(path)}. A folder of that name is written ./~…"
    return None


def _value(hint: Any, value: Any, path: str, problems: list[str]) -> Any:
    """Return a valid value of the type `hint`; otherwise append a line to `problems` and return INVALID."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        checked, wanted = _value(arguments[0], value, path, problems), arguments[1]
        if wanted == PATH and isinstance(checked, str) and (problem := path_problem(checked)):
            problems.append(f"{path}: {problem}")
            return INVALID
        if isinstance(checked, (int, float)) and not is_within(checked, wanted):
            problems.append(f"{path}: must be {wanted}, got {quoted(value)}.")
            return INVALID
        return checked
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, path, problems)
    if is_dataclass(hint):
        if isinstance(value, Mapping):
            fields = members(cast(type, hint), value, f"{path}.", problems)
            return _unfinished(cast(type, hint), fields) if problems else cast(type, hint)(**fields)
    elif origin is Literal:
        if value in arguments:
            return value
        near = nearest(str(value), [str(option) for option in arguments])
        problems.append(f"{path}: must be one of {', '.join(map(str, arguments))}, got {quoted(value)}.{near}")
        return INVALID
    elif origin is list:
        if isinstance(value, (list, tuple)):
            items = [_value(arguments[0], item, f"{path}[{i}]", problems) for i, item in enumerate(value)]
            return INVALID if INVALID in items else items
    elif origin is dict:
        if isinstance(value, Mapping) and arguments[1] is Any:
            return dict(value)
        if isinstance(value, Mapping):
            named = {key: _value(arguments[1], item, f"{path}.{key}", problems) for key, item in value.items()}
            return INVALID if INVALID in named.values() else named
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and _is_finite(value):
            return float(value)
    elif hint is str and isinstance(value, str) and (found := UNWRITABLE.search(value)):
        problems.append(f"{path}: no file can hold the character {found[0]!r}, got {quoted(value)}.")
        return INVALID
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    if hint is str and isinstance(value, bool):
        problems.append(f"{path}: must be a text, got {value}. In YAML, yes, no, on and off are texts only in quotes.")
        return INVALID
    problems.append(f"{path}: must be {_describe(hint)}, got {quoted(value)}.")
    return INVALID


def _unfinished(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a section that has these values and no others, with the properties of its kind."""
    section = object.__new__(kind)
    section.__dict__.update(values)
    return section


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


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
    problems.append(f"{path}: must be {' or '.join(map(_describe, real))}, got {quoted(value)}.")
    return INVALID


def _describe(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        base, bound = get_args(hint)
        return _describe(base) if bound == PATH else f"{_describe(base)} {bound}"
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    kind = dict if is_dataclass(hint) else get_origin(hint) or hint
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
    return words.get(kind, "a mapping of keys" if kind is dict else str(hint))


def problems_of(config_dict: Mapping[str, Any], kind: type[Config] = Config) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a composed configuration by field of `kind`, and a line for every problem."""
    problems: list[str] = []
    values = members(kind, config_dict, "", problems)
    for rule in RULES:
        try:
            problems += rule(_unfinished(kind, values))
        except AttributeError:
            if not problems:  # otherwise the rule asked for one of the values that were reported already
                raise
    if not problems:
        problems += _problems_of_trainer_args(values["objective"])
        problems += _problems_of_stages(values["stages"])
    return values, problems


def _problems_of_stages(stages: list[StageConfig]) -> Iterator[str]:
    """Yield the broken rules of the stages before the last; the base of a later one is no longer of random weights."""
    if [number for number, stage in enumerate(stages, 1) if stage.config is None] != [len(stages)][: len(stages)]:
        yield "stages: the last one, and no other, is the run itself and has no configuration of its own."
    for number, stage in enumerate(stages):
        if (config := stage.config) is not None:
            model = config.model
            if number and model.architecture is not None:
                model = replace(model, architecture=None, vocabulary_size=None, path="embedded:starter")
            for rule in RULES:
                yield from (f"stages.{stage.name}: {line}" for line in rule(replace(config, model=model)))


def _problems_of_trainer_args(objective: ObjectiveConfig) -> Iterator[str]:
    """Yield what is wrong with values whose names the rules let through; TRL says what types they have."""
    hints = argument_types(objective.prefers) if objective.trainer_args else {}
    for name, value in objective.trainer_args.items():
        problems: list[str] = []
        path = f"objective.trainer_args.{name}"
        checked = _value(hints[name], value, path, problems)
        if isinstance(checked, (int, float)) and not is_within(checked, NUMBERS):
            problems.append(f"{path}: must be {NUMBERS}, got {quoted(value)}.")
        yield from problems


def typed(config_dict: Mapping[str, Any], kind: type[C]) -> C:
    """Return a composed, resolved configuration as the dataclass `kind`.

    Raises:
        ConfigError: with every unknown key, missing key, wrong type, impossible value and broken rule at once.
    """
    values, problems = problems_of(config_dict, kind)
    if problems:
        raise ConfigError(listing(problems))
    return kind(**values)
