"""A row in any shape of its publisher becomes the same question; a doubtful one is refused."""

from dataclasses import replace

import pytest

from mcqa.config.errors import DataError
from mcqa.data.readers import READERS, read_labelled, read_mmlu
from mcqa.data.readers.columns import read_local
from tests.local_columns import own_columns

TEXTS = ["Trout", "Whale", "Gecko", "Newt"]


def right(question):
    return question.choices[question.answer]


def refused(read, row, *parts):
    """Check that the reader refuses the row with a message that has these parts."""
    with pytest.raises(DataError) as error:
        read(row)
    for part in parts:
        assert part in str(error.value)


# --- labelled choices ------------------------------------------------------------------------------------------------


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
    question = read_labelled(row())
    assert (question.id, question.question, right(question)) == ("Q1", "Which is a mammal?", "Whale")


def test_numeric_labels_find_the_same_answer_as_letters():
    assert read_labelled(row(choices=labels("1", "2", "3", "4"), answerKey="2")) == read_labelled(row())


def test_labels_need_not_be_in_their_usual_order():
    assert right(read_labelled(row(choices=labels("D", "C", "B", "A")))) == "Gecko"


@pytest.mark.parametrize("read", [READERS["arc"], READERS["openbookqa"], READERS["commonsenseqa"]])
def test_the_hubs_shape_and_the_publishers_nested_shape_are_the_same_question(read):
    flat = row()
    if read is READERS["openbookqa"]:
        flat["question_stem"] = flat.pop("question")
    assert read(flat) == read(nested())


def test_choices_as_a_list_of_structs_are_understood():
    assert read_labelled(row(choices=nested()["question"]["choices"])) == read_labelled(row())


@pytest.mark.parametrize("count", [3, 5])
def test_three_and_five_choices_are_as_good_as_four(count):
    question = read_labelled(row(choices=labels(*"ABCDE"[:count], texts=[*TEXTS, "Frog"])))
    assert len(question.choices) == count and right(question) == "Whale"


def test_white_space_around_question_choices_and_context_is_kept_and_around_names_is_not():
    texts = [" Trout ", *TEXTS[1:]]
    question = read_labelled(row(question=" Which is a mammal?\n", choices=labels(*"ABCD", texts=texts)))
    assert (question.question, question.choices) == (" Which is a mammal?\n", tuple(texts))
    own = {"question": "Which?", "choices": ["a", "b"], "answer": 0}
    others = {"context": "passage", "subject": "topic", "cluster": "fact", "id": "number"}
    columns = own_columns("question", "choices", "answer", **others)
    names = {"passage": "\tIt swims. ", "topic": " animals ", "fact": " whales", "number": "7 "}
    found = read_local(own | names, columns=columns)
    assert (found.context, found.subject, found.cluster, found.id) == ("\tIt swims. ", "animals", "whales", "7")
    assert read_local(own | names | {"passage": " \n"}, columns=columns).context == ""


@pytest.mark.parametrize("answer", ["E", "2", "b", "B ", 1, ["B"]])
def test_an_answer_that_is_no_label_is_refused_and_not_guessed(answer):
    refused(read_labelled, row(answerKey=answer), f"answer {answer!r} is not among the labels ['A', 'B', 'C', 'D']")


@pytest.mark.parametrize("answer", ["", " ", None, float("nan")])
def test_a_missing_answer_is_distinguished_from_a_wrong_one(answer):
    refused(read_labelled, row(answerKey=answer), "there is no answer")


def test_a_row_without_the_key_of_the_answer_has_no_answer():
    without = row()
    del without["answerKey"]
    refused(read_labelled, without, "there is no answer: it is absent")


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
        ({"choices": labels(*"ABCD", texts=["a", "\t \n", "c", "d"])}, "choice 2 is empty"),
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
    refused(read_labelled, row(**changes), message)


def test_a_missing_key_is_named_with_the_nearest_that_exists():
    misspelt = row()
    misspelt["choises"] = misspelt.pop("choices")
    refused(read_labelled, misspelt, "there is no 'choices'", "choises", "Did you mean 'choises'?")


# --- MMLU ------------------------------------------------------------------------------------------------------------


def mmlu_row(**changes):
    return {"question": "Which is a mammal?", "choices": TEXTS, "answer": 1, "subject": "zoology"} | changes


def test_all_three_shapes_are_the_same_question():
    asked = {"question": "Which is a mammal?", "subject": "zoology"}
    lettered = asked | dict(zip("ABCD", TEXTS, strict=True)) | {"answer": "B"}
    numbered = asked | {f"choice{n}": text for n, text in enumerate(TEXTS)} | {"answer": "1"}
    assert read_mmlu(lettered) == read_mmlu(numbered) == read_mmlu(mmlu_row())
    assert read_mmlu(mmlu_row()).subject == "zoology"


def test_a_number_among_lettered_choices_is_refused_because_it_could_count_from_0_or_1():
    lettered = {"question": "q", "answer": "1"} | dict(zip("ABCD", TEXTS, strict=True))
    refused(read_mmlu, lettered, "answer '1' is not a letter from A to D")


@pytest.mark.parametrize("answer", [4, -2, "4"])
def test_an_index_beyond_the_choices_is_refused(answer):
    refused(read_mmlu, mmlu_row(answer=answer), f"answer {answer} is not from 0 to 3")


@pytest.mark.parametrize("answer", [True, 1.0, "--1", "1.0", "²"])
def test_an_index_that_is_not_a_whole_number_is_refused(answer):
    refused(read_mmlu, mmlu_row(answer=answer), f"answer {answer!r} is not a whole number")


def test_minus_one_stands_for_no_answer():
    refused(read_mmlu, mmlu_row(answer=-1), "there is no answer: it is -1")


def test_choices_that_are_not_a_list_are_refused():
    refused(read_mmlu, mmlu_row(choices="abcd"), "not a list")


# --- the user's own --------------------------------------------------------------------------------------------------

COLUMNS = own_columns("question", "choices", "answer")


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
    assert right(read_local({"question": "q", "choices": TEXTS, "answer": answer}, columns)) == "Whale"


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
    refused(lambda row: read_local(row, columns), {"question": "q", "choices": TEXTS, "answer": answer}, message)


def test_an_answer_in_words_that_is_two_of_the_choices_is_refused():
    own = {"question": "q", "choices": ["Trout", "Whale", " Trout"], "answer": "Trout"}
    columns = replace(COLUMNS, answer_as="text")
    refused(lambda row: read_local(row, columns), own, "answer 'Trout' is more than one of the choices")
    assert right(read_local(own | {"answer": "Whale"}, columns)) == "Whale"


def test_columns_are_found_by_the_names_that_are_given():
    others = {"context": "passage", "subject": "field", "cluster": "figure", "id": "nr"}
    columns = own_columns("Q", ["a", "b"], "key", "letter", **others)
    row = {"Q": "q?", "a": "yes", "b": "no", "key": "B", "passage": "p", "field": "f", "figure": 3, "nr": 7}
    question = read_local(row, columns)
    assert (question.id, question.context, question.subject, question.cluster) == ("7", "p", "f", "3")
    assert question.choices == ("yes", "no") and right(question) == "no"


@pytest.mark.parametrize(("cell", "cluster"), [("fig. 2 ", "fig. 2"), (0, "0"), (None, ""), ("", "")])
def test_clusters_are_named_by_their_column_and_an_empty_cell_is_a_question_alone(cell, cluster):
    columns = replace(COLUMNS, cluster="figure")
    row = {"question": "q", "choices": TEXTS, "answer": 0, "figure": cell}
    assert read_local(row, columns).cluster == cluster
    assert read_local(row, COLUMNS).cluster == ""


def test_an_empty_cell_among_choices_is_refused_because_letters_after_it_would_shift():
    columns = replace(COLUMNS, choices=["a", "b", "c"])
    refused(
        lambda row: read_local(row, columns),
        {"question": "q", "a": "x", "b": "y", "c": "", "answer": "0"},
        "choice 'c' is empty",
        "as a list in one column",
    )


def test_text_in_the_place_of_a_list_of_choices_points_to_a_column_each():
    wrong = {"question": "q", "choices": "['a', 'b']", "answer": 0}
    refused(lambda row: read_local(row, COLUMNS), wrong, "not a list", "data.columns.choices=[A,B,C,D]")


def test_a_column_that_is_not_there_is_named():
    columns = replace(COLUMNS, question="prompt")
    wrong = {"promt": "q", "choices": TEXTS, "answer": 0}
    refused(lambda row: read_local(row, columns), wrong, "there is no 'prompt'", "Did you mean 'promt'?")
