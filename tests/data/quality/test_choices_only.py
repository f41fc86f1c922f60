"""A model of the choices alone learns what gives them away, and nothing where nothing does."""

import random
from statistics import fmean

from mcqa.data.quality.choices_only import choices_only_answers
from mcqa.data.question import Question

WORDS = [f"word{number}" for number in range(40)]


def questions(seed, count, right="", sizes=(4,)):
    """Questions whose choices are words by chance; `right` is added to the right one."""
    chance = random.Random(seed)
    for number in range(count):
        choices = [" ".join(chance.sample(WORDS, 2)) for _ in range(chance.choice(sizes))]
        answer = chance.randrange(len(choices))
        choices[answer] += right
        yield Question(str(number), "Which?", tuple(choices), answer)


def test_a_word_that_only_right_choices_have_gives_them_away():
    train, dev = list(questions(0, 100, " always", (2, 3, 5))), list(questions(1, 50, " always", (2, 4)))
    assert all(choices_only_answers(train, dev))


def test_a_right_choice_that_is_the_longest_is_given_away_by_its_length():
    train, dev = list(questions(0, 100, " " * 20)), list(questions(1, 50, " " * 20))
    assert all(choices_only_answers(train, dev))


def test_choices_that_say_nothing_are_answered_about_as_by_guessing():
    right = choices_only_answers(list(questions(0, 400)), list(questions(1, 400)))
    assert 0.18 < fmean(right) < 0.32


def test_choices_without_a_common_word_or_length_leave_nothing_to_learn():
    train = [Question("q", "Which?", ("a", "b"), 1)]
    assert choices_only_answers(train, train) == [False]
