"""What decides each question under a metric: the scores that it compares, the choice, and the margin."""

import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from mcqa.config.metric_names import needed_for
from mcqa.evaluation.calibration import softmax
from mcqa.evaluation.predictions import OptionOrder, Prediction, best_choice


@dataclass(frozen=True)
class Decision(OptionOrder):
    """The order and scores that decide a question, and its right choice; in a tie the first choice is the answer."""

    answer: int

    @property
    def right(self) -> bool:
        return self.choice == self.answer

    @property
    def margin(self) -> float | None:
        """By how many nats the right choice beats the best wrong one (per character, byte or token where the scores
        are); None where it is not a number."""
        wrong = list(self.scores)
        right = wrong.pop(self.order.index(self.answer))
        margin = math.nan if best_choice(self.scores) is None else right - max(wrong)
        return None if math.isnan(margin) else margin


def decide(rows: Sequence[Prediction], metric: str) -> list[Decision]:
    """Return the decision on each question. rows are all of a run: acc_debiased estimates its prior from all of them.

    Raises:
        KeyError: no accuracy of a single question has this name.
        AssertionError: what it needs was not measured.
    """
    if metric in SCORES:
        return [_in_given_order(row, SCORES[metric](row)) for row in rows]
    if metric == "acc_debiased":
        return _debiased(rows)
    return [{"acc_averaged": _averaged, "acc_worst": _worst}[metric](row) for row in rows]


def is_correct(row: Prediction, metric: str) -> bool:
    """Whether the question is answered right, as one of SCORES counts it."""
    return best_choice(SCORES[metric](row)) == row.question.answer


def is_measured(rows: Sequence[Prediction], metric: str) -> bool:
    """Whether the predictions have the scores that the metric needs."""
    needed = needed_for(metric)
    if metric == "acc_debiased" and letter_priors(rows) is None:
        return False
    if needed == "permutations":
        return any(len(row.orders) > 1 for row in rows)
    return needed is None or all(getattr(row, needed) is not None for row in rows)


# --- scores -----------------------------------------------------------------------------------------------------------


def _divided(row: Prediction, lengths: Sequence[int]) -> Sequence[float]:
    """An empty choice counts as one character, byte or token."""
    return [score / max(1, length) for score, length in zip(row.scores, lengths, strict=True)]


def _mutual_information(row: Prediction) -> Sequence[float]:
    assert row.unconditional is not None, "measured with evaluation.unconditional"
    return [score - alone for score, alone in zip(row.scores, row.unconditional, strict=True)]


def _choices_only(row: Prediction) -> Sequence[float]:
    assert row.choices_only is not None, "measured with evaluation.choices_only"
    return row.choices_only


SCORES: dict[str, Callable[[Prediction], Sequence[float]]] = {
    "acc": lambda row: row.scores,
    "acc_norm": lambda row: _divided(row, [len(text) for text in row.texts]),
    "acc_bytes": lambda row: _divided(row, [len(text.encode()) for text in row.texts]),
    "acc_tokens": lambda row: _divided(row, row.tokens),
    "acc_mutual_info": _mutual_information,
    "acc_choices_only": _choices_only,
}
"""By name of the accuracy, the scores whose highest is the answer, in nats (per character, byte or token)."""

OVER_ORDERS = ("acc_worst", "acc_debiased", "acc_averaged")


# --- over orders ------------------------------------------------------------------------------------------------------


def _decision(row: Prediction, order: OptionOrder) -> Decision:
    return Decision(order.order, order.scores, row.question.answer)


def _in_given_order(row: Prediction, scores: Sequence[float]) -> Decision:
    return Decision(tuple(range(len(scores))), tuple(scores), row.question.answer)


def _worst(row: Prediction) -> Decision:
    """The order under which the question is furthest from right."""
    decisions = [_decision(row, order) for order in row.measured_orders]
    return min(decisions, key=lambda one: (one.right, -math.inf if one.margin is None else one.margin))


def _averaged(row: Prediction) -> Decision:
    """The mean log-probability of each choice over the measured orders."""
    by_choice = [dict(zip(order.order, order.scores, strict=True)) for order in row.measured_orders]
    return _in_given_order(row, [fmean(scores[i] for scores in by_choice) for i in range(len(row.scores))])


def _debiased(rows: Sequence[Prediction]) -> list[Decision]:
    """The given order of each question, each letter's log-probability minus the log of its prior (PriDe)."""
    priors = letter_priors(rows)
    assert priors is not None, "the measured orders show it"
    log_priors = {n: [math.log(max(p, sys.float_info.min)) for p in prior] for n, prior in priors.items()}
    given = [row.measured_orders[0] for row in rows]
    scores = [[s - p for s, p in zip(order.scores, log_priors[len(order.scores)], strict=True)] for order in given]
    return [
        Decision(order.order, tuple(own), row.question.answer)
        for row, order, own in zip(rows, given, scores, strict=True)
    ]


def letter_priors(rows: Sequence[Prediction]) -> dict[int, tuple[float, ...]] | None:
    """Return the probability of each letter whatever stands there, by number of choices (PriDe, Zheng et al. 2024).

    For a question it is the softmax of the log-probabilities averaged over `balanced_orders`, and then the mean over
    questions; no answer key enters. Questions in one order only, or with a score that is not a number, are left out;
    where there are no others the prior is uniform. None where questions of some number of choices were measured in
    several orders and in no balanced ones: what stood at a letter would pass for a preference and flatten the prior.
    """
    priors = {n: _letter_prior([row for row in rows if len(row.scores) == n], n) for n in {len(r.scores) for r in rows}}
    known = {n: prior for n, prior in priors.items() if prior is not None}
    return known if len(known) == len(priors) else None


def balanced_orders(row: Prediction) -> tuple[OptionOrder, ...]:
    """Return the measured orders in which each choice stood at each letter equally often: all of them, else the cyclic
    ones if all of these are there, else none."""
    n = len(row.scores)
    counts = Counter(place for order in row.orders for place in enumerate(order.order))
    if len(counts) == n * n and len(set(counts.values())) == 1:
        return row.orders
    cyclic = tuple(one for one in row.orders if all((one.order[0] + i) % n == one.order[i] for i in range(n)))
    return cyclic if len({one.order for one in cyclic}) == len(cyclic) == n else ()


def _letter_prior(rows: Sequence[Prediction], n_choices: int) -> tuple[float, ...] | None:
    several = [row for row in rows if len(row.orders) > 1]
    balanced = [orders for row in several if (orders := balanced_orders(row))]
    if several and not balanced:
        return None
    means = [[fmean(column) for column in zip(*(one.scores for one in orders), strict=True)] for orders in balanced]
    priors = [softmax(mean) for mean in means if best_choice(mean) is not None] or [(1 / n_choices,) * n_choices]
    return tuple(fmean(column) for column in zip(*priors, strict=True))
