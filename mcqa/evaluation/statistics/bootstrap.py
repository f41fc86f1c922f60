"""Bootstrap intervals: the questions are drawn again with replacement, whole clusters together.

Clusters with the same sum and size are interchangeable, so what is drawn is how often each kind of cluster appears.
The distribution is the same, and 10,000 resamples of 10,000 questions are draws of two or three numbers each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.evaluation.statistics.clusters import FloatArray, cluster_ids, t_quantile

BATCH = 2**21  # weights in memory at a time: 16 MiB


def bootstrap_interval(
    correct: Sequence[bool], clusters: Sequence[str] | None, resamples: int, seed: int = 0
) -> tuple[float, float]:
    """Return the expanded percentile interval (Hesterberg 2015) of the accuracy at 95 %; 0 to 1 for one cluster.

    The plain percentile interval of few clusters is too short, by sqrt((G - 1) / G) and by the normal quantile in
    place of Student's t; the expanded one moves the percentiles outwards by as much. It cannot reach beyond the most
    extreme resample: it is too short below about six clusters, and has no width where all answers are right.

    Raises:
        ValueError: there are no questions, or not one cluster name for each.
    """
    means = _resampled_means(np.asarray(correct, float), clusters, resamples, seed)
    return (0.0, 1.0) if means is None else _percentiles(*means)


@dataclass(frozen=True)
class BootstrapDifference:
    """Expanded percentile interval of a difference in accuracy, and the p at which the interval would just touch 0.

    p is at least about 2 / resamples. One cluster says nothing about others: -1 to 1, and p is 1.
    """

    low: float
    high: float
    p: float


def paired_bootstrap(
    before: Sequence[bool], after: Sequence[bool], clusters: Sequence[str] | None, resamples: int, seed: int = 0
) -> BootstrapDifference:
    """Estimate accuracy after minus accuracy before; each resample draws the same questions for both.

    Raises:
        ValueError: there are no questions, or before, after and clusters have different lengths.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} answers before, but {len(after)} after")
    means = _resampled_means(np.asarray(after, float) - np.asarray(before, float), clusters, resamples, seed)
    if means is None:
        return BootstrapDifference(-1.0, 1.0, 1.0)
    return BootstrapDifference(*_percentiles(*means), _p(*means))


def _resampled_means(
    values: FloatArray, clusters: Sequence[str] | None, resamples: int, seed: int
) -> tuple[FloatArray, int] | None:
    """Return the sorted means of the resamples and the number of clusters; None for one cluster."""
    ids = cluster_ids(clusters, len(values))
    sums_and_sizes = np.stack([np.bincount(ids, values), np.bincount(ids)], 1)
    kinds, counts = np.unique(sums_and_sizes, axis=0, return_counts=True)
    total = int(counts.sum())
    if total == 1:
        return None
    generator, rows = np.random.default_rng(seed), max(1, BATCH // len(kinds))
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    drawn = np.concatenate([generator.multinomial(total, counts / total, size) @ kinds for size in sizes])
    return np.sort(drawn[:, 0] / drawn[:, 1]), total


def _expansion(clusters: int) -> float:
    return math.sqrt(clusters / (clusters - 1))


def _percentiles(means: FloatArray, clusters: int) -> tuple[float, float]:
    from scipy.special import ndtr

    tail = float(ndtr(-_expansion(clusters) * t_quantile(clusters - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _p(means: FloatArray, clusters: int) -> float:
    """Twice the share of resamples on the other side of 0, or at it, moved from the expanded tail to Student's t."""
    from scipy.special import ndtri, stdtr

    tail = (min((means <= 0).sum(), (means >= 0).sum()) + 1) / (len(means) + 1)
    return min(1.0, float(2 * stdtr(clusters - 1, ndtri(min(tail, 0.5)) / _expansion(clusters))))
