"""The user's own rows are read by the names of their columns; a doubtful one is refused."""

from dataclasses import replace

import pytest

from mcqa.config.schema import Columns
from mcqa.data.readers import local
from tests.data.readers.rows import TEXTS, refused, right

COLUMNS = Columns("question", "choices", "answer", "index", context=None, subject=None, cluster=None, id=None)


@pytest.mark.parametrize(
    ("answer_as", "answer"),
    [
        ("index", 1),
        ("index", "1"),
        ("index_from_one", 2),
        ("letter", "B"),
        ("letter", " b"),
        ("text", "Whale"),
        ("text", "Whale "),
    ],
)
def test_an_answer_is_read_as_the_columns_say(answer_as, answer):
    columns = replace(COLUMNS, answer_as=answer_as)
    assert right(local.read({"question": "q", "choices": TEXTS, "answer": answer}, columns)) == "Whale"


@pytest.mark.parametrize(
    ("answer_as", "answer", "message"),
    [
        ("index", 4, "answer 4 is not from 0 to 3"),
        ("index", "B", "answer 'B' is not a whole number"),
        ("index_from_one", 0, "answer 0 is not from 1 to 4"),
        ("letter", "E", "answer 'E' is not a letter from A to D"),
        ("letter", "AB", "answer 'AB' is not a letter"),
        ("letter", 1, "answer 1 is not a letter"),
        ("text", "whale", "answer 'whale' is none of the choices"),
        ("text", "", "there is no answer"),
    ],
)
def test_an_answer_of_another_kind_is_refused(answer_as, answer, message):
    columns = replace(COLUMNS, answer_as=answer_as)
    refused(lambda row: local.read(row, columns), {"question": "q", "choices": TEXTS, "answer": answer}, message)


def test_columns_are_found_by_the_names_that_are_given():
    columns = Columns("Q", ["a", "b"], "key", "letter", context="passage", subject="field", cluster="figure", id="nr")
    row = {"Q": "q?", "a": "yes", "b": "no", "key": "B", "passage": "p", "field": "f", "figure": 3, "nr": 7}
    question = local.read(row, columns)
    assert (question.id, question.context, question.subject, question.cluster) == ("7", "p", "f", "3")
    assert question.choices == ("yes", "no") and right(question) == "no"


@pytest.mark.parametrize(("cell", "cluster"), [("fig. 2 ", "fig. 2"), (0, "0"), (None, ""), ("", "")])
def test_clusters_are_named_by_their_column_and_an_empty_cell_is_a_question_alone(cell, cluster):
    columns = replace(COLUMNS, cluster="figure")
    row = {"question": "q", "choices": TEXTS, "answer": 0, "figure": cell}
    assert local.read(row, columns).cluster == cluster
    assert local.read(row, COLUMNS).cluster == ""


def test_an_empty_cell_among_choices_is_refused_because_letters_after_it_would_shift():
    columns = replace(COLUMNS, choices=["a", "b", "c"])
    refused(
        lambda row: local.read(row, columns),
        {"question": "q", "a": "x", "b": "y", "c": "", "answer": "0"},
        "choice 'c' is empty",
        "as a list in one column",
    )


def test_text_in_the_place_of_a_list_of_choices_points_to_a_column_each():
    wrong = {"question": "q", "choices": "['a', 'b']", "answer": 0}
    refused(lambda row: local.read(row, COLUMNS), wrong, "not a list", "data.columns.choices=[A,B,C,D]")


def test_a_column_that_is_not_there_is_named():
    columns = replace(COLUMNS, question="prompt")
    wrong = {"promt": "q", "choices": TEXTS, "answer": 0}
    refused(lambda row: local.read(row, columns), wrong, "there is no 'prompt'", "Did you mean 'promt'?")
