"""What a metric goes by, question by question: scores, and from them the choice, right or wrong, and the margin.

A margin is by how many nats the right choice beats the best wrong one; divided by the choice's length in characters,
bytes or tokens under acc_norm, acc_bytes and acc_tokens, as its score is.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from mcqa.config.metric_names import needed_for
from mcqa.evaluation.metrics import SCORES, choice_scores
from mcqa.evaluation.option_order import letter_priors
from mcqa.evaluation.predictions import OptionOrder, Prediction, best_choice


@dataclass(frozen=True)
class Decision:
    """Scores that decide a question, with what stands where; of choices that tie, the first is the answer."""

    order: tuple[int, ...]
    scores: tuple[float, ...]
    answer: int

    @property
    def choice(self) -> int | None:
        """None where a score is not a number."""
        place = best_choice(self.scores)
        return None if place is None else self.order[place]

    @property
    def right(self) -> bool:
        return self.choice == self.answer

    @property
    def margin(self) -> float | None:
        """None where it is not a number."""
        others = list(self.scores)
        of_answer = others.pop(self.order.index(self.answer))
        found = math.nan if best_choice(self.scores) is None else of_answer - max(others)
        return None if math.isnan(found) else found


def is_measured(rows: Sequence[Prediction], metric: str) -> bool:
    """Whether the predictions have the scores that the metric needs."""
    needed = needed_for(metric)
    if needed == "permutations":
        return any(len(row.orders) > 1 for row in rows)
    return needed is None or all(getattr(row, needed) is not None for row in rows)


def decide(rows: Sequence[Prediction], metric: str) -> list[Decision]:
    """One a question. rows are all of a run, for acc_debiased needs the prior over letters, which all of them give.

    Raises:
        KeyError: there is no such metric.
    """
    if metric in SCORES:
        return [_plain(row, choice_scores(row, metric)) for row in rows]
    if metric == "acc_debiased":
        return _debiased(rows)
    return [{"acc_averaged": _averaged, "acc_worst": _worst}[metric](row) for row in rows]


def _plain(row: Prediction, found: Sequence[float]) -> Decision:
    return Decision(tuple(range(len(found))), tuple(found), row.question.answer)


def _debiased(rows: Sequence[Prediction]) -> list[Decision]:
    """The given order, with the log of each letter's prior taken away."""
    logs = {n: [math.log(max(share, sys.float_info.min)) for share in of] for n, of in letter_priors(rows).items()}
    given = [_orders(row)[0] for row in rows]
    return [
        Decision(
            one.order,
            tuple(score - log for score, log in zip(one.scores, logs[len(one.scores)], strict=True)),
            row.question.answer,
        )
        for row, one in zip(rows, given, strict=True)
    ]


def _averaged(row: Prediction) -> Decision:
    orders = _orders(row)
    by_choice = [dict(zip(one.order, one.scores, strict=True)) for one in orders]
    means = [math.fsum(one[choice] for one in by_choice) / len(orders) for choice in range(len(row.scores))]
    return _plain(row, means)


def _worst(row: Prediction) -> Decision:
    """The order under which the question is furthest from right."""
    found = [Decision(one.order, one.scores, row.question.answer) for one in _orders(row)]
    return min(found, key=lambda one: (one.right, -math.inf if one.margin is None else one.margin))


def _orders(row: Prediction) -> tuple[OptionOrder, ...]:
    """A question that was measured in one order only counts as measured in that one."""
    return row.orders or (OptionOrder(tuple(range(len(row.scores))), row.scores),)
