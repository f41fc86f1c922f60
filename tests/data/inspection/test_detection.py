"""What is proposed for a table is what was written into it; where the table leaves a doubt, nothing is proposed."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.data.inspection.candidates import Table, words_of
from mcqa.data.inspection.detection import detect

WORD = st.text(string.ascii_lowercase, min_size=3, max_size=8)


@st.composite
def questions(draw, fewest=2, most=5, varied=False):
    """Questions with texts that occur once, as (question, choices, answer); varied: they differ in their number."""
    count = draw(st.integers(fewest, most))
    counts = draw(st.lists(st.integers(fewest if varied else count, count), min_size=3, max_size=10))
    texts = iter(draw(st.lists(WORD, unique=True, min_size=sum(counts), max_size=sum(counts))))
    return [
        (f"{draw(WORD)} {number}?", [next(texts) for _ in range(choices)], draw(st.integers(0, choices - 1)))
        for number, choices in enumerate(counts)
    ]


ANSWERS = {
    "index": lambda choices, answer: answer,
    "index_from_one": lambda choices, answer: str(answer + 1),
    "letter": lambda choices, answer: "abcde"[answer],
    "text": lambda choices, answer: choices[answer],
    "one_hot": lambda choices, answer: [int(place == answer) for place in range(len(choices))],
}

NAMES = [
    string.ascii_uppercase,
    ["option1", "option2", "option3", "option4", "option5"],
    ["opa", "opb", "opc", "opd", "ope"],
]


def other_columns(number):
    """Columns that are no part of a question."""
    return {"id": f"q{number}", "category": "ab"[number % 2], "level": number % 3, "comment": None}


def as_written(reading, written):
    found = [(question.question, list(question.choices), question.answer) for question in reading.questions]
    return found == [(question, list(choices), answer) for question, choices, answer in written]


@settings(max_examples=60)
@given(questions(), st.sampled_from(sorted(ANSWERS)), st.sampled_from(NAMES), st.booleans())
def test_a_table_with_a_column_for_each_choice_or_a_list_is_read_as_it_was_written(written, kind, names, in_columns):
    rows = [
        other_columns(number)
        | {"question": question, "answer": ANSWERS[kind](choices, answer)}
        | (dict(zip(names, choices, strict=False)) if in_columns else {"choices": choices})
        for number, (question, choices, answer) in enumerate(written)
    ]
    found = detect(Table(rows))
    if found.certain is not None:
        assert as_written(found.certain, written)
    else:
        kinds = {reading.columns.answer_as for reading in found.readings}
        assert kind in ("index", "index_from_one") and kinds == {"index", "index_from_one"}
        unused = {0} if kind == "index" else {len(choices) - 1 for _, choices, _ in written}
        assert not unused & {answer for _, _, answer in written}, "which would have left no doubt"


@settings(max_examples=40)
@given(questions(varied=True), st.sampled_from(["label", "text", "pairs", "mapping"]))
def test_labelled_choices_are_read_by_their_labels(written, shape):
    def labelled(choices):
        labels = "ABCDE"[: len(choices)]
        if shape == "mapping":
            return dict(zip(labels, choices, strict=True))
        if shape == "pairs":
            return [{"label": label, "text": text} for label, text in zip(labels, choices, strict=True)]
        return {"label": list(labels), "text": choices}

    rows = [
        other_columns(number)
        | {"question": {"stem": question}, "choices": labelled(choices)}
        | {"answerKey": choices[answer] if shape == "text" else "ABCDE"[answer]}
        for number, (question, choices, answer) in enumerate(written)
    ]
    certain = detect(Table(rows)).certain
    assert certain is not None and as_written(certain, written)
    assert certain.optional == {"id": "id", "subject": "category"}


@settings(max_examples=40)
@given(questions(fewest=2, most=4), st.booleans())
def test_right_and_wrong_answers_are_read_with_the_right_one_first(written, in_list):
    rows, expected = [], []
    for question, choices, answer in written:
        wrong = choices[:answer] + choices[answer + 1 :]
        own = {"distractors": wrong} if in_list else {f"distractor{n}": text for n, text in enumerate(wrong, 1)}
        rows.append({"question": question, "correct_answer": choices[answer], "support": ""} | own)
        expected.append((question, [choices[answer], *wrong], 0))
    found = detect(Table(rows))
    if len(written[0][1]) == 2:  # one wrong answer is no sequence and no list
        assert found.certain is None
    else:
        assert found.certain is not None and as_written(found.certain, expected)


@settings(max_examples=30)
@given(questions(fewest=3), st.booleans())
def test_a_table_without_a_header_is_proposed_only_where_nothing_else_reads_it(written, with_id):
    rows = []
    for number, (question, choices, answer) in enumerate(written):
        cells = [*([f"q{number}"] if with_id else []), question, *choices, "ABCDE"[answer]]
        rows.append({str(place): cell for place, cell in enumerate(cells, 1)})
    found = detect(Table(rows, has_names=False))
    assert any(as_written(reading, written) for reading in found.readings)
    if found.certain is not None:
        assert as_written(found.certain, written)
    if with_id:
        assert found.certain is None, "the question may be a choice, as far as anybody can tell"


def row(number, **changes):
    return {"question": f"{number}?", "A": "w", "B": "x", "C": "y", "D": "z", "answer": "ABCD"[number % 4]} | changes


def test_numbers_under_a_name_that_is_no_answers_are_not_proposed():
    rows = [{**row(number), "level": number % 4} for number in range(8)]
    for one in rows:
        del one["answer"]
    found = detect(Table(rows))
    assert found.certain is None and found.readings[0].columns.answer == "level"


def test_one_wrong_row_keeps_the_nearest_columns_and_lets_no_others_take_their_place():
    rows = [row(number, level=number % 4, note="abcd"[number % 4]) for number in range(8)]
    rows[5]["answer"] = "E"
    found = detect(Table(rows))
    assert not found.readings and found.nearest is not None
    assert (found.nearest.columns.answer, found.nearest.columns.answer_as) == ("answer", "letter")
    assert (found.nearest.failing, found.nearest.errors) == (1, [(5, "answer 'E' is not a letter from A to D.")])


def test_two_answer_columns_that_agree_are_one_reading_and_two_that_do_not_are_two():
    rows = [row(number, answer_idx=number % 4) for number in range(8)]
    assert detect(Table(rows)).certain is not None
    rows[3]["answer_idx"] = 0
    found = detect(Table(rows))
    assert found.certain is None and [reading.columns.answer for reading in found.readings] == ["answer", "answer_idx"]


def test_empty_cells_after_the_last_choice_are_proposed_as_none():
    certain = detect(Table([row(number, D="" if number % 4 != 3 else "z") for number in range(8)])).certain
    assert certain is not None and certain.columns.empty_choices == "drop_trailing"


def test_answers_that_are_true_or_few_words_have_fixed_choices():
    rows = [{"question": f"{number}?", "passage": "p", "answer": number % 3 == 0} for number in range(6)]
    certain = detect(Table(rows)).certain
    assert certain is not None and certain.columns.fixed_choices == ["no", "yes"]
    assert [question.answer for question in certain.questions[:3]] == [1, 0, 0]
    words = [one | {"answer": ["yes", "maybe"][number % 2]} for number, one in enumerate(rows)]
    certain = detect(Table(words)).certain
    assert certain is not None and certain.questions[0].choices == ("maybe", "yes")


def test_letters_and_numbers_are_no_fixed_choices_and_none_are_proposed_beside_choices_that_are_text():
    for answers, more in (("01", {}), ("AB", {}), (["yes", "no"], {"choices": "['yes', 'no']"})):
        rows = [{"question": f"{number}?", "answer": answers[number % 2]} | more for number in range(6)]
        assert detect(Table(rows)).readings == []


def test_nothing_that_looks_like_choices_is_no_reading_and_no_failure():
    found = detect(Table([{"text": "a"}, {"text": "b"}]))
    assert (found.readings, found.nearest, found.certain) == ([], None, None)


def test_names_are_taken_apart_at_underscores_spaces_and_capitals():
    assert (
        words_of("correct_answer") == words_of("Correct Answer") == words_of("correctAnswer") == ["correct", "answer"]
    )
    assert words_of("question.stem2") == ["question", "stem"]
