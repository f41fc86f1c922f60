"""Tables of the report. On a phone each row becomes a card, its cells named by their headings."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

from mcqa import run_folder
from mcqa.sweep import words
from mcqa.sweep.answer import Answer
from mcqa.sweep.recorded import Recorded, Trial

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


def failures(study: Recorded) -> str:
    """The trials that failed by their reason, the commonest first."""
    by_reason: dict[str, list[Trial]] = {}
    for trial in study.trials:
        if trial.status == "failed":
            by_reason.setdefault(trial.error or "no reason was left behind", []).append(trial)
    order = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    headings = ["trials", "attempts", "reason", "folder"]
    rows = [_failure(reason, trials) for reason, trials in order[:MOST_FAILURES]]
    left = len(order) - MOST_FAILURES
    rest = f'<p class="note">and {left} more reasons, in trials.csv</p>' if left > 0 else ""
    return table(headings, rows, [1]) + rest


def _failure(reason: str, trials: Sequence[Trial]) -> str:
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


def trials(study: Recorded, answer: Answer) -> str:
    """The best first, then the others by their number; the first of them shown at once."""
    keys = [one.key for one in study.swept][:MOST_COLUMNS]
    names = [words.short(key, [one.key for one in study.swept]) for key in keys]
    headings = ["trial", "status", *study.metrics, *names, "last point", "time", "attempts"]
    ranked = {trial.number for trial in study.complete}
    order = [*study.complete, *(trial for trial in study.trials if trial.number not in ranked)]
    rows = [_trial(study, _pill(study, answer, trial), trial, keys, place) for place, trial in enumerate(order)]
    found = table(headings, rows, [0, *range(2, len(headings))], kind="sorted", named=2)
    return found + more(len(order), SHOWN, "trials")


def _pill(study: Recorded, answer: Answer, trial: Trial) -> str:
    if trial in study.front:
        return ' <span class="pill best">best</span>'
    against = answer.by_trial.get(trial.number)
    return ' <span class="pill up">tied</span>' if against and against.tied else ""


def _trial(study: Recorded, pill: str, trial: Trial, keys: Sequence[str], place: int) -> str:
    known = [Cell(words.value(one, metric), by=one) for one, metric in zip(trial.values, study.metrics, strict=False)]
    values = known + [Cell("")] * (len(study.metrics) - len(known))
    params = [_parameter(trial.params[key]) if key in trial.params else Cell("") for key in keys]
    time = Cell("") if trial.seconds is None else Cell(words.duration(trial.seconds), by=trial.seconds)
    last = Cell(str(trial.reports[-1][0]) if trial.reports else "")
    state = Cell(f'<span class="state {trial.status}">{trial.status}</span>{pill}', "html")
    cells = [Cell(str(trial.number)), state, *values, *params, last, time, Cell(str(trial.attempts))]
    return row(cells, place >= SHOWN, trial.number)


def _parameter(value: Any) -> Cell:
    return Cell(words.parameter(value))
