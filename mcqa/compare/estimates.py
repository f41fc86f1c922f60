"""The difference of two configurations as its tests take it, so that other questions than "is it 0" have the same
sources of variance: questions, their clusters, and seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.evaluation import statistics
from mcqa.evaluation.statistics.clusters import (
    FloatArray,
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
)
from mcqa.evaluation.statistics.paired import PSEUDO_FLIPS, smoothed_difference
from mcqa.evaluation.statistics.pooling import seed_variances, total_variance

Correct = Sequence[Sequence[bool]]
"""[s][q]: whether question q is answered right with seed s."""


@dataclass(frozen=True)
class Estimate:
    """The true difference is estimated as `centre`, by Student's t; with infinite degrees of freedom that is the normal
    distribution. A standard error of NaN: nothing is known."""

    centre: float
    standard_error: float
    degrees_of_freedom: float

    def p_at_most(self, bound: float) -> float:
        """Return the p-value of the hypothesis that the true difference is at most `bound`; 1 where nothing is
        known."""
        from scipy.special import stdtr

        if math.isnan(self.standard_error):
            return 1.0
        if self.standard_error == 0:
            return float(self.centre <= bound)
        return float(stdtr(self.degrees_of_freedom, -(self.centre - bound) / self.standard_error))

    def p_at_least(self, bound: float) -> float:
        """Return the p-value of the hypothesis that the true difference is at least `bound`."""
        return Estimate(-self.centre, self.standard_error, self.degrees_of_freedom).p_at_most(-bound)

    @property
    def p(self) -> float:
        """The p-value of the hypothesis that the true difference is 0, two-sided."""
        return min(1.0, 2 * min(self.p_at_most(0.0), self.p_at_least(0.0)))

    def interval(self, confidence: float, limit: float = 1.0) -> tuple[float, float]:
        """Return the two-sided interval, cut to -limit to limit, the range of a difference of accuracies."""
        from scipy.special import stdtrit

        if math.isnan(self.standard_error):
            return -limit, limit
        reach = float(stdtrit(self.degrees_of_freedom, (1 + confidence) / 2)) * self.standard_error
        return max(-limit, self.centre - reach), min(limit, self.centre + reach)


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
    pooled = statistics.pooled_difference(before, after, clusters, every_side_has_seeds=trained)
    return Estimate(centre, pooled.standard_error, pooled.degrees_of_freedom)


def estimate_of_means(before: FloatArray, after: FloatArray, clusters: Sequence[str] | None, trained: bool) -> Estimate:
    """Return the mean of after[S, Q] minus that of before[S, Q], for values other than right and wrong: as `estimate`,
    but without added questions, which have no meaning for these."""
    differences, ids = after.mean(0) - before.mean(0), cluster_ids(clusters, before.shape[1])
    difference = float(differences.mean())
    if ids.max() == 0:
        return Estimate(difference, math.nan, 0.0)
    seeds = seed_variances((before, after), ids, trained)
    variance, degrees = total_variance(cluster_robust_variance(differences, ids), seeds, ids)
    return Estimate(difference, math.sqrt(variance), degrees)
