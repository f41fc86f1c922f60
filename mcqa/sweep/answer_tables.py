"""The answer in tables: the best configuration, the trials that are tied with it, and what a confirmation found."""

import math
from collections.abc import Sequence
from html import escape

from mcqa.comparison.words import interval, p_value
from mcqa.comparison.words import points as in_points
from mcqa.sweep import best, tables, words
from mcqa.sweep.answer import Against, Answer, Estimate
from mcqa.sweep.confirmed import Confirmation, Confirmed
from mcqa.sweep.recorded import Recorded, Swept, Trial
from mcqa.sweep.tables import Cell

MOST_TIES, SHOWN_TIES, WORSE = 100, 12, 3


def configuration(study: Recorded, answer: Answer, order: Sequence[Swept]) -> str:
    """The best trial's parameters beside the defaults and what the trials have that are tied with it."""
    if len(study.metrics) > 1:
        return _front(study)
    top = study.front[0]
    tied = [top.number, *answer.tied]
    headings = ["parameter", f"trial {top.number}", "default", *(["tied trials"] if answer.tied else [])]
    rows = []
    for swept in order:
        found = [words.parameter(top.params[swept.key]) if swept.key in top.params else "–"]
        found += [words.default_value(study, swept.key)]
        found += [words.ranges(study, tied, swept.key)] if answer.tied else []
        rows.append(tables.row([Cell(swept.key, "key label"), *map(Cell, found)]))
    table = tables.table(headings, rows, range(1, len(headings)))
    run = f'<pre class="command">{escape(best.command(study))}</pre>'
    return table + run


def _front(study: Recorded) -> str:
    keys = [one.key for one in study.swept]
    headings = ["trial", *study.metrics, *(words.short(key, keys) for key in keys)]
    rows = []
    for trial in study.front:
        cells = [str(trial.number), *(words.value(v, m) for v, m in zip(trial.values, study.metrics, strict=True))]
        cells += [words.parameter(trial.params[key]) if key in trial.params else "" for key in keys]
        rows.append(tables.row(map(Cell, cells)))
    return tables.table(headings, rows, range(len(headings)))


def ties(best: Trial, answer: Answer) -> str:
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
    rows = [tables.row(first), *(tables.row(_tie(one, scale), place >= SHOWN_TIES) for place, one in enumerate(shown))]
    left = len(answer.others) - len(shown)
    more = f" {left} more are in trials.csv." if left else ""
    text = (
        f"Each trial against the best on the same {answer.questions} questions; p corrected for the choice of the best "
        f"among all.{more}"
    )
    found = tables.table(headings, rows, [0, 2, 3, 5, 6, 7, 8], headings[4], named=2)
    return found + tables.more(len(rows), SHOWN_TIES + 1, "trials") + f'<p class="note">{text}</p>'


def _tie(one: Against, scale: "_Scale") -> list[Cell]:
    pill = _named(one.trial, "tied", "up") if one.tied else _named(one.trial, "worse by more than noise", "")
    apart = [in_points(one.difference.value), interval(*one.difference[1:]), p_value(one.p_adjusted)]
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
        if not words.is_share(metric):
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
    value = Cell(words.value(one.value, metric))
    if math.isnan(one.low):
        return [value, Cell("–"), Cell("", "bar")]
    low = words.value(one.low, metric).removesuffix(" %")
    return [value, Cell(f"{low} – {words.value(one.high, metric)}"), Cell(scale.track(one, dotted), "bar")]


# --- confirmation -----------------------------------------------------------------------------------------------------


def confirmation(found: Confirmation) -> str:
    scale = _Scale([one.mean for one in found.configurations], 0.01 if words.is_share(found.metric) else 0.0)
    usual = next((one.mean.value for one in found.configurations if one.default and one.values), None)
    headings = ["", "seeds", found.metric, "95 % interval", scale.name(found.metric), "against the default", "p (Holm)"]
    if all(one.difference is None for one in found.configurations):
        headings = headings[:-2]
    rows = [tables.row(_confirmed(one, found.metric, scale, usual)[: len(headings)]) for one in found.configurations]
    how = "questions and seeds" if found.by_questions else "seeds alone"
    where = "measured once on test" if found.metric.startswith("test/") else "measured as the trials were"
    text = f"New seeds, {where}; the intervals know of {how}. The dotted line is the default's mean."
    return tables.table(headings, rows, [1, 2, 3, 5, 6], headings[4]) + f'<p class="note">{text}</p>'


def _confirmed(one: Confirmed, metric: str, scale: _Scale, usual: float | None) -> list[Cell]:
    seeds = f"{len(one.values)} of {one.planned}" if len(one.values) < one.planned else str(one.planned)
    against = "–"
    if one.difference is not None:
        value, *ends = one.difference
        against = f"{in_points(value)} ({interval(*ends)})"
        if not words.is_share(metric):
            against = f"{value:+.3g} ({ends[0]:.3g} to {ends[1]:.3g})"
    values = _shown(one.mean, metric, scale, usual)
    return [Cell(one.name, "label"), Cell(seeds), *values, Cell(against), Cell(p_value(one.p_holm))]
