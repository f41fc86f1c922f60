"""The comparison as data: accuracies, differences with what they prove, and the questions that flip."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from mcqa.compare.configurations import Compared, Configuration
from mcqa.compare.flips import Answer, Flip, Kind, answers, flips, net
from mcqa.compare.options import Options
from mcqa.config.errors import ConfigError
from mcqa.config.metric_names import needed_for
from mcqa.data.question import Question
from mcqa.evaluation import statistics
from mcqa.evaluation.decisions import decide
from mcqa.evaluation.metrics import chance, clusters
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics.clusters import Codes, Values, cluster_ids, design_effect, t_quantile
from mcqa.evaluation.statistics.paired import POWER, with_flips

BOOTSTRAP_SEED = 0

Clusters = Sequence[str] | None


Answers = Sequence[Sequence[bool]]
"""[s][q]: is question q answered right with seed s."""


@dataclass(frozen=True)
class Accuracy:
    """Of one configuration: the mean over its seeds with a 95 % interval. Those that share a letter of `group` cannot
    be told apart."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]
    group: str


@dataclass(frozen=True)
class Difference:
    """One accuracy minus another, with a 95 % interval; p is the one that decides, of the test that is named.

    p_mcnemar and bootstrap are of single runs, from_questions and from_seeds (standard errors) of several seeds; None
    otherwise. smallest: the true difference that would be found in four of five such comparisons; 1.0 where none is.
    """

    points: float
    low: float
    high: float
    test: Literal["exact McNemar", "clustered", "pooled over seeds"]
    p: float
    smallest: float
    p_mcnemar: float | None = None
    bootstrap: statistics.Bootstrapped | None = None
    from_questions: float | None = None
    from_seeds: float | None = None


@dataclass(frozen=True)
class Pair:
    """Configuration `after` against `before` (their indices). p_adjusted is Holm's, for the number of pairs.

    unknown_seeds: configurations with a single seed, so that another seed's difference is not in the interval.
    """

    before: int
    after: int
    found: Difference
    p_adjusted: float
    unknown_seeds: tuple[int, ...]
    flips: tuple[Flip, ...]

    @property
    def apart(self) -> bool:
        return self.p_adjusted < statistics.ALPHA

    def count(self, kind: Kind) -> int:
        return sum(flip.kind == kind for flip in self.flips)

    @property
    def net(self) -> float:
        """Questions gained less questions lost, the mean over seeds."""
        return net(self.flips)


@dataclass(frozen=True)
class Comparison:
    """All that is found. `clusters` is the number of clusters, None where every question stands alone."""

    compared: Compared
    metric: str
    resamples: int
    questions: tuple[Question, ...]
    clusters: int | None
    chance: float
    answers: tuple[tuple[Answer, ...], ...]
    accuracies: tuple[Accuracy, ...]
    pairs: tuple[Pair, ...]

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        return self.compared.configurations

    def label(self, index: int) -> str:
        return self.configurations[index].label

    def several_seeds(self, pair: Pair) -> bool:
        """On either side, so that a question may flip in part."""
        return any(len(self.configurations[i].predictions) > 1 for i in (pair.before, pair.after))

    @property
    def with_first(self) -> tuple[Pair, ...]:
        """The pairs whose flips are listed: every configuration against the first."""
        return tuple(pair for pair in self.pairs if pair.before == 0)


def compare(compared: Compared, options: Options) -> Comparison:
    _check_measured(compared, options.metric)
    questions, names = compared.questions, clusters(compared.questions, options.cluster)
    is_right = [_right(configuration, options.metric) for configuration in compared.configurations]
    answered = tuple(tuple(answers(configuration, options.metric)) for configuration in compared.configurations)
    places = list(combinations(range(len(is_right)), 2))
    found = [_difference(is_right[i], is_right[j], names, options.resamples) for i, j in places]
    adjusted = statistics.holm([difference.p for difference in found])
    pairs = tuple(
        Pair(i, j, difference, p, _unknown_seeds(compared, i, j), tuple(flips(answered[i], answered[j])))
        for (i, j), difference, p in zip(places, found, adjusted, strict=True)
    )
    return Comparison(
        compared=compared,
        metric=options.metric,
        resamples=options.resamples,
        questions=questions,
        clusters=None if names is None else int(cluster_ids(names, len(questions)).max()) + 1,
        chance=chance(questions),
        answers=answered,
        accuracies=_accuracies(is_right, names, pairs),
        pairs=pairs,
    )


def _check_measured(compared: Compared, metric: str) -> None:
    needed = needed_for(metric)
    runs = [rows for configuration in compared.configurations for rows in configuration.predictions]
    if needed is not None and not all(_measured(rows, needed) for rows in runs):
        value = "cyclic prompt=letters" if needed == "permutations" else "true"
        raise ConfigError(
            f"metric={metric}: not every run measured it. Measure them again: python -m mcqa.evaluate run=<run folder> "
            f"evaluation.{needed}={value}"
        )


def _measured(rows: Sequence[Prediction], needed: str) -> bool:
    if needed == "permutations":
        return any(len(row.orders) > 1 for row in rows)
    return all(getattr(row, needed) is not None for row in rows)


def _right(configuration: Configuration, metric: str) -> list[list[bool]]:
    return [[one.right for one in decide(rows, metric)] for rows in configuration.predictions]


def _unknown_seeds(compared: Compared, *places: int) -> tuple[int, ...]:
    found = compared.configurations
    return tuple(i for i in places if found[i].trained and len(found[i].predictions) == 1)


# --- accuracies -------------------------------------------------------------------------------------------------------


def _accuracies(is_right: Sequence[Answers], names: Clusters, pairs: Sequence[Pair]) -> tuple[Accuracy, ...]:
    means = [float(np.mean(seeds)) for seeds in is_right]
    apart = {(pair.before, pair.after): pair.apart for pair in pairs}
    groups = statistics.groups(means, lambda i, j: apart[i, j])
    intervals = [_interval(seeds, names) for seeds in is_right]
    return tuple(
        Accuracy(mean, *interval, tuple(float(np.mean(seed)) for seed in seeds), group)
        for mean, interval, seeds, group in zip(means, intervals, is_right, groups, strict=True)
    )


def _interval(seeds: Answers, names: Clusters) -> tuple[float, float]:
    """Wilson's, of all that is known of the noise: questions, clusters, seeds."""
    if len(seeds) > 1:
        return statistics.pooled_accuracy(seeds, names)
    if names is None:
        return statistics.wilson(sum(seeds[0]), len(seeds[0]))
    one = statistics.clustered(seeds[0], names)
    return one.low, one.high


# --- differences ------------------------------------------------------------------------------------------------------


def _difference(before: Answers, after: Answers, names: Clusters, resamples: int) -> Difference:
    if len(before) == len(after) == 1:
        return _single(before[0], after[0], names, resamples)
    return _pooled(before, after, names)


def _single(before: Sequence[bool], after: Sequence[bool], names: Clusters, resamples: int) -> Difference:
    found = statistics.mcnemar(before, after, names)
    return Difference(
        points=found.difference,
        low=found.low,
        high=found.high,
        test="exact McNemar" if found.p_clustered is None else "clustered",
        p=found.p if found.p_clustered is None else found.p_clustered,
        smallest=_smallest(before, after, names),
        p_mcnemar=found.p,
        bootstrap=statistics.paired_bootstrap(before, after, names, resamples, BOOTSTRAP_SEED),
    )


def _smallest(before: Sequence[bool], after: Sequence[bool], names: Clusters) -> float:
    """With the design effect of what the test looks at, so that few flips do not pass for independent questions."""
    differences = np.asarray(after, float) - np.asarray(before, float)
    effect = 1.0 if names is None else _effect(differences, cluster_ids(names, len(differences)))
    return statistics.minimum_detectable_difference(len(differences), float(abs(differences).mean()), effect)


def _effect(differences: Values, of: Codes) -> float:
    return math.nan if of.max() == 0 else design_effect(*with_flips(differences, of))


def _pooled(before: Answers, after: Answers, names: Clusters) -> Difference:
    found = statistics.pooled(before, after, names)
    return Difference(
        points=found.difference,
        low=found.low,
        high=found.high,
        test="pooled over seeds",
        p=found.p,
        smallest=_smallest_pooled(found),
        from_questions=found.from_questions,
        from_seeds=found.from_seeds,
    )


def _smallest_pooled(found: statistics.Pooled) -> float:
    """What a test at 5 % finds with a power of 80 %, the standard error being what it is."""
    from scipy.special import stdtrit

    if math.isnan(found.standard_error):
        return 1.0
    reach = t_quantile(found.degrees_of_freedom) + float(stdtrit(found.degrees_of_freedom, POWER))
    return min(1.0, reach * found.standard_error)
