"""The file of predictions is read back as it was written, and its lines can be read by anyone."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.config.errors import ConfigError, DataError, FileError
from mcqa.data.question import Question
from mcqa.evaluation.predictions import OptionOrder, Prediction, best_choice, read, recalled, write
from tests.compare.finished_runs import answered


def prediction(extra=None, **changes):
    """A prediction of the wrong choice; name only what the test is about. extra: fields of the prediction."""
    question = {"id": "q", "question": "Which is a mammal?", "choices": ("Forelle", "Größter Wal"), "answer": 1}
    return Prediction(
        Question(**(question | changes)), **({"scores": (-1.5, -20.25), "tokens": (2, 4)} | (extra or {}))
    )


@st.composite
def any_prediction(draw):
    n = draw(st.integers(2, 5))

    def several(values):
        return tuple(draw(st.lists(values, min_size=n, max_size=n)))

    question = Question(
        id=draw(st.text()),
        question=draw(st.text()),
        choices=several(st.text()),
        answer=draw(st.integers(0, n - 1)),
        context=draw(st.text()),
        subject=draw(st.text()),
        cluster=draw(st.text()),
        retrieved=tuple(draw(st.lists(st.text(), max_size=2))),
    )
    scores = st.floats(max_value=0, allow_nan=False)
    orders = st.builds(OptionOrder, st.permutations(range(n)).map(tuple), st.tuples(*[scores] * n))
    return Prediction(
        question,
        several(scores),
        several(st.integers(1, 99)),
        letters=draw(st.booleans()),
        unconditional=draw(st.none() | st.tuples(*[scores] * n)),
        choices_only=draw(st.none() | st.tuples(*[scores] * n)),
        orders=tuple(draw(st.lists(orders, max_size=3))),
        truncated=draw(st.booleans()),
        too_long=draw(st.booleans()),
    )


@given(st.lists(any_prediction(), min_size=1, max_size=4, unique_by=lambda row: row.question.id))
def test_what_is_written_is_read_back(rows):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "predictions" / "dev.jsonl"
        write(path, rows)
        assert read(path) == rows


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"], ids=repr
)
def test_no_line_break_of_any_script_breaks_a_line_of_the_file(character, tmp_path):
    rows = [prediction(id=f"{n}", question=f"one{character}two") for n in range(2)]
    write(tmp_path / "dev.jsonl", rows)
    assert read(tmp_path / "dev.jsonl") == rows


def test_a_line_holds_the_question_the_answer_and_what_was_measured(tmp_path):
    write(tmp_path / "dev.jsonl", [prediction()])
    (line,) = (tmp_path / "dev.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line) == {
        "id": "q",
        "question": "Which is a mammal?",
        "choices": ["Forelle", "Größter Wal"],
        "answer": 1,
        "prediction": 0,
        "correct": False,
        "scores": [-1.5, -20.25],
        "lengths": {"characters": [7, 11], "bytes": [7, 13], "tokens": [2, 4]},
    }
    assert "Größter" in line


def test_subject_and_context_stand_in_a_line_where_there_are_any():
    assert {"subject", "context"}.isdisjoint(prediction().as_row())
    row = prediction(subject="zoology", context="Trouts are fish.").as_row()
    assert (row["subject"], row["context"]) == ("zoology", "Trouts are fish.")


def test_retrieved_passages_are_kept_and_a_base_measured_with_others_is_measured_again(tmp_path):
    rows = [prediction(retrieved=("Whales are mammals.",))]
    write(tmp_path / "test.jsonl", rows)
    assert rows[0].as_row()["retrieved"] == ["Whales are mammals."]
    assert recalled(tmp_path / "test.jsonl", [rows[0].question]) == rows
    assert recalled(tmp_path / "test.jsonl", [prediction().question]) is None


def test_the_file_appears_complete_or_not_at_all(tmp_path):
    path = tmp_path / "predictions" / "dev.jsonl"
    write(path, [prediction()])

    class Broken(Prediction):
        def as_row(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, [prediction(), Broken(prediction().question, (-1.0,), (1,))])
    assert read(path) == [prediction()]
    write(path, [prediction(), prediction()])
    assert [file.name for file in path.parent.iterdir()] == ["dev.jsonl"]


def test_what_else_was_measured_stands_in_a_line_where_it_was():
    extra = {
        "letters": True,
        "unconditional": (-1.0, -2.0),
        "choices_only": (-3.0, -4.0),
        "orders": (OptionOrder((0, 1), (-1.5, -20.25)), OptionOrder((1, 0), (-5.0, -6.0))),
        "truncated": True,
        "too_long": True,
    }
    assert {*extra, "cluster"}.isdisjoint(prediction().as_row())
    row = prediction(extra, cluster="whales").as_row()
    assert {key: row[key] for key in extra} == {
        "letters": True,
        "unconditional": [-1.0, -2.0],
        "choices_only": [-3.0, -4.0],
        "orders": [{"order": [0, 1], "scores": [-1.5, -20.25]}, {"order": [1, 0], "scores": [-5.0, -6.0]}],
        "truncated": True,
        "too_long": True,
    }
    assert row["cluster"] == "whales"
    assert row["lengths"] == {"characters": [1, 1], "bytes": [1, 1], "tokens": [2, 4]}


def test_a_score_that_is_no_number_is_null_in_the_file_and_wrong(tmp_path):
    nan = (math.nan, -1.0)
    extra = {"scores": nan, "unconditional": nan, "choices_only": nan, "orders": (OptionOrder((0, 1), nan),)}
    write(tmp_path / "dev.jsonl", [prediction(extra)])
    line = json.loads((tmp_path / "dev.jsonl").read_text("utf-8"), parse_constant=pytest.fail)
    assert (line["scores"], line["prediction"], line["correct"]) == ([None, -1.0], None, False)
    (row,) = read(tmp_path / "dev.jsonl")
    for scores in (row.scores, row.unconditional, row.choices_only, row.orders[0].scores):
        assert math.isnan(scores[0]) and scores[1] == -1.0
    assert row.prediction is None and not row.correct


def test_a_file_that_was_written_before_there_were_further_scores_is_read(tmp_path):
    old = {
        "id": "q", "question": "?", "choices": ["a", "b"], "answer": 0, "prediction": 0, "correct": True,
        "scores": [-1.0, -2.0], "lengths": {"characters": [1, 1], "bytes": [1, 1], "tokens": [1, 1]},
    }  # fmt: skip
    (tmp_path / "dev.jsonl").write_text(json.dumps(old) + "\n")
    assert read(tmp_path / "dev.jsonl") == [Prediction(Question("q", "?", ("a", "b"), 0), (-1.0, -2.0), (1, 1))]


@given(st.lists(st.floats(max_value=0) | st.just(math.nan), min_size=1, max_size=5))
def test_the_best_of_scores_is_one_of_the_highest_unless_one_is_no_number(scores):
    found = best_choice(scores)
    assert (found is None) == any(map(math.isnan, scores))
    assert found is None or scores[found] == max(scores)


@given(st.lists(st.sampled_from([-3.0, -2.0, -1.0]), min_size=1, max_size=6))
def test_the_prediction_is_the_first_of_the_highest(scores):
    row = Prediction(Question("q", "?", tuple("abcdef"[: len(scores)]), 0), tuple(scores), (1,) * len(scores))
    assert row.scores[row.prediction] == max(scores)
    assert max(scores) not in scores[: row.prediction]


# --- damaged files --------------------------------------------------------------------------------------------------

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
    with pytest.raises(DataError) as raised:
        read(path, "runs/7")
    assert "measure again: python -m mcqa.evaluate run=runs/7" in str(raised.value)
    return str(raised.value)


def orders(*listed):
    return [{"order": order, "scores": [-1, -2]} for order in listed]


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ('{"id": "q2", ', "line 2 is not a JSON object"),
        ("[1, 2]", "line 2 is not a JSON object"),
        ("\x00\x01", "line 2 is not a JSON object"),
        ("", "line 2 is blank"),
        ("  ", "line 2 is blank"),
        (json.dumps({"id": "q2", "scores": []}), "line 2 lacks question, choices, answer, lengths"),
        (changed(scores=None), "line 2: a value has the wrong type"),
        (changed(lengths=[1]), "line 2: a value has the wrong type"),
        (json.dumps(GOOD), "two lines have the same question id"),
        (changed(scores=[-1]), "line 2: 1 scores for 2 choices"),
        (changed(scores=[-1, True]), "line 2: scores must be numbers, not True"),
        (changed(scores=[-1, math.nan]), "line 2: scores must be logarithms of probabilities, not inf"),
        (changed(scores=[-1, math.inf]), "line 2: scores must be logarithms of probabilities, not inf"),
        (changed(scores=[-1, 7]), "line 2: scores must be logarithms of probabilities, not 7.0"),
        (changed(scores=[-1, -(10**400)]), "line 2: a value has the wrong type"),
        ("[" * 100_000, "line 2 is not a JSON object"),
        (changed(choices=["a"], scores=[-1], lengths={"tokens": [1]}), "line 2: 1 choices; at least two are needed"),
        (changed(answer=2), "line 2: answer 2 is none of its 2 choices"),
        (changed(answer="A"), "line 2: answer 'A' is none of its 2 choices"),
        (changed(answer=True), "line 2: answer True is none of its 2 choices"),
        (changed(id=2), "line 2: id, question, context, subject and cluster must be strings"),
        (changed(subject=None), "line 2: id, question, context, subject and cluster must be strings"),
        (changed(choices=["a", 2]), "line 2: choices must be strings"),
        (changed(lengths={"tokens": [1]}), "line 2: lengths.tokens must be 2 whole numbers"),
        (changed(lengths={"tokens": [1, 1.5]}), "line 2: lengths.tokens must be 2 whole numbers"),
        (changed(unconditional=[-1]), "line 2: 1 unconditional scores for 2 choices"),
        (changed(choices_only=[-1, -2, -3]), "line 2: 3 choices_only scores for 2 choices"),
        (changed(choices_only=[-1, False]), "line 2: choices_only scores must be numbers, not False"),
        (changed(orders=orders([0, 0])), "line 2: the order [0, 0] does not name each of 2 choices once"),
        (changed(orders=orders([0, 1], [1, 2])), "line 2: the order [1, 2] does not name each"),
        (changed(orders=orders([0, 1, 2])), "line 2: the order [0, 1, 2] does not name each"),
        (changed(orders=orders(["0", "1"])), "line 2: the order ['0', '1'] does not name each"),
        (changed(orders=[{"order": [0, 1], "scores": [-1]}]), "line 2: 1 scores of an order for 2 choices"),
    ],
)
def test_a_damaged_line_is_refused_with_its_number_and_problem(tmp_path, second, problem):
    assert problem in refused(tmp_path, json.dumps(GOOD), second)


@pytest.mark.parametrize("key", ["scores", "unconditional", "choices_only"])
def test_scores_that_are_strings_are_refused(tmp_path, key):
    assert "test.jsonl: " in refused(tmp_path, json.dumps(GOOD), changed(**{key: ["-1", "-2"]}))


def test_an_empty_file_is_damaged(tmp_path):
    assert "it is empty" in refused(tmp_path)


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path):
    (tmp_path / "test.jsonl").mkdir()
    with pytest.raises(FileError, match="test.jsonl cannot be read: Is a directory") as raised:
        read(tmp_path / "test.jsonl", "runs/7")
    assert "damaged" not in str(raised.value)


def test_the_predictions_of_a_run_are_read_as_they_were(tmp_path):
    rows = answered([True, False], subject="law")
    write(tmp_path / "test.jsonl", rows)
    assert read(tmp_path / "test.jsonl", "runs/7") == rows


def test_a_file_that_is_not_there_is_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "test.jsonl")


def test_of_a_run_that_is_not_finished_a_damaged_file_is_to_be_deleted(tmp_path):
    (tmp_path / "base_dev.jsonl").write_text("{")
    with pytest.raises(DataError, match="line 1 is not a JSON object.* delete it to have it measured again"):
        read(tmp_path / "base_dev.jsonl")


def test_a_file_where_the_folder_of_predictions_should_be_is_named(tmp_path):
    (tmp_path / "predictions").write_text("")
    with pytest.raises(ConfigError, match=f"^{tmp_path}/predictions: no folder can be made there: File exists"):
        write(tmp_path / "predictions" / "dev.jsonl", ROWS)


# --- predictions of an earlier start ---------------------------------------------------------------------------------

ROWS = answered([True, False, True])
QUESTIONS = [row.question for row in ROWS]


def test_predictions_of_an_earlier_start_are_recalled(tmp_path, caplog):
    assert recalled(tmp_path / "base_dev.jsonl", QUESTIONS) is None
    write(tmp_path / "base_dev.jsonl", ROWS)
    assert recalled(tmp_path / "base_dev.jsonl", QUESTIONS) == ROWS
    assert not caplog.records


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (ROWS[:2], "its 2 lines are not the 3 questions of the split, in their order"),
        ([*ROWS[:2], ROWS[1]], "two lines have the same question id"),
        (ROWS[::-1], "its 3 lines are not the 3 questions of the split"),
        (answered([True] * 4), "its 4 lines are not the 3 questions of the split"),
        (answered([True] * 3, question="Another?"), "its 3 lines are not the 3 questions of the split"),
        ([], "it is empty"),
        (None, "line 1 is not a JSON object"),
    ],
)
def test_predictions_that_are_not_those_of_the_split_are_measured_again_with_one_warning(
    tmp_path, caplog, rows, problem
):
    path = tmp_path / "base_dev.jsonl"
    path.write_bytes(b"\xff\xfe") if rows is None else write(path, rows)
    assert recalled(path, QUESTIONS) is None
    (warning,) = caplog.records
    assert warning.getMessage().startswith(f"{path}: {problem}")
    assert warning.getMessage().endswith("They are measured again, and the file is replaced.")
