"""What the order of the options does to the answers, when letters are scored (Zheng et al. 2024, ICLR).

An order names for each letter the choice that stands there. A question that was measured in one order only counts as
measured in that one. A score that is not a number makes the answer under that order wrong.
"""

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from string import ascii_uppercase
from typing import Literal

from mcqa.config.errors import DataError
from mcqa.evaluation.decisions import OVER_ORDERS, decide, is_measured, letter_priors
from mcqa.evaluation.predictions import Prediction, best_choice

MOST_CHOICES = 5  # for all orders: 120 orders a question


def orders_to_measure(
    n_choices: int, permutations: Literal["cyclic", "all"] | int | None, question_id: str
) -> list[tuple[int, ...]]:
    """Return the orders to measure, the given one first; permutations None: it alone.

    cyclic: as many orders as choices, which put each choice at each letter once. A number: that many orders, at most
    all there are: the cyclic ones first, and then others, drawn by a hash of the question's id; a smaller number draws
    a part of what a larger one draws.

    Raises:
        DataError: all orders of more than 5 choices.
    """
    given = tuple(range(n_choices))
    if permutations is None:
        return [given]
    if permutations == "cyclic":
        return [given[i:] + given[:i] for i in given]
    if permutations != "all":
        return _some_orders(n_choices, permutations, question_id)
    if n_choices > MOST_CHOICES:
        raise DataError(
            f"Question {question_id!r} has {n_choices} choices, which can stand in {math.factorial(n_choices):,} "
            f"orders. All orders are measured for at most {MOST_CHOICES} choices: take cyclic ({n_choices} orders) "
            "or a number of orders."
        )
    return list(itertools.permutations(given))


def _some_orders(n_choices: int, count: int, question_id: str) -> list[tuple[int, ...]]:
    possible, attempts = math.factorial(n_choices), itertools.count()
    orders = orders_to_measure(n_choices, "cyclic", question_id)[:count]
    while len(orders) < min(count, possible):
        digest = hashlib.sha256(f"orders\n{n_choices}\n{next(attempts)}\n{question_id}".encode()).digest()
        order = _order_at_rank(int.from_bytes(digest, "big") % possible, n_choices)
        orders += [order] if order not in orders else []
    return orders


def _order_at_rank(rank: int, n_choices: int) -> tuple[int, ...]:
    """Return the order at this place, from 0, of the lexicographic list of all orders, without listing them."""
    remaining, order = list(range(n_choices)), []
    for others in range(n_choices - 1, -1, -1):
        index, rank = divmod(rank, math.factorial(others))
        order.append(remaining.pop(index))
    return tuple(order)


def order_metrics(rows: Sequence[Prediction]) -> dict[str, float]:
    """Return the accuracies over orders, how much the order matters, and those without the letters' prior.

    acc_orders: mean over questions of the share of its orders with a right answer.
    acc_orders_min, acc_orders_max: the worst and the best order; only where all questions have the same orders.
    acc_worst: share of questions right under every order.
    consistency: share of questions with one and the same choice, right or wrong, under every order; of equal choices
    one is as good as the other.
    recall_std: `recall_deviation`.
    acc_debiased: the given order, each letter's log-probability minus the log of its prior; only where the measured
    orders show the prior (`letter_priors`).
    acc_averaged: the choice with the highest mean log-probability over the measured orders.

    Empty where no question was measured under several orders.
    """
    if not any(len(row.orders) > 1 for row in rows):
        return {}
    by_order = order_accuracies(rows)
    return {
        "acc_orders": fmean([fmean(_correct_under_orders(row)) for row in rows]),
        **({"acc_orders_min": min(by_order.values()), "acc_orders_max": max(by_order.values())} if by_order else {}),
        "consistency": fmean([_is_consistent(row) for row in rows]),
        "recall_std": recall_deviation(letter_statistics(rows)),
        **{
            metric: fmean(decision.right for decision in decide(rows, metric))
            for metric in OVER_ORDERS
            if is_measured(rows, metric)
        },
    }


def order_accuracies(rows: Sequence[Prediction]) -> dict[tuple[int, ...], float]:
    """Return the accuracy under each order; empty unless all questions were measured under the same orders."""
    plans = {tuple(order.order for order in row.measured_orders) for row in rows}
    if len(plans) != 1:
        return {}
    columns = zip(*map(_correct_under_orders, rows), strict=True)
    return {order: fmean(column) for order, column in zip(plans.pop(), columns, strict=True)}


@dataclass(frozen=True)
class LetterStatistics:
    """Counts of one letter over all questions that have it and all their orders.

    right: how often the right choice stood there. hit: how often the letter was then the answer. chosen: how often the
    letter was the answer at all. questions: how many different questions `right` counts. prior: mean over questions of
    the estimated prior, 0 where a question has no such letter; None where the measured orders do not show it.
    """

    letter: str
    right: int
    hit: int
    chosen: int
    questions: int
    prior: float | None

    @property
    def recall(self) -> float | None:
        """hit / right; None where the right choice never stood at this letter."""
        return self.hit / self.right if self.right else None


def recall_deviation(letters: Sequence[LetterStatistics]) -> float:
    """Return the standard deviation of recall over the letters (population, not sample), as a share of 1."""
    return pstdev(letter.recall for letter in letters if letter.recall is not None)


def letter_statistics(rows: Sequence[Prediction]) -> list[LetterStatistics]:
    """Return the counts of every letter, as many as the question with most choices has."""
    priors = letter_priors(rows)
    return [_letter_statistics(i, rows, priors) for i in range(max(len(row.scores) for row in rows))]


def _letter_statistics(
    i: int, rows: Sequence[Prediction], priors: dict[int, tuple[float, ...]] | None
) -> LetterStatistics:
    orders = [
        (n, order.order[i] == row.question.answer, best_choice(order.scores) == i)
        for n, row in enumerate(rows)
        for order in row.measured_orders
        if i < len(order.order)
    ]
    return LetterStatistics(
        letter=ascii_uppercase[i],
        right=sum(right for _, right, _ in orders),
        hit=sum(right and chosen for _, right, chosen in orders),
        chosen=sum(chosen for *_, chosen in orders),
        questions=len({n for n, right, _ in orders if right}),
        prior=None
        if priors is None
        else fmean([priors[len(row.scores)][i] if i < len(row.scores) else 0.0 for row in rows]),
    )


def _correct_under_orders(row: Prediction) -> list[bool]:
    return [order.choice == row.question.answer for order in row.measured_orders]


def _is_consistent(row: Prediction) -> bool:
    choices = [order.choice for order in row.measured_orders]
    return None not in choices and len({row.question.choices[choice] for choice in choices if choice is not None}) == 1
