"""Over several question sets: the differences on each, and their macro average, in which every set counts the same."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mcqa.compare import sentences
from mcqa.compare.analysis import Comparison, Difference, Pair, compare
from mcqa.compare.configurations import group_runs
from mcqa.compare.estimates import Adjusted, Correct, adjust, adjust_by, estimate
from mcqa.compare.options import FEWEST_RESAMPLES, Options
from mcqa.compare.tables import LABEL, NUMBER, Section, Table
from mcqa.config.errors import ConfigError
from mcqa.evaluation.report.formatting import p_equals, p_value, percent, point_interval, points
from mcqa.evaluation.statistics import ALPHA, Estimate, pair_correlation
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
    """A pair on one set. adjusted: for all pairs and sets together."""

    name: str
    questions: int
    accuracies: tuple[float, float]
    difference: Difference
    adjusted: Adjusted


@dataclass(frozen=True)
class OverSets:
    """A pair over all sets. macro: the mean of the sets' differences, with the estimate that its interval and p are
    made of. adjusted: for the number of pairs."""

    pair: Pair
    sets: tuple[OnSet, ...]
    macro: float
    estimate: Estimate
    adjusted: Adjusted


def over_sets(comparison: Comparison, options: Options) -> list[OverSets]:
    """Compare every pair on each of the sets that `options` name.

    Raises:
        ConfigError: a run was not measured on a set, or there are fewer than two sets.
        DataError: the runs answered different questions of a set.
    """
    names = _names(comparison, options)
    on = {name: _on(comparison, options, name) for name in names}
    adjusted = _adjusted_on_sets(list(on.values()))
    estimates = [_macro_average(list(on.values()), pair) for pair in comparison.pairs]
    macro_adjusted = _adjusted_macro_averages(list(on.values()), estimates)
    return [
        OverSets(
            pair,
            tuple(
                OnSet(
                    name,
                    len(its.questions),
                    (its.accuracies[pair.before].mean, its.accuracies[pair.after].mean),
                    its.pairs[i].difference,
                    adjusted[k][i],
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
    left_out = {"dev"}
    if any(run.config_dict.get("data.reader") == "mix" for run in runs):
        left_out.add("test")  # the questions of its sets again
    names = [name for name in shared if name not in left_out and not name.startswith("base/")]
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


def _indices(comparison: Comparison) -> list[tuple[int, int]]:
    return [(pair.before, pair.after) for pair in comparison.pairs]


def _adjusted_on_sets(sets: Sequence[Comparison]) -> list[list[Adjusted]]:
    """[set][pair]; differences on different sets are taken as independent, which is on the safe side."""
    from scipy.linalg import block_diag

    estimates, correlations = [], []
    for its in sets:
        trained = [configuration.trained for configuration in its.configurations]
        own = [
            estimate(its.correct[i], its.correct[j], its.cluster_names, trained[i] and trained[j])
            for i, j in _indices(its)
        ]
        values, ids = (
            [np.asarray(one, float) for one in its.correct],
            cluster_ids(its.cluster_names, len(its.questions)),
        )
        correlations.append(pair_correlation(values, _indices(its), [one.standard_error for one in own], ids))
        estimates += own
    adjusted, pairs = adjust_by(estimates, block_diag(*correlations)), len(sets[0].pairs)
    return [adjusted[k * pairs : (k + 1) * pairs] for k in range(len(sets))]


def _adjusted_macro_averages(sets: Sequence[Comparison], estimates: Sequence[Estimate]) -> list[Adjusted]:
    of = [cluster_ids(its.cluster_names, len(its.questions)) for its in sets]
    values = [
        _macro_values([np.asarray(its.correct[i], float) for its in sets]) for i in range(len(sets[0].configurations))
    ]
    return adjust(estimates, values, _as_one(of), _indices(sets[0]))


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
    return Estimate(centre, *total_variance(error**2, seeds, _question_degrees(sides, of)).of_estimate)


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
            shown = f"{points(result.estimate)} ({point_interval(*on.adjusted.interval)})"
            accuracies = " → ".join(percent(share) for share in on.accuracies)
            p = p_value(on.adjusted.p) + star[on.adjusted.p < ALPHA]
            rows.append([name, on.name, str(on.questions), accuracies, shown, p])
        macro = f"{points(its.macro)} ({point_interval(*its.adjusted.interval)})"
        rows.append([name, MACRO, "", "", macro, p_value(its.adjusted.p) + star[its.adjusted.p < ALPHA]])
    tests = len(found) * len(found[0].sets)
    headings = ("n", "accuracy", "points (95 %, max-T)", "p (max-T)")
    return Section(
        name="sets",
        title="Over question sets",
        table=Table([("", LABEL), ("", LABEL), *((heading, NUMBER) for heading in headings)], rows),
        note=f"n: questions; adjusted for {tests} differences on sets (max-T){_macro_note(comparison)}; "
        "* significant at 5 %.",
        answers=[_sentence(comparison, its) for its in found],
        rows=list(_rows(comparison, found)),
    )


def _macro_note(comparison: Comparison) -> str:
    pairs = len(comparison.pairs)
    return f"; {MACRO}: every set counts the same{f', adjusted for {pairs} pairs' if pairs > 1 else ''}"


def _sentence(comparison: Comparison, its: OverSets) -> str:
    names = f"{comparison.label(its.pair.after)} against {comparison.label(its.pair.before)}"
    several = f" adjusted for {len(comparison.pairs)} comparisons" if len(comparison.pairs) > 1 else ""
    numbers = f"95 % CI {point_interval(*its.adjusted.interval)}, {p_equals(its.adjusted.p)}{several}"
    result = "significant" if its.adjusted.p < ALPHA else "not significant"
    found = [on for on in its.sets if on.adjusted.p < ALPHA]
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
                **_simultaneous(on.adjusted),
            }
        low, high = its.estimate.interval(0.95)
        macro = {"set": MACRO, "questions": None, "accuracy_before": None, "accuracy_after": None}
        interval = {"difference": its.macro, "low": low, "high": high}
        yield {**names, **macro, **interval, "p": its.estimate.p, **_simultaneous(its.adjusted)}


def _simultaneous(adjusted: Adjusted) -> dict[str, object]:
    low, high = adjusted.interval
    return {"simultaneous_low": low, "simultaneous_high": high, "p_adjusted": adjusted.p}
