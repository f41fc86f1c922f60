"""What one accuracy proves: its standard error and its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.evaluation.statistics.clusters import (
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
    design_effect,
    t_quantile,
)


def standard_error(right: int, n: int) -> float:
    """Of the mean of n zeros and ones: sample standard deviation (n - 1) over sqrt(n); 0 for one question."""
    share = right / n
    return math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else 0.0


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927), at 95 %."""
    return score_interval(right / n, n, t_quantile())


def score_interval(share: float, n: float, reach: float) -> tuple[float, float]:
    """All true shares from which the observed one, of n answers, is at most reach of their own standard errors away."""
    shrink = 1 + reach**2 / n
    centre = (share + reach**2 / (2 * n)) / shrink
    half = reach / shrink * math.sqrt(share * (1 - share) / n + reach**2 / (4 * n**2))
    low, high = min(share, centre - half), max(share, centre + half)  # rounding must not leave the share outside
    return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class ClusteredAccuracy:
    """An accuracy whose questions come in clusters.

    low and high are Wilson's interval with an effective sample size, n / design_effect, and Student's t in place of
    the normal's quantile (Korn & Graubard 1998; Dean & Pagano 2015). A design effect below 1 does not shorten it:
    with few clusters that is usually luck.

    Answers that are all right, or all wrong, do not show how alike a cluster's questions are. The interval then takes
    them for quite alike, and the design effect is the largest possible (Kish 1965). One cluster says nothing
    about others: the interval is 0 to 1, standard error and design effect are NaN.
    """

    standard_error: float
    low: float
    high: float
    clusters: int
    design_effect: float


def clustered_accuracy(correct: Sequence[bool], clusters: Sequence[str]) -> ClusteredAccuracy:
    """Raises ValueError without questions and unless there is one name for each; an empty name is a question alone."""
    values, of = np.asarray(correct, float), cluster_ids(clusters, len(correct))
    found = int(of.max()) + 1
    if found == 1:
        return ClusteredAccuracy(math.nan, 0.0, 1.0, found, math.nan)
    effect = design_effect(values, of)
    low, high = score_interval(float(values.mean()), len(values) / max(1.0, effect), t_quantile(degrees_of_freedom(of)))
    return ClusteredAccuracy(math.sqrt(cluster_robust_variance(values, of)), low, high, found, effect)
