"""What decides a question under each metric: as the metrics themselves count it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.compare.options import METRICS
from mcqa.config.metric_names import NEEDS
from mcqa.evaluation.decisions import Decision, decide
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.option_order import orders_to_measure
from mcqa.evaluation.predictions import OptionOrder, Prediction
from tests.compare.finished_runs import question

SCORE = st.one_of(st.integers(-4, 0).map(float), st.floats(-50, 0), st.just(math.nan))
ORDERED = [name for name in METRICS if NEEDS[name] == "permutations"]


@st.composite
def measured(draw):
    """A question of which everything was measured; whole scores, so that some tie."""
    scores = st.lists(SCORE, min_size=3, max_size=3).map(tuple)
    orders = [OptionOrder(order, draw(scores)) for order in orders_to_measure(3, "cyclic", "q")]
    asked = question(0, choices=("oak", "rowan", "ash"), answer=draw(st.integers(0, 2)))
    extra = {"unconditional": draw(scores), "choices_only": draw(scores), "orders": tuple(orders)}
    return Prediction(asked, orders[0].scores, (1, 2, 1), letters=True, **extra)


def whole(row):
    return not any(map(math.isnan, row.scores))


@given(st.lists(measured(), min_size=1, max_size=8).filter(lambda rows: any(map(whole, rows))))
def test_what_is_right_is_what_the_metric_counts(rows):
    found = compute_metrics(rows)
    for metric in METRICS:
        assert sum(one.right for one in decide(rows, metric)) == pytest.approx(found[metric] * len(rows)), metric


@given(st.lists(measured(), min_size=1, max_size=8), st.sampled_from(METRICS))
def test_the_margin_has_the_sign_of_the_answer(rows, metric):
    for one in decide(rows, metric):
        if one.margin is None:
            assert not one.right
        elif one.margin:
            assert one.right == (one.margin > 0)


def test_an_order_says_which_choice_stands_at_the_best_letter():
    one = Decision((2, 0, 1), (-1.0, -3.0, -2.0), answer=2)
    assert (one.choice, one.right, one.margin) == (2, True, 1.0)


def two_orders(given, turned, answer=0):
    orders = (OptionOrder((0, 1), given), OptionOrder((1, 0), turned))
    return Prediction(question(0, choices=("oak", "elm"), answer=answer), given, (1, 1), letters=True, orders=orders)


def test_the_worst_order_gives_answer_and_margin():
    """Right by 2 nats in the given order, wrong by 0.5 in the other."""
    [one] = decide([two_orders((-1.0, -3.0), (-1.0, -1.5))], "acc_worst")
    assert (one.choice, one.right, one.margin) == (1, False, -0.5)


def test_the_mean_over_orders_gives_answer_and_margin():
    """The right choice scores -1 and -1.5, the other -3 and -1."""
    [one] = decide([two_orders((-1.0, -3.0), (-1.0, -1.5))], "acc_averaged")
    assert (one.choice, one.margin) == (0, pytest.approx(2.0 - 1.25))


def test_a_model_that_always_says_a_has_no_margin_left_without_its_prior():
    rows = [two_orders((-0.1, -2.4), (-0.1, -2.4), answer) for answer in (0, 1)]
    assert [one.margin for one in decide(rows, "acc")] == pytest.approx([2.3, -2.3])
    assert [one.margin for one in decide(rows, "acc_debiased")] == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize("metric", ORDERED)
def test_a_question_in_one_order_counts_as_measured_in_that_one(metric):
    alone = Prediction(question(0, choices=("oak", "elm"), answer=0), (-1.0, -2.0), (1, 1), letters=True)
    assert decide([alone], metric)[0].margin == pytest.approx(1.0)
