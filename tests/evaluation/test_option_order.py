"""Orders of the options, against counting by hand and models whose preference for letters is known."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.config.errors import DataError
from mcqa.data.question import Question
from mcqa.evaluation.decisions import letter_priors
from mcqa.evaluation.option_order import letter_statistics, order_accuracies, order_metrics, orders_to_measure
from mcqa.evaluation.predictions import OptionOrder, Prediction

NAN = math.nan
untimed = settings(deadline=None)


def measured(by_order, answer=0, orders="cyclic"):
    """A question with these scores of the letters under each planned order."""
    plan = orders if isinstance(orders, list) else orders_to_measure(len(by_order[0]), orders, "q")
    question = Question("q", "?", tuple("abcdefgh"[: len(by_order[0])]), answer)
    found = tuple(OptionOrder(tuple(order), tuple(scores)) for order, scores in zip(plan, by_order, strict=True))
    return Prediction(question, tuple(by_order[0]), (1,) * len(by_order[0]), letters=True, orders=found)


def swayed(contents, prior, answer=0, orders="cyclic"):
    """A model that adds to what it knows of each choice the log of what it expects of each letter."""
    plan = orders_to_measure(len(contents), orders, "q")
    return measured([[contents[c] + math.log(prior[i]) for i, c in enumerate(order)] for order in plan], answer, orders)


def questions(n, prior, seed=0, orders="cyclic"):
    """Swayed answers to n questions of as many choices as the prior has letters; what is known helps somewhat."""
    chance = random.Random(seed)
    rows = []
    for _ in range(n):
        answer = chance.randrange(len(prior))
        contents = [chance.gauss(0, 1) + (choice == answer) for choice in range(len(prior))]
        rows.append(swayed(contents, prior, answer, orders))
    return rows


def relabelled(row, names):
    """The same question with its choices listed in another order, and everything measured left as it was."""
    question = Question("q", "?", tuple(row.question.choices[i] for i in names), names.index(row.question.answer))
    orders = tuple(OptionOrder(tuple(names.index(c) for c in one.order), one.scores) for one in row.orders)
    return Prediction(question, tuple(row.scores[i] for i in names), row.tokens, True, orders=orders)


SWAYED = (0.55, 0.25, 0.15, 0.05)


@pytest.mark.parametrize("permutations", ["cyclic", "all", 1, 3, 1000])
@untimed
@given(n=st.integers(1, 5), question_id=st.text())
def test_the_given_order_comes_first_and_no_order_twice(permutations, n, question_id):
    plan = orders_to_measure(n, permutations, question_id)
    assert plan[0] == tuple(range(n))
    assert len(set(plan)) == len(plan)
    assert all(sorted(order) == list(range(n)) for order in plan)
    possible = math.factorial(n)
    assert len(plan) == {"cyclic": n, "all": possible}.get(permutations) or min(permutations, possible)


@pytest.mark.parametrize("n", [1, 2, 4, 10])
def test_cyclic_orders_put_each_choice_at_each_letter_once(n):
    assert all(sorted(column) == list(range(n)) for column in zip(*orders_to_measure(n, "cyclic", "q"), strict=True))


def test_all_orders_of_more_than_five_choices_are_refused_with_a_way_out():
    assert len(orders_to_measure(5, "all", "q")) == 120
    with pytest.raises(DataError, match=r"'q7' has 6 choices.* 720 orders.* cyclic \(6 orders\)"):
        orders_to_measure(6, "all", "q7")


def test_drawn_orders_stay_what_they_are():
    """Another process, Python or day draws the same, so runs can be compared."""
    drawn = orders_to_measure(4, 6, "mercury_7175875")
    assert drawn[:4] == orders_to_measure(4, "cyclic", "q")
    assert drawn[4:] == [(1, 2, 0, 3), (2, 0, 1, 3)]


@untimed
@given(st.integers(2, 12), st.integers(1, 20), st.integers(0, 20), st.text())
def test_fewer_drawn_orders_are_a_part_of_more(n, count, more, question_id):
    longer = orders_to_measure(n, count + more, question_id)
    assert orders_to_measure(n, count, question_id) == longer[: min(count, math.factorial(n))]


def test_drawn_orders_differ_between_questions_and_are_about_uniform():
    drawn = [orders_to_measure(3, 4, f"q{i}")[3] for i in range(5000)]
    counts = {order: drawn.count(order) for order in itertools.permutations(range(3))}
    assert all(counts.pop(order) == 0 for order in orders_to_measure(3, "cyclic", "q"))  # they are there already
    assert all(abs(count - 5000 / 3) < 5 * math.sqrt(5000 * 2 / 9) for count in counts.values())


def test_accuracies_over_orders_of_a_hand_calculation():
    """Orders ab, ba. One question right twice; one right in the given order only, as it always says A."""
    rows = [measured([[-1, -2], [-2, -1]]), measured([[-1, -2], [-1, -2]])]
    found = order_metrics(rows)
    assert (found["acc_orders"], found["acc_worst"], found["consistency"]) == (0.75, 0.5, 0.5)
    assert (found["acc_orders_min"], found["acc_orders_max"]) == (0.5, 1.0)
    assert order_accuracies(rows) == {(0, 1): 1.0, (1, 0): 0.5}


def test_of_equal_choices_one_is_as_consistent_as_the_other():
    first_letter = measured([[-1.0, -9.0, -2.0]] * 3)  # choices a, b and c in turn
    assert order_metrics([first_letter])["consistency"] == 0
    question = replace(first_letter.question, choices=("same", "same", "same"))
    assert order_metrics([replace(first_letter, question=question)])["consistency"] == 1


def test_consistency_asks_for_the_same_choice_right_or_wrong_and_not_the_same_letter():
    same_choice, same_letter = measured([[-2, -1], [-1, -2]]), measured([[-2, -1], [-2, -1]])
    assert order_metrics([same_choice])["consistency"] == 1
    assert order_metrics([same_choice])["acc_orders"] == 0
    assert order_metrics([same_letter])["consistency"] == 0


def test_a_model_that_always_says_a():
    """Recall 1 at A and 0 elsewhere: the largest standard deviation that a mean of 1/4 allows."""
    found = order_metrics([measured([[-1, -2, -2, -2]] * 4, answer) for answer in (0, 1, 2, 3, 3)])
    assert found["recall_std"] == pytest.approx(math.sqrt(3) / 4)
    assert (found["acc_orders"], found["consistency"], found["acc_worst"]) == (0.25, 0, 0)


def test_a_model_that_knows_every_answer():
    found = order_metrics(
        [swayed([-9.0 if c != answer else -1.0 for c in range(4)], SWAYED, answer) for answer in (0, 3)]
    )
    assert found.pop("recall_std") == 0
    assert set(found.values()) == {1.0}


def test_recall_counts_by_where_the_right_choice_stands():
    """The right choice stands at A (hit) and at B (missed) of one question, at B and at A of another (both hit)."""
    first, second = letter_statistics([measured([[-1, -2], [-1, -2]]), measured([[-2, -1], [-1, -2]], answer=1)])
    assert (first.letter, first.right, first.hit, first.chosen, first.recall) == ("A", 2, 2, 3, 1.0)
    assert (second.letter, second.right, second.hit, second.chosen, second.recall) == ("B", 2, 1, 1, 0.5)
    assert first.questions == second.questions == 2


def test_a_letter_where_the_right_choice_never_stands_has_no_recall():
    row = measured([[-1, -2, -3], [-3, -1, -2]], 0, [(0, 1, 2), (0, 2, 1)])
    assert [letter.recall for letter in letter_statistics([row])] == [0.5, None, None]
    assert order_metrics([row])["recall_std"] == 0


def test_recall_std_is_numpys_population_deviation_of_scikit_learns_recalls():
    from sklearn.metrics import recall_score

    rows = questions(60, SWAYED)
    pairs = [(one.order.index(row.question.answer), int(np.argmax(one.scores))) for row in rows for one in row.orders]
    recalls = recall_score(*zip(*pairs, strict=True), average=None)
    assert order_metrics(rows)["recall_std"] == pytest.approx(np.std(recalls))


@pytest.mark.parametrize("orders", ["cyclic", "all", 4, 7])
def test_the_prior_of_letters_with_a_known_preference_is_recovered(orders):
    rows = questions(20, SWAYED, orders=orders) + questions(20, (0.2, 0.3, 0.5), orders=orders)
    found = letter_priors(rows)
    assert found[4] == pytest.approx(SWAYED)
    assert found[3] == pytest.approx((0.2, 0.3, 0.5))


def test_a_number_of_orders_that_is_not_balanced_shows_no_prior_instead_of_a_flat_one():
    rows = questions(200, SWAYED, orders=3)
    assert letter_priors(rows) is None and "acc_debiased" not in order_metrics(rows)
    assert {"acc_averaged", "acc_worst", "recall_std"} <= set(order_metrics(rows))
    assert [letter.prior for letter in letter_statistics(rows)] == [None] * 4
    assert letter_priors([*rows, *questions(1, SWAYED)])[4] == pytest.approx(SWAYED), "from the balanced ones alone"
    drawn = [(0, 1, 2, 3), (2, 0, 1, 3), (1, 2, 0, 3), (1, 3, 2, 0), (3, 0, 1, 2)]  # as earlier versions drew them
    assert letter_priors([measured([[-1, -2, -3, -4]] * 5, orders=drawn)]) is None


def test_the_prior_is_the_mean_over_questions_of_softmaxed_mean_log_probabilities():
    rows = questions(15, SWAYED, seed=1)
    noise = random.Random(2)
    rows = [measured([[s + noise.gauss(0, 1) for s in one.scores] for one in row.orders]) for row in rows]
    scores_QOL = np.array([[one.scores for one in row.orders] for row in rows])
    logs_QOL = scores_QOL - np.log(np.exp(scores_QOL).sum(-1, keepdims=True))
    geometric_QL = np.exp(logs_QOL.mean(1))
    expected_L = (geometric_QL / geometric_QL.sum(-1, keepdims=True)).mean(0)
    assert letter_priors(rows)[4] == pytest.approx(expected_L)
    given_QL = logs_QOL[:, 0]
    right = np.argmax(given_QL - np.log(expected_L), axis=1) == 0
    assert order_metrics(rows)["acc_debiased"] == pytest.approx(right.mean())


def test_without_the_prior_a_model_that_prefers_letters_is_as_accurate_as_one_that_does_not():
    swayed_rows, unswayed = questions(300, SWAYED), questions(300, (0.25,) * 4)
    right = np.mean([row.correct for row in unswayed])
    found = order_metrics(swayed_rows)
    assert np.mean([row.correct for row in swayed_rows]) < right - 0.03
    assert found["acc_debiased"] == pytest.approx(right)
    assert found["acc_averaged"] == pytest.approx(right)
    assert order_metrics(unswayed)["acc_debiased"] == pytest.approx(right)


@untimed
@given(st.integers(0, 10**6), st.sampled_from([(0.4, 0.6), SWAYED]), st.sampled_from(["cyclic", "all"]), st.randoms())
def test_listing_the_choices_in_another_order_changes_nothing(seed, preference, orders, chance):
    rows = questions(6, preference, seed, orders)
    names = chance.sample(range(len(preference)), len(preference))
    moved = [relabelled(row, names) for row in rows]
    assert order_metrics(moved) == pytest.approx(order_metrics(rows))
    assert [letter.recall for letter in letter_statistics(moved)] == [
        letter.recall for letter in letter_statistics(rows)
    ]


@untimed
@given(st.integers(0, 10**6), st.floats(0.1, 1))
def test_accuracies_are_ordered(seed, strength):
    share = np.array(SWAYED) ** strength
    rows = questions(5, tuple(share / share.sum()), seed)
    found = order_metrics(rows)
    assert found["acc_worst"] <= found["acc_orders_min"] <= found["acc_orders"] <= found["acc_orders_max"]
    assert found["acc_worst"] <= found["consistency"]


def test_questions_of_different_orders_have_no_best_or_worst_one():
    rows = [measured([[-1, -2]] * 2), measured([[-1, -2, -3]] * 3)]
    assert order_accuracies(rows) == {}
    assert {"acc_orders_min", "acc_orders_max"}.isdisjoint(order_metrics(rows))
    assert order_metrics(rows)["acc_orders"] == pytest.approx((1 / 2 + 1 / 3) / 2)  # each question counts the same


def test_one_order_says_nothing_about_orders():
    alone = Prediction(Question("q", "?", ("a", "b"), 1), (-2.0, -1.0), (1, 1), True)
    assert order_metrics([alone]) == {}
    assert letter_priors([alone]) == {2: (0.5, 0.5)}
    assert [(one.chosen, one.recall) for one in letter_statistics([alone])] == [(0, None), (1, 1.0)]


def test_a_score_that_is_not_a_number_makes_its_order_wrong_and_leaves_the_prior_alone():
    rows = questions(8, SWAYED)
    broken = measured([[-1, -9, -9, -9], [NAN] * 4, [-9, -9, -1, -9], [-9, -1, -9, -9]])
    assert letter_priors([*rows, broken]) == letter_priors(rows)
    found = order_metrics([broken])
    assert (found["acc_orders"], found["consistency"], found["acc_worst"], found["acc_averaged"]) == (0.75, 0, 0, 0)
    assert found["acc_debiased"] == 1
    assert sum(letter.chosen for letter in letter_statistics([broken])) == 3
    assert order_metrics([measured([[NAN] * 4] * 4)])["consistency"] == 0


@untimed
@given(st.integers(0, 10**6))
def test_every_answer_is_counted_at_one_letter(seed):
    rows = questions(4, SWAYED, seed) + questions(3, (0.5, 0.3, 0.2), seed)
    found = letter_statistics(rows)
    answers = 4 * 4 + 3 * 3
    assert sum(letter.chosen for letter in found) == sum(letter.right for letter in found) == answers
    assert sum(letter.prior for letter in found) == pytest.approx(1)
    assert sum(letter.hit for letter in found) == sum(
        one.order[one.scores.index(max(one.scores))] == row.question.answer for row in rows for one in row.orders
    )
