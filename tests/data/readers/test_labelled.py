"""A row of ARC, OpenBookQA or CommonsenseQA in either shape becomes the same question; a doubtful one is refused."""

import pytest

from mcqa.data.loading import READERS
from mcqa.data.readers import labelled
from tests.data.readers.rows import TEXTS, refused, right


def row(**changes):
    """A valid ARC row as on the hub; name only what the test is about."""
    return {
        "id": "Q1",
        "question": "Which is a mammal?",
        "choices": {"label": ["A", "B", "C", "D"], "text": TEXTS},
        "answerKey": "B",
    } | changes


def labels(*names, texts=TEXTS):
    return {"label": list(names), "text": list(texts)[: len(names)]}


def nested(**changes):
    """The same as AI2 publishes it."""
    choices = [{"label": label, "text": text} for label, text in zip("ABCD", TEXTS, strict=True)]
    return {"id": "Q1", "question": {"stem": "Which is a mammal?", "choices": choices}, "answerKey": "B"} | changes


def test_the_answer_is_the_choice_with_its_label():
    question = labelled.read(row())
    assert (question.id, question.question, right(question)) == ("Q1", "Which is a mammal?", "Whale")


def test_numeric_labels_find_the_same_answer_as_letters():
    assert labelled.read(row(choices=labels("1", "2", "3", "4"), answerKey="2")) == labelled.read(row())


def test_labels_need_not_be_in_their_usual_order():
    assert right(labelled.read(row(choices=labels("D", "C", "B", "A")))) == "Gecko"


@pytest.mark.parametrize("read", [READERS["arc"], READERS["openbookqa"], READERS["commonsenseqa"]])
def test_the_hubs_shape_and_the_publishers_nested_shape_are_the_same_question(read):
    flat = row()
    if read is READERS["openbookqa"]:
        flat["question_stem"] = flat.pop("question")
    assert read(flat) == read(nested())


def test_choices_as_a_list_of_structs_are_understood():
    assert labelled.read(row(choices=nested()["question"]["choices"])) == labelled.read(row())


@pytest.mark.parametrize("count", [3, 5])
def test_three_and_five_choices_are_as_good_as_four(count):
    question = labelled.read(row(choices=labels(*"ABCDE"[:count], texts=[*TEXTS, "Frog"])))
    assert len(question.choices) == count and right(question) == "Whale"


def test_white_space_around_texts_is_stripped():
    assert labelled.read(
        row(question=" Which is a mammal?\n", choices=labels(*"ABCD", texts=[" Trout ", *TEXTS[1:]]))
    ) == (labelled.read(row()))


@pytest.mark.parametrize("answer", ["E", "2", "b", "B ", 1, ["B"]])
def test_an_answer_that_is_no_label_is_refused_and_not_guessed(answer):
    refused(labelled.read, row(answerKey=answer), f"answer {answer!r} is not among the labels ['A', 'B', 'C', 'D']")


@pytest.mark.parametrize("answer", ["", " ", None, float("nan")])
def test_a_missing_answer_is_distinguished_from_a_wrong_one(answer):
    refused(labelled.read, row(answerKey=answer), "there is no answer")


def test_a_row_without_the_key_of_the_answer_has_no_answer():
    without = row()
    del without["answerKey"]
    refused(labelled.read, without, "there is no answer: it is absent")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": "  "}, "question is empty"),
        ({"question": 7}, "question is '7' (int), not text"),
        ({"question": None}, "question is absent, not text"),
        ({"question": "What\ufffds it?"}, "question contains U+FFFD"),
        ({"question": "What\ud83d?"}, "question contains half a character"),
        ({"id": "\ufffd"}, "id contains U+FFFD"),
        ({"choices": labels(*"ABCD", texts=["a", "", "c", "d"])}, "choice 2 is empty"),
        ({"choices": labels(*"ABCD", texts=["a", None, "c", "d"])}, "choice 2 is absent, not text"),
        ({"choices": labels(*"ABCD", texts=["a", "b", 3, "d"])}, "choice 3 is '3' (int), not text"),
        ({"choices": labels(*"ABCD", texts=["a", "b", "c", "b "])}, "choices 2 and 4 are both 'b'"),
        ({"choices": labels("B")}, "at least two choices, and here are 1"),
        ({"choices": labels("A", "B", "B", "D")}, "['A', 'B', 'B', 'D'] are not all different"),
        ({"choices": {"label": ["A", "B"], "text": ["a"]}}, "do not match one to one"),
        ({"choices": {"label": ["B", 2], "text": ["a", "b"]}}, "label 2 is not text"),
        ({"choices": {"text": TEXTS}}, "there is no 'label'"),
        ({"choices": "A, B"}, "choices are 'A, B' (str), not labels with texts"),
        ({"choices": None}, "choices are absent, not labels"),
    ],
)
def test_a_doubtful_row_is_refused_with_what_was_found(changes, message):
    refused(labelled.read, row(**changes), message)


def test_a_missing_key_is_named_with_the_nearest_that_exists():
    misspelt = row()
    misspelt["choises"] = misspelt.pop("choices")
    refused(labelled.read, misspelt, "there is no 'choices'", "choises", "Did you mean 'choises'?")
