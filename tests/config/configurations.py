"""Configurations with values that a test changes, and what validation says of them."""

from copy import deepcopy
from dataclasses import is_dataclass
from functools import cache
from typing import get_args, get_origin, get_type_hints

from mcqa.config.composition import compose
from mcqa.config.schema import Config, EvaluateConfig, MixedSet, StageConfig
from mcqa.config.validation import problems_of, typed


@cache
def composed(config_name, *overrides):
    return compose(config_name, list(overrides))


def config_dict_of(*overrides, config_name="config", **changes):
    """What conf/ makes of these overrides; changes set keys past Hydra, `optimizer__eps=0` for optimizer.eps."""
    values = deepcopy(composed(config_name, *overrides))
    for path, value in changes.items():
        *groups, key = path.split("__")
        section = values
        for group in groups:
            section = section[group]
        section[key] = value
    return values


def problems(*overrides, kind=Config, **changes):
    return problems_of(config_dict_of(*overrides, **changes), kind)[1]


def problems_of_evaluating(*overrides, **changes):
    return problems(*overrides, kind=EvaluateConfig, config_name="evaluate", **changes)


def config(*overrides, **changes):
    return typed(config_dict_of(*overrides, **changes), Config)


def every_key(kind=Config, prefix=()):
    for name, hint in get_type_hints(kind, include_extras=True).items():
        yield (*prefix, name)
        for part in (hint, *get_args(hint)):
            if part in (MixedSet, StageConfig):  # which have all keys of data, or of a run, again
                continue
            if is_dataclass(part) and get_origin(hint) is not dict:  # the names in between are the user's
                yield from every_key(part, (*prefix, name))
