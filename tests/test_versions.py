"""What pyproject.toml allows and what constraints.txt pins, which is what is tested, agree."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mcqa.config.composition import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIREMENTS = [
    Requirement(text) for part in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()) for text in part
]
PINNED = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
}
BREAKS = {
    "hydra-core": "1.4",  # not released, and it breaks the launcher
    "omegaconf": "2.4",  # not for Hydra 1.3
    "transformers": "5.24",  # another name for past_key_values, and a PEFT that is not published
    "trl": "2.0",  # without compute_loss_func and label_smoothing_factor
    "mlflow": "3.18",  # companions that are not published
    "lm-eval": "0.5",  # moves api.task and api.metrics
}
"""The first version that is known to break something, by what it breaks."""


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda one: one.name)
def test_what_is_tested_lies_within_the_bounds(requirement):
    name = canonicalize_name(requirement.name)
    assert name in PINNED
    assert PINNED[name] in requirement.specifier


@pytest.mark.parametrize("name", BREAKS)
def test_a_version_that_is_known_to_break_is_out_of_bounds(name):
    (requirement,) = (one for one in REQUIREMENTS if canonicalize_name(one.name) == name)
    assert BREAKS[name] not in requirement.specifier
    assert f"{BREAKS[name]}.1" not in requirement.specifier
