"""What may vary: the grammar read as Hydra reads it, and every value written so that Hydra reads the same one back."""

import math
from decimal import Decimal

import optuna
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from mcqa.config.errors import ConfigError
from mcqa.sweep.space.dimension import choice, interval, number_range
from mcqa.sweep.space.override_text import read_back, text_of
from mcqa.sweep.space.parsing import product
from mcqa.sweep.space.space import DefaultOutsideSpace, parse

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


def alike(one, other):
    """Equal and of the same type, all the way down; NaN is NaN."""
    if isinstance(one, list | tuple):
        return isinstance(other, list) and len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    return type(one) is type(other) and (one == other or one != one)


def drawn(space, n, seed=0):
    """Optuna's values and our overrides of n trials of a random sampler."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    trials = [study.ask(space.distributions) for _ in range(n)]
    return [(space.overrides(trial), trial.params) for trial in trials]


def value_of(override):
    return OverridesParser.create().parse_override(override).value()


def lora_has_a_rank(trial, config):
    if trial.params["peft"] == "lora":
        rank = trial.suggest_int("peft.rank", 4, 64, log=True)
        return {"peft.alpha": 2 * rank, "name": f"rank {rank} seed {config['seed']}"}
    return None


def breaks(trial, config):
    raise KeyError("nothing")


def targets_by_name(trial, config):
    chosen = trial.suggest_categorical("peft.targets", ["attention", "all"])
    return {"peft.targets": {"attention": ["q_proj"], "all": ["q_proj", "up_proj"]}[chosen]}


HERE = __name__
optuna.logging.set_verbosity(optuna.logging.ERROR)


@given(values)
def test_hydra_reads_every_text_back_as_the_value_it_was_made_of(value):
    assert alike(value, read_back(text_of(value)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "1e-05"),
        (1.0, "1.0"),
        (-math.inf, "-inf"),
        (True, "true"),
        (None, "null"),
        ("null", "'null'"),
        ("1e-3", "'1e-3'"),
        ("NaN", "'NaN'"),
        ("google/gemma-3", "google/gemma-3"),
        ("", "''"),
        ("it's", r"'it\'s'"),
        ("${seed}", "'${seed}'"),
        (["q_proj", None, 2], "[q_proj,null,2]"),
        ({"a b": 1}, r"{a\ b:1}"),
    ],
)
def test_texts_are_quoted_only_where_they_must_be(value, text):
    assert text_of(value) == text
    assert alike(value, read_back(text))


def test_nan_and_numbers_of_numpy_have_texts_too():
    import numpy

    assert text_of(math.nan) == "nan"
    assert text_of(numpy.float64(0.1)) == "0.1"
    assert text_of(numpy.int64(3)) == "3"


@pytest.mark.parametrize("value", [{"1": 2}, {"true": 2}, {"it's": 2}, object()])
def test_what_no_override_can_say_is_refused(value):
    with pytest.raises(ValueError, match="cannot be written as an override"):
        text_of(value)


@settings(max_examples=60)
@given(st.lists(values, min_size=1, max_size=5), st.integers(0, 1000))
def test_every_choice_that_optuna_suggests_is_read_back_as_the_value_it_stands_for(options, seed):
    unique = {text_of(option): option for option in options}
    space_ = space({"seed": list(unique.values())})
    for overrides, params in drawn(space_, 5, seed):
        place = space_.dimensions[0].distribution.choices.index(params["seed"])
        assert alike(list(unique.values())[place], value_of(overrides[0]))


def test_a_choice_with_nan_or_with_values_that_python_takes_for_equal_is_kept_by_its_texts():
    assert space({"seed": [math.nan, 1.5]}).dimensions[0].distribution.choices == ("nan", "1.5")
    assert space({"seed": [1, True, 1.0]}).dimensions[0].distribution.choices == ("1", "true", "1.0")
    assert space({"seed": [0, 1.5, "0"]}).dimensions[0].distribution.choices == (0, 1.5, "0")


@settings(max_examples=60)
@given(st.floats(-1e300, 1e300), st.floats(1e-300, 1e300), st.booleans(), st.integers(0, 1000))
def test_every_float_of_an_interval_is_read_back_exactly(low, width, log, seed):
    low = abs(low) + 1e-300 if log else low
    line = f"interval({low!r},{low + width!r})"
    for overrides, params in drawn(space({"seed": f"tag(log,{line})" if log else line}), 3, seed):
        assert alike(params["seed"], value_of(overrides[0]))
        assert low <= params["seed"] <= low + width


@settings(max_examples=60)
@given(
    st.integers(-(10**6), 10**6) | st.decimals(-100, 100, places=3).map(float),
    st.integers(1, 50) | st.decimals("0.001", 9, places=3).map(float),
    st.integers(1, 40),
    st.booleans(),
    st.integers(0, 1000),
)
def test_every_number_of_a_range_is_read_back_exactly_and_never_reaches_the_end(start, step, count, down, seed):
    step = -step if down else step
    stop = Decimal(repr(start)) + count * Decimal(repr(step))
    stop = int(stop) if isinstance(start, int) and isinstance(step, int) else float(stop)
    for overrides, params in drawn(space({"seed": f"range({start!r},{stop!r},{step!r})"}), 3, seed):
        value = value_of(overrides[0])
        assert value == pytest.approx(params["seed"]) and type(value) is type(params["seed"])
        assert value in list(dimension(f"range({start!r},{stop!r},{step!r})").values())
        place = (params["seed"] - start) / step
        assert -0.001 < place < count - 0.5
        assert abs(place - round(place)) < 1e-3


def test_a_trial_gets_the_decimals_of_a_range_and_not_the_sums_of_floats():
    texts = {overrides[0] for overrides, _ in drawn(space({"seed": "range(0,1,0.1)"}), 200)}
    assert texts == {f"seed={tenth / 10}" for tenth in range(10)}


def test_a_shuffled_choice_is_the_same_space_every_time_it_is_read():
    lines = ["name=shuffle(a,b,c,d,e,f,g,h)", "seed=shuffle(range(1,9))"]
    read = [space({}, lines, loader=Loader()) for _ in range(5)]
    assert all(one == read[0] for one in read)
    assert read[0].grammar()["name"] == "shuffle(choice(a,b,c,d,e,f,g,h))"
    assert len({str(list(one.combinations(seed=3))) for one in read}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("range(1,9,2)", [1, 3, 5, 7]),
        ("range(4)", [0, 1, 2, 3]),
        ("range(0,1,0.25)", [0.0, 0.25, 0.5, 0.75]),
        ("range(5,1,-2)", [5, 3]),
        ("range(0,0.9,0.3)", [0.0, 0.3, 0.6]),
        ("float(range(1,3))", [1.0, 2.0]),
        ("sort(choice(3,1,2))", [1, 2, 3]),
        ("int(choice(1.5,2.5))", [1, 2]),
        ("a,b", ["a", "b"]),
        ("choice(1,2)", [1, 2]),
        ("[a,b],[c]", ["[a,b]", "[c]"]),
        ("null,3", [None, 3]),
        ("'a,b',c", ["a,b", "c"]),
        ("1,true", ["1", "true"]),
    ],
)
def test_lists_and_ranges_enumerate_what_optuna_holds(text, expected):
    found = dimension(text)
    assert list(map(repr, found.values())) == list(map(repr, expected))
    assert found.size() == len(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(1,3)", interval("seed", 1.0, 3.0)),
        ("int(interval(1,3))", interval("seed", 1, 3)),
        ("tag(log,interval(1e-5,1e-1))", interval("seed", 1e-5, 1e-1, log=True)),
        ("int(tag(log,interval(1,64)))", interval("seed", 1, 64, log=True)),
        ("tag(log, int(interval(1, 64)))", interval("seed", 1, 64, log=True)),
        ("shuffle(range(1,4))", number_range("seed", 1, 4, 1, shuffled=True)),
        ("shuffle(a,b)", choice("seed", ("a", "b"), shuffled=True)),
    ],
)
def test_the_grammar_of_hydra_is_understood_and_written_back(text, expected):
    assert dimension(text) == expected
    assert dimension(dimension(text).grammar) == expected


def test_whole_numbers_stay_whole_and_both_ends_of_an_interval_can_come():
    seen = {params["seed"] for _, params in drawn(space({"seed": "int(interval(1,3))"}), 60)}
    assert seen == {1, 2, 3}


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


def test_every_problem_is_told_at_once():
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
        "the only one is log",
        "an interval needs two finite ends",
        "hydra/launcher=basic,joblib: what configures Hydra itself",
        "hydra.sweeper.n_jobs=1,2: what configures Hydra itself",
        "no entirely.new. Write +entirely.new=1 if it is meant to be new.",
        "function=nowhere.at.all: no function is found there",
    ):
        assert part in said
    assert len(said.splitlines()) == 16


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


def test_a_function_that_fails_is_told_with_its_name():
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


def test_what_a_function_makes_of_the_default_is_told():
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


def test_an_interval_has_no_product():
    with pytest.raises(ConfigError, match="a study can draw from it"):
        product(["seed=interval(0,1)", "name=a,b"])
