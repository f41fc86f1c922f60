"""Calibration: is a model as often right as it is confident?

The probabilities are the softmax of a question's scores (nats) over its choices, divided by a temperature: above 1 it
makes the model less confident, and it changes no answer. A temperature belongs fitted on dev and applied to test:
fitted on the questions that it is measured on, it makes the model look better calibrated than it is.

A question with a score that is not a number has the same probability for every choice and counts as wrong, as in all
other metrics. So two models are measured on the same questions, and a broken model gains nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics import wilson_interval

BINS = 15  # of the confidence, as in Guo et al. 2017
LOWEST, HIGHEST = 0.01, 100.0  # temperatures; a model that is always right would fit 0, one below chance infinity
FLOOR = -1e4  # nats below the best choice, in place of minus infinity, so that a mean stays finite


def probabilities(row: Prediction, temperature: float = 1.0) -> tuple[float, ...]:
    """Return the probability of each choice."""
    return softmax(row.scores, temperature)


def softmax(scores: Sequence[float], temperature: float = 1.0) -> tuple[float, ...]:
    """Return exp(score / temperature), normalised; uniform where a score is not a number, or none is finite."""
    weights = [math.exp(score / temperature) for score in _relative_to_best(scores)]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def _relative_to_best(scores: Sequence[float]) -> list[float]:
    """Each score minus the highest, in nats; zeros where a score is not a number, or none is finite."""
    best = max(scores)
    if any(map(math.isnan, scores)) or math.isinf(best):
        return [0.0] * len(scores)
    return [max(score - best, FLOOR) for score in scores]


def negative_log_likelihood(rows: Sequence[Prediction], temperature: float = 1.0) -> float:
    """Return the mean of -log p of the right choice, in nats a question; log k for a guess among k choices."""
    return math.fsum(negative_log_probability(row, temperature) for row in rows) / len(rows)


def negative_log_probability(row: Prediction, temperature: float = 1.0) -> float:
    """Return -log p of the right choice of one question."""
    scaled = [score / temperature for score in _relative_to_best(row.scores)]
    return math.log(math.fsum(map(math.exp, scaled))) - scaled[row.question.answer]


def brier_score(rows: Sequence[Prediction], temperature: float = 1.0) -> float:
    """Return the mean over questions of the squared errors summed over the choices (Brier 1950), from 0 to 2.

    It is the brier_score of lm-evaluation-harness, which needs the same number of choices everywhere; for two choices
    it is twice the form that looks at one of them only.
    """
    return math.fsum(squared_error(row, temperature) for row in rows) / len(rows)


def squared_error(row: Prediction, temperature: float = 1.0) -> float:
    """Return the Brier score of one question."""
    shares = enumerate(probabilities(row, temperature))
    return math.fsum((share - (choice == row.question.answer)) ** 2 for choice, share in shares)


@dataclass(frozen=True)
class ReliabilityBin:
    """The n questions with a confidence above low and up to high: mean confidence, accuracy and its 95 % interval."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    ci_low: float
    ci_high: float


def reliability_bins(rows: Sequence[Prediction], temperature: float = 1.0, bins: int = BINS) -> list[ReliabilityBin]:
    """Return the bins of equal width from 0 to 1 that have questions."""
    edges = [i / bins for i in range(bins + 1)]
    members: dict[int, list[tuple[float, bool]]] = {}
    for row in rows:
        probability = max(probabilities(row, temperature))
        members.setdefault(bisect_left(edges, probability), []).append((probability, row.correct))
    return [_bin(edges[i - 1], edges[i], members[i]) for i in sorted(members)]


def _bin(low: float, high: float, members: Sequence[tuple[float, bool]]) -> ReliabilityBin:
    n, correct = len(members), sum(correct for _, correct in members)
    mean_confidence = math.fsum(probability for probability, _ in members) / n
    return ReliabilityBin(low, high, n, mean_confidence, correct / n, *wilson_interval(correct, n))


def expected_calibration_error(rows: Sequence[Prediction], temperature: float = 1.0, bins: int = BINS) -> float:
    """Return |accuracy - confidence| of a bin, averaged over questions (Guo et al. 2017, equation 3).

    It is never negative, so chance alone keeps it above 0 where questions are few: see calibration_error.py.
    """
    filled = reliability_bins(rows, temperature, bins)
    return math.fsum(bin.n * abs(bin.accuracy - bin.confidence) for bin in filled) / len(rows)


def fit_temperature(rows: Sequence[Prediction]) -> float:
    """Return the temperature from 0.01 to 100 with the least negative log-likelihood (Guo et al. 2017, section 4.2).

    The slope of the negative log-likelihood in 1 / temperature only rises, so it has one root, or the best is a bound.
    Questions whose choices all score the same, or have a score that is not a number, fit any temperature; where there
    are no others the result is 1.

    Shapes: Q questions, C choices of the question with most.
    """
    questions = [(_relative_to_best(row.scores), row.question.answer) for row in rows]
    if not (informative := [(scores, answer) for scores, answer in questions if any(scores)]):
        return 1.0
    import numpy as np
    from scipy.optimize import brentq

    widest = max(len(scores) for scores, _ in informative)  # a choice that a question lacks has weight 0
    score_QC = np.array([[*scores, *[-np.inf] * (widest - len(scores))] for scores, _ in informative])
    right_Q1 = np.array([[scores[answer]] for scores, answer in informative])
    gap_QC = np.where(np.isinf(score_QC), 0.0, score_QC - right_Q1)

    def slope(log_temperature: float) -> float:
        weight_QC = np.exp(score_QC / np.exp(log_temperature))
        return float(np.mean((weight_QC * gap_QC).sum(axis=1) / weight_QC.sum(axis=1)))

    low, high = math.log(LOWEST), math.log(HIGHEST)
    if slope(low) <= 0:
        return LOWEST
    if slope(high) >= 0:
        return HIGHEST
    return math.exp(float(brentq(slope, low, high)))


def risk_coverage(rows: Sequence[Prediction]) -> list[tuple[float, float]]:
    """Return (coverage, risk) pairs: share of questions answered, most confident first, and share of them wrong.

    The risk-coverage curve of Geifman & El-Yaniv (2017). Questions of the same confidence have no order: each counts
    with their mean, so a model that is equally confident everywhere has the same risk everywhere.
    """
    ranked = sorted((_odds_against_answer(row), not row.correct) for row in rows)
    risks: list[float] = []
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        wrong = [error for _, error in tied]
        risks += [sum(wrong) / len(wrong)] * len(wrong)
    points, errors = [], 0.0
    for answered, risk in enumerate(risks, start=1):
        errors += risk
        points.append((answered / len(risks), errors / answered))
    return points


def _odds_against_answer(row: Prediction) -> float:
    """Odds still differ where confidences round to 1."""
    return math.fsum(map(math.exp, sorted(_relative_to_best(row.scores))[:-1]))


def area_under_risk_coverage(rows: Sequence[Prediction]) -> float:
    """Return the mean risk over the coverages 1/n, 2/n, …, 1 (Geifman et al. 2019): low where errors are unsure."""
    return math.fsum(risk for _, risk in risk_coverage(rows)) / len(rows)
