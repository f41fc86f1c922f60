"""Which questions are the same, nearly the same or in contradiction, and what data.clean leaves of train."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.data.quality.duplicates import (
    NEAR,
    NearIndex,
    cleaned,
    conflicting,
    nearly_repeated,
    nearly_shared,
    repeated,
    shared,
    traits_of,
)
from mcqa.data.question import Question, reordered

LAKE = Question(
    "lake",
    "If a lake is polluted, which organism would most likely accumulate the highest concentration of contaminants?",
    ("bass", "minnows", "aquatic plants", "fish-eating birds"),
    3,
)
NEARLY = replace(LAKE, id="nearly", question=LAKE.question.replace("organism", "organisms"))


def traits(*questions):
    return traits_of({"all": questions})["all"]


def wholes(*questions):
    return [one.whole for one in traits(*questions)]


def test_options_in_another_order_case_and_white_space_make_no_other_question():
    same = [reordered(LAKE, [3, 1, 0, 2]), replace(LAKE, question=LAKE.question.upper().replace(" ", "  "))]
    assert repeated(wholes(LAKE, *same)) == [1, 2] and repeated(wholes(*same, LAKE)) == [1, 2]
    assert not nearly_repeated(traits(LAKE, *same)), "they are the same, and not nearly"
    assert not repeated(wholes(LAKE, replace(LAKE, context="A passage.")))


def test_another_right_one_of_the_same_choices_is_a_conflict_and_another_wrong_choice_is_none():
    other = replace(reordered(LAKE, [1, 0, 2, 3]), answer=2)
    wrong = replace(LAKE, choices=("bass", "minnows", "algae", "fish-eating birds"), answer=0)
    assert conflicting(traits(LAKE, NEARLY, other, LAKE, wrong)) == [[0, 2, 3]]
    assert not conflicting(traits(LAKE, LAKE, wrong))


@pytest.mark.parametrize(
    ("changes", "near"),
    [
        ({"question": LAKE.question.replace("a lake", "the lake")}, True),
        ({"question": LAKE.question.replace("a lake is polluted", "5 lakes are polluted")}, False),
        ({"answer": 2}, False),
        ({"context": "A passage."}, False),
        ({"question": "Which organism would accumulate contaminants?"}, False),
        ({"choices": ("carp", "pike", "water lilies", "fish-eating birds")}, False),
    ],
    ids=["one word", "a number", "the answer", "the passage", "many words", "the choices"],
)
def test_near_duplicates_have_the_same_answer_numbers_and_passage_and_most_words(changes, near):
    assert bool(nearly_repeated(traits(LAKE, replace(LAKE, id="other", **changes)))) == near


def test_the_later_one_of_two_near_duplicates_is_named_with_the_first():
    assert nearly_repeated(traits(LAKE, replace(LAKE, question="Why?"), LAKE, NEARLY)) == [(3, 0)]


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), min_size=2, max_size=12))
def test_the_index_finds_what_a_comparison_of_all_pairs_does(texts):
    every = traits(*(Question(str(n), " ".join(sorted(words)), ("x", "y"), 0) for n, words in enumerate(texts)))

    def are_near(one, other):
        pairs = ((set(one.words), set(other.words)), (one.asking, other.asking))
        return all(len(a & b) > NEAR * len(a | b) for a, b in pairs)

    found = [NearIndex(every[:number]).find(one) is not None for number, one in enumerate(every)]
    assert found == [any(are_near(one, other) for other in every[:n]) for n, one in enumerate(every)]


def test_a_question_is_shared_where_its_right_answer_is_too():
    elsewhere = [replace(LAKE, choices=("carp", "fish-eating birds"), answer=1), replace(LAKE, answer=0)]
    every = traits_of({"train": [LAKE], "test": [*elsewhere, NEARLY]})
    assert shared(every["test"], every["train"]) == [0]
    assert nearly_shared(every["test"], every["train"]) == [2]


def test_what_is_named_is_left_out_of_train_and_counted():
    why, how = (Question(word, f"{word} so?", ("yes", "no"), 0) for word in ("Why", "How"))
    train = [LAKE, replace(LAKE, id="again"), NEARLY, why, replace(why, answer=1), how]
    left, counts = cleaned(train, ["duplicates", "near_duplicates", "conflicts", "overlap"], [how])
    assert left == [LAKE]
    assert counts == {"conflicts": 2, "overlap": 1, "duplicates": 1, "near_duplicates": 1}
    assert cleaned(train, ["near_overlap"], [LAKE]) == ([*train[:2], *train[3:]], {"near_overlap": 1})
    assert cleaned(train, [], [how]) == (train, {})
