"""Everything wrong with a configuration is reported at once, by the key that it is about."""

from copy import deepcopy
from dataclasses import dataclass, fields, is_dataclass
from functools import reduce
from operator import getitem
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.config.composition import compose
from mcqa.config.errors import ConfigError
from mcqa.config.schema import Config, EvaluateConfig, MixedSet, SetConfig, StageConfig
from mcqa.config.validation import ADDED, RENAMED, is_within, members, problems_of, typed, with_current_names
from mcqa.runs import run_folder
from mcqa.runs.files import write_yaml
from tests.config.configurations import config, config_dict_of, every_key, problems

# --- keys ------------------------------------------------------------------------------------------------------------


def test_what_conf_composes_is_a_config():
    run = config()
    assert (run.model.name, run.data.name, run.peft.name) == ("starter", "facts", "lora")
    assert run.optimizer.learning_rate == run.model.learning_rate.adapter
    assert run.optimizer.batch_size == run.data.recommended.batch_size


def test_an_evaluation_is_a_config_with_a_run_and_splits():
    measured = typed(config_dict_of(config_name="evaluate"), EvaluateConfig)
    assert (measured.run, measured.splits, measured.peft.name) == (None, ["dev", "test"], "none")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("modle", "modle: unknown key. Did you mean 'model'?"),
        ("run", "run: unknown key. Did you mean model.run?"),  # of mcqa.evaluate, not of mcqa.train
        ("learning_rate", "learning_rate: unknown key. Did you mean optimizer.learning_rate?"),
        ("lr", "lr: unknown key. Did you mean optimizer.learning_rate?"),
        ("optimizer__lr", "optimizer.lr: unknown key. Did you mean optimizer.learning_rate?"),
        ("epochs", "epochs: unknown key. Did you mean objective.epochs?"),
        ("max_len", "max_len: unknown key. Did you mean objective.max_length?"),
        ("scheduler__zzz", "scheduler.zzz: unknown key. scheduler has name, warmup_ratio, min_lr_ratio, "),
        ("model__learning_rate__adaptor", "model.learning_rate.adaptor: unknown key. Did you mean 'adapter'?"),
        ("peft__quantisation", "peft.quantisation: unknown key. Did you mean 'quantization'?"),
        ("optimizer__lerning_rate", "optimizer.lerning_rate: unknown key. Did you mean 'learning_rate'?"),
        ("data__splits__tran", "data.splits.tran: unknown key. Did you mean 'train'?"),
        ("data__recommended__epoch", "data.recommended.epoch: unknown key. Did you mean 'epochs'?"),
    ],
)
def test_an_unknown_key_is_reported_with_the_nearest_known_one(path, told):
    (problem,) = problems(**{path: 1})
    assert problem == told or (told.endswith(", ") and problem.startswith(told))


def test_a_key_that_hydra_was_made_to_append_is_found_too():
    (problem,) = problems("+model.typo=3")
    assert problem.startswith("model.typo: unknown key. model has name, run, path, ")


def test_an_unknown_column_of_local_data_is_found():
    told = problems("data=local", "data.path=q.csv", "+data.columns.questoin=text")
    assert told == ["data.columns.questoin: unknown key. Did you mean 'question'?"]


def test_a_key_of_another_group_is_unknown_in_this_one():
    assert problems(optimizer__r=3)[0].startswith("optimizer.r: unknown key.")


PLAIN = {"pattern": "x", "learning_rate_factor": 1, "max_grad_norm": None, "weight_decay": None}


@pytest.mark.parametrize("path", list(every_key()), ids=".".join)
def test_a_missing_key_is_reported_and_never_filled_in(path):
    option = "messages" if "conversations" in path else "local"
    further = f"{{data: {option}, path: q.csv}}"
    values = config_dict_of(
        f"data={option}", "data.path=q.csv", f"evaluation.sets=[{further}]", f"evaluation.dev={further}"
    )
    section = values
    for group in path[:-1]:
        section = section[group][0] if isinstance(section[group], list) else section[group]
    del section[path[-1]]
    key = ".".join(path).replace("evaluation.sets.", "evaluation.sets[0].")
    assert f"{key}: missing; it belongs to the file that was chosen for this group." in problems_of(values)[1]


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ({"pattern": "x"}, "learning_rate_factor: missing; it belongs"),
        (3, ": must be a mapping of keys, got 3."),
        ({**PLAIN, "pattern": None}, "pattern: must be a text, got None."),
        ({**PLAIN, "max_grad_norm": 0}, "max_grad_norm: must be above 0 and at most 1e30, got 0."),
        ({**PLAIN, "decay": 1}, "decay: unknown key."),
    ],
)
def test_each_value_of_a_mapping_whose_names_are_the_user_s_is_checked(group, told):
    lines = problems(optimizer__groups={"mine": group})
    assert all(line.startswith("optimizer.groups.mine") for line in lines)
    assert any(told in line for line in lines)


def every_kind(kind):
    yield kind
    for hint in get_type_hints(kind).values():
        for part in (hint, *get_args(hint)):
            if part in (MixedSet, StageConfig):  # which have data, or a run, again
                yield part
            elif is_dataclass(part):
                yield from every_kind(part)


def test_no_field_has_a_default_in_python():
    kinds = {*every_kind(EvaluateConfig)}
    assert SetConfig in kinds
    assert [
        f"{kind.__name__}.{f.name}" for kind in kinds for f in fields(kind) if f.default is not f.default_factory
    ] == []


# --- types and bounds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("seed", "x", "must be a whole number, got 'x'."),
        ("seed", 1.0, "must be a whole number, got 1.0."),
        ("seed", True, "must be a whole number, got True."),
        ("seed", -1, "must be from 0 to 4294967295, got -1."),
        ("seed", None, "must be a whole number, got None."),
        ("seed", {"x": 1}, "must be a whole number, got {'x': 1}."),
        ("name", 3, "must be a text, got 3."),
        ("dry_run", 1, "must be true or false, got 1."),
        ("dry_run", "yes", "must be true or false, got 'yes'."),
        ("model", "starter", "must be a mapping of keys, got 'starter'."),
        ("model__trust_remote_code", None, "must be true or false, got None."),
        ("data__columns", "question", "must be a mapping of keys, got 'question'."),
        ("data__dev_fraction", 0, "must be above 0 and below 1, got 0."),
        ("data__dev_fraction", 1, "must be above 0 and below 1, got 1."),
        ("data__limit", 0, "must be from 1 to 1000000000, got 0."),
        ("data__bad_rows", "ignore", "must be one of error, skip, got 'ignore'."),
        (
            "prompt__style",
            "letter",
            "must be one of cloze, letters, letters_with_text, plain, continuation, blank, template, published, got "
            "'letter'. Did you mean 'letters'?",
        ),
        ("objective__epochs", 0, "must be above 0 and at most 10000, got 0."),
        ("objective__epochs", 1e308, "must be above 0 and at most 10000, got 1e+308."),
        ("objective__max_steps", 0, "must be from 1 to 1000000000, got 0."),
        ("objective__max_length", 0, "must be from 1 to 1000000000, got 0."),
        ("objective__trainer_args", None, "must be a mapping of keys, got None."),
        ("optimizer__learning_rate", "1e-4", "must be a number, got '1e-4'."),
        ("optimizer__learning_rate", 0, "must be above 0 and at most 1e30, got 0."),
        ("optimizer__learning_rate", float("nan"), "must be a number, got nan."),
        ("optimizer__learning_rate", float("inf"), "must be a number, got inf."),
        ("optimizer__learning_rate", True, "must be a number, got True."),
        ("optimizer__weight_decay", -0.1, "must be from 0 to 1000, got -0.1."),
        ("optimizer__max_grad_norm", -1, "must be from 0 to 1e30, got -1."),
        ("optimizer__batch_size", 0, "must be from 1 to 1000000, got 0."),
        ("optimizer__batch_size", 10**12, "must be from 1 to 1000000, got 1000000000000."),
        ("optimizer__batch_size", 2.5, "must be a whole number, got 2.5."),
        ("optimizer__beta2", 1, "must be from 0 to below 1, got 1."),
        ("scheduler__warmup_ratio", 1.5, "must be from 0 to below 1, got 1.5."),
        ("peft__rank", "qlora", "must be a whole number, got 'qlora'."),
        ("peft__dropout", 1.0, "must be from 0 to below 1, got 1.0."),
        ("peft__target_modules", 3, "must be a text or a list, got 3."),
        ("hardware__micro_batch_size", None, "must be a whole number from 1 to 1000000 or auto, got None."),
        ("evaluation__every", 0, "must be a whole number from 1 to 1000000000 or a text, got 0."),
        ("evaluation__every", 1.5, "must be a whole number from 1 to 1000000000 or a text, got 1.5."),
        ("evaluation__cluster", "topic", "must be one of auto, passage, subject, none, got 'topic'."),
        ("evaluation__bootstrap", 0, "must be from 1 to 1000000, got 0."),
        ("evaluation__unconditional", "yes", "must be true or false, got 'yes'."),
        ("evaluation__choices_only", 1, "must be true or false, got 1."),
        ("evaluation__permutations", 0, "must be cyclic or all or a whole number from 1 to 10000, got 0."),
        ("evaluation__permutations", "cycle", "must be cyclic or all or a whole number from 1 to 10000, got 'cycle'."),
        ("evaluation__sets", "arc_easy", "must be a list, got 'arc_easy'."),
        ("evaluation__dev", 3, "must be a mapping of keys, got 3."),
        ("prompt__shots", -1, "must be from 0 to 1000, got -1."),
        ("prompt__shots_draw", "each", "must be one of fixed, per_question, got 'each'."),
        ("tracking__log_every", 0, "must be from 1 to 1000000000, got 0."),
        ("prompt__instruction", "a\0b", r"no file can hold the character '\x00', got 'a\x00b'."),
        ("prompt__instruction", "\udcff", r"no file can hold the character '\udcff', got '\udcff'."),
        ("outputs", "", "must not be empty."),
        ("data__texts", "~nouser/x", "there is no such user, got '~nouser/x'. A folder of that name is written ./~…"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_reported_with_what_would_do(path, value, told):
    assert problems(**{path: value}) == [f"{path.replace('__', '.')}: {told}"]


def test_a_message_quotes_a_long_value_without_its_middle():
    (told,) = problems(model__path="x" * 3_000_000)
    assert told.startswith("model.path: no path has a name of more than 255 bytes or 4095 in all, got 'xxx")
    assert len(told) < 300
    (told,) = problems(optimizer__batch_size=10**5000)  # Python refuses to write it
    assert told == "optimizer.batch_size: must be from 1 to 1000000, got a number of thousands of digits."
    assert problems(optimizer__eps=10**400)[0].startswith("optimizer.eps: must be a number, got 1000")  # no float
    doubled = ["x"]
    for _ in range(100):
        doubled = [doubled, doubled]
    (told,) = problems(seed=doubled)
    assert len(told) < 300


def test_the_columns_of_choices_are_one_name_or_several():
    local = ("data=local", "data.path=q.csv")
    assert (
        problems(*local, data__columns__choices=["A", "B"]) == problems(*local, data__columns__choices="options") == []
    )
    assert problems(*local, data__columns__choices=[2, 3]) == [], "the numbers of columns without names"
    assert problems(*local, data__columns__choices=["A", 1.5]) == [
        "data.columns.choices: must be a text or a whole number from 1 to 100000 or a list, got ['A', 1.5]."
    ]


def test_yes_and_no_that_yaml_has_made_truth_values_are_asked_for_in_quotes():
    local = ("data=local", "data.path=q.csv", "data.columns.choices=null")
    assert problems(*local, data__columns__fixed_choices=["no", "yes"]) == []
    told = problems(*local, data__columns__fixed_choices=[False, True])[0]
    assert told.startswith("data.columns.fixed_choices[0]: must be a text, got False. In YAML, yes, no, on and off are")


def test_a_whole_number_does_for_a_number_and_becomes_one():
    run = config(objective__epochs=3, optimizer__max_grad_norm=0)
    assert repr(run.objective.epochs) == "3.0"
    assert repr(run.optimizer.max_grad_norm) == "0.0"


@dataclass(frozen=True)
class Part:
    size: Annotated[int, "at least 1"]


@dataclass(frozen=True)
class Whole:
    share: Annotated[float, "from 0 to below 1"]
    part: Part | None
    names: str | list[str]
    mode: Literal["a", "b"]
    extra: dict[str, int]


def whole(**changes):
    """The values of a Whole and what is wrong with them."""
    found = []
    values = {"share": 0, "part": {"size": 1}, "names": ["x"], "mode": "a", "extra": {}} | changes
    return members(Whole, values, "", found), found


def test_nested_values_become_their_dataclasses():
    values, found = whole()
    assert found == []
    assert Whole(**values) == Whole(0.0, Part(1), ["x"], "a", {})


def test_an_optional_part_may_be_null_and_is_looked_into_otherwise():
    assert whole(part=None)[0]["part"] is None
    assert whole(part={"size": 0})[1] == ["part.size: must be at least 1, got 0."]
    assert whole(part={"size": 1, "sise": 2})[1] == ["part.sise: unknown key. Did you mean 'size'?"]


@given(st.floats() | st.integers(-3, 3))
def test_a_bounded_number_is_taken_exactly_within_its_bound(value):
    _, found = whole(share=value)
    assert (found == []) == (0 <= value < 1)


def numbers(kind, path=""):
    """The type of every number in a dataclass, by its key."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        for part in (hint, *get_args(hint)):
            if is_dataclass(part) and part not in (MixedSet, StageConfig):
                yield from numbers(part, f"{path}{name}.")
            elif part in (int, float) and get_origin(hint) is not Annotated:
                yield f"{path}{name}", None
            elif get_origin(part) is Annotated and get_args(part)[0] in (int, float):
                yield f"{path}{name}", get_args(part)[1]


@pytest.mark.parametrize(("key", "bound"), [*numbers(EvaluateConfig)])
def test_every_number_has_a_lower_and_an_upper_bound(key, bound):
    assert bound is not None
    assert not is_within(-1, bound) and not is_within(1e31, bound)
    assert any(is_within(value, bound) for value in (0.5, 1))


# --- all at once -----------------------------------------------------------------------------------------------------


def test_everything_wrong_is_reported_in_one_error_with_a_line_each():
    values = config_dict_of("peft=none", "+model.typo=3", optimizer__learning_rate=-1, objective__epochs=None, seed="x")
    values["prompt"]["style"] = "lettres"
    values["peft"]["quantization"] = "nf4"
    del values["scheduler"]["warmup_ratio"]
    with pytest.raises(ConfigError) as caught:
        typed(values, Config)
    head, *lines = str(caught.value).splitlines()
    assert head == "The configuration has 7 problems:"
    assert {line.strip().split(":")[0] for line in lines} == {
        "seed",
        "model.typo",
        "prompt.style",
        "objective.epochs",
        "optimizer.learning_rate",
        "scheduler.warmup_ratio",
        "peft.quantization",
    }


def test_a_single_problem_is_not_counted():
    with pytest.raises(ConfigError) as caught:
        config(seed=-1)
    assert str(caught.value) == "The configuration has a problem:\n  seed: must be from 0 to 4294967295, got -1."


def paths(values, prefix=()):
    for key, value in values.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from paths(value, (*prefix, key))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_value_anywhere_is_taken_or_reported_and_never_a_crash(data):
    values = config_dict_of("data=local", "data.path=q.csv")
    for path in data.draw(st.lists(st.sampled_from(sorted(paths(values))), min_size=1, max_size=3)):
        section = values
        for group in path[:-1]:
            section = section[group] if isinstance(section, dict) and isinstance(section.get(group), dict) else {}
        section[path[-1]] = data.draw(anything)
    try:
        assert isinstance(typed(values, Config), Config)
    except ConfigError as error:
        assert str(error).startswith("The configuration has ")


# --- keys that had another name ---------------------------------------------------------------------------------------


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


def test_a_configuration_stored_before_keys_were_added_does_what_it_did(tmp_path):
    config_dict = compose("config", ["+experiment=lora_mcqa", "data=local", "data.path=q.csv"])
    for name in ADDED:
        *groups, key = name.split(".")
        del reduce(getitem, groups, config_dict)[key]
    write_yaml(tmp_path / "config.yaml", config_dict)
    stored = run_folder.config_of(tmp_path)
    assert {name: reduce(getitem, name.split("."), stored) for name in ADDED} == ADDED
    assert typed(stored, Config).data.columns is not None
    missing = [f"{name}: missing; it belongs to the file that was chosen for this group." for name in ADDED]
    assert sorted(problems_of(config_dict)[1]) == sorted(missing)


def test_keys_that_were_added_to_data_are_added_to_further_question_sets_too(tmp_path):
    config_dict = compose("config", ["+experiment=lora_mcqa", "evaluation.sets=[arc_easy]", "evaluation.dev=arc_easy"])
    before = deepcopy(config_dict)
    for section in (before["evaluation"]["sets"][0]["data"], before["evaluation"]["dev"]["data"]):
        del section["shuffle_choices"]
    assert with_current_names(before)["evaluation"]["sets"][0]["data"]["shuffle_choices"] is False
    assert typed(with_current_names(before), Config).evaluation.dev.data.shuffle_choices is False
    before["evaluation"] = {"sets": 3, "dev": [1]}
    with_current_names(before)


@pytest.mark.parametrize("config_dict", [{}, {"peft": None}, {"peft": "r"}, {"peft": {"alpha": 1}}])
def test_what_has_no_old_name_stays_as_it_is(config_dict):
    assert with_current_names(config_dict) == config_dict


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_on_the_command_line_is_answered_with_the_new_one(old, new):
    problems = problems_of(stored_before())[1]
    assert f"{old}: unknown key. It is called {new} now." in problems
