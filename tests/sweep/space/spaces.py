"""A base configuration, spaces over it and what they are checked with."""

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import strategies as st

from mcqa.config.errors import ConfigError
from mcqa.sweep.space.space import parse

optuna.logging.set_verbosity(optuna.logging.ERROR)

BASE = {
    "seed": 0,
    "name": "run",
    "optimizer": {"learning_rate": 2e-4, "weight_decay": 0.0, "steps": 4, "nesterov": False},
    "peft": {"name": "lora", "rank": 16, "targets": ["q_proj", "v_proj"], "dropout": None},
}
GROUPS = {"optimizer": "adamw", "peft": "lora", "hydra/launcher": "basic"}

numbers = st.integers() | st.floats(allow_nan=False)
scalars = st.none() | st.booleans() | numbers | st.text()
keys = st.from_regex(r"[a-z][a-z0-9_ :=-]{0,5}[a-z]", fullmatch=True).filter(lambda key: key not in ("nan", "inf"))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)


class Loader:
    """What of Hydra's ConfigLoader a space needs."""

    def get_group_options(self, group, results_filter=None):
        return {"peft": ["lora", "none", "qlora"]}.get(group, [])


def space(params=None, overrides=(), base=BASE, groups=GROUPS, function=None, loader=None):
    return parse(params or {}, overrides, base, groups, function, loader)


def dimension(text):
    return space({"seed": text}).dimensions[0]


def problems(params=None, overrides=(), **more):
    with pytest.raises(ConfigError) as error:
        space(params, overrides, **more)
    return str(error.value)


def same(one, other):
    """Equal and of the same type, all the way down; NaN is NaN."""
    if isinstance(one, list | tuple):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and (one == other or one != one)


def sample(space, n, seed=0):
    """Optuna's values and our overrides of n trials of a random sampler."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    trials = [study.ask(space.distributions) for _ in range(n)]
    return [(space.overrides(trial), trial.params) for trial in trials]


def value_of(override):
    return OverridesParser.create().parse_override(override).value()
