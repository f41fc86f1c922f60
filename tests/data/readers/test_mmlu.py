"""A row of MMLU in any of its three shapes becomes the same question; a doubtful one is refused."""

import pytest

from mcqa.data.readers import mmlu
from tests.data.readers.rows import TEXTS, refused


def mmlu_row(**changes):
    return {"question": "Which is a mammal?", "choices": TEXTS, "answer": 1, "subject": "zoology"} | changes


def test_all_three_shapes_are_the_same_question():
    asked = {"question": "Which is a mammal?", "subject": "zoology"}
    lettered = asked | dict(zip("ABCD", TEXTS, strict=True)) | {"answer": "B"}
    numbered = asked | {f"choice{n}": text for n, text in enumerate(TEXTS)} | {"answer": "1"}
    assert mmlu.read(lettered) == mmlu.read(numbered) == mmlu.read(mmlu_row())
    assert mmlu.read(mmlu_row()).subject == "zoology"


def test_a_number_among_lettered_choices_is_refused_because_it_could_count_from_0_or_1():
    lettered = {"question": "q", "answer": "1"} | dict(zip("ABCD", TEXTS, strict=True))
    refused(mmlu.read, lettered, "answer '1' is not a letter from A to D")


@pytest.mark.parametrize("answer", [4, -2, "4"])
def test_an_index_beyond_the_choices_is_refused(answer):
    refused(mmlu.read, mmlu_row(answer=answer), f"answer {answer} is not from 0 to 3")


@pytest.mark.parametrize("answer", [True, 1.0, "--1", "1.0", "²"])
def test_an_index_that_is_not_a_whole_number_is_refused(answer):
    refused(mmlu.read, mmlu_row(answer=answer), f"answer {answer!r} is not a whole number")


def test_minus_one_stands_for_no_answer():
    refused(mmlu.read, mmlu_row(answer=-1), "there is no answer: it is -1")


def test_choices_that_are_not_a_list_are_refused():
    refused(mmlu.read, mmlu_row(choices="abcd"), "not a list")
