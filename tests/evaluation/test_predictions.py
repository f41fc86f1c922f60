"""The file of predictions is read back as it was written, and its lines can be read by anyone."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.encoding import Encoded
from mcqa.evaluation.predictions import Prediction, predictions, read, write
from mcqa.question import Question


def prediction(**changes):
    """A prediction of the wrong choice; name only what the test is about."""
    question = {"id": "q", "question": "Which is a mammal?", "choices": ("Forelle", "Größter Wal"), "answer": 1}
    return Prediction(Question(**(question | changes)), scores=(-1.5, -20.25), tokens=(2, 4))


@st.composite
def any_prediction(draw):
    n = draw(st.integers(1, 5))

    def several(values):
        return tuple(draw(st.lists(values, min_size=n, max_size=n)))

    question = Question(
        id=draw(st.text()),
        question=draw(st.text()),
        choices=several(st.text()),
        answer=draw(st.integers(0, n - 1)),
        context=draw(st.text()),
        subject=draw(st.text()),
    )
    return Prediction(question, several(st.floats(max_value=0, allow_nan=False)), several(st.integers(1, 99)))


@given(st.lists(any_prediction(), max_size=4))
def test_what_is_written_is_read_back(rows):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "predictions" / "dev.jsonl"
        write(path, rows)
        assert read(path) == rows


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"], ids=repr
)
def test_no_line_break_of_any_script_breaks_a_line_of_the_file(character, tmp_path):
    row = prediction(question=f"one{character}two")
    write(tmp_path / "dev.jsonl", [row, row])
    assert read(tmp_path / "dev.jsonl") == [row, row]


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


def test_predictions_pair_questions_with_scores_and_count_the_scored_tokens():
    asked = [prediction().question, prediction(id="r", answer=0).question]
    encoded = [[Encoded([1, 2], [3]), Encoded([1, 2], [4, 5])]] * 2
    first, second = predictions(asked, encoded, [[-1.0, -2.0], [-4.0, -3.0]])
    assert first == Prediction(asked[0], (-1.0, -2.0), (1, 2))
    assert (first.prediction, first.correct) == (0, False)
    assert (second.prediction, second.correct) == (1, False)


def test_a_question_without_scores_is_not_passed_over():
    with pytest.raises(ValueError, match="shorter"):
        predictions([prediction().question], [], [])


@given(st.lists(st.sampled_from([-3.0, -2.0, -1.0]), min_size=1, max_size=6))
def test_the_prediction_is_the_first_of_the_highest(scores):
    row = Prediction(Question("q", "?", tuple("abcdef"[: len(scores)]), 0), tuple(scores), (1,) * len(scores))
    assert row.scores[row.prediction] == max(scores)
    assert max(scores) not in scores[: row.prediction]
