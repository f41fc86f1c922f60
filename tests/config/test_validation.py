"""Everything wrong with a configuration is told at once, by the key that it is about."""

import ast
import inspect
from copy import deepcopy
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Literal, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.config import rules
from mcqa.config.composition import compose
from mcqa.config.errors import ConfigError
from mcqa.config.metric_names import DEV_METRICS, NEEDS, greater_is_better, needed_for
from mcqa.config.rules import RULES
from mcqa.config.schema import Batching, Config, EvaluateConfig, SetConfig, batching
from mcqa.config.trainer_args import DECIDED, FIXED
from mcqa.config.validation import RENAMED, members, problems_of, typed, with_current_names
from mcqa.runs import run_folder
from mcqa.runs.files import write_yaml


@cache
def composed(config_name, *overrides):
    return compose(config_name, list(overrides))


def tree(*overrides, config_name="config", **changes):
    """What conf/ makes of these overrides; changes set keys past Hydra, `optimizer__eps=0` for optimizer.eps."""
    values = deepcopy(composed(config_name, *overrides))
    for path, value in changes.items():
        *groups, key = path.split("__")
        section = values
        for group in groups:
            section = section[group]
        section[key] = value
    return values


def problems(*overrides, kind=Config, **changes):
    return problems_of(tree(*overrides, **changes), kind)[1]


def problems_of_evaluating(*overrides, **changes):
    return problems(*overrides, kind=EvaluateConfig, config_name="evaluate", **changes)


def config(*overrides, **changes):
    return typed(tree(*overrides, **changes), Config)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_what_conf_composes_is_a_config():
    run = config()
    assert (run.model.name, run.data.name, run.peft.name) == ("starter", "facts", "lora")
    assert run.optimizer.learning_rate == run.model.learning_rate.adapter
    assert run.optimizer.batch_size == run.data.recommended.batch_size


def test_an_evaluation_is_a_config_with_a_run_and_splits():
    measured = typed(tree(config_name="evaluate"), EvaluateConfig)
    assert (measured.run, measured.splits, measured.peft.name) == (None, ["dev", "test"], "none")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("modle", "modle: unknown key. Did you mean 'model'?"),
        ("run", "run: unknown key."),  # of mcqa.evaluate, not of mcqa.train
        ("model__zzz", "model.zzz: unknown key."),
        ("model__learning_rate__adaptor", "model.learning_rate.adaptor: unknown key. Did you mean 'adapter'?"),
        ("peft__quantisation", "peft.quantisation: unknown key. Did you mean 'quantization'?"),
        ("optimizer__lerning_rate", "optimizer.lerning_rate: unknown key. Did you mean 'learning_rate'?"),
        ("data__splits__tran", "data.splits.tran: unknown key. Did you mean 'train'?"),
        ("data__recommended__epoch", "data.recommended.epoch: unknown key. Did you mean 'epochs'?"),
    ],
)
def test_an_unknown_key_is_reported_with_the_nearest_known_one(path, told):
    assert problems(**{path: 1}) == [told]


def test_a_key_that_hydra_was_made_to_append_is_found_too():
    assert problems("+model.typo=3") == ["model.typo: unknown key."]


def test_an_unknown_column_of_local_data_is_found():
    told = problems("data=local", "data.path=q.csv", "+data.columns.questoin=text")
    assert told == ["data.columns.questoin: unknown key. Did you mean 'question'?"]


def test_a_key_of_another_group_is_unknown_in_this_one():
    assert problems(optimizer__r=3)[0].startswith("optimizer.r: unknown key.")


def every_key(kind=Config, prefix=()):
    for name, hint in get_type_hints(kind, include_extras=True).items():
        yield (*prefix, name)
        for part in (hint, *get_args(hint)):
            if is_dataclass(part):
                yield from every_key(part, (*prefix, name))


LOCAL = "{data: local, path: q.csv}"


@pytest.mark.parametrize("path", list(every_key()), ids=".".join)
def test_a_missing_key_is_reported_and_never_filled_in(path):
    values = tree("data=local", "data.path=q.csv", f"evaluation.sets=[{LOCAL}]", f"evaluation.dev={LOCAL}")
    section = values
    for group in path[:-1]:
        section = section[group][0] if isinstance(section[group], list) else section[group]
    del section[path[-1]]
    key = ".".join(path).replace("evaluation.sets.", "evaluation.sets[0].")
    assert f"{key}: missing; it belongs to the file that was chosen for this group." in problems_of(values)[1]


def every_kind(kind):
    yield kind
    for hint in get_type_hints(kind).values():
        for part in (hint, *get_args(hint)):
            if is_dataclass(part):
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
        ("data__limit", 0, "must be at least 1, got 0."),
        ("data__bad_rows", "ignore", "must be one of error, skip, got 'ignore'."),
        ("prompt__style", "letter", "must be one of cloze, letters, got 'letter'. Did you mean 'letters'?"),
        ("objective__epochs", 0, "must be above 0, got 0."),
        ("objective__max_steps", 0, "must be at least 1, got 0."),
        ("objective__max_length", 0, "must be at least 1, got 0."),
        ("objective__trainer_args", None, "must be a mapping of keys, got None."),
        ("optimizer__learning_rate", "1e-4", "must be a number, got '1e-4'."),
        ("optimizer__learning_rate", 0, "must be above 0, got 0."),
        ("optimizer__learning_rate", float("nan"), "must be a number, got nan."),
        ("optimizer__learning_rate", float("inf"), "must be a number, got inf."),
        ("optimizer__learning_rate", True, "must be a number, got True."),
        ("optimizer__weight_decay", -0.1, "must be at least 0, got -0.1."),
        ("optimizer__max_grad_norm", -1, "must be at least 0, got -1."),
        ("optimizer__batch_size", 0, "must be at least 1, got 0."),
        ("optimizer__batch_size", 2.5, "must be a whole number, got 2.5."),
        ("optimizer__beta2", 1, "must be from 0 to below 1, got 1."),
        ("scheduler__warmup_ratio", 1.5, "must be from 0 to below 1, got 1.5."),
        ("peft__rank", "qlora", "must be a whole number, got 'qlora'."),
        ("peft__dropout", 1.0, "must be from 0 to below 1, got 1.0."),
        ("peft__target_modules", 3, "must be a text or a list, got 3."),
        ("hardware__micro_batch_size", None, "must be a whole number, got None."),
        ("evaluation__every", 0, "must be a whole number at least 1 or a text, got 0."),
        ("evaluation__every", 1.5, "must be a whole number at least 1 or a text, got 1.5."),
        ("evaluation__cluster", "topic", "must be one of auto, passage, subject, none, got 'topic'."),
        ("evaluation__bootstrap", 0, "must be at least 1, got 0."),
        ("evaluation__unconditional", "yes", "must be true or false, got 'yes'."),
        ("evaluation__choices_only", 1, "must be true or false, got 1."),
        ("evaluation__permutations", 0, "must be cyclic or all or a whole number at least 1, got 0."),
        ("evaluation__permutations", "cycle", "must be cyclic or all or a whole number at least 1, got 'cycle'."),
        ("evaluation__sets", "arc_easy", "must be a list, got 'arc_easy'."),
        ("evaluation__dev", 3, "must be a mapping of keys, got 3."),
        ("prompt__shots", -1, "must be at least 0, got -1."),
        ("prompt__shots_draw", "each", "must be one of fixed, per_question, got 'each'."),
        ("tracking__log_every", 0, "must be at least 1, got 0."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_reported_with_what_would_do(path, value, told):
    assert problems(**{path: value}) == [f"{path.replace('__', '.')}: {told}"]


def test_the_columns_of_choices_are_one_name_or_several():
    local = ("data=local", "data.path=q.csv")
    assert (
        problems(*local, data__columns__choices=["A", "B"]) == problems(*local, data__columns__choices="options") == []
    )
    assert problems(*local, data__columns__choices=["A", 1]) == [
        "data.columns.choices: must be a text or a list, got ['A', 1]."
    ]


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


# --- rules across groups ---------------------------------------------------------------------------------------------

PRETRAIN = ("objective=pretrain", "peft=none")

BROKEN = [
    ("_name", ["name=../elsewhere"], "name: becomes a folder's name"),
    (
        "trainer_args_problems",
        ["+objective.trainer_args.disable_tqdm=false"],
        "objective.trainer_args.disable_tqdm: cannot be changed",
    ),
    ("_model", ["model=local"], "model.path: model=local needs model.path=<local folder or hub id>."),
    ("_model", ["model.vocabulary_size=500"], "model.vocabulary_size: belongs to model.architecture"),
    ("_data", ["data=local"], "data.path: data=local needs data.path=<file or folder>."),
    ("_data", ["data=local", "data.path=q.csv", "data.columns=null"], "data.columns: data=local needs to know"),
    ("_data", ["data.splits.train=null"], "data.splits.train: must name"),
    ("_objective", ["model=scratch"], "model.architecture: a model of random weights cannot answer"),
    ("_objective", [*PRETRAIN, "data=arc_easy"], "data.texts: objective=pretrain reads sentences and data=arc_easy"),
    ("_objective", ["objective=pretrain"], "peft: objective=pretrain trains all weights, got peft=lora; take peft="),
    ("_objective", [*PRETRAIN, "objective.loss_on=answer"], "objective.loss_on: a sentence has no answer"),
    ("_length_of_training", ["objective.epochs=null"], "objective.epochs: give epochs or objective.max_steps"),
    (
        "_size_of_update",
        ["optimizer.batch_size=null"],
        "optimizer.batch_size, optimizer.gradient_accumulation_steps: give one of the two and null for the other "
        "(got None and None)",
    ),
    ("_data", ["data.path=mine.csv"], "data.path: data=facts is generated and reads no file"),
    ("_sets", ["evaluation.sets=[local]"], "evaluation.sets[0].path: data=local needs evaluation.sets[0].path=<file"),
    (
        "_sets",
        ["evaluation.sets=[arc_easy,{data: facts, path: mine.csv}]"],
        "evaluation.sets[1].path: data=facts is generated and reads no file",
    ),
    (
        "_sets",
        ["evaluation.sets=[{data: local, path: mine.csv, columns: null}]"],
        "evaluation.sets[0].columns: data=local needs to know",
    ),
    (
        "_sets",
        ["evaluation.sets=[{data: arc_easy, name: test}]"],
        "evaluation.sets[0].name: letters, digits and . _ + - only, and not train, dev, test, base or base_…, as a "
        "run's own files are called; got 'test'.",
    ),
    (
        "_sets",
        ["evaluation.sets=[arc_easy,{data: arc_easy, split: dev}]"],
        "evaluation.sets[1].name: there are two sets named 'arc_easy'; give one another name.",
    ),
    (
        "_processes",
        ["hardware.devices=3", "optimizer.batch_size=32"],
        "optimizer.batch_size: 32 questions cannot be shared equally by hardware.devices x hardware.nodes = 3",
    ),
    (
        "_processes",
        ["peft=qlora", "hardware=cpu_processes", "hardware.strategy=zero3"],
        "hardware.strategy: zero3 shards the weights over the devices, which is impossible with packed 4-bit weights",
    ),
    ("_processes", ["optimizer=adamw_8bit", "hardware.strategy=zero2"], "optimizer.name: the 8-bit state"),
    ("_processes", ["hardware.cpu_offload=true"], "hardware.cpu_offload: ddp keeps everything on every device"),
    ("_adapter", ["peft.trainable=full"], "peft.trainable: peft=lora cannot train full"),
    ("_adapter", ["peft.rank=null"], "peft.rank: peft=lora needs a value."),
    ("_adapter", ["peft=none", "peft.quantization=nf4"], "peft.quantization: quantized weights cannot be trained"),
    ("_hardware", ["hardware.precision=fp16"], "hardware.precision: fp16 trains only on a GPU"),
    (
        "_hardware",
        ["hardware.precision=bf16", "hardware.attention=flash_attention_2"],
        "hardware.attention: flash_attention_2 runs only on a GPU",
    ),
    (
        "_hardware",
        ["hardware=gpu", "hardware.precision=fp32", "hardware.attention=flash_attention_2"],
        "hardware.attention: flash_attention_2 computes in bf16 or fp16",
    ),
    ("_evaluation", ["evaluation.best_metric=test/acc"], "evaluation.best_metric: test/acc must not steer a run"),
    (
        "_evaluation",
        ["evaluation.best_metric=dev/accnorm"],
        f"evaluation.best_metric: unknown metric 'dev/accnorm', known are {', '.join(DEV_METRICS)}. "
        "Did you mean 'dev/acc_norm'?",
    ),
    (
        "_evaluation",
        ["evaluation.best_metric=dev/acc_mutual_info"],
        "evaluation.best_metric: dev/acc_mutual_info is measured only with evaluation.unconditional=true.",
    ),
    (
        "_evaluation",
        ["evaluation.permutations=cyclic"],
        "evaluation.permutations: only prompt=letters shows the options in an order; leave it null for cloze.",
    ),
    (
        "_evaluation",
        ["prompt=letters", "evaluation.permutations=1"],
        "evaluation.permutations: 1 is the given order alone; cyclic, all or a whole number of at least 2.",
    ),
    (
        "_evaluation",
        ["evaluation.harness_task=arc/easy"],
        "evaluation.harness_task: becomes part of a file's name: letters, digits and . _ - only, got 'arc/easy'.",
    ),
    ("_evaluation", ["splits=[]"], "splits: nothing would be measured; give some of train, dev and test"),
    ("_evaluation", ["evaluation.every=0/epoch"], "evaluation.every: a number of updates, or times per epoch such as"),
    ("_tracking", ["tracking.uri='http://me:secret@host:5000'"], "tracking.uri: holds a password"),
    (
        "trainer_args_problems",
        ["+objective.trainer_args.learning_rate=1"],
        "objective.trainer_args.learning_rate: is decided by optimizer.learning_rate; set that key instead.",
    ),
    (
        "trainer_args_problems",
        ["+objective.trainer_args.label_smothing_factor=0.1"],
        "objective.trainer_args.label_smothing_factor: not an argument of TRL's SFTConfig. "
        "Did you mean 'label_smoothing_factor'?",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "overrides", "told"), BROKEN, ids=[" ".join(case[1]) for case in BROKEN])
def test_a_broken_rule_is_reported_and_nothing_else(rule, overrides, told):
    of_evaluating = any(override.startswith("splits=") for override in overrides)
    (found,) = (problems_of_evaluating if of_evaluating else problems)(*overrides)
    assert found.startswith(told)


def sentences(rule):
    """How many sentences a rule has, with those of the functions that it asks in turn."""
    nodes = list(ast.walk(ast.parse(inspect.getsource(rule))))
    asked = {node.value.func.id for node in nodes if isinstance(node, ast.YieldFrom)}
    return sum(isinstance(node, ast.Yield) for node in nodes) + sum(sentences(getattr(rules, name)) for name in asked)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_sentence_of_every_rule_is_broken_by_an_example(rule):
    assert len({told for name, _, told in BROKEN if name == rule.__name__}) == sentences(rule)


@pytest.mark.parametrize("key", ["rank", "alpha", "dropout", "target_modules"])
def test_an_adapter_needs_each_of_its_values(key):
    assert problems(**{f"peft__{key}": None}) == [f"peft.{key}: peft=lora needs a value."]


def test_batch_size_and_accumulation_are_not_both_given():
    (told,) = problems(optimizer__gradient_accumulation_steps=2, optimizer__batch_size=8)
    assert "(got 8 and 2)" in told


@pytest.mark.parametrize("metric", ["test/acc", "base/dev/acc", "train/loss"])
def test_only_dev_steers(metric):
    (told,) = problems(evaluation__best_metric=metric)
    assert told.endswith(f"one of {', '.join(DEV_METRICS)}.")


WHAT_IS_NEEDED = {"unconditional": True, "choices_only": True, "permutations": "cyclic"}


@pytest.mark.parametrize("name", NEEDS)
def test_any_metric_of_dev_steers_once_what_it_needs_is_measured(name):
    metric, key = f"dev/{name}", NEEDS[name]
    switched_off = problems("prompt=letters", evaluation__best_metric=metric)
    if key is None:
        assert switched_off == []
    else:
        (told,) = switched_off
        asked = f"evaluation.{key}={str(WHAT_IS_NEEDED[key]).lower()}"
        assert told == f"evaluation.best_metric: {metric} is measured only with {asked}."
        changes = {f"evaluation__{key}": WHAT_IS_NEEDED[key]}
        assert problems("prompt=letters", evaluation__best_metric=metric, **changes) == []
    assert needed_for(metric) == key


def test_accuracies_and_consistency_are_to_rise_and_everything_else_to_fall():
    rising = [name for name in NEEDS if greater_is_better(f"dev/{name}")]
    assert rising == [name for name in NEEDS if name.startswith("acc") or name == "consistency"]


def test_orders_of_the_options_are_measured_only_where_options_are_shown():
    for permutations in ("cyclic", "all", 2, 3):
        assert problems("prompt=letters", evaluation__permutations=permutations) == []
        (told,) = problems("prompt=cloze", evaluation__permutations=permutations)
        assert told.startswith("evaluation.permutations: only prompt=letters")


@pytest.mark.parametrize("task", ["arc_easy", "leaderboard-2.1", "mmlu.law"])
def test_the_harness_task_is_a_name_that_a_file_can_have(task):
    assert problems(evaluation__harness_task=task) == []


@pytest.mark.parametrize("task", ["", "../x", "a b", "a/b", ".hidden", "x\n"])
def test_no_other_text_is_a_harness_task(task):
    (told,) = problems(evaluation__harness_task=task)
    assert told.startswith("evaluation.harness_task:")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "train", "dev", "test", "base", "base_dev", ".x"])
def test_a_set_is_called_neither_as_a_path_nor_as_files_of_the_run(name):
    values = tree("evaluation.sets=[arc_easy]")
    values["evaluation"]["sets"][0]["name"] = name
    (told,) = problems_of(values)[1]
    assert told.startswith("evaluation.sets[0].name:") and repr(name) in told


def test_the_set_that_steers_needs_a_source_and_may_have_any_name():
    assert problems("evaluation.dev={data: arc_easy, name: dev}") == []
    (told,) = problems("evaluation.dev=local")
    assert told.startswith("evaluation.dev.path: data=local needs evaluation.dev.path=<file or folder>.")


def test_everything_wrong_with_several_sets_is_reported():
    sets = "evaluation.sets=[local,{data: arc_easy, name: test},{data: mmlu, split: val}]"
    told = problems(sets, "evaluation.dev=local")
    assert [line.split(":")[0] for line in told] == [
        "evaluation.sets[2].split",
        "evaluation.dev.path",
        "evaluation.sets[0].path",
        "evaluation.sets[1].name",
    ]


def test_further_sets_alone_can_be_measured():
    assert problems_of_evaluating("splits=[]", "evaluation.sets=[arc_easy]") == []


@pytest.mark.parametrize("every", [1, 250, "1/epoch", "12/epoch"])
def test_measuring_takes_updates_or_times_per_epoch(every):
    assert config(evaluation__every=every).evaluation.every == every


@pytest.mark.parametrize("every", ["", "often", "4", "0/epoch", "-1/epoch", "1.5/epoch", "4/epochs", "4 /epoch"])
def test_measuring_takes_no_other_text(every):
    (told,) = problems(evaluation__every=every)
    assert told.startswith("evaluation.every:")
    assert repr(every) in told


@pytest.mark.parametrize("uri", ["http://host:5000", "sqlite:///a.db", "https://host/a:b@c"])
def test_an_address_without_a_password_is_fine(uri):
    assert problems(tracking__uri=uri) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model__architecture", "qwen3"),
        ("model__vocabulary_size", "many"),
        ("data__reader", "arcs"),
        ("data__splits__train", 3),
        ("optimizer__batch_size", "large"),
        ("optimizer__gradient_accumulation_steps", 1.5),
        ("peft__quantization", "int8"),
    ],
)
def test_a_value_that_is_reported_once_is_not_reported_again_by_a_rule(path, value):
    (told,) = problems("peft=none", **{path: value})
    assert told.startswith(f"{path.replace('__', '.')}: must be")


# --- all at once -----------------------------------------------------------------------------------------------------


def test_everything_wrong_is_reported_in_one_error_with_a_line_each():
    values = tree("peft=none", "+model.typo=3", optimizer__learning_rate=-1, objective__epochs=None, seed="x")
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
    values = tree("data=local", "data.path=q.csv")
    for path in data.draw(st.lists(st.sampled_from(sorted(paths(values))), min_size=1, max_size=3)):
        section = values
        for group in path[:-1]:
            section = section[group] if isinstance(section, dict) and isinstance(section.get(group), dict) else {}
        section[path[-1]] = data.draw(anything)
    try:
        assert isinstance(typed(values, Config), Config)
    except ConfigError as error:
        assert str(error).startswith("The configuration has ")


# --- how an update is made up ----------------------------------------------------------------------------------------

sizes = st.integers(1, 2000)


def batches(micro, size=None, accumulation=None):
    return batching(
        config(
            hardware__micro_batch_size=micro,
            optimizer__batch_size=size,
            optimizer__gradient_accumulation_steps=accumulation,
        )
    )


@given(sizes, sizes)
def test_micro_batches_make_up_the_batch_exactly_and_fit(micro, size):
    made = batches(micro, size)
    assert made.micro_batch_size * made.accumulation == made.batch_size == size
    assert made.micro_batch_size <= micro


@given(sizes, sizes)
def test_no_larger_micro_batch_would_do(micro, size):
    made = batches(micro, size)
    assert all(size % larger for larger in range(made.micro_batch_size + 1, min(micro, size) + 1))


@given(sizes, sizes)
def test_with_accumulation_given_the_micro_batch_is_fixed_and_the_batch_follows(micro, accumulation):
    made = batches(micro, accumulation=accumulation)
    assert made == Batching(micro, accumulation, 1)
    assert made.batch_size == micro * accumulation


def on(devices, size, micro=32, nodes=1):
    return config(
        hardware__devices=devices,
        hardware__nodes=nodes,
        hardware__micro_batch_size=micro,
        optimizer__batch_size=size,
    )


@given(st.integers(1, 8), st.integers(1, 4), st.integers(1, 50), sizes)
def test_the_processes_share_the_batch_equally_and_it_stays_the_same(devices, nodes, each, micro):
    made = batching(on(devices, devices * nodes * each, micro, nodes))
    assert made.batch_size == devices * nodes * each
    assert made.processes == devices * nodes
    assert made.micro_batch_size <= micro


def test_accumulation_that_is_given_holds_for_every_process():
    run = config(
        hardware__devices=4,
        hardware__micro_batch_size=2,
        optimizer__batch_size=None,
        optimizer__gradient_accumulation_steps=3,
    )
    assert batching(run).batch_size == 24


def test_a_batch_that_the_processes_cannot_share_is_reported_with_those_that_they_could():
    with pytest.raises(ConfigError, match=r"optimizer\.batch_size: 30 questions .* = 8 processes; take 24 or 32"):
        on(8, 30)


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


@pytest.mark.parametrize("config_dict", [{}, {"peft": None}, {"peft": "r"}, {"peft": {"alpha": 1}}])
def test_what_has_no_old_name_stays_as_it_is(config_dict):
    assert with_current_names(config_dict) == config_dict


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_on_the_command_line_is_answered_with_the_new_one(old, new):
    problems = problems_of(stored_before())[1]
    assert f"{old}: unknown key. It is called {new} now." in problems


# --- arguments passed on to TRL --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arguments_of_trl():
    from trl import SFTConfig  # seconds

    return {field.name for field in fields(SFTConfig)}


def test_every_governed_argument_is_one_of_trl_and_its_key_one_of_ours(arguments_of_trl):
    ours = {".".join(path) for path in every_key()}
    assert set(DECIDED) <= arguments_of_trl
    assert {argument.key for argument in DECIDED.values()} <= ours


def test_arguments_that_no_key_decides_are_passed_on(arguments_of_trl):
    wanted = {"label_smoothing_factor": 0.1, "dataloader_num_workers": 2}
    assert config(objective__trainer_args=wanted).objective.trainer_args == wanted


def test_several_wrong_arguments_are_reported_together(arguments_of_trl):
    told = problems(objective__trainer_args={"bf16": True, "max_steps": 3, "nonsense": 1})
    assert [line.split(":")[0].rsplit(".")[-1] for line in told] == ["bf16", "max_steps", "nonsense"]


def test_an_argument_whose_name_is_no_text_is_reported(arguments_of_trl):
    (told,) = problems(objective__trainer_args={1: 2})
    assert told.startswith("objective.trainer_args")


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
def test_what_the_rules_let_through_the_trainer_takes(hardware, arguments_of_trl, monkeypatch, tmp_path):
    from mcqa.training import trainer

    monkeypatch.setattr(trainer, "SFTConfig", dict)  # as strict about arguments that are given twice
    run = config(f"hardware={hardware}")
    refused = []
    for name in sorted(arguments_of_trl - set(DECIDED) - set(FIXED)):
        passing = replace(run, objective=replace(run.objective, trainer_args={name: None}))
        try:
            trainer.sft_config(passing, tmp_path, examples=100)
        except TypeError:
            refused.append(name)
    assert refused == []
