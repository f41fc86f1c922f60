"""The comparison as data: accuracies, differences with their tests, and the questions that flip."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from mcqa.compare.configurations import Compared, Configuration
from mcqa.compare.estimates import Correct, adjust, estimate
from mcqa.compare.options import Options
from mcqa.config.errors import ConfigError
from mcqa.config.metric_names import needed_for
from mcqa.data.question import Question
from mcqa.evaluation import statistics
from mcqa.evaluation.decisions import decide, is_measured
from mcqa.evaluation.flips import Answer, Flip, FlipCounts, count, flips, over_seeds
from mcqa.evaluation.metrics import chance_accuracy, cluster_names
from mcqa.evaluation.statistics.clusters import FloatArray, cluster_ids, detectable_in_standard_errors
from mcqa.evaluation.statistics.paired import detectable_by_questions

ClusterNames = Sequence[str] | None
"""For each question the name of its cluster; None where all questions are independent."""


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of one configuration: the mean over its seeds with a 95 % interval. Between configurations that
    share a letter of `group` there is no significant difference."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]
    group: str


@dataclass(frozen=True)
class Difference:
    """One accuracy minus another, as a share, with the 95 % interval and the p of this pair alone, by `test`.

    minimum_detectable_difference: the smallest true difference that such a comparison finds with a power of 80 %; 1.0
    where it finds none. p_mcnemar and bootstrap exist for single runs, the standard errors for several seeds.
    """

    estimate: float
    low: float
    high: float
    test: Literal["McNemar mid-p", "clustered", "pooled over seeds"]
    p: float
    minimum_detectable_difference: float
    p_mcnemar: float | None = None
    bootstrap: statistics.BootstrapDifference | None = None
    standard_error_questions: float | None = None
    standard_error_seeds: float | None = None


@dataclass(frozen=True)
class Pair:
    """Configuration `after` against `before` (their indices).

    p_adjusted, low and high are adjusted for all pairs (`statistics.max_t`): this interval excludes 0 just where
    p_adjusted is below 5 %, which is where p, of the test that it inverts, is below the local level. The intervals of
    all pairs together hold the true differences with a probability of 95 %. A single pair has the difference's own.
    single_seed: those of the two that were trained with one seed only. Where it is both, the interval leaves out seed
    variance; where it is one, that one is taken to vary as the other.
    """

    before: int
    after: int
    difference: Difference
    p: float
    p_adjusted: float
    low: float
    high: float
    level: float
    single_seed: tuple[int, ...]
    flips: tuple[Flip, ...]

    @property
    def significant(self) -> bool:
        return self.p_adjusted < statistics.ALPHA

    @cached_property
    def counts(self) -> FlipCounts:
        return count(self.flips)


@dataclass(frozen=True)
class Comparison:
    """The result. `clusters` is the number of clusters of questions, None where all are independent; correct[i] are
    the answers of configuration i. look: which one it is at these configurations, with other seeds each time."""

    compared: Compared
    metric: str
    resamples: int
    questions: tuple[Question, ...]
    clusters: int | None
    cluster_names: ClusterNames
    chance: float
    correct: tuple[Correct, ...]
    answers: tuple[tuple[Answer, ...], ...]
    accuracies: tuple[Accuracy, ...]
    pairs: tuple[Pair, ...]
    look: int = 1

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        return self.compared.configurations

    def label(self, index: int) -> str:
        return self.configurations[index].label

    def several_seeds(self, pair: Pair) -> bool:
        """Whether either side has several seeds, so that a question may flip in some of them only."""
        return any(len(self.configurations[i].predictions) > 1 for i in (pair.before, pair.after))

    @property
    def with_first(self) -> tuple[Pair, ...]:
        """Every configuration against the first: the pairs whose flips are listed."""
        return tuple(pair for pair in self.pairs if pair.before == 0)


def compare(compared: Compared, options: Options) -> Comparison:
    """Compare all pairs of configurations.

    Raises:
        ConfigError: a run did not measure the metric.
    """
    _check_measured(compared, options.metric)
    questions, names = compared.questions, cluster_names(compared.questions, options.cluster)
    decided = [
        [decide(rows, options.metric) for rows in configuration.predictions]
        for configuration in compared.configurations
    ]
    correct = [[[decision.right for decision in seed] for seed in seeds] for seeds in decided]
    answers = tuple(tuple(over_seeds(seeds)) for seeds in decided)
    indices = list(combinations(range(len(correct)), 2))
    trained = [own.trained for own in compared.configurations]
    differences = [
        paired_difference(correct[i], correct[j], names, options.resamples, trained[i] and trained[j])
        for i, j in indices
    ]
    single = {i for i, seeds in enumerate(correct) if trained[i] and len(seeds) == 1}
    tests = _tests(correct, names, trained, differences, indices)
    pairs = tuple(
        Pair(i, j, difference, *test, tuple(k for k in (i, j) if k in single), tuple(flips(answers[i], answers[j])))
        for (i, j), difference, test in zip(indices, differences, tests, strict=True)
    )
    return Comparison(
        compared=compared,
        metric=options.metric,
        resamples=options.resamples,
        questions=questions,
        clusters=None if names is None else int(cluster_ids(names, len(questions)).max()) + 1,
        cluster_names=names,
        chance=chance_accuracy(questions),
        correct=tuple(correct),
        answers=answers,
        accuracies=_accuracies(correct, names, pairs),
        pairs=pairs,
    )


class _Test(NamedTuple):
    """What decides of a pair, as in `Pair`."""

    p: float
    p_adjusted: float
    low: float
    high: float
    level: float


def _tests(
    correct: Sequence[Correct],
    names: ClusterNames,
    trained: Sequence[bool],
    differences: Sequence[Difference],
    pairs: Sequence[tuple[int, int]],
) -> list[_Test]:
    if len(pairs) == 1:
        return [_Test(its.p, its.p, its.low, its.high, statistics.ALPHA) for its in differences]
    estimates = [estimate(correct[i], correct[j], names, trained[i] and trained[j]) for i, j in pairs]
    values, ids = [np.asarray(own, float) for own in correct], cluster_ids(names, len(correct[0][0]))
    return [
        _Test(its.p_at_small_levels, of.p, *of.interval, of.level)
        for its, of in zip(estimates, adjust(estimates, values, ids, pairs), strict=True)
    ]


def _check_measured(compared: Compared, metric: str) -> None:
    runs = [rows for configuration in compared.configurations for rows in configuration.predictions]
    if not all(is_measured(rows, metric) for rows in runs):
        needed = needed_for(metric)
        value = "cyclic prompt=letters" if needed == "permutations" else "true"
        raise ConfigError(
            f"metric={metric}: not every run measured it. Measure them again: python -m mcqa.evaluate run=<run folder> "
            f"evaluation.{needed}={value}"
        )


def _accuracies(correct: Sequence[Correct], names: ClusterNames, pairs: Sequence[Pair]) -> tuple[Accuracy, ...]:
    means = [float(np.mean(seeds)) for seeds in correct]
    significant = {(pair.before, pair.after): pair.significant for pair in pairs}
    groups = statistics.compact_letter_display(means, lambda i, j: significant[i, j])
    return tuple(
        Accuracy(mean, *_interval(seeds, names), tuple(float(np.mean(seed)) for seed in seeds), group)
        for mean, seeds, group in zip(means, correct, groups, strict=True)
    )


def _interval(seeds: Correct, names: ClusterNames) -> tuple[float, float]:
    """Wilson's interval with every known source of variance: questions, clusters, seeds."""
    if len(seeds) > 1:
        return statistics.pooled_accuracy_interval(seeds, names)
    return statistics.accuracy_interval(seeds[0], names)


def paired_difference(
    before: Correct, after: Correct, names: ClusterNames, resamples: int, trained: bool
) -> Difference:
    """trained: whether both sides were, so that a side with one run has a seed variance that it does not show."""
    if len(before) == len(after) == 1:
        return _single(before[0], after[0], names, resamples)
    pooled = statistics.pooled_difference(before, after, names, every_side_has_seeds=trained)
    return Difference(
        estimate=pooled.difference,
        low=pooled.low,
        high=pooled.high,
        test="pooled over seeds",
        p=pooled.p,
        minimum_detectable_difference=_detectable_pooled(pooled, np.mean(after, 0) - np.mean(before, 0), names),
        standard_error_questions=pooled.from_questions,
        standard_error_seeds=pooled.from_seeds,
    )


def _single(before: Sequence[bool], after: Sequence[bool], names: ClusterNames, resamples: int) -> Difference:
    paired = statistics.mcnemar(before, after, names)
    return Difference(
        estimate=paired.difference,
        low=paired.low,
        high=paired.high,
        test="McNemar mid-p" if paired.p_clustered is None else "clustered",
        p=paired.p_decisive,
        minimum_detectable_difference=paired.minimum_detectable_difference,
        p_mcnemar=paired.p,
        bootstrap=statistics.paired_bootstrap(before, after, names, resamples),
    )


def _detectable_pooled(pooled: statistics.PooledDifference, differences: FloatArray, names: ClusterNames) -> float:
    """What the t-test finds with a power of 80 %, given the standard error; at least what the questions show without
    variance of seeds: configurations that hardly disagree have a smaller standard error than any true difference."""
    if math.isnan(pooled.standard_error):
        return 1.0
    found = detectable_in_standard_errors(pooled.degrees_of_freedom) * pooled.standard_error
    return min(1.0, max(found, detectable_by_questions(differences, names)))
