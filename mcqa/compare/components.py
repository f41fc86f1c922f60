"""The sources of variance of a difference: questions, seeds, and the interaction of the two.

Questions and seeds are crossed: every seed of a configuration answers every question. A measured answer is the sum of
what the question is worth, what the seed is worth, and chance answers of this seed to this question, the interaction
(two-way analysis of variance with random effects; Searle, Casella & McCulloch 1992).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcqa.compare.estimates import Correct
from mcqa.evaluation.statistics.clusters import (
    ALPHA,
    ClusterIds,
    FloatArray,
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
)
from mcqa.evaluation.statistics.paired import smoothed_difference


@dataclass(frozen=True)
class SeedNoise:
    """What one run of a configuration owes to its seed, as variances of its accuracy on these questions.

    seeds: seeds that are better or worse on all questions; interaction: chance answers, which other questions and
    other seeds both average out. Of one side; `known` where it was seen, by so many seeds.
    """

    seeds: float
    interaction: float
    known: int

    @property
    def total(self) -> float:
        return self.seeds + self.interaction


@dataclass(frozen=True)
class Components:
    """Variances of the difference of two configurations, on as many questions as were measured.

    questions: with any number of seeds; for one seed each it has the interaction in it, which cannot be separated.
    sides: what a run of each adds; none for a model that was not trained, which no seed changes.
    """

    questions: float
    question_degrees: float
    sides: tuple[SeedNoise, ...]

    def with_seed_deviation(self, deviation: float) -> "Components":
        """Return them with this standard deviation of a run's accuracy on these questions, a share, on every side."""
        sides = (replace(its, seeds=max(0.0, deviation**2 - its.interaction), known=0) for its in self.sides)
        return replace(self, sides=tuple(sides))

    @property
    def seed_deviation(self) -> float:
        """The standard deviation of a run's accuracy on these questions between seeds, over both sides."""
        return math.sqrt(sum(side.total for side in self.sides) / len(self.sides)) if self.sides else 0.0

    @property
    def seed_deviation_interval(self) -> tuple[float, float]:
        """Its 95 % interval, by the chi-squared distribution of a variance of normal values."""
        from scipy.special import chdtri

        degrees = sum(side.known - 1 for side in self.sides if side.known)
        low, high = (self.seed_deviation * math.sqrt(degrees / chdtri(degrees, p)) for p in (ALPHA / 2, 1 - ALPHA / 2))
        return low, high

    def variance(self, times: float, seeds: int) -> tuple[float, float]:
        """Return the variance of the difference with `times` as many questions and so many seeds of each side, and
        Satterthwaite's (1946) degrees of freedom, as in `statistics.pooled_difference`."""
        runs = [(side.seeds + side.interaction / times) / seeds for side in self.sides]
        of_questions = (self.questions + sum(side.interaction for side in self.sides) / seeds) / times
        total = of_questions + sum(side.seeds for side in self.sides) / seeds
        uncertainty = of_questions**2 / (self.question_degrees * times)
        uncertainty += sum(run**2 / (seeds - 1) for run in runs) if seeds > 1 else 0.0
        return total, total**2 / uncertainty if uncertainty else math.inf


def components(
    before: Correct, after: Correct, clusters: Sequence[str] | None, trained: tuple[bool, bool]
) -> Components | None:
    """Return the components of a difference; None for one cluster of questions, which says nothing about others.

    trained: for each side whether it has seeds. A side with one seed is taken to vary as the other one; where both have
    one, the variance of seeds is 0, which `with_seed_deviation` replaces.
    """
    ids = cluster_ids(clusters, len(before[0]))
    if ids.max() == 0:
        return None
    answers = np.asarray(before, float), np.asarray(after, float)
    _, error = smoothed_difference(answers[1].mean(0) - answers[0].mean(0), ids)
    seen = [_seed_noise(side, ids) if len(side) > 1 else None for side in answers]
    known = [noise for noise in seen if noise is not None]
    borrowed = replace(known[0], known=0) if known else SeedNoise(0.0, 0.0, 0)
    sides = tuple(noise or borrowed for noise, has in zip(seen, trained, strict=True) if noise or has)
    chance = sum(noise.interaction / len(side) for noise, side in zip(seen, answers, strict=True) if noise)
    if known and len(known) < len(sides):
        chance += borrowed.interaction  # of the one seed of the other side
    return Components(max(0.0, error**2 - chance), degrees_of_freedom(ids), sides)


def _seed_noise(answers: FloatArray, ids: ClusterIds) -> SeedNoise:
    """answers[S, Q] of at least two seeds."""
    accuracies = answers.mean(1)
    residual = answers - answers.mean(0) - (accuracies - accuracies.mean())[:, None]
    interaction = sum(cluster_robust_variance(row, ids) for row in residual) / (len(answers) - 1)
    return SeedNoise(max(0.0, float(accuracies.var(ddof=1)) - interaction), interaction, len(answers))
