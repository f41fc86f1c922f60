"""Predictions that are damaged are refused with their line, and with what to do."""

import json

import pytest

from mcqa.config.errors import DataError
from mcqa.evaluation import predictions
from mcqa.evaluation.predictions import read_checked
from tests.compare.finished_runs import answered

GOOD = {
    "id": "q",
    "question": "?",
    "choices": ["a", "b"],
    "answer": 0,
    "scores": [-1, -2],
    "lengths": {"tokens": [1, 1]},
}


def changed(**changes):
    return json.dumps(GOOD | {"id": "q2"} | changes)


def refused(folder, *lines):
    path = folder / "test.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(DataError) as told:
        read_checked(path, "runs/7")
    assert "measure again: python -m mcqa.evaluate run=runs/7" in str(told.value)
    return str(told.value)


def orders(*given):
    return [{"order": order, "scores": [-1, -2]} for order in given]


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ('{"id": "q2", ', "line 2 is no JSON object"),
        ("[1, 2]", "line 2 is no JSON object"),
        ("\x00\x01", "line 2 is no JSON object"),
        ("", "line 2 is blank"),
        ("  ", "line 2 is blank"),
        (json.dumps({"id": "q2", "scores": []}), "line 2 lacks question, choices, answer, lengths"),
        (changed(scores=None), "a line has the wrong kind of value for one of id"),
        (changed(lengths=[1]), "a line has the wrong kind of value for one of id"),
        (json.dumps(GOOD), "two lines have the same question id"),
        (changed(scores=[-1]), "line 2: 1 scores for 2 choices"),
        (changed(scores=[-1, True]), "line 2: scores must be numbers, not True"),
        (changed(choices=["a"], scores=[-1], lengths={"tokens": [1]}), "line 2: 1 choices; at least two are needed"),
        (changed(answer=2), "line 2: answer 2 is none of its 2 choices"),
        (changed(answer="A"), "line 2: answer 'A' is none of its 2 choices"),
        (changed(answer=True), "line 2: answer True is none of its 2 choices"),
        (changed(id=2), "line 2: id, question, context, subject and cluster must be texts"),
        (changed(subject=None), "line 2: id, question, context, subject and cluster must be texts"),
        (changed(choices=["a", 2]), "line 2: choices must be texts"),
        (changed(lengths={"tokens": [1]}), "line 2: lengths.tokens must be 2 whole numbers"),
        (changed(lengths={"tokens": [1, 1.5]}), "line 2: lengths.tokens must be 2 whole numbers"),
        (changed(unconditional=[-1]), "line 2: 1 unconditional for 2 choices"),
        (changed(choices_only=[-1, -2, -3]), "line 2: 3 choices_only for 2 choices"),
        (changed(choices_only=[-1, False]), "line 2: choices_only must be numbers, not False"),
        (changed(orders=orders([0, 0])), "line 2: the order [0, 0] does not name each of 2 choices once"),
        (changed(orders=orders([0, 1], [1, 2])), "line 2: the order [1, 2] does not name each"),
        (changed(orders=orders([0, 1, 2])), "line 2: the order [0, 1, 2] does not name each"),
        (changed(orders=orders(["0", "1"])), "line 2: the order ['0', '1'] does not name each"),
        (changed(orders=[{"order": [0, 1], "scores": [-1]}]), "line 2: 1 scores of an order for 2 choices"),
    ],
)
def test_a_damaged_line_is_refused_with_its_place(tmp_path, second, problem):
    assert problem in refused(tmp_path, json.dumps(GOOD), second)


@pytest.mark.parametrize("key", ["scores", "unconditional", "choices_only"])
def test_scores_that_are_texts_are_refused(tmp_path, key):
    assert "test.jsonl: " in refused(tmp_path, json.dumps(GOOD), changed(**{key: ["-1", "-2"]}))


def test_an_empty_file_is_damaged(tmp_path):
    assert "it is empty" in refused(tmp_path)


def test_what_a_run_wrote_is_read_as_it_was(tmp_path):
    rows = answered([True, False], subject="law")
    predictions.write(tmp_path / "test.jsonl", rows)
    assert read_checked(tmp_path / "test.jsonl", "runs/7") == rows
