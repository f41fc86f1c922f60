"""Answers, margins and flips of single questions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.evaluation.decisions import decide
from mcqa.evaluation.flips import KINDS, Answer, by_subject, count, flips, most_confident, over_seeds
from mcqa.evaluation.predictions import Prediction
from tests.compare.finished_runs import answered, question

RIGHTS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)


def answers(*seeds, metric="acc", **changes):
    return over_seeds([decide(answered(seed, **changes), metric) for seed in seeds])


def test_each_metric_decides_by_its_own_scores():
    """The first choice wins by sum, the second by characters, the third by bytes."""
    row = Prediction(question(0, choices=("ab", "abcd", "ää"), answer=0), (-4.0, -6.0, -5.9), (1, 1, 1))
    found = {metric: over_seeds([decide([row], metric)])[0] for metric in ("acc", "acc_norm", "acc_bytes")}
    assert {metric: one.choice for metric, one in found.items()} == {"acc": 0, "acc_norm": 1, "acc_bytes": 2}
    assert found["acc"].margin == pytest.approx(1.9)
    assert found["acc_norm"].margin == pytest.approx(-0.5)


@pytest.mark.parametrize("scores", [(math.nan, -1.0, -2.0, -3.0), (-1.0, -2.0, math.nan, -3.0)])
def test_a_score_that_is_no_number_is_wrong_and_has_no_margin(scores):
    row = Prediction(question(0), scores, (1,) * 4)
    [found] = over_seeds([decide([row], "acc")])
    assert (found.choice, found.margin, found.is_right) == (None, None, False)


def test_over_seeds_the_most_frequent_answer_counts_and_most_seeds_decide():
    two_of_three, one_of_two = answers([True], [True], [False])[0], answers([True], [False])[0]
    assert two_of_three.is_right and two_of_three.right == pytest.approx(2 / 3) and two_of_three.choice == 1
    assert two_of_three.margin == pytest.approx((1 + 1 - 1) / 3)
    assert not one_of_two.is_right


@pytest.mark.parametrize(("margin", "expected"), [(0.1, True), (-0.1, False), (0.0, False), (None, False)])
def test_where_just_half_of_the_seeds_are_right_the_mean_margin_decides(margin, expected):
    assert Answer(choice=1, right=0.5, margin=margin).is_right == expected
    assert Answer(choice=1, right=0.51, margin=-9.0).is_right


@given(RIGHTS)
def test_every_question_is_of_one_kind_and_the_net_is_the_difference(pairs):
    before, after = (answers([pair[side] for pair in pairs]) for side in (0, 1))
    found = flips(before, after)
    counts = count(found).by_kind
    assert tuple(counts) == KINDS and sum(counts.values()) == len(pairs)
    assert counts["newly right"] - counts["newly wrong"] == sum(b - a for a, b in pairs) == count(found).net


@given(st.lists(st.tuples(*[st.booleans()] * 5), min_size=1, max_size=30))
def test_over_seeds_the_net_is_the_difference_of_the_mean_accuracies(rows):
    """Two seeds before, three after; flips by the majority need not even have the sign of the difference."""
    before, after = (
        answers(*([row[s] for row in rows] for s in (0, 1))),
        answers(*([row[s] for row in rows] for s in (2, 3, 4))),
    )
    subjects = by_subject([question(i, subject="ab"[i % 2]) for i in range(len(rows))], flips(before, after))
    expected = sum((c + d + e) / 3 - (a + b) / 2 for a, b, c, d, e in rows)
    assert count(flips(before, after)).net == pytest.approx(expected, abs=1e-8)
    assert sum(subject.net for subject in subjects) == pytest.approx(expected, abs=1e-7)
    assert all(subject.gained >= 0 <= subject.lost for subject in subjects)


def test_subjects_are_ordered_by_what_seeds_gain_and_lose_and_not_by_the_majority():
    """One question is newly right in two of three seeds; three others lose a seed each and stay right."""
    before = answers([False, True, True, True], [False, True, True, True], [False, True, True, True])
    after = answers([True, False, True, True], [True, True, False, True], [False, True, True, False])
    found = by_subject([question(i, subject="art" if i == 0 else "law") for i in range(4)], flips(before, after))
    assert [(one.name, one.net, one.by_kind["newly right"], one.by_kind["newly wrong"]) for one in found] == [
        ("law", -1, 0, 0),
        ("art", pytest.approx(2 / 3), 1, 0),
    ]


@given(RIGHTS)
def test_the_other_way_round_right_and_wrong_change_places(pairs):
    before, after = (answers([pair[side] for pair in pairs]) for side in (0, 1))
    swapped = {"newly right": "newly wrong", "newly wrong": "newly right"}
    there, back = flips(before, after), flips(after, before)
    assert [swapped.get(flip.kind, flip.kind) for flip in there] == [flip.kind for flip in back]


def test_the_most_confident_flip_comes_first():
    before = answers([True] * 3)
    after = [Answer(choice=0, right=0.0, margin=size) for size in (-1.0, -9.0, -4.0)]
    assert [flip.index for flip in most_confident(flips(before, after), "newly wrong")] == [1, 2, 0]


def test_subjects_are_ordered_by_their_net_change_either_way():
    questions = [question(i, subject=subject) for i, subject in enumerate(["a", "b", "b", "c", ""])]
    found = by_subject(
        questions, flips(answers([False, True, True, True, True]), answers([True, False, False, True, True]))
    )
    assert [(subject.name, subject.net, subject.questions) for subject in found] == [
        ("b", -2, 2),
        ("a", 1, 1),
        ("c", 0, 1),
        ("no subject", 0, 1),
    ]


def test_questions_without_subjects_have_no_table():
    assert by_subject([question(0)], flips(answers([True]), answers([True]))) == []
