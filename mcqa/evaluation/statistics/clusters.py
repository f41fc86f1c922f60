"""Clusters: questions that share a passage, a fact or a template, and so tend to be answered right or wrong together.

Shapes: Q questions, G clusters. A variance is always that of a mean over questions.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ALPHA = 0.05


CONFIDENCE = 1 - ALPHA

FloatArray = npt.NDArray[np.float64]


ClusterIds = npt.NDArray[np.intp]


def cluster_ids(clusters: Sequence[str] | None, questions: int) -> ClusterIds:
    """The cluster of each question, numbered from 0. An empty name is a question alone, None says that all are alone.

    Raises:
        ValueError: there are no questions, or not one name for each.
    """
    if questions == 0:
        raise ValueError("there are no questions, so nothing can be said about them")
    if clusters is None:
        return np.arange(questions)
    if len(clusters) != questions:
        raise ValueError(f"{questions} questions, but the clusters of {len(clusters)}")
    numbers: dict[str | int, int] = {}
    return np.array([numbers.setdefault(name or index, len(numbers)) for index, name in enumerate(clusters)])


def cluster_robust_variance(values: FloatArray, of: ClusterIds) -> float:
    """Cluster-robust variance (Liang & Zeger 1986) in the form CR2 (Bell & McCaffrey 2002); NaN for one cluster.

    CR2 divides a cluster's square by 1 - its share of the questions, which makes the variance unbiased where questions
    are independent after all. With clusters of equal size that is the usual factor G / (G - 1) (CR1); with every
    question alone it is the sample variance (Q - 1) over Q.
    """
    sums, sizes, questions = np.bincount(of, values - values.mean()), np.bincount(of), len(values)
    return float((sums**2 / (1 - sizes / questions)).sum()) / questions**2 if len(sizes) > 1 else np.nan


def degrees_of_freedom(of: ClusterIds) -> float:
    """Degrees of freedom of that variance (Bell & McCaffrey 2002), as of independent questions; 0 for one cluster.

    G - 1 with clusters of equal size, and fewer where a few large clusters hold most of the questions.
    """
    sizes, questions = np.bincount(of), len(of)
    if len(sizes) == 1:
        return 0.0
    shared = sizes**2 / (questions - sizes)
    return float(questions**2 / ((sizes**2).sum() + shared.sum() ** 2 - (shared**2).sum()))


def design_effect(values: FloatArray, of: ClusterIds) -> float:
    """How many times the variance is that of as many independent questions; NaN for one cluster.

    Where all values are equal it is the largest that clusters of these sizes can have, as if the questions of a
    cluster were one (Kish 1965).
    """
    if of.max() == 0:
        return np.nan
    simple = float(values.var(ddof=1)) / len(values)
    return cluster_robust_variance(values, of) / simple if simple else float((np.bincount(of) ** 2).sum()) / len(values)


def t_quantile(degrees_of_freedom: float | None = None) -> float:
    """How many standard errors a two-sided interval reaches to each side: Student's t, or the normal's for None."""
    from scipy.special import ndtri, stdtrit

    share = (1 + CONFIDENCE) / 2
    return float(ndtri(share) if degrees_of_freedom is None else stdtrit(degrees_of_freedom, share))


def two_sided_p(estimate: float, standard_error: float, degrees_of_freedom: float) -> float:
    """p of the hypothesis that the estimated value is 0, by Student's t."""
    from scipy.special import stdtr

    return float(2 * stdtr(degrees_of_freedom, -abs(estimate) / standard_error))
