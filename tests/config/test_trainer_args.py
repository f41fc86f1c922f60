"""Arguments passed on to TRL: those that a key decides and those that the run relies on are refused."""

from dataclasses import fields, replace

import pytest

from mcqa.config.trainer_args import DECIDED, FIXED
from tests.config.configurations import config, every_key, problems


@pytest.fixture(scope="module")
def arguments_of_trl():
    from trl import SFTConfig  # seconds

    return {field.name for field in fields(SFTConfig)}


def test_every_governed_argument_is_one_of_trl_and_its_key_one_of_ours(arguments_of_trl):
    ours = {".".join(path) for path in every_key()}
    assert set(DECIDED) <= arguments_of_trl
    assert {argument.key for argument in DECIDED.values()} <= ours


def test_arguments_that_no_key_decides_are_passed_on(arguments_of_trl):
    wanted = {"router_aux_loss_coef": 0.01, "dataloader_num_workers": 2}
    assert config(objective__trainer_args=wanted).objective.trainer_args == wanted


def test_several_wrong_arguments_are_reported_together(arguments_of_trl):
    told = problems(objective__trainer_args={"bf16": True, "max_steps": 3, "nonsense": 1})
    assert [line.split(":")[0].rsplit(".")[-1] for line in told] == ["bf16", "max_steps", "nonsense"]


def test_an_argument_whose_name_is_no_text_is_reported(arguments_of_trl):
    (told,) = problems(objective__trainer_args={1: 2})
    assert told.startswith("objective.trainer_args")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("router_aux_loss_coef", "high", "must be a number, got 'high'."),
        ("router_aux_loss_coef", -1, "must be from 0 to 2147483647, got -1."),
        ("dataloader_num_workers", 2.5, "must be a whole number, got 2.5."),
        ("dataloader_num_workers", 10**12, "must be from 0 to 2147483647, got 1000000000000."),
        ("dataloader_drop_last", "yes", "must be true or false, got 'yes'."),
        ("label_names", [1], "must be a text, got 1."),
        ("fsdp_config", 3, "must be a mapping of keys or a text, got 3."),
        ("deepspeed", ["x"], "must be a mapping of keys or a text, got ['x']."),
    ],
)
def test_a_value_of_another_type_than_trl_says_is_reported(name, value, told, arguments_of_trl):
    (problem,) = problems(objective__trainer_args={name: value})
    assert problem.startswith(f"objective.trainer_args.{name}") and problem.endswith(told)


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
def test_what_the_rules_let_through_the_trainer_takes(hardware, arguments_of_trl, monkeypatch, tmp_path):
    from mcqa.training import trainer

    monkeypatch.setattr(trainer, "SFTConfig", dict)  # as strict about arguments that are given twice
    run = config(f"hardware={hardware}")
    refused = []
    for name in sorted(arguments_of_trl - set(DECIDED) - set(FIXED)):
        passing = replace(run, objective=replace(run.objective, trainer_args={name: None}))
        try:
            trainer.trl_config(passing, tmp_path, examples=100)
        except TypeError:
            refused.append(name)
    assert refused == []
