"""Equal choices are kept or refused as the policy says; outer white space is noticed, and a number is a name."""

import pytest

from mcqa.config.errors import DataError
from mcqa.data.checks import check_equal_choices, has_equal_choices, has_outer_space, validated_question
from mcqa.data.question import Question

DIFFERENT = Question("1", "Which?", ("trout", "whale", "newt"), 1)
WRONG_TWICE = Question("2", "Which?", ("trout", "whale", " trout"), 1)
RIGHT_TWICE = Question("3", "Which?", ("trout", "whale", "whale\n"), 1)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("refuse", [DIFFERENT]),
        ("keep_wrong", [DIFFERENT, WRONG_TWICE]),
        ("keep", [DIFFERENT, WRONG_TWICE, RIGHT_TWICE]),
    ],
)
def test_a_policy_keeps_equal_choices_or_refuses_them(policy, kept):
    for question in (DIFFERENT, WRONG_TWICE, RIGHT_TWICE):
        if question in kept:
            check_equal_choices(question, policy)
        else:
            with pytest.raises(DataError, match="choices . and 3 are both '(trout|whale)'"):
                check_equal_choices(question, policy)


def test_where_the_answer_is_one_of_them_the_message_says_so_and_which_key_keeps_it():
    with pytest.raises(DataError) as error:
        check_equal_choices(RIGHT_TWICE, "keep_wrong")
    assert str(error.value) == (
        "choices 2 and 3 are both 'whale', and the answer is one of them (data.equal_choices=keep keeps the question)."
    )


def test_equal_choices_and_outer_white_space_are_noticed():
    questions = (DIFFERENT, WRONG_TWICE, RIGHT_TWICE)
    assert [has_equal_choices(question) for question in questions] == [False, True, True]
    assert [has_outer_space(question) for question in questions] == [False, True, True]
    assert has_outer_space(Question("4", "Which?\t", ("a", "b"), 0))


def test_a_number_is_a_subject_as_it_is_an_id():
    asked = {"question": "What?", "choices": ["a", "b"], "answer": 0}
    assert [validated_question(id=7, subject=subject, **asked).subject for subject in (7, "7 ", None)] == ["7", "7", ""]
