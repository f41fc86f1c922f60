"""What one measured accuracy says about the true one: its standard error and its 95 % confidence interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.evaluation.statistics.clusters import (
    ClusterIds,
    FloatArray,
    add_pseudo_clusters,
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
    design_effect,
    largest_design_effect,
    t_quantile,
)


def standard_error(correct: int, n: int) -> float:
    """Return the standard error of the share correct / n: sample standard deviation over sqrt(n); 0 for n = 1.

    The deviation divides by n - 1, as in lm-evaluation-harness.
    """
    share = correct / n
    return math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else 0.0


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of the share correct / n of n independent answers (Wilson 1927)."""
    return score_interval(correct / n, n, t_quantile())


def score_interval(share: float, n: float, critical_value: float) -> tuple[float, float]:
    """Return the true shares p from which the observed share is at most critical_value * sqrt(p (1 - p) / n) away.

    n need not be whole: it may be an effective number of answers.
    """
    shrink = 1 + critical_value**2 / n
    centre = (share + critical_value**2 / (2 * n)) / shrink
    half = critical_value / shrink * math.sqrt(share * (1 - share) / n + critical_value**2 / (4 * n**2))
    low, high = min(share, centre - half), max(share, centre + half)  # rounding must not leave the share outside
    return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class ClusteredAccuracy:
    """Standard error, 95 % interval and design effect of an accuracy whose questions come in clusters.

    low and high are Wilson's interval with the effective sample size n / D and Student's t in place of the normal
    quantile (Korn & Graubard 1998; Dean & Pagano 2015). D is `smoothed_design_effect`, not design_effect: near an
    accuracy of 1 few clusters have a wrong answer at all, and where chance leaves out those that are wrong as wholes,
    the design effect comes out too small.

    One cluster says nothing about others: the interval is 0 to 1, standard error and design effect are NaN.
    """

    standard_error: float
    low: float
    high: float
    clusters: int
    design_effect: float


def accuracy_interval(correct: Sequence[bool], clusters: Sequence[str] | None) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy: Wilson's, with clusters at the effective sample size."""
    if clusters is None:
        return wilson_interval(sum(correct), len(correct))
    clustered = clustered_accuracy(correct, clusters)
    return clustered.low, clustered.high


def clustered_accuracy(correct: Sequence[bool], clusters: Sequence[str]) -> ClusteredAccuracy:
    """Estimate the accuracy from correct[Q]; clusters[Q] names the cluster of each question, "" for none.

    Raises:
        ValueError: there are no questions, or not one name for each.
    """
    values, ids = np.asarray(correct, float), cluster_ids(clusters, len(correct))
    count = int(ids.max()) + 1
    if count == 1:
        return ClusteredAccuracy(math.nan, 0.0, 1.0, count, math.nan)
    effective = len(values) / smoothed_design_effect(values, ids)
    interval = score_interval(float(values.mean()), effective, t_quantile(degrees_of_freedom(ids)))
    error = math.sqrt(cluster_robust_variance(values, ids))
    return ClusteredAccuracy(error, *interval, count, design_effect(values, ids))


def smoothed_design_effect(values: FloatArray, ids: ClusterIds) -> float:
    """Return the design effect of values[Q], from 0 to 1, with a cluster of right and one of wrong answers added.

    It is at least 1, since a smaller one is usually chance with few clusters, and at most the largest that clusters of
    these sizes can have.
    """
    padded = design_effect(*add_pseudo_clusters(values, ids, (1.0, 0.0)))
    return max(1.0, min(padded, largest_design_effect(ids)))
