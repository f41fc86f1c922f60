"""Clusters of related questions: those that share a passage, fact or template are often right or wrong together.

Shapes: Q questions, G clusters. Every variance is that of a mean over questions.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ALPHA = 0.05  # significance level of every test; every interval is at 1 - ALPHA = 95 %

FloatArray = npt.NDArray[np.float64]
ClusterIds = npt.NDArray[np.intp]


def cluster_ids(clusters: Sequence[str] | None, questions: int) -> ClusterIds:
    """Number the clusters from 0 and return that of each question, [Q].

    An empty name makes the question a cluster of its own; None does so for all questions.

    Raises:
        ValueError: there are no questions, or not one name for each.
    """
    if questions == 0:
        raise ValueError("there are no questions, so nothing can be estimated")
    if clusters is None:
        return np.arange(questions)
    if len(clusters) != questions:
        raise ValueError(f"{questions} questions, but the clusters of {len(clusters)}")
    numbers: dict[str | int, int] = {}
    return np.array([numbers.setdefault(name or index, len(numbers)) for index, name in enumerate(clusters)])


def cluster_robust_variance(values: FloatArray, ids: ClusterIds) -> float:
    """Return the cluster-robust variance of the mean of values[Q] (Liang & Zeger 1986); NaN for one cluster.

    Clusters are independent of each other; within them any correlation is allowed. In the form CR2 (Bell & McCaffrey
    2002) the squared sum of residuals of a cluster is divided by 1 minus its share of the questions, which makes the
    variance unbiased where the questions are independent after all. With clusters of equal size this is the usual
    factor G / (G - 1) (CR1); with every question alone it is the sample variance (Q - 1) over Q.
    """
    sums, sizes, questions = np.bincount(ids, values - values.mean()), np.bincount(ids), len(values)
    return float((sums**2 / (1 - sizes / questions)).sum()) / questions**2 if len(sizes) > 1 else np.nan


def degrees_of_freedom(ids: ClusterIds) -> float:
    """Return the degrees of freedom of `cluster_robust_variance` (Bell & McCaffrey 2002); 0 for one cluster.

    They are computed as if the questions were independent: G - 1 with clusters of equal size, and fewer where a few
    large clusters hold most of the questions.
    """
    sizes, questions = np.bincount(ids), len(ids)
    if len(sizes) == 1:
        return 0.0
    shared = sizes**2 / (questions - sizes)
    return float(questions**2 / ((sizes**2).sum() + shared.sum() ** 2 - (shared**2).sum()))


def design_effect(values: FloatArray, ids: ClusterIds) -> float:
    """Return how many times the variance is that of as many independent questions (Kish 1965); NaN for one cluster.

    Where all values are equal it is the largest that clusters of these sizes can have, as if the questions of a
    cluster were one.
    """
    if ids.max() == 0:
        return np.nan
    simple = float(values.var(ddof=1)) / len(values)
    return cluster_robust_variance(values, ids) / simple if simple else float((np.bincount(ids) ** 2).sum()) / len(ids)


def t_quantile(degrees_of_freedom: float | None = None) -> float:
    """Return the half-width of a two-sided 95 % interval in standard errors: Student's t, the normal's for None."""
    from scipy.special import ndtri, stdtrit

    share = 1 - ALPHA / 2
    return float(ndtri(share) if degrees_of_freedom is None else stdtrit(degrees_of_freedom, share))


def two_sided_p(estimate: float, standard_error: float, degrees_of_freedom: float) -> float:
    """Return the p-value of the hypothesis that the estimated value is 0, by Student's t."""
    from scipy.special import stdtr

    return float(2 * stdtr(degrees_of_freedom, -abs(estimate) / standard_error))
