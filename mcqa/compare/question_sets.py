"""Over several question sets: the differences on each, and their macro average, in which every set counts the same."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mcqa.compare import sentences
from mcqa.compare.analysis import Comparison, Difference, Pair, compare
from mcqa.compare.configurations import group_runs
from mcqa.compare.estimates import Correct, Estimate
from mcqa.compare.options import FEWEST_RESAMPLES, Options
from mcqa.compare.tables import LABEL, NUMBER, Section, Table
from mcqa.config.errors import ConfigError
from mcqa.evaluation.report.formatting import p_equals, p_value, percent, point_interval, points
from mcqa.evaluation.statistics import ALPHA, holm
from mcqa.evaluation.statistics.clusters import (
    ClusterIds,
    FloatArray,
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
)
from mcqa.evaluation.statistics.paired import smoothed_difference
from mcqa.evaluation.statistics.pooling import seed_variances, total_variance

ALL = "all"
MACRO = "macro average"


@dataclass(frozen=True)
class OnSet:
    """A pair on one set. p_adjusted is Holm's, for all pairs and sets together."""

    name: str
    questions: int
    accuracies: tuple[float, float]
    difference: Difference
    p_adjusted: float


@dataclass(frozen=True)
class OverSets:
    """A pair over all sets. macro: the mean of the sets' differences, with the estimate that its interval and p are
    made of; p_adjusted is Holm's, for the number of pairs."""

    pair: Pair
    sets: tuple[OnSet, ...]
    macro: float
    estimate: Estimate
    p_adjusted: float


def over_sets(comparison: Comparison, options: Options) -> list[OverSets]:
    """Compare every pair on each of the sets that `options` name.

    Raises:
        ConfigError: a run was not measured on a set, or there are fewer than two sets.
        DataError: the runs answered different questions of a set.
    """
    names = _names(comparison, options)
    on = {name: _on(comparison, options, name) for name in names}
    count = len(comparison.pairs)
    adjusted = holm([its.pairs[i].difference.p for i in range(count) for its in on.values()])
    estimates = [_macro_average(list(on.values()), pair) for pair in comparison.pairs]
    macro_adjusted = holm([its.p for its in estimates])
    return [
        OverSets(
            pair,
            tuple(
                OnSet(
                    name,
                    len(its.questions),
                    (its.accuracies[pair.before].mean, its.accuracies[pair.after].mean),
                    its.pairs[i].difference,
                    adjusted[i * len(on) + k],
                )
                for k, (name, its) in enumerate(on.items())
            ),
            float(np.mean([its.pairs[i].difference.estimate for its in on.values()])),
            estimates[i],
            macro_adjusted[i],
        )
        for i, pair in enumerate(comparison.pairs)
    ]


def _names(comparison: Comparison, options: Options) -> list[str]:
    if options.sets is not None and options.sets != (ALL,):
        return list(options.sets)
    runs = comparison.compared.runs
    shared = [name for name in runs[0].splits if all(name in run.splits for run in runs)]
    names = [name for name in shared if name != "dev" and not name.startswith("base/")]
    if len(names) < 2:
        raise ConfigError(
            f"sets=all: the runs share {', '.join(names) or 'no set'} only. Measure further sets with evaluation.sets."
        )
    return names


def _on(comparison: Comparison, options: Options, name: str) -> Comparison:
    """The comparison on one set, without another bootstrap than the shortest."""
    if name == options.split:
        return comparison
    on = replace(options, split=name, resamples=FEWEST_RESAMPLES)
    return compare(group_runs(comparison.compared.runs, on), on)


def _macro_average(sets: Sequence[Comparison], pair: Pair) -> Estimate:
    trained = all(sets[0].configurations[i].trained for i in (pair.before, pair.after))
    answers = [Answers(its.correct[pair.before], its.correct[pair.after], its.cluster_names) for its in sets]
    return macro_average(answers, trained)


class Answers(NamedTuple):
    """Of one set: which questions each side answers right with each seed, and the clusters of the questions."""

    before: Correct
    after: Correct
    clusters: Sequence[str] | None


def macro_average(sets: Sequence[Answers], trained: bool) -> Estimate:
    """Return the mean of the sets' differences.

    The sets are taken as they are and not as a sample of sets. Their questions are independent, so that the variances
    of the questions add up; one cluster gained and one lost are added to all sets together, as in `mcnemar`. Their
    seeds are the same: the variance between seeds is that of the runs' own macro averages, and degrees of freedom are
    Satterthwaite's (1946), as in `pooled_difference`. One set whose questions are one cluster leaves nothing known.
    """
    sides = [[np.asarray(side, float) for side in (its.before, its.after)] for its in sets]
    of = [cluster_ids(its.clusters, len(its.before[0])) for its in sets]
    if any(ids.max() == 0 for ids in of):
        macro = float(np.mean([after.mean() - before.mean() for before, after in sides]))
        return Estimate(macro, math.nan, 0.0)
    before, after = (_macro_values([its[i] for its in sides]) for i in (0, 1))
    differences, ids = after.mean(0) - before.mean(0), _as_one(of)
    centre, error = smoothed_difference(differences, ids)
    seeds = seed_variances((before, after), ids, trained)
    variance, _ = total_variance(error**2, seeds, ids)
    uncertainty = error**4 / _question_degrees(sides, of)
    uncertainty += sum(seed.total**2 / seed.degrees_of_freedom for seed in seeds)
    return Estimate(centre, math.sqrt(variance), variance**2 / uncertainty)


def _question_degrees(sides: Sequence[Sequence[FloatArray]], of: Sequence[ClusterIds]) -> float:
    """Satterthwaite's degrees of freedom of the sum of the sets' variances; those of all clusters where it is 0."""
    variances = [
        cluster_robust_variance(after.mean(0) - before.mean(0), ids)
        for (before, after), ids in zip(sides, of, strict=True)
    ]
    uncertainty = sum(own**2 / degrees_of_freedom(ids) for own, ids in zip(variances, of, strict=True))
    return sum(variances) ** 2 / uncertainty if uncertainty else degrees_of_freedom(_as_one(of))


def _macro_values(sets: Sequence[FloatArray]) -> FloatArray:
    """Return [S, Q of all sets] values whose mean over questions is a run's macro average, and whose deviations from it
    are those within sets, weighted as a set's questions are in it."""
    means = [answers.mean(1, keepdims=True) for answers in sets]
    macro, total = np.mean(means, 0), sum(answers.shape[1] for answers in sets)
    weights = [total / len(sets) / answers.shape[1] for answers in sets]
    values = [macro + weight * (own - mean) for own, mean, weight in zip(sets, means, weights, strict=True)]
    return np.concatenate(values, axis=1)


def _as_one(of: Sequence[ClusterIds]) -> ClusterIds:
    """The clusters of all sets, numbered through."""
    starts = np.cumsum([0, *(int(ids.max()) + 1 for ids in of[:-1])])
    return np.concatenate([ids + start for ids, start in zip(of, starts, strict=True)])


def section(comparison: Comparison, options: Options) -> Section:
    found = over_sets(comparison, options)
    star = {True: " *", False: "  "}
    rows = []
    for its in found:
        name = f"{its.pair.after + 1} vs {its.pair.before + 1}"
        for on in its.sets:
            result = on.difference
            shown = f"{points(result.estimate)} ({point_interval(result.low, result.high)})"
            accuracies = " → ".join(percent(share) for share in on.accuracies)
            p = p_value(on.p_adjusted) + star[on.p_adjusted < ALPHA]
            rows.append([name, on.name, str(on.questions), accuracies, shown, p])
        macro = f"{points(its.macro)} ({point_interval(*its.estimate.interval(0.95))})"
        rows.append([name, MACRO, "", "", macro, p_value(its.p_adjusted) + star[its.p_adjusted < ALPHA]])
    tests = len(found) * len(found[0].sets)
    headings = ("n", "accuracy", "points (95 %)", "p (Holm)")
    return Section(
        name="sets",
        title="Over question sets",
        table=Table([("", LABEL), ("", LABEL), *((heading, NUMBER) for heading in headings)], rows),
        note=f"n: questions; p adjusted for {tests} differences on sets (Holm); {MACRO}: every set counts the same; "
        "* significant at 5 %.",
        answers=[_sentence(comparison, its) for its in found],
        rows=list(_rows(comparison, found)),
    )


def _sentence(comparison: Comparison, its: OverSets) -> str:
    names = f"{comparison.label(its.pair.after)} against {comparison.label(its.pair.before)}"
    numbers = f"95 % CI {point_interval(*its.estimate.interval(0.95))}, {p_equals(its.p_adjusted)}"
    result = "significant" if its.p_adjusted < ALPHA else "not significant"
    found = [on for on in its.sets if on.p_adjusted < ALPHA]
    better = sum(on.difference.estimate > 0 for on in found)
    each = f"significantly better on {better} of them and worse on {len(found) - better}"
    return (
        f"{names} over {len(its.sets)} sets: {MACRO} {points(its.macro)} points ({numbers}; "
        f"{sentences.about(comparison, its.pair)}), {result} at 5 %; {each if found else 'on none of them by itself'}."
    )


def _rows(comparison: Comparison, found: Sequence[OverSets]) -> Iterator[dict[str, object]]:
    for its in found:
        names = {"before": comparison.label(its.pair.before), "after": comparison.label(its.pair.after)}
        for on in its.sets:
            yield names | {
                "set": on.name,
                "questions": on.questions,
                "accuracy_before": on.accuracies[0],
                "accuracy_after": on.accuracies[1],
                "difference": on.difference.estimate,
                "low": on.difference.low,
                "high": on.difference.high,
                "p": on.difference.p,
                "p_holm": on.p_adjusted,
            }
        low, high = its.estimate.interval(0.95)
        macro = {"set": MACRO, "questions": None, "accuracy_before": None, "accuracy_after": None}
        interval = {"difference": its.macro, "low": low, "high": high}
        yield {**names, **macro, **interval, "p": its.estimate.p, "p_holm": its.p_adjusted}
