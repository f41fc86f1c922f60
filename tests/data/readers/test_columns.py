"""Rows whose parts stand in columns: wherever the columns say they are, and refused where they are in doubt."""

from dataclasses import replace

import pytest

from mcqa.config.errors import DataError
from mcqa.data.readers.columns import LocalReader, label_ends, read_local, text_of
from tests.local_columns import own_columns

TEXTS = ["Trout", "Whale", "Gecko"]
FIXED = own_columns("question", None, "answer", "boolean", fixed_choices=["no", "yes"])
PAIR = own_columns("question", None, None, right="correct", wrong=["wrong1", "wrong2"])


def right(row, columns):
    question = read_local({"question": "Which?"} | row, columns)
    return question.choices[question.answer]


def refusal(row, columns):
    with pytest.raises(DataError) as error:
        read_local({"question": "Which?"} | row, columns)
    return str(error.value)


def test_dotted_names_are_values_of_nested_rows_and_a_column_with_dots_in_its_name_comes_first():
    columns = own_columns("question.stem", "question.options", "meta.key", "letter")
    nested = {"question": {"stem": "Which?", "options": TEXTS}, "meta": {"key": "B"}}
    assert read_local(nested, columns) == read_local(nested | {"meta.key": "B", "meta": {"key": "C"}}, columns)
    deep = {"question": {"stem": "Which?", "options": TEXTS}, "meta": {"answer.key": "C"}}
    assert right(deep, replace(columns, answer="meta.answer.key")) == "Gecko"
    message = refusal(nested, replace(columns, question="question.stm"))
    assert message == (
        "there is no 'question.stm'; the row has question.stem, question.options, meta.key. "
        "Did you mean 'question.stem'?"
    )


def test_columns_without_names_are_numbers():
    columns = own_columns(1, [2, 3], 4, "letter")
    assert read_local({"1": "Which?", "2": "Trout", "3": "Whale", "4": "B"}, columns).answer == 1


@pytest.mark.parametrize(("answer", "text"), [(False, "no"), (True, "yes"), ("True", "yes"), (" false", "no")])
def test_true_is_the_second_of_the_fixed_choices(answer, text):
    assert right({"answer": answer}, FIXED) == text


@pytest.mark.parametrize("answer", [1, 0, "yes", "t", "", None])
def test_what_is_neither_true_nor_false_is_refused(answer):
    assert "answer" in refusal({"answer": answer}, FIXED)


def test_fixed_choices_are_answered_in_words_too():
    columns = replace(FIXED, fixed_choices=["yes", "no", "maybe"], answer_as="text")
    assert right({"answer": "maybe"}, columns) == "maybe"
    assert "answer 'perhaps' is none of the choices" in refusal({"answer": "perhaps"}, columns)


def test_right_and_wrong_answers_have_columns_of_their_own():
    row = {"correct": "Whale", "wrong1": "Trout", "wrong2": "Gecko", "others": ["Trout", 3]}
    assert right(row, PAIR) == "Whale"
    assert read_local({"question": "?"} | row, replace(PAIR, wrong="others")).choices == ("Whale", "Trout", "3")
    assert "choice 'wrong2' is empty" in refusal(row | {"wrong2": ""}, PAIR)
    assert "choice 1 is absent" in refusal(row | {"correct": None}, PAIR)
    assert "data.columns.wrong=[A,B,C,D]" in refusal(row | {"others": "Trout"}, replace(PAIR, wrong="others"))


LABELLED = own_columns("question", "choices", "key", "label")


@pytest.mark.parametrize(
    "choices",
    [
        {"label": ["3", "1", "2"], "text": TEXTS},
        [{"label": "3", "text": "Trout"}, {"label": "1", "text": "Whale"}, {"text": "Gecko", "label": "2"}],
        [{"key": "3", "value": "Trout"}, {"key": "1", "value": "Whale"}, {"key": "2", "value": "Gecko"}],
        {"3": "Trout", "1": "Whale", "2": "Gecko", "4": None},
    ],
)
def test_the_answer_is_the_choice_with_its_label_and_never_one_by_its_place(choices):
    row = {"choices": choices, "key": "1"}
    assert right(row, LABELLED) == "Whale" == right(row | {"key": 1}, LABELLED)
    assert read_local({"question": "?"} | row, LABELLED).choices == tuple(TEXTS)
    assert right(row | {"key": "Whale"}, replace(LABELLED, answer_as="text")) == "Whale"
    assert "is not among the labels ['3', '1', '2']" in refusal(row | {"key": "4"}, LABELLED)
    for kind in ("index", "index_from_one", "letter"):
        assert "the choices have labels, 3, 1, 2" in refusal(row, replace(LABELLED, answer_as=kind))


def test_a_label_needs_labels():
    assert "not labels with texts" in refusal({"choices": TEXTS, "key": "A"}, LABELLED)


ONE_HOT = own_columns("question", "mc.choices", "mc.labels", "one_hot")


def test_the_only_one_among_zeros_marks_the_answer():
    assert right({"mc": {"choices": TEXTS, "labels": [0, 0, 1]}}, ONE_HOT) == "Gecko"
    for labels in ([1, 1, 0], [0, 0, 0], [2, 0, 0], [0, 1], "010", [0, 1, None]):
        assert "answer" in refusal({"mc": {"choices": TEXTS, "labels": labels}}, ONE_HOT)


def test_numbers_are_choices_as_they_are_written_and_truth_values_are_none():
    columns = own_columns("question", "choices", "answer", "text")
    assert read_local({"question": "?", "choices": [3, 3.5, "x"], "answer": 3}, columns).choices == ("3", "3.5", "x")
    assert "choice 2 is 'True' (bool)" in refusal({"choices": ["a", True], "answer": "a"}, columns)
    assert "choice 2 is 'nan' (float)" in refusal({"choices": ["a", float("nan")], "answer": "a"}, columns)
    assert text_of(-2) == "-2" and text_of(None) is None


CELLS = own_columns("question", list("ABCD"), "answer", "letter", empty_choices="drop_trailing")


def test_empty_cells_after_the_last_choice_are_none_where_the_columns_say_so():
    row = {"A": "Trout", "B": "Whale", "C": " ", "D": "", "answer": "B"}
    assert right(row, CELLS) == "Whale"
    assert read_local({"question": "?"} | row, CELLS).choices == ("Trout", "Whale")
    assert "choice 'B' is empty" in refusal(row | {"B": "", "C": "Gecko"}, CELLS)
    assert "answer 'D' is not a letter from A to B" in refusal(row | {"answer": "D"}, CELLS)
    assert "empty_choices=drop_trailing leaves out" in refusal(row, replace(CELLS, empty_choices="refuse"))


@pytest.mark.parametrize(
    ("choices", "stripped"),
    [
        (["A)21", "B)21.5", "C)A) x"], ("21", "21.5", "A) x")),
        (["(a) Trout", " (b)  Whale", "(c) Gecko"], ("Trout", "Whale", "Gecko")),
        (["1. Trout", "2. Whale"], ("Trout", "Whale")),
        (["[A] Trout", "B: Whale"], ("Trout", "Whale")),
    ],
)
def test_letters_and_numbers_before_choices_are_noticed_and_removed_only_where_that_is_asked(choices, stripped):
    columns = own_columns("question", "choices", "answer", "index")
    row = {"question": "?", "choices": choices, "answer": 1}
    assert label_ends(choices) and read_local(row, columns).choices == tuple(choices)
    without = replace(columns, strip_labels=True)
    assert read_local(row, without).choices == stripped
    for answer in (choices[1], stripped[1]):
        assert right(row | {"answer": answer}, replace(without, answer_as="text")) == stripped[1]


@pytest.mark.parametrize("choices", [["A) x", "C) y"], ["A) x", "y"], ["1.5", "2.5"], ["A", "B"], ["1:2", "2:1"]])
def test_choices_that_are_not_labelled_in_order_are_left_alone_and_refused_where_labels_are_to_be_removed(choices):
    assert label_ends(choices) is None
    columns = own_columns("question", "choices", "answer", strip_labels=True)
    assert "choices do not begin with their letters" in refusal({"choices": choices, "answer": 0}, columns)


def test_optional_columns_may_be_absent_from_some_rows_and_not_from_all():
    columns = own_columns("question", "choices", "answer", context="passage", id="nr")
    read = LocalReader(columns)
    row = {"question": "Which?", "choices": TEXTS, "answer": 0}
    assert read(row | {"nr": 1}).context == ""
    with pytest.raises(DataError, match=r"data\.columns\.context=passage: no row has it; there is no 'passage'; the"):
        read.check_optional()
    assert read(row | {"passage": "Text."}).context == "Text."
    read.check_optional()
