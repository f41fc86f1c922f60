"""Where Hydra refuses a command line, everything wrong with it is reported, with the nearest known names."""

import pytest
from hydra.errors import HydraException

from mcqa.config.diagnosis import diagnosis
from mcqa.config.schema import Config, EvaluateConfig


def diagnosed(*arguments, name="config", kind=Config):
    """The problems that are told where Hydra refused a command line."""
    told = str(diagnosis(name, kind, list(arguments), HydraException("Hydra's own words")))
    head, *problems = told.splitlines()
    assert head.startswith("The configuration has ")
    return [problem.strip() for problem in problems]


@pytest.mark.parametrize(
    ("argument", "start", "end"),
    [
        ("model=starte", "model=starte: no such option; known are ", "Did you mean 'starter'?"),
        ("+experiment=smok", "experiment=smok: no such option; known are ", "Did you mean 'smoke'?"),
        ("+sweeps=learning_rat", "sweeps=learning_rat: no such option; known are ", "Did you mean 'learning_rate'?"),
        ("prompt=xyz", "prompt=xyz: no such option; known are blank, chat, cloze, ", "template."),
        ("modl=starter", "modl: unknown key.", "Did you mean 'model'?"),
        ("+modl.path=x", "modl: unknown key.", "Did you mean 'model'?"),
        ("objective.epoch=2", "objective.epoch: unknown key.", "Did you mean 'epochs'?"),
        ("data.splits.tran=a", "data.splits.tran: unknown key.", "Did you mean 'train'?"),
        ("~optimizer.eps", "optimizer.eps: missing;", "chosen for this group."),
        ("hydra.sweeper.n_trial=3", "hydra.sweeper.n_trial: unknown key.", "Did you mean 'n_trials'?"),
        ("hydra.swepr.n_trials=3", "hydra.swepr: unknown key.", "Did you mean 'sweeper'?"),
        ("hydra.sweeper.params.seed=3", "hydra.sweeper.params.seed: unknown key.", "if it is meant to be new."),
        ("hydra/sweeper=mcq", "hydra/sweeper=mcq: no such option; known are basic, mcqa.", "Did you mean 'mcqa'?"),
        ("hydra/sweeper/sampler=tpee", "hydra/sweeper/sampler=tpee: no such option; ", "Did you mean 'tpe'?"),
        ("hydra/launcher=loca", "hydra/launcher=loca: no such option; ", "Did you mean 'local'?"),
    ],
)
def test_a_wrong_name_is_reported_with_the_nearest(argument, start, end):
    (told,) = diagnosed(argument)
    assert told.startswith(start)
    assert told.endswith(end)


@pytest.mark.parametrize("argument", ["experiment=smoke", "sweeps=learning_rate"])
def test_a_missing_plus_is_reported(argument):
    assert diagnosed(argument) == [f"{argument}: not chosen by default, so it needs a plus: +{argument}"]


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("model=Qwen/Qwen3-0.6B", "no such option; a model of yours or on the hub is written model=local model.path="),
        ("data=allenai/sciq", "no such option; a question set of yours or on the hub is written data=local data.hub="),
        ("data=/", "no such option; a question set of yours or on the hub is written data=local data.path=/."),
        ("data.columns.choices=[A,B", "a ] is missing;"),
        ("evaluation.sets=[{data: mmlu]", "a } is missing;"),
    ],
)
def test_what_is_no_option_or_cannot_be_parsed_says_how_it_is_written(argument, problem):
    (told,) = diagnosed(argument)
    assert told.startswith(f"{argument}: {problem}")


def test_two_experiments_are_refused_in_plain_words():
    told = diagnosed("+experiment=smoke", "+experiment=qlora_mcqa")
    assert told[0].startswith("+experiment=smoke and +experiment=qlora_mcqa: one at a time;")


def test_every_misspelled_option_and_key_is_reported_and_every_wrong_value():
    told = diagnosed("model=qwen", "data=arc_eazy", "peft.rnak=3", "seed=x", "optimizer.learning_rate=-1")
    assert [problem.split(":")[0] for problem in told] == [
        "model=qwen",
        "data=arc_eazy",
        "seed",
        "optimizer.learning_rate",
        "peft.rnak",
    ]


def test_a_right_option_beside_a_wrong_one_is_composed():
    told = diagnosed("model=local", "peft=qlroa")
    assert [problem.split(":")[0] for problem in told] == ["peft=qlroa", "model.path"]


def test_an_experiment_counts_while_the_rest_is_looked_through():
    (told,) = diagnosed("+experiment=pretrain_starter", "peft.rnak=3")
    assert told.startswith("peft.rnak: unknown key.")


def test_in_a_multirun_the_first_value_stands_for_all():
    assert diagnosed("--multirun", "peft=none,lora", "optimizer.eps=1e-8,1e-9", "sed=1,2") == [
        "sed: unknown key. Did you mean 'seed'?"
    ]


def test_right_keys_of_the_sweeper_are_not_reported_beside_a_wrong_one():
    right = ["hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=2", "hydra.sweeper.n_trials=4"]
    told = diagnosed("+sweeps=learning_rate", *right, "hydra.sweeper.n_job=2", "sed=1")
    assert [problem.split(":")[0] for problem in told] == ["hydra.sweeper.n_job", "sed"]


def test_a_misspelled_value_in_a_list_of_options_is_reported():
    (told,) = diagnosed("--multirun", "peft=nome,lora")
    assert told.startswith("peft=nome: no such option")


@pytest.mark.parametrize("space", ["interval(1e-5,1e-3)", "tag(log,factor,interval(0.1,10))", "glob(*)"])
def test_a_range_without_a_sweeper_for_it_does_not_hide_the_other_mistakes(space):
    told = diagnosed(f"optimizer.learning_rate={space}", "sede=1")
    assert "sede: unknown key. Did you mean 'seed'?" in told


def test_where_nothing_is_found_hydra_speaks_for_itself():
    assert diagnosed("peft=lora", "optimizer.eps=1e-8") == ["Hydra's own words"]


@pytest.mark.parametrize("garbage", ["foo bar", "seed", "name=a=b", "optimizer.learning_rate=[1,2"])
def test_garbage_is_reported_together_with_the_other_mistakes(garbage):
    first, second = diagnosed(garbage, "peft=qlroa")
    assert first.startswith(f"{garbage}: ")
    assert second.startswith("peft=qlroa: no such option")


def test_the_keys_of_an_evaluation_are_known_to_it_alone():
    assert diagnosed("splits=[dev]", "run=a", "peft.rnk=1", name="evaluate", kind=EvaluateConfig)[0].startswith(
        "peft.rnk"
    )
    assert [problem.split(":")[0] for problem in diagnosed("splits=[dev]")] == ["splits"]


def test_a_value_that_follows_from_a_wrong_one_hides_no_other_mistake():
    told = diagnosed("peft.trainable=foo", "seed=x", "name=${nope}")
    assert [problem.split(": ")[0] for problem in told] == ["name", "optimizer.learning_rate", "seed", "peft.trainable"]
    assert told[0] == "name: '${nope}' has no value: Interpolation key 'nope' not found."
