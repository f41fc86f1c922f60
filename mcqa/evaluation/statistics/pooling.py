"""Configurations trained with one or several seeds: uncertainty from questions and from seeds together.

Shapes: S seeds, Q questions. Every run answers the same questions, so questions and seeds are crossed sources of
noise. The interaction of the two (chance answers of one seed to one question) shows in the variance of the questions
and in that of the seeds; it is subtracted once, as in two-way clustering (Cameron, Gelbach & Miller 2011). Their plain
estimate of it would also subtract how hard the questions are, too much with a few seeds; here it is the residual of a
two-way analysis of variance, summed within clusters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
from mcqa.evaluation.statistics.estimate import Source
from mcqa.evaluation.statistics.intervals import score_interval, smoothed_design_effect
from mcqa.evaluation.statistics.paired import clipped_interval, smoothed_difference


@dataclass(frozen=True)
class PooledDifference:
    """Accuracy after minus accuracy before, each the mean over its seeds; 95 % interval and p by Student's t.

    from_questions and from_seeds are the standard errors that other questions, and other seeds, would cause; their
    squares add up to that of standard_error. Degrees of freedom are Satterthwaite's (1946), with all of the variance
    between runs, also the part that is subtracted: with two seeds that part is hardly known.

    One seed shows no seed variance. A side with one seed is taken to have that of the other side, which is then
    estimated once and counted twice: s**2 (1 + 1 / S) with S - 1 degrees of freedom, as in Student's t-test of one
    value against S others. Where both sides have one seed it is missing: from_seeds is None, and what is significant is
    so for these runs and not for their configurations. One cluster of questions says nothing about others: -1 to 1, p
    is 1, the standard errors are NaN.
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
class SeedVariance:
    """Variance of a configuration's mean over its seeds, and the part of it that is the interaction with questions."""

    total: float
    interaction: float
    degrees_of_freedom: int

    @property
    def of_seeds_alone(self) -> float:
        return max(0.0, self.total - self.interaction)

    def times(self, factor: float) -> "SeedVariance":
        return SeedVariance(factor * self.total, factor * self.interaction, self.degrees_of_freedom)


def pooled_difference(
    before: Sequence[Sequence[bool]],
    after: Sequence[Sequence[bool]],
    clusters: Sequence[str] | None = None,
    every_side_has_seeds: bool = True,
) -> PooledDifference:
    """Compare before[s][q] with after[s][q]: whether question q is answered right in the run with that side's seed s.

    Seeds are taken as independent. The numbers may be equal on both sides, but they start other computations.
    every_side_has_seeds: False where a side with a single run would be the same with any seed, as a model that was not
    trained is.

    Raises:
        ValueError: there are no questions, a side has no run, or the runs are not of the same questions.
    """
    sides = _answers(before), _answers(after)
    if sides[0].shape[1] != sides[1].shape[1]:
        raise ValueError(f"{sides[0].shape[1]} questions before, but {sides[1].shape[1]} after")
    differences, ids = sides[1].mean(0) - sides[0].mean(0), cluster_ids(clusters, sides[0].shape[1])
    difference, seeds = float(differences.mean()), seed_variances(sides, ids, every_side_has_seeds)
    if ids.max() == 0:
        return PooledDifference(difference, -1.0, 1.0, 1.0, math.nan, math.nan, math.nan if seeds else None, 0.0)
    centre, from_questions = smoothed_difference(differences, ids)
    variance, degrees, _ = total_variance(from_questions**2, seeds, degrees_of_freedom(ids))
    error = math.sqrt(variance)
    return PooledDifference(
        difference,
        *clipped_interval(centre, error, t_quantile(degrees)),
        two_sided_p(centre, error, degrees),
        error,
        from_questions,
        math.sqrt(variance - from_questions**2) if seeds else None,
        degrees,
    )


def pooled_accuracy_interval(
    runs: Sequence[Sequence[bool]], clusters: Sequence[str] | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of a configuration's accuracy, the mean over its seeds (at least two) with runs[s][q].

    It is Wilson's with the number of independent answers that would have the variance of that mean, and Student's t
    in place of the normal quantile. Clusters enter by `smoothed_design_effect`, as for a single run. One cluster says
    nothing about others: 0 to 1.

    Raises:
        ValueError: there are no questions, no run, or the runs are not of the same questions.
    """
    answers = _answers(runs)
    means, ids = answers.mean(0), cluster_ids(clusters, answers.shape[1])
    if ids.max() == 0:
        return 0.0, 1.0
    effect = smoothed_design_effect(means, ids)
    of_questions = effect * float(means.var(ddof=1)) / len(means)
    variance, degrees, _ = total_variance(of_questions, [seed_variance(answers, ids)], degrees_of_freedom(ids))
    share = float(means.mean())
    of_one_answer = share * (1 - share) * len(ids) / (len(ids) - 1)
    effective = of_one_answer / variance if variance else len(ids) / effect
    return score_interval(share, effective, t_quantile(degrees))


def seed_variances(
    sides: tuple[FloatArray, FloatArray], ids: ClusterIds, every_side_has_seeds: bool
) -> list[SeedVariance]:
    """Return the seed variances of a difference between sides[0][S, Q] and sides[1]; as in `pooled_difference` a side
    with one seed borrows that of the other one."""
    seeds = [seed_variance(side, ids) for side in sides if len(side) > 1]
    if len(seeds) == 1 and every_side_has_seeds:
        seeds = [seeds[0].times(1 + max(len(side) for side in sides))]
    return seeds


class TotalVariance(NamedTuple):
    """The variance from questions and seeds together, Satterthwaite's degrees of freedom of it, and its sources where
    there are seeds. That of seeds is all of the variance between runs, which is how well it is known."""

    variance: float
    degrees_of_freedom: float
    sources: tuple[Source, ...]

    @property
    def of_estimate(self) -> tuple[float, float, tuple[Source, ...]]:
        """The standard error, the degrees of freedom and the sources."""
        return math.sqrt(self.variance), self.degrees_of_freedom, self.sources


def total_variance(of_questions: float, seeds: Sequence[SeedVariance], question_degrees: float) -> TotalVariance:
    """Add the variance of seeds to that of questions, which has so many degrees of freedom."""
    runs = sum(seed.total for seed in seeds)
    total = max(of_questions + sum(seed.of_seeds_alone for seed in seeds), runs)
    between_runs = sum(seed.total**2 / seed.degrees_of_freedom for seed in seeds)
    uncertainty = of_questions**2 / question_degrees + between_runs
    degrees = total**2 / uncertainty if total else question_degrees
    if not between_runs:
        return TotalVariance(total, degrees, ())
    share = runs / total
    return TotalVariance(total, degrees, (Source(1 - share, question_degrees), Source(share, runs**2 / between_runs)))


def _answers(runs: Sequence[Sequence[bool]]) -> FloatArray:
    if len({len(run) for run in runs}) != 1:
        raise ValueError(f"runs of the same questions are needed, not of {[len(run) for run in runs]} questions")
    return np.asarray(runs, float)


def seed_variance(answers: FloatArray, ids: ClusterIds) -> SeedVariance:
    """Return the seed variance of the mean over seeds of answers[S, Q], of at least two seeds and two clusters."""
    seeds, accuracies = len(answers), answers.mean(1)
    residual = answers - answers.mean(0) - (accuracies - accuracies.mean())[:, None]
    interaction = sum(cluster_robust_variance(row, ids) for row in residual) / (seeds * (seeds - 1))
    return SeedVariance(float(accuracies.var(ddof=1)) / seeds, interaction, seeds - 1)
