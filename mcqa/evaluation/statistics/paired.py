"""Two models on the same questions: how much they differ, and whether that is noise."""

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


PSEUDO_FLIPS = (1.0, -1.0)  # one gained, one lost (Bonett & Price 2012)


EXPECTED_FLIPS = 2.0  # questions: how soon data convince that clusters do not flip as wholes


FEWEST_FLIPS = 6  # the exact test of one-sided flips: 2 / 2**6 = 0.031, but 2 / 2**5 = 0.0625


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of the second model minus the first.

    p is the exact McNemar test's (McNemar 1947): two-sided binomial over the questions that only one of the two
    answers right. It takes the questions as independent, with clusters too.

    low and high are the 95 % interval of the difference by Bonett & Price (2012), who add one question gained and one
    lost. With clusters it is one cluster gained and one lost (`with_flips`), the variance is cluster-robust and
    Student's t takes the normal's place; p_clustered is the test that this interval inverts, None without clusters.
    One cluster proves nothing: -1 to 1, and p_clustered is 1.
    """

    difference: float
    newly_right: int
    newly_wrong: int
    p: float
    low: float
    high: float
    p_clustered: float | None


def mcnemar(before: Sequence[bool], after: Sequence[bool], clusters: Sequence[str] | None = None) -> PairedDifference:
    """Raises ValueError without questions, or where before, after and clusters have different lengths."""
    from scipy.special import bdtr

    differences = np.array([float(second) - float(first) for first, second in zip(before, after, strict=True)])
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    low, high, p_clustered = _interval(differences, clusters)
    p = min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))
    return PairedDifference((gained - lost) / len(differences), gained, lost, p, low, high, p_clustered)


def _interval(differences: FloatArray, clusters: Sequence[str] | None) -> tuple[float, float, float | None]:
    of = cluster_ids(clusters, len(differences))
    if clusters is None:
        padded, _ = add_pseudo_flips(differences, of)
        return *clipped_interval(float(padded.mean()), math.sqrt(padded.var() / len(padded)), t_quantile()), None
    if of.max() == 0:
        return -1.0, 1.0, 1.0
    centre, error = smoothed_difference(differences, of)
    return *clipped_interval(centre, error, t_quantile(degrees_of_freedom(of))), two_sided_p(
        centre, error, degrees_of_freedom(of)
    )


def clipped_interval(centre: float, error: float, reach: float) -> tuple[float, float]:
    """The interval of a difference, which lies between -1 and 1."""
    return max(-1.0, centre - reach * error), min(1.0, centre + reach * error)


def smoothed_difference(differences: FloatArray, of: ClusterIds) -> tuple[float, float]:
    """Mean and cluster-robust standard error of differences[Q] between -1 and 1, `with_flips`."""
    padded, groups = add_pseudo_flips(differences, of)
    return float(padded.mean()), math.sqrt(cluster_robust_variance(padded, groups))


def add_pseudo_flips(differences: FloatArray, of: ClusterIds) -> tuple[FloatArray, ClusterIds]:
    """differences[Q] and their clusters, with FLIPS added as two clusters more of `_flip_size` questions each.

    Without them models that differ nowhere would seem certain never to.
    """
    found, size = int(of.max()) + 1, _flip_size(differences, of)
    return np.append(differences, np.repeat(PSEUDO_FLIPS, size)), np.append(of, np.repeat([found, found + 1], size))


def _flip_size(differences: FloatArray, of: ClusterIds) -> int:
    """How many questions flip at once, from 1 to the mean size of a cluster, Q / G.

    It is the sum of squares of the clusters' differences over that of the questions': 1 where questions flip one by
    one, the size of a cluster where clusters flip as wholes. Few flips do not show which, so EXPECTED_FLIPS are added
    that come as wholes. Always 1 would make intervals of models that hardly differ too short (of 168 clusters of 4,
    1 % gained as wholes, 82 % hold the truth); always Q / G would make all others too long where clusters are large.
    """
    whole = len(of) / (int(of.max()) + 1)
    together, alone = float((np.bincount(of, differences) ** 2).sum()), float((differences**2).sum())
    return round(min(max((together + EXPECTED_FLIPS * whole) / (alone + EXPECTED_FLIPS), 1.0), whole))


def minimum_detectable_difference(n: int, disagreement: float, design_effect: float = 1.0) -> float:
    """The difference in accuracy that McNemar's test at 5 % (two-sided) finds with a power of 80 %.

    disagreement is the share of the n questions that only one of two models answers right. Connor's (1987) formula
    n = (z_test sqrt(disagreement) + z_power sqrt(disagreement - d**2))**2 / d**2, solved for the difference d. Models
    that differ by d disagree on at least that share, so where the result is above the disagreement it is the formula's
    with d in place of the disagreement. A design effect divides n. The result is at least what the exact test
    can find at all, six flips in one direction, and at most 1, which also means that nothing can be found. The formula
    is of the asymptotic test; the exact one finds the difference a little less often (76 % with 100 questions).
    """
    from scipy.special import ndtri

    test, power, effective = t_quantile(), float(ndtri(POWER)), n / max(1.0, design_effect)
    if math.isnan(design_effect) or effective <= FEWEST_FLIPS:
        return 1.0
    root = math.sqrt(effective) * test + power * math.sqrt(effective + power**2 - test**2)
    found = root / (effective + power**2) * max(math.sqrt(disagreement), root / (effective + power**2))
    return min(1.0, max(found, FEWEST_FLIPS / effective))
