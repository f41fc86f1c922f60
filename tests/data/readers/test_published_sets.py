"""Rows in every format of every published set become the same question; those with a mistake are refused."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from mcqa.config.composition import ROOT, compose
from mcqa.config.errors import ConfigError, DataError
from mcqa.config.schema import Config, EvaluateConfig
from mcqa.config.validation import typed
from mcqa.data.loading import load, load_run_data
from mcqa.data.readers import READERS
from tests.published_rows import SHAPES, Shape, at, changed, data_config, without

OLDER = {"arc_challenge", "arc_easy", "commonsenseqa", "mmlu", "openbookqa"}
"""Their rows are in test_readers.py."""

RIGHT = (("correct_answer",), ("Correct Answer",))
"""Where the answer is a text of its own, which may be any."""


def read(tmp_path, shape: Shape, *rows: Any):
    config = data_config(shape.set, shape.overrides)
    (tmp_path / f"{config.splits.test}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return load(replace(config, path=str(tmp_path)), ["test"]).splits["test"]


def malformed(shape: Shape) -> Iterator[tuple[str, dict[str, Any]]]:
    """What can be wrong with a row of any set."""
    row = shape.row
    for part, keys in (("question", shape.question), ("answer", shape.answer)):
        yield f"the {part} is absent", without(row, keys) if isinstance(keys[-1], str) else changed(row, keys, None)
        yield f"the {part} is null", changed(row, keys, None)
        yield f"the {part} is empty", changed(row, keys, " ")
        yield f"the {part} is a list", changed(row, keys, ["B"])
        yield f"the {part} is nested once more", changed(row, keys, {"text": at(row, keys)})
    yield "the question is a number", changed(row, shape.question, 3)
    if not isinstance(at(row, shape.answer), dict) and shape.answer not in RIGHT:
        for answer in ("Z", "", 26, 2.5, -1):
            yield f"the answer is {answer!r}", changed(row, shape.answer, answer)
    yield "the row is nested", {"row": row}
    yield from malformed_choices(shape)
    yield from shape.malformed.items()


def malformed_choices(shape: Shape) -> Iterator[tuple[str, dict[str, Any]]]:
    row, keys = shape.row, shape.choices
    if not keys:
        return
    if isinstance(keys[0], tuple):
        first = keys[0]
        yield "a choice is absent", without(row, first)
        yield "a choice is null", changed(row, first, None)
        yield "a choice is empty", changed(row, first, "\t")
        yield "a choice is a list", changed(row, first, ["Trout"])
        return
    choices = at(row, keys)
    first = 0 if isinstance(choices, list) else next(iter(choices))
    yield "the choices are absent", without(row, keys) if isinstance(keys[-1], str) else changed(row, keys, None)
    yield "the choices are null", changed(row, keys, None)
    yield "the choices are a text", changed(row, keys, "Trout, Whale")
    yield "there is no choice", changed(row, keys, [] if isinstance(choices, list) else {})
    yield "a choice is empty", changed(row, (*keys, first), " ")
    yield "a choice is a list", changed(row, (*keys, first), ["Trout"])
    if isinstance(choices, list):
        yield "there is one choice", changed(row, keys, choices[:1])
        yield "a choice is null", changed(row, (*keys, 0), None)


MALFORMED = [pytest.param(shape, row, id=f"{shape.id}: {name}") for shape in SHAPES for name, row in malformed(shape)]


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.id for shape in SHAPES])
def test_a_row_in_each_shape_of_a_set_is_the_same_question(shape, tmp_path):
    (question,) = read(tmp_path, shape, shape.row)
    assert replace(question, id=shape.expected.id) == shape.expected
    assert not shape.expected.id or question.id == shape.expected.id


HUB = [shape for shape in SHAPES if shape.name.startswith("hub")]


@pytest.mark.parametrize("shape", HUB, ids=[shape.id for shape in HUB])
def test_a_row_of_the_hub_is_the_same_question_from_a_parquet_file(shape, tmp_path):
    import pyarrow.parquet

    (expected,) = read(tmp_path, shape, shape.row)
    config = data_config(shape.set, shape.overrides)
    (tmp_path / f"{config.splits.test}.jsonl").unlink()
    file = tmp_path / f"{config.splits.test}-00000-of-00001.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([shape.row]), file)
    assert load(replace(config, path=str(tmp_path)), ["test"]).splits["test"] == [expected]


def test_every_published_set_has_rows_here_or_in_test_readers():
    published = {
        path.stem for path in (ROOT / "conf" / "data").glob("*.yaml") if "\nhub: " in path.read_text("utf-8")
    } - {"local"}
    assert published == {shape.set for shape in SHAPES} | OLDER
    assert set(READERS) <= {shape.set for shape in SHAPES} | OLDER | {"arc"}


@pytest.mark.parametrize(("shape", "row"), MALFORMED)
def test_a_mistake_in_a_row_is_refused_with_its_place(shape, row, tmp_path):
    with pytest.raises(DataError) as error:
        read(tmp_path, shape, row)
    assert ".jsonl:1" in str(error.value) or "data.columns." in str(error.value), str(error.value)


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.id for shape in SHAPES])
def test_each_row_can_be_wrong_in_ten_ways(shape):
    assert sum(param.values[0] == shape for param in MALFORMED) >= 10


def test_one_bad_row_among_good_ones_is_left_out_where_that_is_asked_for(tmp_path):
    (shape,) = (one for one in SHAPES if one.id == "bbh, publisher")
    bad = {"input": "not ( True ) is", "target": "False"}
    row = changed(shape.row, ("examples",), [shape.row["examples"][0], bad])
    with pytest.raises(DataError, match=r"test\.jsonl:1, example 1: the input lists no options"):
        read(tmp_path, shape, row)
    skipping = replace(shape, overrides=("data.bad_rows=skip",))
    assert len(read(tmp_path, skipping, row)) == 1


def test_an_article_of_race_becomes_a_question_for_each_of_its_own(tmp_path):
    (shape,) = (one for one in SHAPES if one.id == "race, publisher")
    row = shape.row | {"questions": ["Where?", "Why?"], "options": [["a", "b"], ["c", "d"]], "answers": ["A", "B"]}
    first, second = read(tmp_path, shape, row)
    assert (first.question, first.choices, first.answer) == ("Where?", ("a", "b"), 0)
    assert (second.question, second.choices, second.answer) == ("Why?", ("c", "d"), 1)
    assert first.context == second.context == shape.row["article"]


def test_a_file_of_pubmedqa_is_one_object_with_a_row_for_each_abstract(tmp_path):
    (shape,) = (one for one in SHAPES if one.id == "pubmedqa, publisher's file")
    rows = {"7": shape.row["7"], "8": shape.row["7"] | {"QUESTION": "Do they swim?"}}
    (tmp_path / "pqal_fold0").mkdir()
    (tmp_path / "pqal_fold0" / "train_set.json").write_text(json.dumps(rows, indent=4))
    config = data_config("pubmedqa", ("data.splits={train: pqal_fold0/train_set, dev: null, test: test_set}",))
    questions = load(replace(config, path=str(tmp_path), dev_fraction=1e-9), ["train"]).splits["train"]
    assert [question.id for question in questions] == ["7", "8"]


def test_the_publishers_table_of_codah_has_no_header_and_keeps_its_quotation_marks(tmp_path):
    lines = ['o\tA heron said\t"no\t"Yes" again\tnothing\ta fish\t1', "iq\tThe fish\tswam\tflew\tsang\tread\t0"]
    (tmp_path / "test.tsv").write_text("".join(f"{line}\n" for line in lines))
    first, second = load(replace(data_config("codah"), path=str(tmp_path)), ["test"]).splits["test"]
    assert first.choices == ('"no', '"Yes" again', "nothing", "a fish") and first.answer == 1
    assert second.question == "The fish" and second.answer == 0


@pytest.mark.parametrize(("name", "wrong"), [("piqa", "2"), ("siqa", "0")])
def test_the_publishers_labels_stand_in_a_file_of_their_own(name, wrong, tmp_path):
    (shape,) = (one for one in SHAPES if one.set == name)
    config = data_config(name, ("data.path=x", "data.splits.test=dev", "data.answers='{split}-labels.lst'"))
    config = replace(config, path=str(tmp_path))
    row = without(shape.row, ("label",))
    (tmp_path / "dev.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row | {shape.question[0]: "Other?"}) + "\n")
    first = shape.expected.answer + (name == "siqa")
    (tmp_path / "dev-labels.lst").write_text(f"{first}\n1\n")
    questions = load(config, ["test"]).splits["test"]
    assert [question.answer for question in questions] == [shape.expected.answer, 1 - (name == "siqa")]
    for labels in ("1\n", f"1\n{wrong}\n", "1\n\n"):
        (tmp_path / "dev-labels.lst").write_text(labels)
        with pytest.raises(DataError):
            load(config, ["test"])


def test_the_publishers_files_of_medmcqa_are_not_read_as_if_they_counted_from_zero(tmp_path):
    shape = next(one for one in SHAPES if one.id == "medmcqa, publisher")
    rows = [shape.row | {"id": str(n), "question": f"Which {n}?", "cop": n % 4 + 1} for n in range(200)]
    hub = replace(shape, overrides=("data.splits.test=dev",))
    with pytest.raises(DataError, match=r"do the answers count from one"):
        read(tmp_path, hub, *rows)


TO_MEASURE_ONLY = ["bbh", "gpqa", "mmlu_pro", "pubmedqa", "truthfulqa"]


@pytest.mark.parametrize("name", TO_MEASURE_ONLY)
def test_a_set_without_training_questions_is_not_trained_on(name, tmp_path):
    with pytest.raises(ConfigError, match=rf"has no questions to train on. Measure it: evaluation.sets=\[{name}\]"):
        typed(compose("config", [f"data={name}"]), Config)
    shape = next(one for one in SHAPES if one.set == name)
    assert len(read(tmp_path, shape, shape.row)) == 1
    with pytest.raises(DataError, match=r"data.splits.train is null: .* It is for measuring"):
        load(replace(data_config(name), path=str(tmp_path)), ["train"])


def test_sets_without_training_questions_are_measured_beside_another():
    config = typed(compose("config", [f"evaluation.sets=[{','.join(TO_MEASURE_ONLY)}]"]), Config)
    assert [one.name for one in config.evaluation.sets] == TO_MEASURE_ONLY


def test_a_set_without_training_questions_has_no_dev_to_measure_either(tmp_path):
    shape = next(one for one in SHAPES if one.set == "truthfulqa")
    read(tmp_path, shape, shape.row)
    config = typed(compose("evaluate", ["data=truthfulqa", f"data.path={tmp_path}"]), EvaluateConfig)
    assert config.splits == ["dev", "test"]
    assert list(load_run_data(config.data, config.evaluation, config.splits).splits) == ["test"]
    with pytest.raises(DataError, match=r"data.splits.train is null"):
        load_run_data(config.data, config.evaluation, ["dev"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n    "7": {\n', r"json:3: is not JSON .* Is the file cut off\?"),
        ('{\n    "7": {}\n}\n{\n}\n', r"json:4: is not JSON \(Extra data\)"),
        ("{\n}\n", r"there is no 'question'"),
    ],
)
def test_an_object_over_several_lines_that_is_cut_off_is_refused(text, message, tmp_path):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(DataError, match=message):
        load(replace(data_config("pubmedqa"), path=str(tmp_path)), ["test"])


# --- docs/data.md ----------------------------------------------------------------------------------------------------


def table(heading: str) -> list[list[str]]:
    """The rows of the first table after a line of docs/data.md, without code marks."""
    text = (ROOT / "docs" / "data.md").read_text("utf-8").partition(heading)[2].partition("|---")[2]
    lines = text.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_documents_name_licence_prompt_and_task_of_every_set():
    rows = {row[0].strip("`"): row for row in table("## Published sets")}
    assert set(rows) == {shape.set for shape in SHAPES} | OLDER
    for name, (*_, licence, style, task) in rows.items():
        option = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text("utf-8"))
        assert licence == option.get("licence", "unknown"), name
        own = option.get("prompt", {}).get("style")
        assert style == {None: "none known", "template": "its own"}.get(own, f"`{own}`"), name
        assert task in (f"`{option.get('harness_task')}`", "`leaderboard_bbh_…`, partly" if name == "bbh" else "none")


@pytest.mark.parametrize(("names", "keys"), [(row[0], row[2].strip("`")) for row in table("**Publishers' files.**")])
def test_the_keys_for_publishers_files_compose(names, keys):
    for name in names.replace("`", "").split(", "):
        overrides = [f"data={name}", "data.path=x", *shlex.split(keys)]
        assert typed(compose("evaluate", overrides), EvaluateConfig).data.path == "x"
