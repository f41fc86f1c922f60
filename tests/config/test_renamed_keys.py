"""What was stored under an old name is read, and what is typed under it is answered with the new one."""

import pytest

from mcqa.config.composition import compose
from mcqa.config.renamed_keys import RENAMED, with_current_names
from mcqa.config.schema import Config
from mcqa.config.validation import problems_of, typed
from mcqa.runs import run_folder
from mcqa.runs.files import write_yaml


def stored_before():
    """A configuration as a run stored it under the old names."""
    config_dict = compose("config", ["+experiment=lora_mcqa"])
    for old, new in RENAMED.items():
        group, key = old.split(".")
        config_dict[group][key] = config_dict[group].pop(new.split(".")[1])
    return config_dict


def test_a_configuration_stored_under_old_names_is_read_as_one_under_the_new_ones(tmp_path):
    write_yaml(tmp_path / "config.yaml", stored_before())
    assert run_folder.config_of(tmp_path) == compose("config", ["+experiment=lora_mcqa"])
    assert typed(run_folder.config_of(tmp_path), Config).peft.rank == 16


@pytest.mark.parametrize("config_dict", [{}, {"peft": None}, {"peft": "r"}, {"peft": {"alpha": 1}}])
def test_what_has_no_old_name_stays_as_it_is(config_dict):
    assert with_current_names(config_dict) == config_dict


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_on_the_command_line_is_answered_with_the_new_one(old, new):
    problems = problems_of(stored_before())[1]
    assert f"{old}: unknown key. It is called {new} now." in problems
