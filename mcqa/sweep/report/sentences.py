"""What a study says, in sentences that the terminal and the page share.

Tied means that there is no statistically significant difference, which does not show that there is none.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mcqa.evaluation.report.formatting import (
    config_value,
    count,
    cut,
    p_equals,
    percent,
    point_interval,
    points,
)
from mcqa.evaluation.report.html import Scale
from mcqa.evaluation.statistics.seeds import seed_deviation_allowed_of_best
from mcqa.runs import looks
from mcqa.sweep.report.confirmation import Confirmation
from mcqa.sweep.report.seed_variance import SEED, seed_variance, varies_only_seed
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord, same, short_commit
from mcqa.sweep.report.ties import Comparison, Estimate, StudyResult

LONGEST_VALUE = 40


def is_share(metric: str) -> bool:
    """Whether a metric is an accuracy, which is shown in per cent and its differences in points."""
    return metric.rpartition("/")[2].startswith("acc")


def value(number: float, metric: str) -> str:
    if math.isnan(number):
        return "–"
    return percent(number) if is_share(metric) else f"{number:.5g}"


def interval(estimate: Estimate, metric: str) -> str:
    low = value(estimate.low, metric)
    return low if math.isnan(estimate.low) else f"{low.removesuffix(' %')} – {value(estimate.high, metric)}"


def ends(scale: Scale, metric: str) -> str:
    """Return the range of values that a bar spans."""
    if not is_share(metric):
        return f"{scale.low:.3g} to {scale.high:.3g}"
    return f"{100 * max(0.0, scale.low):.0f} to {100 * min(1.0, scale.high):.0f} %"


def distance(number: float, metric: str) -> str:
    """Return a standard deviation, or another distance between values, with its unit."""
    return f"{100 * number:.1f} points" if is_share(metric) else f"{number:.3g}"


def difference(estimate: Estimate, metric: str, interval: str = "95 % CI ") -> str:
    """Return such as `−2.1 points (95 % CI −4.0 to −0.2)`. interval: what to call the interval, in a table nothing."""
    if is_share(metric):
        return f"{points(estimate.value)} points ({interval}{point_interval(estimate.low, estimate.high)})"
    return f"{estimate.value:+.3g} ({interval}{estimate.low:.3g} to {estimate.high:.3g})"


def parameter(setting: Any) -> str:
    return cut(f"{setting:.4g}" if isinstance(setting, float) else config_value(setting), LONGEST_VALUE)


def setting(trial: TrialRecord, key: str) -> str:
    """Return what a trial has for a key, a factor behind its value: `0.0006 (0.3 ×)`."""
    if key not in trial.params:
        return "–"
    if key not in trial.values:
        return parameter(trial.params[key])
    came_to, factor = trial.values[key], f"{parameter(trial.params[key])} ×"
    return factor if came_to is None else f"{parameter(came_to)} ({factor})"


def short(key: str, keys: Sequence[str]) -> str:
    """Return the last part of a key, or the whole key where another one ends in the same part."""
    last = key.rpartition(".")[2]
    return key if sum(other.rpartition(".")[2] == last for other in keys) > 1 else last


def listed(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _states(study: StudyRecord) -> str:
    """Return such as `12 complete, 8 pruned and 1 failed`."""
    return listed([f"{number} {status}" for status, number in study.counts.items() if number]) or "no trial"


def subject(study: StudyRecord) -> str:
    """Return in one line which study it is and how far it has come."""
    moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(study.now))
    unfinished = study.counts["running"] + study.counts["paused"] + study.counts["waiting"]
    return f"Study {study.name}; {study.metric}; {_states(study)}; {moment}{', still running' if unfinished else ''}"


def ties(study: StudyRecord, result: StudyResult) -> str:
    """Return how many trials are tied with the best, in one sentence."""
    if result.best is None or result.best.value is None:
        reason = "No complete trial returned a value" if study.counts["complete"] else "No trial is complete"
        return f"{reason}: {_states(study)}."
    if seeds := seed_variance(study):
        deviation = distance(seeds.standard_deviation, study.metric)
        mean = value(seeds.mean, study.metric)
        return f"{len(seeds.values)} seeds of one configuration: mean {mean}, standard deviation {deviation}."
    best = f"Trial {result.best.number} has the best {study.metric}, {value(result.best.value, study.metric)}"
    if len(study.complete) == 1:
        return f"{best}; no other trial is complete."
    if not result.comparisons:
        return f"{best}; whether it is significantly better than any other is unknown."
    tied, others = len(result.tied), len(result.comparisons)
    noun = "trial" if len(study.complete) == len(study.trials) else "complete trial"
    everyone = {1: f"the other {noun}", 2: f"both other {noun}s"}.get(others, f"all {others} other {noun}s")
    if tied == 0:
        return f"{best}, significantly better than {everyone}{' (one seed each)' * has_seed(study)}."
    which = everyone if tied == others else f"{tied} of {others} other {noun}s"
    return f"{best}; {which} {'is' if tied == 1 else 'are'} tied with it: no statistically significant difference."


# --- what to keep in mind ---------------------------------------------------------------------------------------------


def notes(study: StudyRecord, result: StudyResult, confirmation: Confirmation | None = None) -> list[str]:
    """Return what a reader of the verdict should keep in mind, the most important first."""
    confirmed = list(_confirmed(confirmation, _test_limit(study))) if confirmation else []
    return [*confirmed, *_notes(study, result, bool(confirmed)), *_commits(study)]


def _notes(study: StudyRecord, result: StudyResult, confirmed: bool) -> Iterator[str]:
    if varies_only_seed(study):
        if result.seed_variance:
            least = distance(result.seed_variance.least_significant_difference, study.metric)
            varied = [swept.key for swept in study.swept]
            alone = "" if SEED in varied else f" that differ in {' and '.join(varied)} alone"
            yield f"Two single runs of this configuration{alone} differ by more than {least} in one case of twenty."
    elif result.best is not None:
        yield _default(study, result, result.best)
        if len(study.complete) > 1:
            yield _choice_of_best(study, result, confirmed)
        yield from _pruned_ahead(study, result.best)
        if has_seed(study):
            yield from _seed_variance(study, result, confirmed)
        if result.not_compared_because:
            yield result.not_compared_because


def _test_limit(study: StudyRecord) -> object:
    """Return how many test questions a study of mcqa.train measures at most; None for all of them."""
    evaluation = study.base.get("evaluation")
    return evaluation.get("test_limit") if isinstance(evaluation, Mapping) else None


def _confirmed(confirmation: Confirmation, test_limit: object) -> Iterator[str]:
    """The new seeds come first: they alone are free of selection bias."""
    measured = [run for run in confirmation.configurations if run.values]
    if not measured:
        return
    where = "On test" if confirmation.metric.startswith("test/") else "Run again"
    if where == "On test" and test_limit is not None:
        where = f"On a first look at test (evaluation.test_limit={test_limit})"
    metric, seeds = confirmation.metric, count(max(run.planned for run in measured), "new seed")
    candidate = confirmation.candidate
    means = ", ".join(
        f"{run.name}{', the candidate,' * (run.trial == candidate is not None)} {value(run.mean.value, metric)}"
        for run in measured
    )
    differences = ", ".join(
        f"{run.name} {difference(run.difference, metric)}, {p_equals(run.p_holm, 'Holm-adjusted p')}"
        for run in measured
        if run.difference and run.p_holm is not None
    )
    compared = f"; difference from the default: {differences}" if differences else ""
    yield f"{where}, with {seeds}: {means}{compared}."
    yield from looks_at_test(confirmation)


def looks_at_test(confirmation: Confirmation) -> Iterator[str]:
    """Yield how often test was looked at in this study, where that was more than once."""
    if len(confirmation.looks_at_test) > 1:
        yield (
            f"Looks at test in this study: {looks.times(confirmation.looks_at_test)}. What was chosen after the first "
            "look may fit test by chance, and p-values do not count looks."
        )


def _commits(study: StudyRecord) -> Iterator[str]:
    """Which trials ran on which code, where that is not the same for all."""
    trials: dict[str, list[int]] = {}
    for trial in study.trials:
        if trial.commit:
            trials.setdefault(trial.commit, []).append(trial.number)
    if len(trials) > 1:
        ran = [f"{_spans(numbers)} on {short_commit(commit)}" for commit, numbers in trials.items()]
        yield f"The code changed during the study: trials {', '.join(ran)}."


def _spans(numbers: Sequence[int]) -> str:
    """Return `0–2, 5` for 0, 1, 2, 5."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
    return ", ".join("–".join(map(str, span)) for span in spans)


def _default(study: StudyRecord, result: StudyResult, best: TrialRecord) -> str:
    default = study.default_trial
    if default is None:
        return "The default configuration is not among the trials, so what the search has gained is unknown."
    if default.number == best.number:
        return f"Trial {best.number} is the default configuration: the search found nothing better."
    head = f"The default configuration, trial {default.number}"
    if default.value is None:
        return f"{head}, has no value: it is {default.status}."
    comparison = result.by_trial.get(default.number)
    than_best = f", {against_best(comparison, study.metric)}" if comparison else ""
    return f"{head}: {value(default.value, study.metric)}{than_best}."


def against_best(comparison: Comparison, metric: str) -> str:
    """Return such as `−2.1 points (95 % CI −4.0 to −0.2) from the best, adjusted p = 0.0121: significantly worse`."""
    reading = "no statistically significant difference" if comparison.tied else "significantly worse"
    p = p_equals(comparison.p_adjusted, "adjusted p")
    return f"{difference(comparison.difference, metric)} from the best, {p}: {reading}"


def expected(study: StudyRecord, result: StudyResult) -> str | None:
    """Return what the best is worth on new questions, corrected for its choice, where that is known."""
    if result.expected is None or result.best is None or result.best.value is None:
        return None
    return value(min(result.expected, result.best.value), study.metric)


def _choice_of_best(study: StudyRecord, result: StudyResult, confirmed: bool) -> str:
    where = " on these very questions" if result.questions else ""
    text = f"The best of {len(study.complete)} was chosen because it came out best{where}"
    if corrected := expected(study, result):
        pruned = study.counts["pruned"]
        counted = f", with {result.pruned_candidates} of {pruned} pruned trials as candidates too," if pruned else ""
        several = result.measurements > 1
        chosen = f" and for the choice among up to {result.measurements} measurements of each" if several else ""
        text += f": corrected for that{chosen}{counted} it is worth about {corrected} on new questions like these"
    else:
        text += ", so its value is likely too good, by an unknown amount"
    if confirmed or not has_seed(study):
        return f"{text}."
    test, on_test = (" and test", " and on test") if study.metric.startswith("dev/") else ("", "")
    return f"{text}. New seeds{test} say more." if corrected else f"{text}. Expect a worse one with new seeds{on_test}."


def _pruned_ahead(study: StudyRecord, best: TrialRecord) -> Iterator[str]:
    """Pruned trials that had a better value than the best one had at the same point."""
    at, sign = dict(best.reports), -1 if study.direction == "minimize" else 1
    last = [trial.reports[-1] for trial in study.trials if trial.status == "pruned" and trial.reports]
    ahead = sum(point in at and sign * (reached - at[point]) > 0 for point, reached in last)
    if ahead:
        yield (
            f"{ahead} of {study.counts['pruned']} pruned trials {'was' if ahead == 1 else 'were'} ahead of the best "
            "one at the point where they ended, so pruning may have cost a better one."
        )


def has_seed(study: StudyRecord) -> bool:
    """Whether the application has a key `seed`: others know neither seeds nor what a new one would change."""
    return isinstance(study.base.get("seed"), int)


def questions(study: StudyRecord, point: int) -> str:
    """Return a point with its unit: `400 questions`; of another application than mcqa.train, `point 400`."""
    return f"{point:,} questions" if counts_questions(study) else f"point {point}"


def counts_questions(study: StudyRecord) -> bool:
    """Whether the points of a study are numbers of questions seen, as those of mcqa.train are."""
    return "objective" in study.base or "evaluation" in study.base


def _seed_variance(study: StudyRecord, result: StudyResult, confirmed: bool) -> Iterator[str]:
    seeds = result.seed_variance
    if seeds is None:
        yield (
            "Each trial is one seed: what is significant here is so for these runs, not for their configurations. The "
            f"seed variance is unknown{_sensitivity(study, result)}; "
            f"{'' if confirmed else 'hydra.sweeper.confirm=3 tries three new seeds, and '}+sweeps=seeds of the same "
            "experiment measures it."
        )
        return
    values = [trial.value or 0.0 for trial in study.complete]
    by_chance = seeds.range_by_chance(max(2, len(values)))
    near = sum(abs(other - values[0]) <= by_chance for other in values[1:])
    yield (
        f"Seed variance: over {len(seeds.values)} seeds of one configuration ({seeds.study}) the standard deviation is "
        f"{distance(seeds.standard_deviation, study.metric)}, so the best and the worst of {max(2, len(values))} equal "
        f"trials differ by up to {distance(by_chance, study.metric)} by chance (studentised range, 95 %); {near} of "
        f"{len(values) - 1} other trials are this close to the best{_sensitivity(study, result)}."
    )
    if keys := seeds.differing_keys:
        more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
        yield f"{seeds.study} was run with other values of {', '.join(keys[:4])}{more}."


def _sensitivity(study: StudyRecord, result: StudyResult) -> str:
    """Up to which seed variance the best would be significantly better than the default; empty where it is not."""
    comparison = result.by_trial.get(study.default_trial.number) if study.default_trial else None
    if comparison is None or comparison.tied:
        return ""
    runs = len(result.comparisons) + 1
    allowed = seed_deviation_allowed_of_best(comparison.difference.value, comparison.p, runs)
    return (
        "; the best run would stay significantly better than the default's up to a seed standard deviation of "
        f"{distance(allowed, study.metric)}"
    )


# --- parameters -------------------------------------------------------------------------------------------------------


def value_range(study: StudyRecord, numbers: Sequence[int], key: str) -> str:
    """Return the values that these trials have for a key: `0.0002 to 0.004`, or the different choices."""
    values = [trial.params[key] for trial in study.trials if trial.number in numbers and key in trial.params]
    if not values:
        return "–"
    choices, times = next(
        ((swept.choices, " ×" * swept.is_factor) for swept in study.swept if swept.key == key), (None, "")
    )
    if choices is not None:
        taken = [parameter(choice) + times for choice in choices if any(same(choice, value) for value in values)]
        return ", ".join(taken[:6]) + (" …" if len(taken) > 6 else "")
    low, high = parameter(min(values)), parameter(max(values))
    return (low if low == high else f"{low} to {high}") + times


def default_value(study: StudyRecord, key: str) -> str:
    """Return the default configuration's value of a key, by its trial where there is one."""
    if study.default_trial and key in study.default_trial.params:
        return setting(study.default_trial, key)
    is_factor = any(swept.is_factor for swept in study.swept if swept.key == key)
    default = study.defaults.get(key)
    return "–" if default is None else parameter(default) + " ×" * is_factor
