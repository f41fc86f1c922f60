"""Bootstrap: intervals from drawing the questions again, whole clusters together.

Clusters with the same sum and size are interchangeable, so what is drawn is how often each kind appears: exact, and
10,000 resamples of 10,000 questions are a matter of two or three kinds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.evaluation.statistics.clusters import FloatArray, cluster_ids, t_quantile

AT_ONCE = 2**21  # weights in memory: 16 MiB


def bootstrap_interval(
    correct: Sequence[bool], clusters: Sequence[str] | None, resamples: int, seed: int
) -> tuple[float, float]:
    """Expanded percentile interval (Hesterberg 2015) of the accuracy, at 95 %; 0 to 1 for one cluster.

    The plain percentile interval of few clusters is too short, by sqrt((G - 1) / G) and by the normal's quantile in
    place of Student's t; the expanded one takes percentiles further out by as much. It ends at the most extreme
    resample, so fewer than about six clusters make it too short, and where all are right it has no width.
    """
    means = _means(np.asarray(correct, float), clusters, resamples, seed)
    return (0.0, 1.0) if means is None else _percentiles(*means)


@dataclass(frozen=True)
class BootstrapDifference:
    """Expanded percentile interval of a difference, and the p at which the interval would just touch 0.

    p is at least about 2 / resamples. One cluster proves nothing: -1 to 1, and p is 1.
    """

    low: float
    high: float
    p: float


def paired_bootstrap(
    before: Sequence[bool], after: Sequence[bool], clusters: Sequence[str] | None, resamples: int, seed: int
) -> BootstrapDifference:
    """The accuracy after minus the accuracy before, on the same questions drawn again."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} answers before, but {len(after)} after")
    means = _means(np.asarray(after, float) - np.asarray(before, float), clusters, resamples, seed)
    return (
        BootstrapDifference(-1.0, 1.0, 1.0) if means is None else BootstrapDifference(*_percentiles(*means), _p(*means))
    )


def _means(
    values: FloatArray, clusters: Sequence[str] | None, resamples: int, seed: int
) -> tuple[FloatArray, int] | None:
    """The sorted means of the resamples and the number of clusters; None for one cluster."""
    of = cluster_ids(clusters, len(values))
    kinds, counts = np.unique(np.stack([np.bincount(of, values), np.bincount(of)], 1), axis=0, return_counts=True)
    found = int(counts.sum())
    if found == 1:
        return None
    generator, rows = np.random.default_rng(seed), max(1, AT_ONCE // len(kinds))
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    totals = np.concatenate([generator.multinomial(found, counts / found, size) @ kinds for size in sizes])
    return np.sort(totals[:, 0] / totals[:, 1]), found


def _stretch(clusters: int) -> float:
    return math.sqrt(clusters / (clusters - 1))


def _percentiles(means: FloatArray, clusters: int) -> tuple[float, float]:
    from scipy.special import ndtr

    tail = float(ndtr(-_stretch(clusters) * t_quantile(clusters - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _p(means: FloatArray, clusters: int) -> float:
    """Twice the share of resamples on the other side of 0, or at it, moved from the expanded tail to Student's t."""
    from scipy.special import ndtri, stdtr

    tail = (min((means <= 0).sum(), (means >= 0).sum()) + 1) / (len(means) + 1)
    return min(1.0, float(2 * stdtr(clusters - 1, ndtri(min(tail, 0.5)) / _stretch(clusters))))
