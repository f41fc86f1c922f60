"""Three accuracies, an interval and a loss, from the scores of every choice."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.evaluation.metrics import accuracy, by_subject, chance, metrics
from mcqa.evaluation.predictions import Prediction
from mcqa.question import Question


def prediction(scores, answer=0, choices=None, tokens=None, **changes):
    """A prediction with these scores; choices are of one character unless given."""
    choices = choices or tuple("abcdefgh"[: len(scores)])
    question = Question("q", "?", choices, answer, **changes)
    return Prediction(question, tuple(scores), tuple(tokens or [1] * len(scores)))


@st.composite
def predictions(draw):
    scores = draw(st.lists(st.floats(-500, 0), min_size=1, max_size=6))
    texts = st.text(min_size=0, max_size=8)
    return prediction(
        scores,
        answer=draw(st.integers(0, len(scores) - 1)),
        choices=tuple(draw(st.lists(texts, min_size=len(scores), max_size=len(scores)))),
        tokens=draw(st.lists(st.integers(1, 9), min_size=len(scores), max_size=len(scores))),
    )


def test_acc_is_the_share_of_questions_whose_right_choice_scores_highest():
    rows = [prediction([-1, -2]), prediction([-2, -1]), prediction([-2, -1], answer=1), prediction([-1, -2], answer=1)]
    assert metrics(rows)["acc"] == 0.5


def test_acc_norm_divides_by_characters_and_acc_does_not():
    short_wins = prediction([-5, -2], choices=("ten letter", "no"))
    assert metrics([short_wins])["acc"] == 0
    assert metrics([short_wins])["acc_norm"] == 1  # -0.5 against -1 a character


def test_acc_bytes_divides_by_the_bytes_of_utf_8():
    """Two characters of three bytes each: -3 a character, -1 a byte; four characters of a byte: -2 either way."""
    row = prediction([-6, -8], choices=("鯨魚", "fish"))
    found = metrics([row])
    assert (found["acc"], found["acc_norm"], found["acc_bytes"]) == (1, 0, 1)


def test_the_delimiting_space_is_not_part_of_a_length():
    """-2 against -1.5 a character; with a space more it would be -1 against -1.125."""
    assert metrics([prediction([-2, -4.5], choices=("a", "bbb"), answer=1)])["acc_norm"] == 1


@pytest.mark.parametrize("name", ["acc", "acc_norm", "acc_bytes"])
def test_of_choices_that_tie_the_first_is_the_prediction(name):
    choices = ("one", "two", "six")
    assert metrics([prediction([-3, -1, -1], answer=1, choices=choices)])[name] == 1
    assert metrics([prediction([-3, -1, -1], answer=2, choices=choices)])[name] == 0


def test_a_choice_without_text_is_measured_as_one_character():
    found = metrics([prediction([-1, -3], choices=("", "two"))])
    assert (found["acc"], found["acc_norm"], found["acc_bytes"]) == (1, 1, 1)


@given(st.lists(predictions(), min_size=1, max_size=20))
def test_accuracies_are_those_of_their_definition(rows):
    found = metrics(rows)
    lengths = {"acc": lambda text: 1, "acc_norm": len, "acc_bytes": lambda text: len(text.encode("utf-8"))}
    for name, length in lengths.items():
        right = 0
        for row in rows:
            scores = [s / max(1, length(c)) for s, c in zip(row.scores, row.question.choices, strict=True)]
            best = min(i for i, s in enumerate(scores) if s == max(scores))
            right += best == row.question.answer
        assert found[name] == pytest.approx(right / len(rows))


@given(st.lists(predictions(), min_size=2, max_size=20))
def test_the_standard_error_is_the_sample_deviation_over_the_root_of_n(rows):
    """With n - 1, as lm-evaluation-harness gives it."""
    marks = [float(row.correct) for row in rows]
    mean = sum(marks) / len(marks)
    deviation = math.sqrt(sum((mark - mean) ** 2 for mark in marks) / (len(marks) - 1))
    assert metrics(rows)["acc_stderr"] == pytest.approx(deviation / math.sqrt(len(marks)), abs=1e-12)


@given(st.lists(predictions(), min_size=1, max_size=20))
def test_the_interval_holds_the_accuracy(rows):
    found = metrics(rows)
    assert 0 <= found["acc_ci_low"] <= found["acc"] + 1e-12
    assert found["acc"] - 1e-12 <= found["acc_ci_high"] <= 1
    assert found["n"] == len(rows)


def test_the_loss_is_of_the_right_answers_per_token_over_all_questions():
    rows = [prediction([-6, -1], tokens=[3, 1]), prediction([-1, -2], answer=1, tokens=[1, 1])]
    assert metrics(rows)["loss"] == (6 + 2) / (3 + 1)


def test_the_metrics_are_these():
    assert list(metrics([prediction([-1, -2])])) == [
        "acc", "acc_norm", "acc_bytes", "acc_stderr", "acc_ci_low", "acc_ci_high", "n", "loss",
    ]  # fmt: skip


def test_any_length_can_be_divided_by():
    rows = [prediction([-4, -3], choices=("a b", "c"), tokens=[2, 1])]
    assert accuracy(rows) == 0
    assert accuracy(rows, lambda text: len(text.split())) == 1


def test_chance_is_a_guess_at_each_question():
    two, four = Question("a", "?", ("1", "2"), 0), Question("b", "?", ("1", "2", "3", "4"), 0)
    assert chance([two, four]) == (1 / 2 + 1 / 4) / 2


def test_subjects_are_sorted_and_questions_without_one_belong_to_none():
    rows = [prediction([-1], subject=subject) for subject in ("law", "art", "", "law")]
    assert by_subject(rows) == {"art": [rows[1]], "law": [rows[0], rows[3]]}
    assert list(by_subject(rows)) == ["art", "law"]
    assert by_subject(rows[2:3]) == {}


def test_where_letters_were_scored_every_choice_is_as_long_as_a_letter():
    question = Question("q", "?", ("a long choice indeed", "x"), 0)
    row = Prediction(question, (-1.0, -2.0), (1, 1), letters=True)
    assert metrics([row])["acc_norm"] == metrics([row])["acc_bytes"] == metrics([row])["acc"] == 1
    assert row.as_row()["lengths"] == {"characters": [1, 1], "bytes": [1, 1], "tokens": [1, 1]}
