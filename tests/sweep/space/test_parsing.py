"""Params and the command line are read as Hydra reads them, and every problem is reported."""

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from mcqa.config.errors import ConfigError
from mcqa.sweep.space.parsing import product
from tests.sweep.space.spaces import Loader, problems, space


def test_the_items_of_a_yaml_list_are_values_not_grammar():
    found = space({"name": ["a,b", "choice(1,2)"], "peft.targets": [["q_proj"], ["q_proj", "v_proj"]]})
    assert found.grammar() == {
        "name": "choice('a,b','choice(1,2)')",
        "peft.targets": "choice([q_proj],[q_proj,v_proj])",
    }


def test_a_nested_mapping_is_the_same_as_dotted_keys():
    nested = space({"optimizer": {"steps": "1,2", "weight_decay": 0.1}})
    assert nested == space({"optimizer.steps": "1,2", "optimizer.weight_decay": 0.1})
    assert nested.fixed == ("optimizer.weight_decay=0.1",)


def test_one_value_is_fixed_and_written_as_it_was_typed():
    found = space({"seed": 3, "name": "adam"}, ["peft.rank=8", "+peft.new={a: 1}", "~peft.dropout"])
    assert found.fixed == ("seed=3", "name=adam", "peft.rank=8", "+peft.new={a: 1}", "~peft.dropout")
    assert found.dimensions == ()


def test_the_command_line_wins_over_params_for_the_same_key():
    params = {"optimizer.steps": "1,2", "optimizer.learning_rate": "interval(0,1)", "seed": 1}
    found = space(params, ["optimizer.steps=4", "seed=range(3)", "++optimizer.learning_rate=1e-3,1e-2"])
    assert found.fixed == ("optimizer.steps=4",)
    assert found.grammar() == {"++optimizer.learning_rate": "choice(0.001,0.01)", "seed": "range(0,3,1)"}


def test_every_problem_is_reported_at_once():
    said = problems(
        {
            "optimizer.learning_rat": "interval(0,1)",
            "optimizer.learning_rate": "tag(log,interval(0,1))",
            "optimizer.weight_decay": "interval(1,0)",
            "optimizer.steps": "range(5,1)",
            "optimizer.nesterov": "tag(log,choice(1,2))",
            "seed": "1,2,1",
            "peft.rank": "choice(1",
            "peft.dropout": "choice(null,1)",
            "peft.targets": [],
            "name": "tag(fast,interval(0,1))",
            "peft.name": "interval(0,inf)",
            "peft.alpha": "tag(factor,choice(fast,1))",
            "peft.beta": "tag(factor,interval(-0.5,1))",
        },
        ["hydra/launcher=basic,joblib", "hydra.sweeper.n_jobs=1,2", "entirely.new=1"],
        function="nowhere.at.all",
    )
    for part in (
        "no optimizer.learning_rat. Did you mean 'optimizer.learning_rate'?",
        "a log scale cannot begin at 0.0",
        "the lower end 1.0 is above the upper end 0.0",
        "optimizer.steps=range(5,1): there is nothing in this range",
        "only an interval can have a log scale",
        "seed=1,2,1: the same value stands there twice",
        "peft.rank=choice(1",
        "A null stands in a plain list: a,null.",
        "peft.targets=[]: there is nothing to choose from",
        "the only ones are log and factor",
        "a factor is a number of at least 0, not fast",
        "a factor is a number of at least 0, not -0.5",
        "an interval needs two finite ends",
        "hydra/launcher=basic,joblib: what configures Hydra itself",
        "hydra.sweeper.n_jobs=1,2: what configures Hydra itself",
        "no entirely.new. Write +entirely.new=1 if it is meant to be new.",
        "function=nowhere.at.all: no function is found there",
    ):
        assert part in said
    assert len(said.splitlines()) == 18


def test_a_new_key_is_allowed_with_a_plus_and_inner_and_group_keys_are_known():
    found = space({"+peft.alpha": "1,2"}, ["peft=none,lora", "peft@other.place=none,lora", "optimizer={steps: 1}"])
    assert [one.key for one in found.dimensions] == ["+peft.alpha", "peft", "peft@other.place"]
    assert [one.name for one in found.dimensions] == ["peft.alpha", "peft", "peft@other.place"]


def test_keys_below_a_swept_group_may_be_in_another_option_only():
    assert len(space({"peft": "none,dora"}, ["peft.magnitude=1,2"]).dimensions) == 2
    assert "no peft.magnitude" in problems({}, ["peft.magnitude=1,2"])


def test_options_of_a_group_are_checked_and_globbed_where_hydra_can_be_asked():
    said = problems({"peft": "lora,qlorra"}, loader=Loader())
    assert "peft has no option 'qlorra'. Did you mean 'qlora'?" in said
    assert space({"peft": "glob([q*,n*])"}, loader=Loader()).grammar() == {"peft": "choice(none,qlora)"}
    assert "not known here" in problems({"peft": "glob(*)"})


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["seed=1"],
        ["seed=1,2", "peft=none,lora", "name=x"],
        ["seed=range(1,6,2)", "+a.b=choice(x,y)", "~peft"],
        ["peft.targets=[a],[b,c]", "name='a b',\"c\""],
        ["seed=1,1"],
        ["seed=tag(first,choice(1,2))", "optimizer.steps=tag(a,b,range(1,3))"],
        ["name=str(choice(1,2))", "seed=float(range(1,3))", "optimizer.nesterov=true,false"],
        ["optimizer.learning_rate=range(0,1,0.1)", "name=null,x y"],
    ],
)
def test_the_plain_product_is_that_of_hydras_own_sweeper(lines):
    parsed = OverridesParser.create().parse_overrides(lines)
    theirs = BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]
    read = OverridesParser.create().parse_overrides
    assert [[(one.get_key_element(), one.value()) for one in read(job)] for job in product(lines)] == [
        [(one.get_key_element(), one.value()) for one in read(list(job))] for job in theirs
    ]


def test_a_shuffled_list_of_the_plain_product_runs_whole_in_some_order():
    jobs = [product(["seed=shuffle(range(9))", "name=shuffle(a,b)"]) for _ in range(5)]
    assert len({tuple(sorted(map(tuple, one))) for one in jobs}) == 1 and len(jobs[0]) == 18
    assert len({str(one) for one in jobs}) > 1


def test_what_has_no_end_or_no_value_has_no_product():
    for line, said in {
        "seed=range(0,inf)": "finite ends",
        "seed=range(5,1)": "nothing in this range",
        "peft=glob(*)": "not known here",
    }.items():
        with pytest.raises(ConfigError, match=said):
            product([line])
    with pytest.raises(ConfigError, match="nothing to choose from"):
        product(["peft=glob(x*)"], Loader())


def test_factors_have_no_product_since_each_trial_has_its_own_values():
    with pytest.raises(
        ConfigError, match=r"factors of the recommended value belong to a study \(hydra/sweeper/sampler"
    ):
        product(["seed=tag(factor,choice(1,2))"])


def test_an_interval_has_no_product():
    with pytest.raises(ConfigError, match="a study can draw from it"):
        product(["seed=interval(0,1)", "name=a,b"])
