"""What a study says, in sentences that the terminal and the page share."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from mcqa.evaluation.report.formatting import config_value, p_value, percent, point_interval, points
from mcqa.sweep.report import seed_variance
from mcqa.sweep.report.confirmation import Confirmation
from mcqa.sweep.report.study_data import Status, StudyRecord, TrialRecord, default, same, short_commit
from mcqa.sweep.report.ties import Comparison, Estimate, StudyResult

SHOWN_TRIALS, LONGEST_VALUE = 8, 40


FEW = 20
"""Complete trials below which importances say little: Optuna compares the best tenth with the rest."""


def is_share(metric: str) -> bool:
    """Whether a metric is shown in per cent."""
    return metric.rpartition("/")[2].startswith("acc")


def value(number: float, metric: str) -> str:
    return percent(number) if is_share(metric) else f"{number:.5g}"


def values(trial: TrialRecord, study: StudyRecord) -> str:
    return ", ".join(value(one, metric) for one, metric in zip(trial.values, study.metrics, strict=True))


def spread(number: float, metric: str) -> str:
    """A standard deviation, or another distance between values."""
    return f"{100 * number:.1f} points" if is_share(metric) else f"{number:.3g}"


def parameter(found: Any) -> str:
    text = f"{found:.4g}" if isinstance(found, float) else config_value(found)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def short(key: str, others: Sequence[str]) -> str:
    """The last part of a key, unless another key ends in the same."""
    last = key.rpartition(".")[2]
    return key if sum(other.rpartition(".")[2] == last for other in others) > 1 else last


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def states(study: StudyRecord) -> str:
    """Such as `12 complete, 8 pruned and 1 failed`."""
    parts = [f"{number} {status}" for status, number in study.counts.items() if number]
    return _and(parts) or "no trial"


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def looked_at(study: StudyRecord) -> str:
    """What the page is about, in one line."""
    going = sum(study.counts[status] for status in _GOING)
    return f"Study {study.name}; {_and(study.metrics)}; {states(study)}; {moment(study.now)}" + (
        ", still running" if going else ""
    )


_GOING: tuple[Status, ...] = ("running", "waiting")


def verdict(study: StudyRecord, answer: StudyResult) -> str:
    """The whole study in one sentence."""
    if len(study.metrics) > 1 and study.complete:
        beaten = f"{count(len(study.front), 'trial')} of {len(study.complete)}"
        return f"{beaten} complete ones are beaten by no other in all of {_and(study.metrics)}."
    if answer.best is None:
        what = "No complete trial told a value" if study.counts["complete"] else "No trial is complete"
        return f"{what}: {states(study)}."
    if seeds := seed_variance.own(study):
        found = f"{value(seeds.mean, study.metrics[0])} on average, standard deviation "
        return f"{len(seeds.values)} seeds of one configuration: {found}{spread(seeds.deviation, study.metrics[0])}."
    return _best(study, answer, answer.best)


def _all(others: int) -> str:
    return {1: "the other trial", 2: "both others"}.get(others, f"all {others} others")


def _best(study: StudyRecord, answer: StudyResult, best: TrialRecord) -> str:
    head = f"Trial {best.number} has the best {study.metrics[0]}, {value(best.values[0], study.metrics[0])}"
    if len(study.complete) == 1:
        return f"{head}; no other trial is complete."
    if answer.untold and not answer.others:
        return f"{head}; how many others cannot be told apart from it is not known."
    told, of = len(answer.tied), len(answer.others)
    if told == 0:
        return f"{head}, better than {_all(of)} by more than noise."
    if told == of:
        return f"{head}, but {'the other trial' if of == 1 else f'none of the {of} others'} " + (
            "cannot be told apart from it." if of == 1 else "is worse by more than noise."
        )
    return f"{head}; {told} of {of} others cannot be told apart from it."


# --- what to keep in mind ---------------------------------------------------------------------------------------------


def notes(study: StudyRecord, answer: StudyResult, confirmation: Confirmation | None = None) -> list[str]:
    told = [_confirmed(confirmation)] if confirmation and any(one.values for one in confirmation.configurations) else []
    return [*told, *_notes(study, answer, bool(told)), *_commits(study)]


def _confirmed(found: Confirmation) -> str:
    """What new seeds say, which is what counts."""
    measured = [one for one in found.configurations if one.values]
    where = "On test" if found.metric.startswith("test/") else "Run again"
    seeds = count(max(one.planned for one in measured), "new seed")
    means = ", ".join(f"{one.name} {value(one.mean.value, found.metric)}" for one in measured)
    against = [f"{one.name} {_difference(one.difference, found.metric)}" for one in measured if one.difference]
    than = f"; against the default: {', '.join(against)}" if against else ""
    return f"{where}, with {seeds}: {means}{than}."


def _difference(found: Estimate, metric: str) -> str:
    middle, *ends = found
    if is_share(metric):
        return f"{points(middle)} ({point_interval(*ends)})"
    return f"{middle:+.3g} ({ends[0]:.3g} to {ends[1]:.3g})"


def _commits(study: StudyRecord) -> Iterator[str]:
    """Which trials ran on which code, where that is not the same for all."""
    ran: dict[str, list[int]] = {}
    for trial in study.trials:
        if trial.commit:
            ran.setdefault(trial.commit, []).append(trial.number)
    if len(ran) > 1:
        said = [f"{spans(numbers)} on {short_commit(commit)}" for commit, numbers in ran.items()]
        yield f"The code changed on the way: trials {', '.join(said)}."


def spans(numbers: Sequence[int]) -> str:
    """`0–2, 5` of 0, 1, 2, 5; rising."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1] = [found[-1][0], number]
        else:
            found.append([number])
    return ", ".join("–".join(map(str, span)) for span in found)


def _notes(study: StudyRecord, answer: StudyResult, confirmed: bool) -> list[str]:
    if len(study.metrics) > 1 or answer.best is None or seed_variance.is_of_seeds(study):
        return list(_seeds_notes(study, answer)) or ([answer.untold] if answer.untold and study.complete else [])
    return [
        *_default(study, answer, answer.best),
        *_luck(study, answer, confirmed),
        *_floor(study, answer),
        *_untold(answer),
    ]


def _seeds_notes(study: StudyRecord, answer: StudyResult) -> Iterator[str]:
    if answer.noise and seed_variance.is_of_seeds(study):
        reach = spread(answer.noise.reach, study.metrics[0])
        yield f"Two single runs of this configuration differ by more than {reach} in one case of twenty."


def _default(study: StudyRecord, answer: StudyResult, best: TrialRecord) -> Iterator[str]:
    usual = study.default
    if usual is None:
        yield "The default configuration is no trial of this study, so it is not known what the search has won."
    elif usual.number == best.number:
        yield f"Trial {best.number} is the default configuration: the search has found nothing better."
    elif usual.status != "complete":
        yield f"The default configuration, trial {usual.number}, is {usual.status}."
    elif (against := answer.by_trial.get(usual.number)) is not None:
        yield f"The default configuration, trial {usual.number}: {values(usual, study)}, {difference(against)}."
    else:
        yield f"The default configuration, trial {usual.number}: {values(usual, study)}."


def difference(against: Comparison) -> str:
    """Such as `−2.1 points (−4.0 to −0.2), p = 0.0121 corrected for the choice: worse …`."""
    found = f"{points(against.difference.value)} points ({point_interval(*against.difference[1:])})"
    p = p_value(against.p_adjusted)
    p = f"p {p}" if p.startswith("<") else f"p = {p}"
    said = "not told apart from the best" if against.tied else "worse by more than noise"
    return f"{found}, {p} corrected for the choice: {said}"


def _luck(study: StudyRecord, answer: StudyResult, confirmed: bool) -> Iterator[str]:
    if len(study.complete) < 2:
        return
    where = " on these very questions" if answer.questions else ""
    text = f"The best of {len(study.complete)} is optimistic: it was chosen because it came out best{where}. "
    again = "" if confirmed else "Measured again, with new seeds and on test, it will most likely be worse."
    yield f"{text}{_measured_luck(answer)}{again}".rstrip()


def _measured_luck(answer: StudyResult) -> str:
    if answer.luck is None:
        return ""
    return (
        f"Were all {len(answer.others) + 1} equally good, chance alone would still lift the best about "
        f"{100 * answer.luck:.1f} points above its true accuracy. "
    )


def _floor(study: StudyRecord, answer: StudyResult) -> Iterator[str]:
    metric, found = study.metrics[0], answer.noise
    if found is None:
        yield (
            "Each trial is one seed: what is told apart here is told of these runs, not of their configurations. How "
            "much the seed alone changes is not known; a study of seeds of the same experiment would tell."
        )
        return
    top, reach = study.complete[0].values[0], found.reach
    within = [one for one in study.complete[1:] if abs(one.values[0] - top) <= reach]
    yield (
        f"Noise floor: over {len(found.values)} seeds of one configuration ({found.study}) the standard deviation is "
        f"{spread(found.deviation, metric)}, so two single runs may differ by {spread(reach, metric)} for no "
        f"reason; {len(within)} of {len(study.complete) - 1} other trials are that near to the best."
    )
    if found.differs:
        more = f" and {len(found.differs) - 4} more" if len(found.differs) > 4 else ""
        yield f"{found.study} was run with other values of {', '.join(found.differs[:4])}{more}."


def _untold(answer: StudyResult) -> Iterator[str]:
    if answer.untold:
        yield answer.untold


# --- parameters -------------------------------------------------------------------------------------------------------


def ranges(study: StudyRecord, numbers: Sequence[int], key: str) -> str:
    """What these trials have for a key: `0.0002 to 0.004`, or the different choices."""
    found = [trial.params[key] for trial in study.trials if trial.number in numbers and key in trial.params]
    if not found:
        return "–"
    choices = next((one.choices for one in study.swept if one.key == key), None)
    if choices is not None:
        kept = [parameter(choice) for choice in choices if any(same(choice, one) for one in found)]
        return ", ".join(kept[:6]) + (" …" if len(kept) > 6 else "")
    low, high = parameter(min(found)), parameter(max(found))
    return low if low == high else f"{low} to {high}"


def default_value(study: StudyRecord, key: str) -> str:
    from mcqa.runs.files import flat

    usual = study.default.params if study.default else {}
    found = usual[key] if key in usual else default(key, flat(study.base), study.base)
    return "–" if found is None else parameter(found)
