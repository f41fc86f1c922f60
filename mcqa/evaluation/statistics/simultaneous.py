"""All pairs of several configurations at once: adjusted p-values, and the simultaneous intervals that agree with them.

The single-step max-T procedure (Hothorn, Bretz & Westfall 2008): chance rejects something where the largest of all
statistics exceeds a critical value, and these are correlated, since pairs share configurations and all pairs share the
questions. Every p-value has its statistic |z|, and the joint distribution of these is taken as normal.

Shapes: K configurations, P pairs of them, S seeds, Q questions, D draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.evaluation.statistics.clusters import ALPHA, ClusterIds, FloatArray
from mcqa.evaluation.statistics.pooling import seed_variance

DRAWS, BATCH = 2**17, 2**13  # powers of two, as Sobol sequences have
FEWEST = 100  # draws that a p-value rests on
SEED = 0


@dataclass(frozen=True)
class Simultaneous:
    """p_adjusted: one for each p-value, in the order given. level: the local level, at which an interval of each pair,
    1 - level, excludes 0 just where the adjusted p-value is below 5 %; all of them together hold the true differences
    with a probability of 95 %."""

    p_adjusted: tuple[float, ...]
    level: float


def max_t(ps: Sequence[float], correlation: FloatArray) -> Simultaneous:
    """Adjust p-values [P] whose statistics have this correlation [P, P]: P(max |Z| >= |z|).

    The distribution of the maximum comes from quasi-random draws, always the same ones. No adjusted p-value is smaller
    than its own or larger than Bonferroni's, which also stands where too few draws are as large.
    """
    from scipy.special import ndtr, ndtri

    if len(ps) < 2:
        return Simultaneous(tuple(ps), ALPHA)
    values = np.asarray(ps, float)
    largest = _sorted_maxima(correlation)
    reached = len(largest) - np.searchsorted(largest, -ndtri(values / 2), side="left")
    adjusted = np.clip(np.maximum(reached, FEWEST) / len(largest), values, np.minimum(1.0, len(ps) * values))
    level = 2 * float(ndtr(-largest[-int(np.ceil(ALPHA * len(largest)))]))
    return Simultaneous(tuple(map(float, adjusted)), min(ALPHA, max(ALPHA / len(ps), level)))


def _sorted_maxima(correlation: FloatArray) -> FloatArray:
    """[D] the largest absolute values of multivariate normal draws, the smallest first."""
    from scipy.stats.qmc import MultivariateNormalQMC

    draws = MultivariateNormalQMC(np.zeros(len(correlation)), correlation, rng=np.random.default_rng(SEED))
    return np.sort(np.concatenate([abs(draws.random(BATCH)).max(1) for _ in range(DRAWS // BATCH)]))


def pair_correlation(
    values: Sequence[FloatArray], pairs: Sequence[tuple[int, int]], errors: Sequence[float], ids: ClusterIds
) -> FloatArray:
    """Return the correlation [P, P] of the differences of pairs, each the mean of values[j][S, Q] minus values[i]'s.

    The covariance is the cluster-robust one of the questions plus the seed variance of the configurations that pairs
    share, where it is known. errors[P]: their standard errors. Where one is larger than that covariance explains, as
    with added flips or a borrowed seed variance, the rest is taken as independent of the other pairs.
    """
    if ids.max() == 0 or np.isnan(errors).any():
        return np.eye(len(pairs))
    contrasts = np.zeros((len(pairs), len(values)))
    for row, (before, after) in enumerate(pairs):
        contrasts[row, before], contrasts[row, after] = -1.0, 1.0
    seeds = [seed_variance(own, ids).of_seeds_alone if len(own) > 1 else 0.0 for own in values]
    of_means = _cluster_robust_covariance(np.array([own.mean(0) for own in values]), ids) + np.diag(seeds)
    covariance = contrasts @ of_means @ contrasts.T
    np.fill_diagonal(covariance, np.maximum(np.diag(covariance), np.square(errors)))
    deviations = np.sqrt(np.diag(covariance))
    deviations[deviations == 0] = 1.0
    correlation: FloatArray = covariance / np.outer(deviations, deviations)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _cluster_robust_covariance(means: FloatArray, ids: ClusterIds) -> FloatArray:
    """[K, K] of the means of means[K, Q]; as `cluster_robust_variance`."""
    sizes, questions = np.bincount(ids), means.shape[1]
    centred = means - means.mean(1, keepdims=True)
    sums = np.array([np.bincount(ids, own) for own in centred]) / np.sqrt(1 - sizes / questions)
    return np.asarray(sums @ sums.T / questions**2)
