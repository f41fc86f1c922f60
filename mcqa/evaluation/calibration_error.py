"""What an expected calibration error (ECE) says: how much of it is chance, its interval, and that of a difference.

Chance alone keeps the ECE of few questions above 0, the more so the less confident a model is, so two of them are not
to be compared as they are. Shapes: Q questions, B bins of the confidence that have questions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.evaluation import calibration
from mcqa.evaluation.calibration import BINS, area_under_risk_coverage, expected_calibration_error
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics.clusters import (
    ClusterIds,
    FloatArray,
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
    t_quantile,
)
from mcqa.evaluation.statistics.estimate import Estimate, Source

HALF_NORMAL = math.sqrt(2 / math.pi)  # mean of |x|, for x standard normal


@dataclass(frozen=True)
class CalibrationError:
    """An expected calibration error, and what it says of the true one.

    ece: |accuracy - confidence| of a bin, averaged over questions. Under perfect calibration a bin's gap has the
    standard error sqrt(sum of c (1 - c)) / n for the confidences c of its n questions; with clusters it is larger, by
    the root of the design effect within bins.
    if_calibrated: the ece that chance would leave to a perfectly calibrated model of these confidences.
    debiased: ece minus what chance adds to it. A normal gap around g has a mean absolute value above |g| (that of the
    folded normal). Gaps are taken at what they are (Kumar, Liang & Ma 2019) times a factor, for they are themselves
    too large by chance: James and Stein's (1961), 0 where all of them together are no larger than chance makes them.
    low, high: its 95 % interval, from `_variance` of `parts`. It begins at 0 where ece is no larger than chance may
    leave it. 0 to 1 for one cluster.
    parts: each question's correctness minus confidence, [Q], with the sign of its bin's gap; ece is their mean.
    """

    ece: float
    if_calibrated: float
    debiased: float
    low: float
    high: float
    parts: FloatArray


def calibration_error(
    rows: Sequence[Prediction], temperature: float = 1.0, clusters: Sequence[str] | None = None
) -> CalibrationError:
    """Estimate the calibration error at a temperature, which must not have been fitted on these rows.

    Raises:
        ValueError: there are no questions, or not one cluster name for each.
    """
    ids = cluster_ids(clusters, len(rows))
    confidence = np.array([max(calibration.probabilities(row, temperature)) for row in rows])
    residual = np.array([row.correct for row in rows], float) - confidence
    edges = [i / BINS for i in range(BINS + 1)]
    _, bins = np.unique(np.searchsorted(edges, confidence), return_inverse=True)
    counts = np.bincount(bins)
    gap_B = np.bincount(bins, residual) / counts
    effect = _design_effect_within(bins, residual - gap_B[bins], ids)
    error_B = np.sqrt(np.bincount(bins, confidence * (1 - confidence)) * effect) / counts
    share_B, parts = counts / len(rows), residual * np.where(gap_B < 0, -1.0, 1.0)[bins]
    ece, if_calibrated = float(parts.mean()), HALF_NORMAL * float(share_B @ error_B)
    if ids.max() == 0:
        return CalibrationError(ece, if_calibrated, max(0.0, ece - if_calibrated), 0.0, 1.0, parts)
    spread = math.sqrt(float((share_B * error_B) @ (share_B * error_B)) * (1 - HALF_NORMAL**2))
    half = t_quantile(degrees_of_freedom(ids)) * math.sqrt(_variance(parts, ids))
    centre = ece - _excess(gap_B, error_B, share_B)
    debiased = max(0.0, ece - _excess(gap_B * _shrinkage(gap_B, error_B), error_B, share_B))
    low = 0.0 if ece <= if_calibrated + t_quantile() * spread else max(0.0, centre - half)
    return CalibrationError(
        ece, if_calibrated, debiased, min(low, debiased), min(1.0, max(debiased, centre + half)), parts
    )


def _variance(values: FloatArray, ids: ClusterIds) -> float:
    """The cluster-robust variance of a mean, as if one cluster more were off by 1: a model that is sure and always
    right would have none."""
    return cluster_robust_variance(values, ids) + 1 / (int(ids.max()) + 1) ** 2


def _design_effect_within(bins: ClusterIds, residual: FloatArray, ids: ClusterIds) -> float:
    """How many times the variance of the bins' gaps is that of independent questions, at least 1."""
    _, cells = np.unique(ids * (bins.max() + 1) + bins, return_inverse=True)
    squares = float((residual**2).sum())
    return max(1.0, float((np.bincount(cells, residual) ** 2).sum()) / squares) if squares else 1.0


def _shrinkage(gap_B: FloatArray, error_B: FloatArray) -> float:
    known = error_B > 0
    size = float(((gap_B[known] / error_B[known]) ** 2).sum())
    return math.sqrt(max(0.0, 1 - known.sum() / size)) if size else 1.0


def _excess(gap_B: FloatArray, error_B: FloatArray, share_B: FloatArray) -> float:
    """By how much chance raises the mean absolute gap where these are the true gaps."""
    from scipy.special import ndtr

    gap_B, error_B = abs(gap_B), np.maximum(error_B, np.finfo(float).tiny)
    scaled_B = np.minimum(gap_B / error_B, 40.0)  # beyond which nothing is added, and a square may overflow
    added_B = error_B * HALF_NORMAL * np.exp(-(scaled_B**2) / 2) - 2 * gap_B * ndtr(-scaled_B)
    return float(share_B @ np.maximum(added_B, 0.0))


def calibration_difference(
    before: Sequence[CalibrationError],
    after: Sequence[CalibrationError],
    clusters: Sequence[str] | None = None,
    every_side_has_seeds: bool = True,
) -> Estimate:
    """Return the debiased calibration error of one side minus that of the other, each the mean over its seeds.

    All are measured on the same questions. The questions' variance is `_variance` of the paired differences of `parts`,
    and is added to that of seeds, which a side with one seed takes from the other, if every side has seeds (with one
    seed each there is none: the difference is then about these runs). What both contain is counted twice, which errs on
    the safe side. Of one cluster nothing is known.
    """
    sides = before, after
    parts = [np.mean([error.parts for error in side], axis=0) for side in sides]
    means = [float(np.mean([error.debiased for error in side])) for side in sides]
    estimate, ids = means[1] - means[0], cluster_ids(clusters, len(parts[0]))
    if ids.max() == 0:
        return Estimate(estimate, math.nan, 0.0)
    of_questions = _variance(parts[1] - parts[0], ids)
    deviations = [sum((error.debiased - mean) ** 2 for error in side) for side, mean in zip(sides, means, strict=True)]
    free = sum(len(side) - 1 for side in sides)
    shares = [1 / len(side) for side in sides if every_side_has_seeds or len(side) > 1]
    of_seeds = sum(deviations) / free * sum(shares) if free else 0.0
    variance, question_degrees = of_questions + of_seeds, degrees_of_freedom(ids)
    if not of_seeds:
        return Estimate(estimate, math.sqrt(variance), question_degrees)
    degrees = variance**2 / (of_questions**2 / question_degrees + of_seeds**2 / free)
    sources = Source(of_questions / variance, question_degrees), Source(of_seeds / variance, free)
    return Estimate(estimate, math.sqrt(variance), degrees, sources)


def calibration_metrics(
    rows: Sequence[Prediction], temperature: float | None, clusters: Sequence[str] | None = None
) -> dict[str, float]:
    """Return ece, ece_if_calibrated, ece_debiased, ece_ci_low, ece_ci_high, brier, nll (nats a question) and aurc.

    With a temperature also the temperature, and all but the last at it, as ece_scaled, ece_if_calibrated_scaled, ….
    """
    metrics = _metrics_at(rows, 1.0, clusters) | {"aurc": area_under_risk_coverage(rows)}
    if temperature is None:
        return metrics
    scaled = {f"{name}_scaled": value for name, value in _metrics_at(rows, temperature, clusters).items()}
    return metrics | {"temperature": temperature} | scaled


def _metrics_at(rows: Sequence[Prediction], temperature: float, clusters: Sequence[str] | None) -> dict[str, float]:
    error = calibration_error(rows, temperature, clusters)
    return {
        "ece": expected_calibration_error(rows, temperature),
        "ece_if_calibrated": error.if_calibrated,
        "ece_debiased": error.debiased,
        "ece_ci_low": error.low,
        "ece_ci_high": error.high,
        "brier": calibration.brier_score(rows, temperature),
        "nll": calibration.negative_log_likelihood(rows, temperature),
    }
