"""Stages are composed with the command line's overrides and their own, and checked before anything runs."""

import pytest

from mcqa.config.composition import compose, compose_with_problems
from mcqa.config.errors import ConfigError
from mcqa.config.schema import Config
from mcqa.config.validation import problems_of, typed
from mcqa.runs.files import flatten
from tests.config.configurations import config, config_dict_of

TWO = ["+stages.first=['objective=choice',seed=5]", "+stages.second=['objective.epochs=2']"]
TWO[0] = TWO[0].replace("seed=5", "'seed=5'")


def problems(*overrides):
    config_dict, found = compose_with_problems("config", list(overrides), None)
    return found + [line for line in problems_of(config_dict)[1] if line not in found]


def test_a_run_without_stages_has_none():
    assert config().stages == [] and config().earlier_stages == []


def test_each_stage_has_the_overrides_of_the_command_and_its_own_which_win():
    run = typed(compose("config", [*TWO, "objective.epochs=7", "prompt=letters"]), Config)
    ((name, first),) = run.earlier_stages
    assert (name, first.objective.name, first.objective.epochs, first.seed) == ("first", "choice", 7, 5)
    assert (run.objective.name, run.objective.epochs, run.seed) == ("sft", 2, 0)
    assert first.prompt == run.prompt and run.prompt.style == "letters"
    assert [stage.name for stage in run.stages] == ["first", "second"] and run.stages[1].config is None


def test_a_group_of_the_command_gives_way_to_that_of_a_stage():
    run = typed(compose("config", ["objective=choice_only", *TWO]), Config)
    assert [run.earlier_stages[0][1].objective.name, run.objective.name] == ["choice", "choice_only"]


def test_question_sets_are_complete_in_every_stage():
    run = typed(compose("config", [*TWO, "evaluation.sets=[arc_easy]"]), Config)
    assert run.earlier_stages[0][1].evaluation.sets == run.evaluation.sets
    assert run.evaluation.sets[0].data.hub


def test_a_stored_configuration_is_complete_and_is_left_as_it_is():
    stored = compose("config", TWO)
    assert typed(stored, Config).earlier_stages[0][1].objective.name == "choice"


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("'objective=coice'", "objective=coice: no such option; known are choice, choice_only, "),
        ("'optimizer.learning_rte=1'", "optimizer.learning_rte: unknown key. Did you mean 'learning_rate'?"),
        ("'objective.epochs=-1'", "objective.epochs: must be above 0 and at most 10000, got -1."),
        ("'objective.packing=true','data=messages'", "data.path: data=messages needs"),
        ("'seed=1,2'", "seed=1,2: a stage has one value of each key."),
        ("'model=qwen3_0_6b'", "model=qwen3_0_6b: model cannot be another one in a stage: the base of a stage is the"),
        ("'hardware=gpu'", "hardware=gpu: hardware cannot be another one in a stage: the stages run one after"),
        ("'hardware.devices=2'", "hardware.devices=2: hardware.devices cannot be another one in a stage"),
        ("'+experiment=smoke'", "+experiment=smoke: experiment cannot be another one in a stage: it is chosen for all"),
        ("'tracking.uri=x'", "tracking.uri=x: tracking.uri cannot be another one in a stage: it is one for the whole"),
        ("'objective'", "'objective' is no override: "),
        ("7", "must be a list of overrides, as [objective=sft], got [7]."),
    ],
)
def test_what_is_wrong_with_a_stage_is_said_under_its_name(own, told):
    found = problems(f"+stages.first=[{own}]", "+stages.second=[]")
    assert found[0].startswith(f"stages.first: {told}")
    assert all(line.startswith("stages.first: ") for line in found)


def test_the_problems_of_all_stages_are_reported_at_once_and_those_of_the_command_once():
    first, second = "'objective.max_length=0','peft.rank=0'", "'objective.epochs=0'"
    found = problems(f"+stages.a=[{first}]", f"+stages.b=[{second}]", "+stages.c=['seed=1']", "optimizer.eps=7")
    assert [line.partition(" must")[0] for line in found] == [
        "stages.a: objective.max_length:",
        "stages.a: peft.rank:",
        "stages.b: objective.epochs:",
        "optimizer.eps:",
    ]


def test_stages_that_are_no_mapping_are_refused():
    with pytest.raises(ConfigError, match="stages: must be a list"):
        typed(compose("config", ["stages=3"]), Config)


def test_a_stage_may_read_what_keys_of_its_hardware_allow():
    run = typed(compose("config", ["+stages.a=['hardware.micro_batch_size=2']", "+stages.b=[]"]), Config)
    assert run.earlier_stages[0][1].hardware.micro_batch_size == 2


def test_random_weights_are_trained_by_the_first_stage_and_answer_in_a_later_one():
    first, others = "['objective=pretrain','peft=none']", "+stages.b=['objective=sft'] +stages.c=['objective=choice']"
    run = typed(compose("config", ["model=scratch", f"+stages.a={first}", *others.split()]), Config)
    assert [stage.objective.name for _, stage in run.earlier_stages] == ["pretrain", "sft"]


def test_a_stored_stage_that_breaks_a_rule_is_reported_under_its_name():
    values = config_dict_of(*TWO)
    values["stages"][0]["config"]["peft"]["rank"] = None
    assert problems_of(values)[1] == ["stages.first: peft.rank: peft=lora needs a value."]
    values["stages"][1]["config"] = values["stages"][0]["config"]
    assert "stages: the last one, and no other, is the run itself" in problems_of(values)[1][0]


def test_of_a_stage_only_what_differs_from_the_run_is_listed():
    leaves = {key: value for key, value in flatten(compose("config", TWO)).items() if key.startswith("stages")}
    assert leaves["stages.first.seed"] == 5 and leaves["stages.first.objective.name"] == "choice"
    assert leaves["stages.second"] == {} and len(leaves) < 10
    assert flatten(compose("config", []))["stages"] == []
