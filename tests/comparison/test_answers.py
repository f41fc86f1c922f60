"""Answers, margins and flips of single questions."""

import math

import pytest
from finished_runs import answered, question
from hypothesis import given
from hypothesis import strategies as st

from mcqa.comparison import answers
from mcqa.comparison.answers import KINDS, by_subject, flips, margin, surest
from mcqa.comparison.configurations import Configuration
from mcqa.evaluation.metrics import right
from mcqa.evaluation.predictions import Prediction

RIGHTS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)


def configuration(*seeds):
    return Configuration("x", (), tuple(tuple(seed) for seed in seeds), trained=True)


def of(*seeds, metric="acc", **changes):
    return answers.answers(configuration(*(answered(seed, **changes) for seed in seeds)), metric)


def test_each_metric_decides_by_its_own_scores():
    """The first choice wins by sum, the second by characters, the third by bytes."""
    row = Prediction(question(0, choices=("ab", "abcd", "ää"), answer=0), (-4.0, -6.0, -5.9), (1, 1, 1))
    found = {metric: answers.answers(configuration([row]), metric)[0] for metric in ("acc", "acc_norm", "acc_bytes")}
    assert {metric: one.choice for metric, one in found.items()} == {"acc": 0, "acc_norm": 1, "acc_bytes": 2}
    assert margin(row, "acc") == pytest.approx(1.9)
    assert margin(row, "acc_norm") == pytest.approx(-0.5)


@given(st.lists(st.floats(-50, 0), min_size=4, max_size=4))
def test_the_margin_has_the_sign_of_the_answer(scores):
    row = Prediction(question(0), tuple(scores), (1,) * 4)
    found = margin(row, "acc")
    assert found > 0 if right(row, "acc") and found else found <= 0


@pytest.mark.parametrize("scores", [(math.nan, -1.0, -2.0, -3.0), (-1.0, -2.0, math.nan, -3.0)])
def test_a_score_that_is_no_number_is_wrong_and_has_no_margin(scores):
    row = Prediction(question(0), scores, (1,) * 4)
    [found] = answers.answers(configuration([row]), "acc")
    assert (found.choice, found.margin, found.is_right) == (None, None, False)


def test_over_seeds_the_commonest_answer_stands_and_most_seeds_decide():
    two_of_three, one_of_two = of([True], [True], [False])[0], of([True], [False])[0]
    assert two_of_three.is_right and two_of_three.right == pytest.approx(2 / 3) and two_of_three.choice == 1
    assert two_of_three.margin == pytest.approx((1 + 1 - 1) / 3)
    assert not one_of_two.is_right


@given(RIGHTS)
def test_every_question_is_of_one_kind_and_the_net_is_the_difference(pairs):
    before, after = (of([pair[side] for pair in pairs]) for side in (0, 1))
    found = flips(before, after)
    counts = {kind: sum(flip.kind == kind for flip in found) for kind in KINDS}
    assert sum(counts.values()) == len(pairs)
    assert counts["newly right"] - counts["newly wrong"] == sum(b - a for a, b in pairs)


@given(RIGHTS)
def test_the_other_way_round_right_and_wrong_change_places(pairs):
    before, after = (of([pair[side] for pair in pairs]) for side in (0, 1))
    swapped = {"newly right": "newly wrong", "newly wrong": "newly right"}
    there, back = flips(before, after), flips(after, before)
    assert [swapped.get(flip.kind, flip.kind) for flip in there] == [flip.kind for flip in back]


def test_the_surest_flip_comes_first():
    before = of([True] * 3)
    after = [answers.Answer(choice=0, right=0.0, margin=size) for size in (-1.0, -9.0, -4.0)]
    assert [flip.index for flip in surest(flips(before, after), "newly wrong")] == [1, 2, 0]


def test_subjects_are_ordered_by_their_net_change_either_way():
    questions = [question(i, subject=subject) for i, subject in enumerate(["a", "b", "b", "c", ""])]
    found = by_subject(questions, flips(of([False, True, True, True, True]), of([True, False, False, True, True])))
    assert [(subject.name, subject.net, subject.questions) for subject in found] == [
        ("b", -2, 2),
        ("a", 1, 1),
        ("c", 0, 1),
        ("no subject", 0, 1),
    ]


def test_questions_without_subjects_have_no_table():
    assert by_subject([question(0)], flips(of([True]), of([True]))) == []
