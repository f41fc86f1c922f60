"""The difference of two configurations as its tests take it, so that other questions than "is it 0" have the same
sources of variance: questions, their clusters, and seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcqa.evaluation.statistics import ALPHA, Estimate, max_t, pair_correlation
from mcqa.evaluation.statistics.clusters import (
    ClusterIds,
    FloatArray,
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
)
from mcqa.evaluation.statistics.paired import PSEUDO_FLIPS, smoothed_difference
from mcqa.evaluation.statistics.pooling import seed_variances, total_variance

Correct = Sequence[Sequence[bool]]
"""[s][q]: whether question q is answered right with seed s."""


def estimate(before: Correct, after: Correct, clusters: Sequence[str] | None, trained: bool) -> Estimate:
    """Return accuracy after minus before with what its interval at 95 % is made of.

    trained: whether both sides were, so that a side with one run has a seed variance that it does not show.
    """
    differences, questions = np.mean(after, 0) - np.mean(before, 0), len(before[0])
    ids = cluster_ids(clusters, questions)
    if ids.max() == 0:
        return Estimate(float(differences.mean()), math.nan, 0.0)
    if len(before) == len(after) == 1 and clusters is None:
        padded = np.append(differences, PSEUDO_FLIPS)  # Bonett & Price 2012
        return Estimate(float(padded.mean()), math.sqrt(padded.var() / len(padded)), math.inf)
    centre, error = smoothed_difference(differences, ids)
    if len(before) == len(after) == 1:
        return Estimate(centre, error, degrees_of_freedom(ids))
    seeds = seed_variances((np.asarray(before, float), np.asarray(after, float)), ids, trained)
    return Estimate(centre, *total_variance(error**2, seeds, degrees_of_freedom(ids)).of_estimate)


def estimate_of_means(before: FloatArray, after: FloatArray, clusters: Sequence[str] | None, trained: bool) -> Estimate:
    """Return the mean of after[S, Q] minus that of before[S, Q], for values other than right and wrong: as `estimate`,
    but without added questions, which have no meaning for these."""
    differences, ids = after.mean(0) - before.mean(0), cluster_ids(clusters, before.shape[1])
    difference = float(differences.mean())
    if ids.max() == 0:
        return Estimate(difference, math.nan, 0.0)
    seeds = seed_variances((before, after), ids, trained)
    variance = total_variance(cluster_robust_variance(differences, ids), seeds, degrees_of_freedom(ids))
    return Estimate(difference, *variance.of_estimate)


class Adjusted(NamedTuple):
    """Of one estimate among several: the interval excludes 0 just where p is below 5 %. level: the local level, below
    which the p-value of the estimate alone is significant."""

    p: float
    interval: tuple[float, float]
    level: float


def adjust(
    estimates: Sequence[Estimate],
    values: Sequence[FloatArray],
    ids: ClusterIds,
    pairs: Sequence[tuple[int, int]],
    limit: float = 1.0,
) -> list[Adjusted]:
    """Adjust estimates for each other by `max_t`; estimates[p] is of pairs[p] of configurations with values[k][S, Q].

    A single one is left as it is. limit: as in `Estimate.interval`.
    """
    if len(estimates) == 1:
        return [Adjusted(estimates[0].p, estimates[0].interval(1 - ALPHA, limit), ALPHA)]
    return adjust_by(estimates, pair_correlation(values, pairs, [its.standard_error for its in estimates], ids), limit)


def adjust_by(estimates: Sequence[Estimate], correlation: FloatArray, limit: float = 1.0) -> list[Adjusted]:
    """Adjust several estimates with this correlation for each other."""
    found = max_t([its.p_at_small_levels for its in estimates], correlation)
    return [
        Adjusted(p, its.interval_at_small_levels(found.level, limit), found.level)
        for its, p in zip(estimates, found.p_adjusted, strict=True)
    ]
