"""Is a model as often right as it is sure? Probabilities of the choices against what was right.

The probabilities are the softmax of a question's scores (nats) over its choices, at a temperature: above 1 it makes
the model less sure, and it changes no answer. The temperature belongs fitted on dev and applied to test; fitted on
what it is measured on, it flatters.

A question with a score that is not a number says nothing: every choice gets the same probability, and it is wrong,
as in all other metrics. So two models are measured on the same questions, and breaking earns nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics import wilson_interval

BINS = 15  # of the confidence, as in Guo et al. 2017


LOWEST, HIGHEST = 0.01, 100.0  # temperatures; right everywhere would fit 0, and below chance infinity


FLOOR = -1e4  # nats under the best choice: minus infinity stands there, so that a mean stays finite


def probabilities(row: Prediction, temperature: float = 1.0) -> tuple[float, ...]:
    return softmax(row.scores, temperature)


def softmax(scores: Sequence[float], temperature: float = 1.0) -> tuple[float, ...]:
    """All the same where a score is not a number, or none is finite."""
    weights = [math.exp(score / temperature) for score in _below_best(scores)]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def _below_best(scores: Sequence[float]) -> list[float]:
    """Each score minus the highest, in nats: 0 for the best, and zeros where the scores say nothing."""
    top = max(scores)
    if any(map(math.isnan, scores)) or math.isinf(top):
        return [0.0] * len(scores)
    return [max(score - top, FLOOR) for score in scores]


def confidence(row: Prediction, temperature: float = 1.0) -> float:
    """The probability of the choice that the model answers with."""
    return max(probabilities(row, temperature))


def negative_log_likelihood(rows: Sequence[Prediction], temperature: float = 1.0) -> float:
    """Mean of -log p of the right choice, in nats a question; log k for a guess among k choices."""
    return math.fsum(_surprise(row, temperature) for row in rows) / len(rows)


def _surprise(row: Prediction, temperature: float) -> float:
    below = [score / temperature for score in _below_best(row.scores)]
    return math.log(math.fsum(map(math.exp, below))) - below[row.question.answer]


def brier_score(rows: Sequence[Prediction], temperature: float = 1.0) -> float:
    """Mean over questions of the squared errors summed over the choices (Brier 1950), from 0 to 2.

    It is the brier_score of lm-evaluation-harness, which needs the same number of choices everywhere; for two choices
    it is twice the form that looks at one of them only.
    """
    return math.fsum(_squared_error(row, temperature) for row in rows) / len(rows)


def _squared_error(row: Prediction, temperature: float) -> float:
    shares = enumerate(probabilities(row, temperature))
    return math.fsum((share - (choice == row.question.answer)) ** 2 for choice, share in shares)


@dataclass(frozen=True)
class ReliabilityBin:
    """The questions with a confidence above low and up to high: their mean confidence, accuracy and 95 % interval."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    ci_low: float
    ci_high: float


def reliability_bins(rows: Sequence[Prediction], temperature: float = 1.0, bins: int = BINS) -> list[ReliabilityBin]:
    """Bins of equal width from 0 to 1; those without questions are left out."""
    edges = [i / bins for i in range(bins + 1)]
    members: dict[int, list[tuple[float, bool]]] = {}
    for row in rows:
        sure = confidence(row, temperature)
        members.setdefault(bisect_left(edges, sure), []).append((sure, row.correct))
    return [_bin(edges[i - 1], edges[i], members[i]) for i in sorted(members)]


def _bin(low: float, high: float, members: Sequence[tuple[float, bool]]) -> ReliabilityBin:
    n, right = len(members), sum(correct for _, correct in members)
    return ReliabilityBin(
        low, high, n, math.fsum(sure for sure, _ in members) / n, right / n, *wilson_interval(right, n)
    )


def expected_calibration_error(rows: Sequence[Prediction], temperature: float = 1.0, bins: int = BINS) -> float:
    """Distance of accuracy and confidence in a bin, averaged over questions (Guo et al. 2017, equation 3).

    It is never negative, so chance alone keeps it above 0 where questions are few.
    """
    found = reliability_bins(rows, temperature, bins)
    return math.fsum(one.n * abs(one.accuracy - one.confidence) for one in found) / len(rows)


def fit_temperature(rows: Sequence[Prediction]) -> float:
    """The temperature from 0.01 to 100 that makes the right choices likeliest (Guo et al. 2017, section 4.2).

    The slope of the negative log-likelihood in 1 / temperature only rises, so it has one root, or the best is a bound.
    Questions whose choices all score the same, or have a score that is not a number, fit any temperature; where there
    are no others it stays 1.
    """
    below = [_below_best(row.scores) for row in rows]
    asked = [(scores, row.question.answer) for scores, row in zip(below, rows, strict=True) if any(scores)]
    return _best_temperature(asked) if asked else 1.0


def _best_temperature(asked: Sequence[tuple[Sequence[float], int]]) -> float:
    """Shapes: Q questions, C choices of the longest; a choice that a question lacks has weight 0."""
    import numpy as np
    from scipy.optimize import brentq

    widest = max(len(scores) for scores, _ in asked)
    below_QC = np.array([[*scores, *[-np.inf] * (widest - len(scores))] for scores, _ in asked])
    right_Q1 = np.array([[scores[answer]] for scores, answer in asked])
    gap_QC = np.where(np.isinf(below_QC), 0.0, below_QC - right_Q1)

    def slope(log_temperature: float) -> float:
        weight_QC = np.exp(below_QC / np.exp(log_temperature))
        return float(np.mean((weight_QC * gap_QC).sum(axis=1) / weight_QC.sum(axis=1)))

    low, high = math.log(LOWEST), math.log(HIGHEST)
    if slope(low) <= 0:
        return LOWEST
    if slope(high) >= 0:
        return HIGHEST
    return math.exp(float(brentq(slope, low, high)))


def risk_coverage(rows: Sequence[Prediction]) -> list[tuple[float, float]]:
    """Share of questions answered, surest first, and share of wrong answers among those (Geifman and El-Yaniv 2017).

    Questions of the same confidence come in no order: each counts with their mean, so a model that is equally sure
    of everything has the same risk everywhere.
    """
    ranked = sorted((_doubt(row), not row.correct) for row in rows)
    risks: list[float] = []
    for _, tied in groupby(ranked, key=lambda one: one[0]):
        wrong = [error for _, error in tied]
        risks += [sum(wrong) / len(wrong)] * len(wrong)
    points, errors = [], 0.0
    for answered, risk in enumerate(risks, start=1):
        errors += risk
        points.append((answered / len(risks), errors / answered))
    return points


def _doubt(row: Prediction) -> float:
    """Odds against the model's answer; they still differ where confidences round to 1."""
    return math.fsum(map(math.exp, sorted(_below_best(row.scores))[:-1]))


def area_under_risk_coverage(rows: Sequence[Prediction]) -> float:
    """Mean risk over the coverages 1/n, 2/n, ..., 1: low where wrong answers are unsure (Geifman et al. 2019)."""
    return math.fsum(risk for _, risk in risk_coverage(rows)) / len(rows)


def calibration_metrics(rows: Sequence[Prediction], temperature: float | None) -> dict[str, float]:
    """ece, brier, nll (nats a question) and aurc; with a temperature also itself and the first three scaled by it."""
    plain = _at(rows, 1.0) | {"aurc": area_under_risk_coverage(rows)}
    if temperature is None:
        return plain
    scaled = {f"{name}_scaled": value for name, value in _at(rows, temperature).items()}
    return plain | {"temperature": temperature} | scaled


def _at(rows: Sequence[Prediction], temperature: float) -> dict[str, float]:
    return {
        "ece": expected_calibration_error(rows, temperature),
        "brier": brier_score(rows, temperature),
        "nll": negative_log_likelihood(rows, temperature),
    }
