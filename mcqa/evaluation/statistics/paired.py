"""Two models on the same questions: the difference of their accuracies, its test, and what a test can detect.

Shapes: Q questions, G clusters of related questions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.evaluation.statistics.clusters import (
    ClusterIds,
    FloatArray,
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
    t_quantile,
    two_sided_p,
)

POWER = 0.8
PSEUDO_FLIPS = (1.0, -1.0)  # one question gained, one lost (Bonett & Price 2012)
PRIOR_FLIPS = 2.0  # weight, in flipped questions, of the assumption that clusters flip as wholes
FEWEST_FLIPS = 6  # the exact test of one-sided flips: 2 / 2**6 = 0.031, but 2 / 2**5 = 0.0625


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of the second model minus that of the first, with its test and 95 % interval.

    p is that of the exact McNemar test (McNemar 1947): two-sided binomial over the questions that only one of the two
    models answers right; 1 where there are none. It assumes independent questions, also where there are clusters.

    low and high are the interval of Bonett & Price (2012), who add one question gained and one lost, so that it has a
    width where the models agree everywhere. With clusters it is one cluster gained and one lost (`add_pseudo_flips`),
    the variance is cluster-robust and Student's t replaces the normal. p_clustered is the test that this interval
    inverts; None without clusters. One cluster says nothing about others: -1 to 1, and p_clustered is 1.
    """

    difference: float
    newly_right: int
    newly_wrong: int
    p: float
    low: float
    high: float
    p_clustered: float | None

    @property
    def p_decisive(self) -> float:
        """The p that agrees with the interval: the cluster-robust one where there are clusters."""
        return self.p if self.p_clustered is None else self.p_clustered


def mcnemar(before: Sequence[bool], after: Sequence[bool], clusters: Sequence[str] | None = None) -> PairedDifference:
    """Compare before[Q] with after[Q]: whether the first and the second model answer each question right.

    Raises:
        ValueError: there are no questions, or before, after and clusters have different lengths.
    """
    from scipy.special import bdtr

    differences = np.array([float(second) - float(first) for first, second in zip(before, after, strict=True)])
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    low, high, p_clustered = _interval(differences, clusters)
    p = min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))
    return PairedDifference((gained - lost) / len(differences), gained, lost, p, low, high, p_clustered)


def _interval(differences: FloatArray, clusters: Sequence[str] | None) -> tuple[float, float, float | None]:
    ids = cluster_ids(clusters, len(differences))
    if clusters is None:
        padded, _ = add_pseudo_flips(differences, ids)
        return *clipped_interval(float(padded.mean()), math.sqrt(padded.var() / len(padded)), t_quantile()), None
    if ids.max() == 0:
        return -1.0, 1.0, 1.0
    (centre, error), degrees = smoothed_difference(differences, ids), degrees_of_freedom(ids)
    return *clipped_interval(centre, error, t_quantile(degrees)), two_sided_p(centre, error, degrees)


def clipped_interval(centre: float, standard_error: float, critical_value: float) -> tuple[float, float]:
    """Return centre -+ critical_value * standard_error, cut to the range of a difference of accuracies, -1 to 1."""
    return max(-1.0, centre - critical_value * standard_error), min(1.0, centre + critical_value * standard_error)


def smoothed_difference(differences: FloatArray, ids: ClusterIds) -> tuple[float, float]:
    """Return mean and cluster-robust standard error of differences[Q] after `add_pseudo_flips`."""
    padded, padded_ids = add_pseudo_flips(differences, ids)
    return float(padded.mean()), math.sqrt(cluster_robust_variance(padded, padded_ids))


def add_pseudo_flips(differences: FloatArray, ids: ClusterIds) -> tuple[FloatArray, ClusterIds]:
    """Append one cluster gained and one lost to differences[Q] and ids[Q], each of `_flip_size` questions.

    Without them, models that agree on every question would have a standard error of 0.
    """
    clusters, size = int(ids.max()) + 1, _flip_size(differences, ids)
    added = np.repeat([clusters, clusters + 1], size)
    return np.append(differences, np.repeat(PSEUDO_FLIPS, size)), np.append(ids, added)


def _flip_size(differences: FloatArray, ids: ClusterIds) -> int:
    """How many questions flip at once, from 1 to the mean size of a cluster, Q / G.

    The estimate is the sum of squares of the clusters' differences over that of the questions': 1 where questions flip
    one by one, the size of a cluster where clusters flip as wholes. Few flips do not show which, so PRIOR_FLIPS are
    added that come as wholes. Always 1 would make intervals of models that hardly differ too short (with 168 clusters
    of 4 and 1 % gained as wholes, 82 % hold the truth); always Q / G would make all others too long where clusters are
    large.
    """
    whole = len(ids) / (int(ids.max()) + 1)
    of_clusters, of_questions = float((np.bincount(ids, differences) ** 2).sum()), float((differences**2).sum())
    size = min(max((of_clusters + PRIOR_FLIPS * whole) / (of_questions + PRIOR_FLIPS), 1.0), whole)
    return round(round(size, 9))  # rounding errors of the sums, which the order of questions changes, decide no tie


def minimum_detectable_difference(n: int, disagreement: float, design_effect: float = 1.0) -> float:
    """Return the difference in accuracy that McNemar's test at 5 % (two-sided) detects with 80 % power.

    Connor's (1987) sample size is n = (z_test sqrt(D) + z_power sqrt(D - d**2))**2 / d**2, here solved for d, where d
    is the difference of the two accuracies, D (disagreement) the share of the n questions that only one of the two
    models answers right, and z_test and z_power are the normal quantiles of 97.5 % and 80 %. Models that differ by d
    disagree on at least that share, so where d would exceed D, D is replaced by d. n is divided by the design effect
    of the clusters, where that is above 1.

    The result is at least the smallest difference that the exact test can detect at all, six flips in one direction.
    It is at most 1, which also stands for "none can be detected": too few questions, or a design effect of NaN (one
    cluster). The formula is that of the asymptotic test; the exact one has a little less power (76 % with n = 100).
    """
    from scipy.special import ndtri

    test, power, effective = t_quantile(), float(ndtri(POWER)), n / max(1.0, design_effect)
    if math.isnan(design_effect) or effective <= FEWEST_FLIPS:
        return 1.0
    root = math.sqrt(effective) * test + power * math.sqrt(effective + power**2 - test**2)
    difference = root / (effective + power**2) * max(math.sqrt(disagreement), root / (effective + power**2))
    return min(1.0, max(difference, FEWEST_FLIPS / effective))
