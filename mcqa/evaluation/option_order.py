"""What the order of the options does to the answers, when letters are scored (Zheng et al. 2024, ICLR).

An order names for each letter the choice that stands there. A question that was measured in one order only counts as
measured in that one. A score that is not a number makes the answer under that order wrong.
"""

import hashlib
import itertools
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Literal

from mcqa.config.errors import DataError
from mcqa.evaluation.calibration import softmax
from mcqa.evaluation.predictions import OptionOrder, Prediction, best_choice

MOST_CHOICES = 5  # for all orders: 120 forward passes a question


def orders_to_measure(
    n_choices: int, permutations: Literal["cyclic", "all"] | int, question_id: str
) -> list[tuple[int, ...]]:
    """The orders to measure, the given one first.

    cyclic has as many as there are choices and puts each choice at each letter once; a number draws others by a hash
    of the question's id, at most all there are, and a smaller number draws a part of what a larger one draws.

    Raises:
        DataError: all orders of more than 5 choices.
    """
    given = tuple(range(n_choices))
    if permutations == "cyclic":
        return [given[i:] + given[:i] for i in given]
    if permutations != "all":
        return _drawn(n_choices, permutations, question_id)
    if n_choices > MOST_CHOICES:
        raise DataError(
            f"Question {question_id!r} has {n_choices} choices, which can stand in {math.factorial(n_choices):,} "
            f"orders. All orders are measured for at most {MOST_CHOICES} choices: take cyclic ({n_choices} orders) "
            "or a number of orders."
        )
    return list(itertools.permutations(given))


def _drawn(n_choices: int, count: int, question_id: str) -> list[tuple[int, ...]]:
    possible = math.factorial(n_choices)
    ranks, attempts = [0], itertools.count()  # rank 0 is the given order
    while len(ranks) < min(count, possible):
        digest = hashlib.sha256(f"orders\n{n_choices}\n{next(attempts)}\n{question_id}".encode()).digest()
        rank = int.from_bytes(digest, "big") % possible
        ranks += [rank] if rank not in ranks else []
    return [_at_rank(rank, n_choices) for rank in ranks]


def _at_rank(rank: int, n_choices: int) -> tuple[int, ...]:
    """The order that stands at this place, from 0, in the alphabetical list of all orders."""
    left, order = list(range(n_choices)), []
    for others in range(n_choices - 1, -1, -1):
        place, rank = divmod(rank, math.factorial(others))
        order.append(left.pop(place))
    return tuple(order)


def order_metrics(rows: Sequence[Prediction]) -> dict[str, float]:
    """Accuracy over orders, how much the order matters, and accuracies with the letters' prior removed.

    acc_orders: mean over questions of the share of its orders with a right answer.
    acc_orders_min, acc_orders_max: the worst and the best order; only where all questions have the same orders.
    acc_worst: share of questions right under every order.
    consistency: share of questions with one and the same choice, right or wrong, under every order.
    recall_std: `recall_deviation`.
    acc_debiased: the given order, each letter's log-probability minus the log of its `prior` (PriDe).
    acc_averaged: the choice with the highest mean log-probability over the measured orders.

    Empty where no question was measured under several orders.
    """
    if not _measured(rows):
        return {}
    columns = order_accuracies(rows)
    return {
        "acc_orders": _mean([_mean(_right(row)) for row in rows]),
        **({"acc_orders_min": min(columns.values()), "acc_orders_max": max(columns.values())} if columns else {}),
        "consistency": _mean([_consistent(row) for row in rows]),
        "recall_std": recall_deviation(letter_statistics(rows)),
        **{name: _mean(answers) for name, answers in correct_over_orders(rows).items()},
    }


def correct_over_orders(rows: Sequence[Prediction]) -> dict[str, list[bool]]:
    """Whether each question is right as acc_worst, acc_debiased and acc_averaged count it."""
    if not _measured(rows):
        return {}
    priors = {n: [math.log(max(share, sys.float_info.min)) for share in of] for n, of in letter_priors(rows).items()}
    return {
        "acc_worst": [all(_right(row)) for row in rows],
        "acc_debiased": [_debiased(row, priors[len(row.scores)]) == row.question.answer for row in rows],
        "acc_averaged": [_averaged(row) == row.question.answer for row in rows],
    }


def _measured(rows: Sequence[Prediction]) -> bool:
    return any(len(row.orders) > 1 for row in rows)


def order_accuracies(rows: Sequence[Prediction]) -> dict[tuple[int, ...], float]:
    """Accuracy under each order; empty unless all questions were measured under the same orders."""
    plans = {tuple(one.order for one in _orders(row)) for row in rows}
    if len(plans) != 1:
        return {}
    columns = zip(*map(_right, rows), strict=True)
    return {order: _mean(column) for order, column in zip(plans.pop(), columns, strict=True)}


def letter_priors(rows: Sequence[Prediction]) -> dict[int, tuple[float, ...]]:
    """How likely each letter is whatever stands there, by number of choices: PriDe of Zheng et al. 2024.

    For a question it is the softmax of the log-probabilities averaged over its orders, and then the mean over
    questions; no answer key enters. Exact where each choice stood at each letter equally often, as with cyclic and
    all orders. Questions in one order only, or with a score that is not a number, are left out; where there are no
    others the prior is flat.
    """
    return {n: _prior([row for row in rows if len(row.scores) == n], n) for n in {len(row.scores) for row in rows}}


def _prior(rows: Sequence[Prediction], n_choices: int) -> tuple[float, ...]:
    means = [[_mean(column) for column in zip(*(one.scores for one in _orders(row)), strict=True)] for row in rows]
    usable = [
        mean for row, mean in zip(rows, means, strict=True) if len(row.orders) > 1 and best_choice(mean) is not None
    ]
    found = [softmax(mean) for mean in usable] or [(1 / n_choices,) * n_choices]
    return tuple(_mean(column) for column in zip(*found, strict=True))


@dataclass(frozen=True)
class LetterStatistics:
    """One letter, counted over all questions that have it and all their orders.

    right: how often the right choice stood there, and hit, how often it was then answered. chosen: how often the
    letter was the answer. questions: how many different questions `right` counts. prior: mean over questions of the
    estimated prior, 0 where a question has no such letter.
    """

    letter: str
    right: int
    hit: int
    chosen: int
    questions: int
    prior: float

    @property
    def recall(self) -> float | None:
        """The share answered right of what should be answered with this letter; None where nothing should."""
        return self.hit / self.right if self.right else None


def recall_deviation(found: Sequence[LetterStatistics]) -> float:
    """Standard deviation of recall over the letters (of just these, not a sample), as a share and not in points."""
    return statistics.pstdev(letter.recall for letter in found if letter.recall is not None)


def letter_statistics(rows: Sequence[Prediction]) -> list[LetterStatistics]:
    priors = letter_priors(rows)
    return [_letter(i, rows, priors) for i in range(max(priors))]


def _letter(i: int, rows: Sequence[Prediction], priors: dict[int, tuple[float, ...]]) -> LetterStatistics:
    answers = [(n, row.question.answer, one) for n, row in enumerate(rows) for one in _orders(row)]
    having = [(n, answer, one) for n, answer, one in answers if i < len(one.order)]
    right = [(n, best_choice(one.scores) == i) for n, answer, one in having if one.order[i] == answer]
    return LetterStatistics(
        letter=ascii_uppercase[i],
        right=len(right),
        hit=sum(hit for _, hit in right),
        chosen=sum(best_choice(one.scores) == i for *_, one in having),
        questions=len({n for n, _ in right}),
        prior=_mean([priors[len(row.scores)][i] if i < len(row.scores) else 0.0 for row in rows]),
    )


def _orders(row: Prediction) -> tuple[OptionOrder, ...]:
    return row.orders or (OptionOrder(tuple(range(len(row.scores))), row.scores),)


def _choice(one: OptionOrder) -> int | None:
    letter = best_choice(one.scores)
    return None if letter is None else one.order[letter]


def _right(row: Prediction) -> list[bool]:
    return [_choice(one) == row.question.answer for one in _orders(row)]


def _consistent(row: Prediction) -> bool:
    answers = {_choice(one) for one in _orders(row)}
    return len(answers) == 1 and None not in answers


def _debiased(row: Prediction, log_prior: Sequence[float]) -> int | None:
    given = _orders(row)[0]
    return _choice(OptionOrder(given.order, tuple(s - p for s, p in zip(given.scores, log_prior, strict=True))))


def _averaged(row: Prediction) -> int | None:
    by_choice = [dict(zip(one.order, one.scores, strict=True)) for one in _orders(row)]
    return best_choice([_mean([scores[choice] for scores in by_choice]) for choice in range(len(row.scores))])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
