"""Configurations trained with one or several seeds: what questions and seeds leave open of an accuracy and of the
difference of two.

Shapes: S seeds, Q questions. Every run answers the same questions, so questions and seeds are crossed sources of
noise. A run's chance answers (seed times question) show in the scatter of the questions and in that of the seeds;
they are subtracted once, as in two-way clustering (Cameron, Gelbach & Miller 2011). Its plain estimate of that part
would also subtract how hard the questions are, too much with a few seeds; here it is the residual of a two-way
analysis of variance, summed within clusters.
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
from mcqa.evaluation.statistics.intervals import score_interval
from mcqa.evaluation.statistics.paired import clipped_interval, smoothed_difference


@dataclass(frozen=True)
class PooledDifference:
    """Accuracy after minus accuracy before, each the mean over its seeds; 95 % interval and p by Student's t.

    from_questions and from_seeds are the standard errors that other questions, and other seeds, would cause; the
    squares of both add up to that of standard_error. Degrees of freedom are Satterthwaite's (1946), with all of the
    scatter between runs, also the part that is subtracted: with two seeds that part is hardly known.

    A side with one seed says nothing about the noise of its seeds: that noise is missing, and what is proved there is
    proved of this run, not of the configuration. from_seeds is None where that is so on both sides. One cluster of
    questions proves nothing: -1 to 1, p is 1, the standard errors are NaN.
    """

    difference: float
    low: float
    high: float
    p: float
    standard_error: float
    from_questions: float
    from_seeds: float | None
    degrees_of_freedom: float


@dataclass(frozen=True)
class _Seeds:
    """Variance of one side's mean over its seeds, and the part of it that is chance answers to single questions."""

    runs: float
    chance: float
    freedom: int

    @property
    def added(self) -> float:
        return max(0.0, self.runs - self.chance)


def pooled_difference(
    before: Sequence[Sequence[bool]], after: Sequence[Sequence[bool]], clusters: Sequence[str] | None = None
) -> PooledDifference:
    """before[s][q] and after[s][q]: was question q answered right in the run with that side's seed s.

    Seeds are independent: the numbers may be equal on both sides, but they start other computations.

    Raises:
        ValueError: a side has no run, or the runs are not of the same questions.
    """
    sides = _answers(before), _answers(after)
    if sides[0].shape[1] != sides[1].shape[1]:
        raise ValueError(f"{sides[0].shape[1]} questions before, but {sides[1].shape[1]} after")
    differences, of = sides[1].mean(0) - sides[0].mean(0), cluster_ids(clusters, sides[0].shape[1])
    difference, several = float(differences.mean()), [_seeds(side, of) for side in sides if len(side) > 1]
    if of.max() == 0:
        return PooledDifference(difference, -1.0, 1.0, 1.0, math.nan, math.nan, math.nan if several else None, 0.0)
    centre, questions = smoothed_difference(differences, of)
    total, degrees = _total(questions**2, several, of)
    error = math.sqrt(total)
    return PooledDifference(
        difference,
        *clipped_interval(centre, error, t_quantile(degrees)),
        two_sided_p(centre, error, degrees),
        error,
        questions,
        math.sqrt(total - questions**2) if several else None,
        degrees,
    )


def pooled_accuracy_interval(
    runs: Sequence[Sequence[bool]], clusters: Sequence[str] | None = None
) -> tuple[float, float]:
    """95 % interval of one configuration's accuracy, the mean over its seeds (at least two) with runs[s][q].

    Wilson's of as many independent answers as have the variance of that mean, and Student's t in place of the normal's
    quantile. Clusters do not shorten it, and answers that are all right, or all wrong, are taken for quite alike
    within a cluster, as of a single run. One cluster proves nothing: 0 to 1.

    Raises:
        ValueError: there is no run, or the runs are not of the same questions.
    """
    answers = _answers(runs)
    values, of = answers.mean(0), cluster_ids(clusters, answers.shape[1])
    if of.max() == 0:
        return 0.0, 1.0
    alone = cluster_robust_variance(values, cluster_ids(None, len(values)))
    total, degrees = _total(max(cluster_robust_variance(values, of), alone), [_seeds(answers, of)], of)
    share = float(values.mean())
    of_one = share * (1 - share) * len(of) / (len(of) - 1)  # variance of a single answer
    effective = of_one / total if total else len(of) ** 2 / float((np.bincount(of) ** 2).sum())
    return score_interval(share, effective, t_quantile(degrees))


def _total(questions: float, several: Sequence[_Seeds], of: ClusterIds) -> tuple[float, float]:
    """Variance of questions and seeds together, and its degrees of freedom."""
    runs = sum(seeds.runs for seeds in several)
    total = max(questions + sum(seeds.added for seeds in several), runs)
    doubt = questions**2 / degrees_of_freedom(of) + sum(seeds.runs**2 / seeds.freedom for seeds in several)
    return total, total**2 / doubt if total else degrees_of_freedom(of)


def _answers(runs: Sequence[Sequence[bool]]) -> FloatArray:
    if len({len(run) for run in runs}) != 1:
        raise ValueError(f"runs of the same questions are needed, not of {[len(run) for run in runs]} questions")
    return np.asarray(runs, float)


def _seeds(answers: FloatArray, of: ClusterIds) -> _Seeds:
    """answers[S, Q] of at least two seeds and two clusters."""
    seeds, questions = answers.shape
    runs = answers.mean(1)
    residual = answers - answers.mean(0) - (runs - runs.mean())[:, None]
    chance = sum(cluster_robust_variance(row, of) for row in residual) / (seeds * (seeds - 1))
    return _Seeds(float(runs.var(ddof=1)) / seeds, chance, seeds - 1)
