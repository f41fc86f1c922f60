"""Two models on the same questions: the difference of their accuracies, its test, and what a test can detect.

Shapes: Q questions, G clusters of related questions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.evaluation.statistics.clusters import (
    POWER,
    ClusterIds,
    FloatArray,
    add_pseudo_clusters,
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
    design_effect,
    detectable_in_standard_errors,
    t_quantile,
    two_sided_p,
)

PSEUDO_FLIPS = (1.0, -1.0)  # one question gained, one lost (Bonett & Price 2012)
FEWEST_FLIPS = 5  # the mid-p of one-sided flips: 1 / 2**5 = 0.031, but 1 / 2**4 = 0.0625


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of the second model minus that of the first, with its test and 95 % interval.

    p is the mid-p of McNemar's test (McNemar 1947): that of the exact test, two-sided binomial over the questions that
    only one of the two models answers right, less the probability of what was observed, 2 P(X < k) + P(X = k); 1 where
    there are no such questions. The exact test errs in much less than 5 % of comparisons, for which it pays in power
    and in agreement with the interval; the mid-p errs in at most 5 % in all of the worlds that Fagerland, Lydersen &
    Laake (2013) and benchmarks/coverage.py looked at. With few flips, such as five gained and none lost, it may be
    below 5 % though the interval just contains 0. It assumes independent questions, also where there are clusters.

    low and high are the interval of Bonett & Price (2012), who add one question gained and one lost, so that it has a
    width where the models agree everywhere. With clusters it is one cluster gained and one lost (`add_pseudo_flips`),
    the variance is cluster-robust and Student's t replaces the normal. p_clustered is the test that this interval
    inverts; None without clusters. One cluster says nothing about others: -1 to 1, and p_clustered is 1.

    minimum_detectable_difference is that of a test of two models that disagree as often as these. With clusters it is
    computed from what the test sees: the differences with the added flips, so that few flips do not pass for
    independent questions, and Student's t.
    """

    difference: float
    newly_right: int
    newly_wrong: int
    p: float
    low: float
    high: float
    p_clustered: float | None
    minimum_detectable_difference: float

    @property
    def p_decisive(self) -> float:
        """The p that agrees with the interval: the cluster-robust one where there are clusters."""
        return self.p if self.p_clustered is None else self.p_clustered


def mcnemar(before: Sequence[bool], after: Sequence[bool], clusters: Sequence[str] | None = None) -> PairedDifference:
    """Compare before[Q] with after[Q]: whether the first and the second model answer each question right.

    Raises:
        ValueError: there are no questions, or before, after and clusters have different lengths.
    """
    differences = np.array([float(second) - float(first) for first, second in zip(before, after, strict=True)])
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    low, high, p_clustered = _interval(differences, clusters)
    return PairedDifference(
        (gained - lost) / len(differences),
        gained,
        lost,
        mid_p(gained, lost),
        low,
        high,
        p_clustered,
        detectable_by_questions(differences, clusters),
    )


def mid_p(gained: int, lost: int) -> float:
    """Return McNemar's mid-p of so many questions gained and lost."""
    from scipy.special import bdtr

    fewer, n = min(gained, lost), gained + lost
    below = float(bdtr(fewer - 1, n, 0.5)) if fewer else 0.0
    return min(1.0, below + float(bdtr(fewer, n, 0.5)))


def detectable_by_questions(differences: FloatArray, clusters: Sequence[str] | None) -> float:
    """Return the minimum detectable difference of a paired test of differences[Q], -1 to 1, as `PairedDifference` has
    it; over seeds of their means, without the variance of seeds."""
    ids, n = cluster_ids(clusters, len(differences)), len(differences)
    if clusters is None:
        return minimum_detectable_difference(n, float((differences**2).mean()))
    if ids.max() == 0:
        return 1.0
    values, of = add_pseudo_flips(differences, ids)
    seen = minimum_detectable_difference(
        len(values), float((values**2).mean()), design_effect(values, of), degrees_of_freedom(ids)
    )
    return min(1.0, seen * len(values) / n)  # one gained and one lost make the difference that is seen smaller


def _interval(differences: FloatArray, clusters: Sequence[str] | None) -> tuple[float, float, float | None]:
    ids = cluster_ids(clusters, len(differences))
    if clusters is None:
        padded = np.append(differences, PSEUDO_FLIPS)
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
    """Append one cluster gained and one lost to differences[Q] and ids[Q].

    Without them, models that agree on every question would have a standard error of 0.
    """
    return add_pseudo_clusters(differences, ids, PSEUDO_FLIPS)


def minimum_detectable_difference(
    n: int, disagreement: float, design_effect: float = 1.0, degrees_of_freedom: float | None = None
) -> float:
    """Return the difference in accuracy that a test at 5 % (two-sided) detects with 80 % power.

    Connor's (1987) sample size is n = (z_test sqrt(D) + z_power sqrt(D - d**2))**2 / d**2, here solved for d, where d
    is the difference of the two accuracies, D (disagreement) the share of the n questions that only one of the two
    models answers right, and z_test and z_power are the normal quantiles of 97.5 % and 80 %. Models that differ by d
    disagree on at least that share, so where d would exceed D, D is replaced by d. n is divided by the design effect
    of the clusters, where that is above 1.

    degrees_of_freedom: those of the clusters, None for McNemar's test. z_test is then Student's quantile, and z_power
    what `detectable_in_standard_errors` exceeds it by.

    The result is at least the smallest difference that McNemar's test can detect at all, five flips in one direction.
    It is at most 1, which also stands for "none can be detected": too few questions or clusters, or a design effect of
    NaN (one cluster).
    """
    from scipy.special import ndtri

    if math.isnan(design_effect):
        return 1.0
    test, power, effective = t_quantile(degrees_of_freedom), float(ndtri(POWER)), n / max(1.0, design_effect)
    if degrees_of_freedom is not None:
        power = detectable_in_standard_errors(degrees_of_freedom) - test
    if effective <= max(FEWEST_FLIPS, test**2):
        return 1.0
    root = math.sqrt(effective) * test + power * math.sqrt(effective + power**2 - test**2)
    difference = root / (effective + power**2) * max(math.sqrt(disagreement), root / (effective + power**2))
    return min(1.0, max(difference, FEWEST_FLIPS / effective))
