"""Parallel coordinates: one line a trial through all its parameters to what it reached.

Drawn as plain lines, for plotly's own kind needs WebGL, cannot be read on a phone and lets long names overlap.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from math import log10
from typing import Any

from mcqa.sweep.report import sentences
from mcqa.sweep.report.charts import BLUE, GREY, INK, SKY, VERMILLION, Figure, choice_of, cut, layout, roles
from mcqa.sweep.report.study_data import StudyRecord, SweptKey, TrialRecord
from mcqa.sweep.report.ties import StudyResult

MOST_AXES, MOST_TICKS = 10, 8


_BACKED: dict[str, Any] = {"bgcolor": "var(--card)", "borderpad": 1, "opacity": 0.88}


MOST_LINES = 150  # of a kind; more hide each other


_Place = Callable[[TrialRecord], float | None]


def figure(study: StudyRecord, answer: StudyResult, order: Sequence[SweptKey], upright: bool) -> Figure:
    """One line a complete trial through all its parameters to its values. upright: axes side by side, for a wide
    page; else below each other, for a phone."""
    axes = [*_parameter_axes(study, order[:MOST_AXES]), *_value_axes(study)]
    found = roles(study, answer)
    plain = [*found.get("worse by more than noise", []), *found.get("complete", [])]
    kinds = [
        (plain, SKY if answer.others else BLUE, 1.1, 0.55),
        (found.get("tied with the best", []), BLUE, 1.2, 0.7),
        (found.get("best", []), VERMILLION, 3.2, 1.0),
    ]
    data = [_lines(_thinned(kind[0]), axes, upright, *kind[1:]) for kind in kinds if kind[0]]
    size = layout(400 if upright else 84 * len(axes) + 20, annotations=list(_labels(axes, upright)))
    along = {"range": [-0.45, len(axes) - 0.55] if upright else [len(axes) - 0.5, -0.6]}
    across = {"range": [-0.06, 1.18] if upright else [-0.04, 1.04]}
    hidden = {"visible": False, "fixedrange": True}
    x, y = (along, across) if upright else (across, along)
    size["shapes"] = [_bar(i, upright) for i in range(len(axes))]
    return {"data": data, "layout": {**size, "xaxis": {**hidden, **x}, "yaxis": {**hidden, **y}}}


def _thinned(trials: Sequence[TrialRecord]) -> Sequence[TrialRecord]:
    step = -(-len(trials) // MOST_LINES)
    return trials[::step] if step > 1 else trials


class _Axis:
    """Places between 0 and 1 for the trials on one axis, and what stands beside them."""

    def __init__(self, name: str, place: _Place, marks: Sequence[tuple[float, str]]) -> None:
        self.name, self.place, self.marks = name, place, marks


def _parameter_axes(study: StudyRecord, order: Sequence[SweptKey]) -> Iterator[_Axis]:
    keys = [one.key for one in order]
    for swept in order:
        name = sentences.short(swept.key, keys)
        found = [trial.params[swept.key] for trial in study.complete if swept.key in trial.params]
        if found:
            yield _of_choices(name, swept) if swept.choices is not None else _of_numbers(name, swept, found)


def _of_choices(name: str, swept: SweptKey) -> _Axis:
    choices = swept.choices or ()
    last = max(1, len(choices) - 1)

    def place(trial: TrialRecord) -> float | None:
        value = trial.params.get(swept.key, _Axis)
        return None if value is _Axis else choice_of(swept, value) / last

    step = -(-len(choices) // MOST_TICKS)
    marks = [(i / last, cut(sentences.parameter(one), 12)) for i, one in enumerate(choices)][::step]
    return _Axis(name, place, marks)


def _of_numbers(name: str, swept: SweptKey, found: Sequence[float]) -> _Axis:
    log = swept.log and min(found) > 0

    def turned(value: float) -> float:
        return log10(value) if log else value

    low, high = turned(min(found)), turned(max(found))
    span = (high - low) or 1.0

    def place(trial: TrialRecord) -> float | None:
        value = trial.params.get(swept.key)
        return None if value is None else (turned(value) - low) / span

    between = 10 ** ((low + high) / 2) if log else (low + high) / 2
    whole = all(isinstance(one, int) for one in found)
    middle = round(between) if whole else between
    marks = [(0.0, min(found))] + [((turned(middle) - low) / span, middle), (1.0, max(found))] * (high > low)
    return _Axis(name, place, [(at, f"{mark:.2g}" if not whole else f"{mark}") for at, mark in marks])


def _value_axes(study: StudyRecord) -> Iterator[_Axis]:
    for i, metric in enumerate(study.metrics):
        found = [trial.values[i] for trial in study.complete]
        low, high = min(found), max(found)

        def place(trial: TrialRecord, i: int = i, low: float = low, span: float = (high - low) or 1.0) -> float | None:
            return (trial.values[i] - low) / span

        ends = [(0.0, low), (0.5, (low + high) / 2), (1.0, high)] if high > low else [(0.0, low)]
        yield _Axis(metric, place, [(at, sentences.value(one, metric)) for at, one in ends])


def _lines(
    trials: Sequence[TrialRecord], axes: Sequence[_Axis], upright: bool, colour: str, width: float, opacity: float
) -> Figure:
    along: list[int | None] = []
    across: list[float | None] = []
    numbers: list[int | None] = []
    for trial in trials:
        places = [axis.place(trial) for axis in axes]
        along += [*range(len(axes)), None]
        across += [*(None if at is None else round(at, 4) for at in places), None]
        numbers += [*[trial.number] * len(axes), None]
    xs, ys = (along, across) if upright else (across, along)
    line, hover = {"color": colour, "width": width}, "trial %{customdata}<extra></extra>"
    look = {"line": line, "opacity": opacity, "hovertemplate": hover, "connectgaps": False}
    return {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "customdata": numbers, **look}


def _bar(i: int, upright: bool) -> Figure:
    ends = {"x0": i, "x1": i, "y0": 0, "y1": 1} if upright else {"y0": i, "y1": i, "x0": 0, "x1": 1}
    return {"type": "line", **ends, "line": {"color": GREY, "width": 1.5}, "layer": "below"}


def _labels(axes: Sequence[_Axis], upright: bool) -> Iterable[Figure]:
    for i, one in enumerate(axes):
        name = escape(one.name)
        if upright:
            broken = name.replace("_", "_<br>") if len(name) > 13 else name
            yield _text(i, 1.04, f"<b>{broken}</b>", yanchor="bottom", xanchor="center")
        else:
            yield _text(0, i, f"<b>{name}</b>", yanchor="bottom", xanchor="left", yshift=3, **_BACKED)
        for at, text in one.marks:
            yield _mark(i, at, escape(text), upright)


def _mark(i: int, at: float, text: str, upright: bool) -> Figure:
    if upright:
        return _text(i, at, text, xanchor="left", yanchor="middle", xshift=5, size=11, **_BACKED)
    side = "left" if at == 0 else "right" if at == 1 else "center"
    return _text(at, i, text, xanchor=side, yanchor="top", yshift=-4, size=11, **_BACKED)


def _text(x: float, y: float, text: str, size: float = 12, **more: Any) -> Figure:
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": {"size": size, "color": INK}, **more}
