"""A space: its default, its grid and what a function adds to it."""

from dataclasses import replace

import pytest
from optuna.trial import FixedTrial

from mcqa.config.errors import ConfigError
from mcqa.sweep.space.space import DefaultOutsideSpace, parse
from tests.sweep.space.spaces import BASE, GROUPS, Loader, space

HERE = __name__


def lora_has_a_rank(trial, config):
    if trial.params["peft"] == "lora":
        rank = trial.suggest_int("peft.rank", 4, 64, log=True)
        return {"peft.alpha": 2 * rank, "name": f"rank {rank} seed {config['seed']}"}
    return None


def rank(trial, config):
    return {"peft.rank": 7}


def breaks(trial, config):
    raise KeyError("nothing")


def targets_by_name(trial, config):
    chosen = trial.suggest_categorical("peft.targets", ["attention", "all"])
    return {"peft.targets": {"attention": ["q_proj"], "all": ["q_proj", "up_proj"]}[chosen]}


def test_a_shuffled_choice_is_the_same_space_every_time_it_is_read():
    lines = ["name=shuffle(a,b,c,d,e,f,g,h)", "seed=shuffle(range(1,9))"]
    read = [space({}, lines, loader=Loader()) for _ in range(5)]
    assert all(one == read[0] for one in read)
    assert read[0].grammar()["name"] == "shuffle(choice(a,b,c,d,e,f,g,h))"
    assert len({str(list(one.combinations(seed=3))) for one in read}) == 1


def by_adapter(calls):
    """The configuration of Hydra where the learning rate follows peft."""

    def compose(overrides):
        calls.append(list(overrides))
        rate = 2e-4 if "peft=none" in overrides else 2e-3
        return {**BASE, "optimizer": {**BASE["optimizer"], "learning_rate": rate}}

    return compose


def test_a_factor_becomes_the_value_that_suits_the_other_overrides_of_the_trial():
    calls = []
    params = {"peft": "none,lora", "optimizer.learning_rate": "tag(log,factor,interval(0.1,10))", "seed": 3}
    found = parse(params, [], BASE, GROUPS, None, compose=by_adapter(calls))
    lines = [found.overrides(FixedTrial({"optimizer.learning_rate": 0.3, "peft": peft})) for peft in ("none", "lora")]
    assert lines == [["peft=none", "optimizer.learning_rate=6e-05"], ["peft=lora", "optimizer.learning_rate=0.0006"]]
    assert calls[0] == ["seed=3", "peft=none"]
    assert found.recommended == {"optimizer.learning_rate": {"peft=none": 2e-4, "peft=lora": 2e-3}}


def test_groups_that_make_no_difference_for_a_factor_are_not_named():
    params = {"optimizer": "adamw,lion", "peft": "lora,none", "optimizer.learning_rate": "tag(factor,choice(1,3))"}
    found = parse(params, [], BASE, GROUPS, None, compose=by_adapter([]))
    assert found.recommended["optimizer.learning_rate"] == {"peft=lora": 2e-3, "peft=none": 2e-4}
    assert space(params).recommended["optimizer.learning_rate"] == {"": 2e-4}


def test_the_default_has_factor_one_and_the_recommended_value():
    found = space({"optimizer.learning_rate": "tag(factor,choice(0.3,1,3))", "optimizer.steps": "4,8"})
    default = found.default()
    assert default.params == {"optimizer.learning_rate": 1, "optimizer.steps": 4}
    assert default.overrides == ["optimizer.learning_rate=0.0002", "optimizer.steps=4"]
    with pytest.raises(DefaultOutsideSpace, match="learning_rate=1 times the recommended value is not in tag"):
        space({"optimizer.learning_rate": "tag(log,factor,interval(2,4))"}).default()


def test_the_first_of_several_experiments_is_the_default_and_each_has_a_recommended_value_of_its_own():
    rates = {"+experiment=base": 0.1, "+experiment=sft": 0.2}
    params = {"+experiment": "base,sft", "optimizer.learning_rate": "tag(factor,choice(1,3))"}
    composed = {override: BASE | {"optimizer": {"learning_rate": rate}} for override, rate in rates.items()}
    found = replace(space(params), compose=lambda overrides: composed[overrides[-1]])
    assert found.default().params == {"experiment": "base", "optimizer.learning_rate": 1}
    assert found.default().overrides == ["+experiment=base", "optimizer.learning_rate=0.1"]
    assert found.recommended == {"optimizer.learning_rate": rates}


@pytest.mark.parametrize("key", ["optimizer.weight_decay", "peft.dropout", "optimizer.nesterov", "name", "peft"])
def test_a_factor_of_nothing_or_of_no_number_is_refused_with_what_is_there(key):
    with pytest.raises(
        ConfigError, match=f"{key}: a factor needs a number other than 0 to multiply; the configuration"
    ):
        list(space({key: "tag(factor,range(1,3))"}).recommended)


def test_a_key_that_a_function_returns_wins_over_its_factor():
    found = space({"peft.rank": "tag(factor,choice(1,2))", "seed": "1,2"}, function=f"{HERE}.rank")
    assert found.overrides(FixedTrial({"peft.rank": 2, "seed": 1})) == ["peft.rank=7", "seed=1"]


def test_the_default_is_the_base_configuration_as_a_trial():
    found = space(
        {
            "optimizer.learning_rate": "tag(log,interval(1e-5,1e-2))",
            "optimizer.steps": "int(interval(1,8))",
            "optimizer.weight_decay": "range(0,0.3,0.1)",
            "optimizer.nesterov": "0,false",
            "peft": "none,lora",
            "peft.targets": "[q_proj],[q_proj,v_proj]",
            "peft.dropout": "null,0.1",
        }
    )
    assert found.default().overrides == [
        "optimizer.learning_rate=0.0002",
        "optimizer.steps=4",
        "optimizer.weight_decay=0.0",
        "optimizer.nesterov=false",
        "peft=lora",
        "peft.targets=[q_proj,v_proj]",
        "peft.dropout=null",
    ]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("peft.dropout", "interval(0,1)"),
        ("optimizer.learning_rate", "interval(0.001,1)"),
        ("optimizer.nesterov", "int(interval(0,1))"),
        ("optimizer.nesterov", "0,1"),
        ("seed", "false,true"),
        ("optimizer.steps", "range(1,9,2)"),
        ("optimizer.steps", "range(1,4)"),
        ("peft", "none,qlora"),
        ("peft.targets", "[v_proj,q_proj],[q_proj]"),
        ("+peft.alpha", "1,2"),
    ],
)
def test_there_is_no_default_where_the_base_lies_outside(key, text):
    with pytest.raises(DefaultOutsideSpace, match=key.lstrip("+")):
        space({"name": "run,other", key: text}).default()


def test_a_function_adds_what_depends_on_other_dimensions():
    found = space({"peft": "none,lora"}, function=f"{HERE}.lora_has_a_rank")
    trial = FixedTrial({"peft": "lora", "peft.rank": 8})
    assert found.overrides(trial) == ["peft=lora", "peft.rank=8", "peft.alpha=16", "name='rank 8 seed 0'"]
    assert found.overrides(FixedTrial({"peft": "none"})) == ["peft=none"]
    assert found.grammar() == {"peft": "choice(none,lora)", "function": f"{HERE}.lora_has_a_rank"}


def test_what_a_function_returns_wins_over_what_it_suggested():
    found = space(function=f"{HERE}.targets_by_name")
    assert found.overrides(FixedTrial({"peft.targets": "all"})) == ["peft.targets=[q_proj,up_proj]"]


def test_a_function_that_fails_is_reported_with_its_name():
    with pytest.raises(ConfigError, match="breaks: KeyError: 'nothing'"):
        space(function=f"{HERE}.breaks").overrides(FixedTrial({}))


def test_the_default_of_a_conditional_space_takes_what_the_function_suggests_from_the_base():
    found = space({"peft": "none,lora"}, function=f"{HERE}.lora_has_a_rank")
    assert found.default().params == {"peft": "lora", "peft.rank": 16}
    wide = BASE | {"peft": BASE["peft"] | {"rank": 128}}
    with pytest.raises(DefaultOutsideSpace, match="128"):
        space({"peft": "none,lora"}, base=wide, function=f"{HERE}.lora_has_a_rank").default()
    without = BASE | {"peft": {"name": "lora"}}
    with pytest.raises(DefaultOutsideSpace, match="peft.rank"):
        space({"peft": "none,lora"}, base=without, function=f"{HERE}.lora_has_a_rank").default()


def test_what_a_function_changes_in_the_default_is_reported():
    base = BASE | {"peft": BASE["peft"] | {"alpha": 32}, "name": "rank 16 seed 0"}
    same = space({"peft": "none,lora"}, base=base, function=f"{HERE}.lora_has_a_rank")
    assert list(same.differences(same.default())) == []
    other = space({"peft": "none,lora"}, base=base | {"name": "run"}, function=f"{HERE}.lora_has_a_rank")
    assert list(other.differences(other.default())) == [f"function={HERE}.lora_has_a_rank gives name='rank 16 seed 0'"]


def test_combinations_come_once_each_with_the_last_key_fastest():
    found = space({"seed": "range(2)", "peft": "none,lora"})
    rows = [tuple(row.values()) for row in found.combinations(None)]
    assert rows == [(0, "none"), (0, "lora"), (1, "none"), (1, "lora")]
    assert found.size() == 4


def test_shuffled_keys_are_in_another_order_which_the_seed_decides():
    found = space({"seed": "shuffle(range(50))"})
    first, again, other = (list(found.combinations(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(row["seed"] for row in first) == list(range(50))


def test_what_cannot_be_counted_has_no_size():
    assert space({"seed": "interval(0,1)", "name": "a,b"}).size() is None
    assert space({"seed": "interval(0,1)"}, function=f"{HERE}.breaks").not_enumerable() == [
        "seed",
        f"function={HERE}.breaks",
    ]
