"""Tables of the report. On a phone each row becomes a card, its cells named by their headings."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

from mcqa.evaluation.report.formatting import p_value, point_interval
from mcqa.evaluation.report.formatting import points as in_points
from mcqa.runs import run_folder
from mcqa.sweep.report import best_experiment, sentences
from mcqa.sweep.report.confirmation import Confirmation, Confirmed
from mcqa.sweep.report.study_data import StudyRecord, SweptKey, TrialRecord
from mcqa.sweep.report.ties import Comparison, Estimate, StudyResult

SHOWN, LONGEST_ERROR, MOST_FAILURES, MOST_COLUMNS = 25, 220, 200, 9


class Cell(NamedTuple):
    """kind: `n` a number, `label`, `key`, or `html` and `bar` for what is HTML already. by: what a column is sorted by
    where that is not the text."""

    text: str
    kind: str = "n"
    by: float | None = None


def row(cells: Iterable[Cell], rest: bool = False, number: int | None = None) -> str:
    """rest: hidden until all rows are asked for. number: of the trial that a picture leads here from."""
    named = "" if number is None else f' id="t{number}"'
    return f"<tr{named}{' class=rest' if rest else ''}>{''.join(map(_cell, cells))}</tr>"


def _cell(cell: Cell) -> str:
    inner = cell.text if cell.kind in ("html", "bar") else escape(cell.text)
    by = "" if cell.by is None else f' data-value="{cell.by:.6g}"'
    return f'<td class="{cell.kind}"{by}>{inner}</td>'


def table(
    headings: Sequence[str],
    rows: Iterable[str],
    numbers: Sequence[int],
    bar: str | None = None,
    kind: str = "",
    named: int = 1,
) -> str:
    """numbers: the columns whose heading stands to the right. bar: the heading of the column with a scale, which a
    phone has no room for. named: how many of the first columns are the heading of a phone's card. Rows come as
    finished HTML."""
    head = "".join(_heading(heading, place in numbers, bar) for place, heading in enumerate(headings))
    inner = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table class="cards named{named} {kind}">{inner}</table></div>'


def _heading(text: str, number: bool, bar: str | None) -> str:
    """A long key may go on in the next line after any of its underscores."""
    kind = "bar" if text and text == bar else "n" if number else ""
    return f'<th class="{kind}">{escape(text).replace("_", "_<wbr>")}</th>'


def more(count: int, shown: int, noun: str) -> str:
    """What shows the rows that are hidden in the table before it."""
    return f'<button class="more" type="button">Show all {count} {noun}</button>' if count > shown else ""


# --- failures ---------------------------------------------------------------------------------------------------------


def failures(study: StudyRecord) -> str:
    """The trials that failed by their reason, the commonest first."""
    by_reason: dict[str, list[TrialRecord]] = {}
    for trial in study.trials:
        if trial.status == "failed":
            by_reason.setdefault(trial.error or "no reason was left behind", []).append(trial)
    order = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    headings = ["trials", "attempts", "reason", "folder"]
    rows = [_failure(reason, trials) for reason, trials in order[:MOST_FAILURES]]
    left = len(order) - MOST_FAILURES
    rest = f'<p class="note">and {left} more reasons, in trials.csv</p>' if left > 0 else ""
    return table(headings, rows, [1]) + rest


def _failure(reason: str, trials: Sequence[TrialRecord]) -> str:
    numbers = ", ".join(str(trial.number) for trial in trials[:12])
    numbers += f" and {len(trials) - 12} more" if len(trials) > 12 else ""
    attempts = ", ".join(dict.fromkeys(str(trial.attempts) for trial in trials))
    where = run_folder.shown(trials[0].folder)
    return row([Cell(numbers, "label"), Cell(attempts), Cell(_reason(reason), "html"), Cell(where, "key")])


def _reason(reason: str) -> str:
    first = reason.strip().split("\n")[0]
    if first == reason.strip() and len(first) <= LONGEST_ERROR:
        return escape(first)
    head = first if len(first) <= LONGEST_ERROR else f"{first[: LONGEST_ERROR - 1]}…"
    return f"<details><summary>{escape(head)}</summary><pre>{escape(reason.strip()[:5000])}</pre></details>"


# --- all trials -------------------------------------------------------------------------------------------------------


def trials(study: StudyRecord, answer: StudyResult) -> str:
    """The best first, then the others by their number; the first of them shown at once."""
    keys = [one.key for one in study.swept][:MOST_COLUMNS]
    names = [sentences.short(key, [one.key for one in study.swept]) for key in keys]
    headings = ["trial", "status", *study.metrics, *names, "last point", "time", "attempts"]
    ranked = {trial.number for trial in study.complete}
    order = [*study.complete, *(trial for trial in study.trials if trial.number not in ranked)]
    rows = [_trial(study, _pill(study, answer, trial), trial, keys, place) for place, trial in enumerate(order)]
    found = table(headings, rows, [0, *range(2, len(headings))], kind="sorted", named=2)
    return found + more(len(order), SHOWN, "trials")


def _pill(study: StudyRecord, answer: StudyResult, trial: TrialRecord) -> str:
    if trial in study.front:
        return ' <span class="pill best">best</span>'
    against = answer.by_trial.get(trial.number)
    return ' <span class="pill up">tied</span>' if against and against.tied else ""


def _trial(study: StudyRecord, pill: str, trial: TrialRecord, keys: Sequence[str], place: int) -> str:
    known = [
        Cell(sentences.value(one, metric), by=one) for one, metric in zip(trial.values, study.metrics, strict=False)
    ]
    values = known + [Cell("")] * (len(study.metrics) - len(known))
    params = [_parameter(trial.params[key]) if key in trial.params else Cell("") for key in keys]
    time = Cell("") if trial.seconds is None else Cell(sentences.duration(trial.seconds), by=trial.seconds)
    last = Cell(str(trial.reports[-1][0]) if trial.reports else "")
    state = Cell(f'<span class="state {trial.status}">{trial.status}</span>{pill}', "html")
    cells = [Cell(str(trial.number)), state, *values, *params, last, time, Cell(str(trial.attempts))]
    return row(cells, place >= SHOWN, trial.number)


def _parameter(value: Any) -> Cell:
    return Cell(sentences.parameter(value))


MOST_TIES, SHOWN_TIES, WORSE = 100, 12, 3


def configuration(study: StudyRecord, answer: StudyResult, order: Sequence[SweptKey]) -> str:
    """The best trial's parameters beside the defaults and what the trials have that are tied with it."""
    if len(study.metrics) > 1:
        return _front(study)
    top = study.front[0]
    tied = [top.number, *answer.tied]
    headings = ["parameter", f"trial {top.number}", "default", *(["tied trials"] if answer.tied else [])]
    rows = []
    for swept in order:
        found = [sentences.parameter(top.params[swept.key]) if swept.key in top.params else "–"]
        found += [sentences.default_value(study, swept.key)]
        found += [sentences.ranges(study, tied, swept.key)] if answer.tied else []
        rows.append(row([Cell(swept.key, "key label"), *map(Cell, found)]))
    parameters = table(headings, rows, range(1, len(headings)))
    run = f'<pre class="command">{escape(best_experiment.command(study))}</pre>'
    return parameters + run


def _front(study: StudyRecord) -> str:
    keys = [one.key for one in study.swept]
    headings = ["trial", *study.metrics, *(sentences.short(key, keys) for key in keys)]
    rows = []
    for trial in study.front:
        cells = [str(trial.number), *(sentences.value(v, m) for v, m in zip(trial.values, study.metrics, strict=True))]
        cells += [sentences.parameter(trial.params[key]) if key in trial.params else "" for key in keys]
        rows.append(row(map(Cell, cells)))
    return table(headings, rows, range(len(headings)))


def ties(best: TrialRecord, answer: StudyResult) -> str:
    """The best trial, then those that cannot be told apart from it, then the nearest of the rest, on one scale."""
    assert answer.accuracy is not None, "what is compared has an accuracy"
    tied = [one for one in answer.others if one.tied][:MOST_TIES]
    shown = [*tied, *[one for one in answer.others if not one.tied][:WORSE]]
    estimates = [answer.accuracy, *(one.accuracy for one in shown)]
    scale = _Scale(estimates, 0.02)
    headings = [
        "trial",
        "",
        "accuracy",
        "95 % interval",
        scale.name("acc"),
        "points",
        "95 % interval",
        "p (corrected)",
        "flips",
    ]
    first = [*_named(best.number, "best", "best"), *_shown(answer.accuracy, "acc", scale), *map(Cell, ("", "", "", ""))]
    rows = [row(first), *(row(_tie(one, scale), place >= SHOWN_TIES) for place, one in enumerate(shown))]
    left = len(answer.others) - len(shown)
    rest = f" {left} more are in trials.csv." if left else ""
    text = (
        f"Each trial against the best on the same {answer.questions} questions; p corrected for the choice of the best "
        f"among all.{rest}"
    )
    found = table(headings, rows, [0, 2, 3, 5, 6, 7, 8], headings[4], named=2)
    return found + more(len(rows), SHOWN_TIES + 1, "trials") + f'<p class="note">{text}</p>'


def _tie(one: Comparison, scale: "_Scale") -> list[Cell]:
    pill = _named(one.trial, "tied", "up") if one.tied else _named(one.trial, "worse by more than noise", "")
    apart = [in_points(one.difference.value), point_interval(*one.difference[1:]), p_value(one.p_adjusted)]
    flips = f"+{one.newly_right} −{one.newly_wrong}"
    return [*pill, *_shown(one.accuracy, "acc", scale), *map(Cell, apart), Cell(flips)]


def _named(number: int, text: str, kind: str) -> list[Cell]:
    return [Cell(str(number)), Cell(f'<span class="pill {kind}">{text}</span>', "html")]


class _Scale:
    """Places on a bar, in per cent of its width."""

    def __init__(self, estimates: Sequence[Estimate], margin: float) -> None:
        ends = [end for one in estimates for end in one if not math.isnan(end)] or [0.0, 1.0]
        self.low, self.high = min(ends) - margin, max(ends) + margin

    def name(self, metric: str) -> str:
        if not sentences.is_share(metric):
            return f"{self.low:.3g} to {self.high:.3g}"
        return f"{100 * max(0.0, self.low):.0f} to {100 * min(1.0, self.high):.0f} %"

    def place(self, value: float) -> str:
        return f"{100 * (value - self.low) / (self.high - self.low or 1):.2f}%"

    def track(self, one: Estimate, dotted: float | None) -> str:
        width = f"{100 * (one.high - one.low) / (self.high - self.low or 1):.2f}%"
        at = "" if dotted is None else f'<span class="at" style="left:{self.place(dotted)}"></span>'
        reach = f'<span class="ci" style="left:{self.place(one.low)};width:{width}"></span>'
        return f'<span class="track">{at}{reach}<span class="dot" style="left:{self.place(one.value)}"></span></span>'


def _shown(one: Estimate, metric: str, scale: _Scale, dotted: float | None = None) -> list[Cell]:
    """The value, its interval and both as a bar."""
    if math.isnan(one.value):
        return [Cell("–"), Cell("–"), Cell("", "bar")]
    value = Cell(sentences.value(one.value, metric))
    if math.isnan(one.low):
        return [value, Cell("–"), Cell("", "bar")]
    low = sentences.value(one.low, metric).removesuffix(" %")
    return [value, Cell(f"{low} – {sentences.value(one.high, metric)}"), Cell(scale.track(one, dotted), "bar")]


# --- confirmation -----------------------------------------------------------------------------------------------------


def confirmation(found: Confirmation) -> str:
    scale = _Scale([one.mean for one in found.configurations], 0.01 if sentences.is_share(found.metric) else 0.0)
    usual = next((one.mean.value for one in found.configurations if one.default and one.values), None)
    headings = ["", "seeds", found.metric, "95 % interval", scale.name(found.metric), "against the default", "p (Holm)"]
    if all(one.difference is None for one in found.configurations):
        headings = headings[:-2]
    rows = [row(_confirmed(one, found.metric, scale, usual)[: len(headings)]) for one in found.configurations]
    how = "questions and seeds" if found.by_questions else "seeds alone"
    where = "measured once on test" if found.metric.startswith("test/") else "measured as the trials were"
    text = f"New seeds, {where}; the intervals know of {how}. The dotted line is the default's mean."
    return table(headings, rows, [1, 2, 3, 5, 6], headings[4]) + f'<p class="note">{text}</p>'


def _confirmed(one: Confirmed, metric: str, scale: _Scale, usual: float | None) -> list[Cell]:
    seeds = f"{len(one.values)} of {one.planned}" if len(one.values) < one.planned else str(one.planned)
    against = "–"
    if one.difference is not None:
        value, *ends = one.difference
        against = f"{in_points(value)} ({point_interval(*ends)})"
        if not sentences.is_share(metric):
            against = f"{value:+.3g} ({ends[0]:.3g} to {ends[1]:.3g})"
    values = _shown(one.mean, metric, scale, usual)
    return [Cell(one.name, "label"), Cell(seeds), *values, Cell(against), Cell(p_value(one.p_holm))]
