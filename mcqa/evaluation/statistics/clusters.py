"""Clusters of related questions: those that share a passage, fact or template are often right or wrong together.

Shapes: Q questions, G clusters. Every variance is that of a mean over questions.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ALPHA = 0.05  # significance level of every test; every interval is at 1 - ALPHA = 95 %
POWER = 0.8
PRIOR_FLIPS = 2.0  # weight, in flipped questions, of the assumption that clusters flip as wholes

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

    Where all values are equal it is the largest that clusters of these sizes can have.
    """
    if ids.max() == 0:
        return np.nan
    simple = float(values.var(ddof=1)) / len(values)
    return cluster_robust_variance(values, ids) / simple if simple else largest_design_effect(ids)


def largest_design_effect(ids: ClusterIds) -> float:
    """Return the design effect where the questions of a cluster are as one (Kish 1965)."""
    return float((np.bincount(ids) ** 2).sum()) / len(ids)


def add_pseudo_clusters(
    values: FloatArray, ids: ClusterIds, pair: tuple[float, float]
) -> tuple[FloatArray, ClusterIds]:
    """Append two clusters (at least two are there) to values[Q] and ids[Q], all of pair[0] and all of pair[1].

    They are for clusters what Bonett & Price (2012) and Agresti & Coull (1998) add to independent questions. Without
    them, values that are hardly ever different would have a variance near 0.
    """
    clusters, size = int(ids.max()) + 1, _pseudo_cluster_size(values, ids)
    return np.append(values, np.repeat(pair, size)), np.append(ids, np.repeat([clusters, clusters + 1], size))


def _pseudo_cluster_size(values: FloatArray, ids: ClusterIds) -> int:
    """How many questions differ at once, from 1 to the mean size of a cluster, Q / G.

    The estimate is the design effect: 1 where questions differ one by one, the size of a cluster where clusters differ
    as wholes. It rests on Q s**2 questions, about as many as differ from the rest. Few do not show much, so PRIOR_FLIPS
    are added that come as wholes. Always 1 would make intervals of models that hardly differ too short (with 168
    clusters of 4 and 1 % gained as wholes, 82 % hold the truth); always Q / G would make all others too long where
    clusters are large.
    """
    questions, whole = len(values), len(values) / (int(ids.max()) + 1)
    of_clusters = questions**2 * cluster_robust_variance(values, ids)
    of_questions = questions * float(values.var(ddof=1))
    size = min(max((of_clusters + PRIOR_FLIPS * whole) / (of_questions + PRIOR_FLIPS), 1.0), whole)
    return round(round(size, 9))  # rounding errors of the sums, which the order of questions changes, decide no tie


def t_quantile(degrees_of_freedom: float | None = None) -> float:
    """Return the half-width of a two-sided 95 % interval in standard errors: Student's t, the normal's for None."""
    from scipy.special import ndtri, stdtrit

    share = 1 - ALPHA / 2
    return float(ndtri(share) if degrees_of_freedom is None else stdtrit(degrees_of_freedom, share))


def detectable_in_standard_errors(degrees_of_freedom: float) -> float:
    """Return how many standard errors a difference must have for the t-test at 5 % to find it with a power of 80 %.

    It is the noncentrality of the noncentral t-distribution that lies above the critical value with a probability of
    80 % (Cohen 1988): 2.80 with very many degrees of freedom, 3.15 with 9 and 4.26 with 3.
    """
    from scipy.special import nctdtrinc

    return float(nctdtrinc(degrees_of_freedom, 1 - POWER, t_quantile(degrees_of_freedom)))


def two_sided_p(estimate: float, standard_error: float, degrees_of_freedom: float) -> float:
    """Return the p-value of the hypothesis that the estimated value is 0, by Student's t."""
    from scipy.special import stdtr

    return float(2 * stdtr(degrees_of_freedom, -abs(estimate) / standard_error))
