"""Charts of a study as plotly figures in plain data, which the page draws.

optuna.visualization has charts of these kinds; these ones show more: which trials are tied with the best, the best
trial's interval, the default, trials without a final value, and a click on a point leads to the trial's row.

Colours are those of the style sheet (`var(--blue)`), so that the charts follow its light and dark theme. Every role
has a symbol of its own, and every status a hatching: nothing depends on colour alone.
"""

from collections.abc import Sequence
from html import escape
from math import floor, log10
from typing import Any

from mcqa.evaluation.report.formatting import cut
from mcqa.sweep.report import sentences
from mcqa.sweep.report.study_data import StudyRecord, SweptKey, TrialRecord, is_number
from mcqa.sweep.report.ties import StudyResult

Figure = dict[str, Any]
"""`data` and `layout` as plotly.js takes them."""

BLUE, VERMILLION, SKY, GREY, GREEN, INK, SOFT, LINE, CARD = (
    f"var(--{name})" for name in ("blue", "vermillion", "sky", "grey", "green", "ink", "soft", "line", "card")
)

SYMBOLS = {
    "best": (VERMILLION, "star", 15, "★"),
    "tied with the best": (BLUE, "circle", 8, "●"),
    "significantly worse": (SKY, "square", 7, "■"),
    "complete": (BLUE, "circle", 8, "●"),
    "pruned": (GREY, "diamond-open", 8, "◇"),
    "running": (GREEN, "circle-open", 9, "○"),
    "paused": (GREEN, "square-open", 8, "□"),
    "failed": (INK, "x-thin-open", 8, "×"),
}
"""By the role of a trial: colour, plotly's symbol, its size in pixels and the letter that looks like it."""

MANY = 300  # trials of a role, from where they are drawn smaller
MOST_SLICES = 24
MOST_AXES = 10  # parallel coordinates
FEWEST_LINES = 4  # of them: two or three lines are read better in the table
MOST_CURVES = 120  # of a role, the newest; more hide each other


def roles(study: StudyRecord, result: StudyResult) -> dict[str, list[TrialRecord]]:
    """Return every trial that was started by its role in the charts, in the order of SYMBOLS."""
    trials: dict[str, list[TrialRecord]] = {role: [] for role in SYMBOLS}
    for trial in study.trials:
        if trial.status != "waiting":
            trials[_role(trial, result)].append(trial)
    return {role: some for role, some in trials.items() if some}


def _role(trial: TrialRecord, result: StudyResult) -> str:
    if result.best and trial.number == result.best.number:
        return "best"
    comparison = result.by_trial.get(trial.number)
    if comparison is None:
        return trial.status
    return "tied with the best" if comparison.tied else "significantly worse"


def unit(metric: str) -> str:
    return f"{metric} (%)" if sentences.is_share(metric) else metric


def _shown(value: float, study: StudyRecord) -> float:
    """Return a value of the metric in its unit."""
    return _rounded(100 * value if sentences.is_share(study.metric) else value)


def _rounded(value: float) -> float:
    """Six digits: more are not visible, and would double the size of the page."""
    return float(f"{value:.6g}")


def layout(height: int, **more: Any) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": SOFT, "size": 12.5},
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": CARD, "bordercolor": LINE, "font": {"color": INK}},
        **more,
    }


def axis(title: str | None = None, **more: Any) -> dict[str, Any]:
    named = {"title": {"text": escape(title), "standoff": 10}} if title else {}
    return {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "automargin": True, **named, **more}


def _points(trials: Sequence[TrialRecord], role: str, xs: Sequence[Any], ys: Sequence[float], hover: str) -> Figure:
    colour, symbol, size, _ = SYMBOLS[role]
    many = len(trials) > MANY
    edge = {"width": 1.6 if "open" in symbol else 0.8, "color": colour if "open" in symbol else CARD}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(xs),
        "y": list(ys),
        "customdata": [trial.number for trial in trials],
        "marker": {
            "color": colour,
            "symbol": symbol,
            "size": 0.6 * size if many else size,
            "opacity": 0.6 if many else 0.9,
            "line": {"width": 0.5, "color": colour} if many else edge,
        },
        "hovertemplate": f"trial %{{customdata}}, {role}<br>{hover}<extra></extra>",
    }


def _values(trials: Sequence[TrialRecord], study: StudyRecord) -> list[float]:
    """The trials' values; of those without one a place below all others: a value on the way is no final value."""
    known = [trial.value for trial in study.complete if trial.value is not None] or [0.0]
    bottom = min(known) - 0.1 * ((max(known) - min(known)) or abs(min(known)) or 1)
    return [_shown(bottom if trial.value is None else trial.value, study) for trial in trials]


def _last_value(trial: TrialRecord, study: StudyRecord) -> str:
    """What a trial without a final value had at its last point, which is no value to compare with others."""
    if trial.value is not None or not trial.reports:
        return ""
    point, value = trial.reports[-1]
    return f"(last {sentences.value(value, study.metric)} at {sentences.questions(study, point)})"


# --- history ----------------------------------------------------------------------------------------------------------


def history(study: StudyRecord, result: StudyResult) -> Figure:
    """Every trial's value by its number, and the best so far."""
    last = study.trials[-1].number if study.trials else 0
    data = [_best_so_far(study, last)]
    for role, trials in reversed(roles(study, result).items()):  # the best on top
        hover = f"{escape(study.metric)} %{{y}}" if trials[0].value is not None else "%{text}"
        data.append(_points(trials, role, [trial.number for trial in trials], _values(trials, study), hover))
        data[-1]["text"] = [_last_value(trial, study) for trial in trials]
    room = 0.02 * last + 0.3  # for a star at either end
    numbers = {"range": [-room, last + room], **({"dtick": 1} if last <= 12 else {"nticks": 10})}
    shapes = [*_interval_of_best(study, result), *_default_line(study)]
    return {
        "data": data,
        "layout": layout(340, xaxis=axis("trial", **numbers), yaxis=axis(unit(study.metric)), shapes=shapes),
    }


def _best_so_far(study: StudyRecord, last: int) -> Figure:
    ranks = {trial.number: rank for rank, trial in enumerate(study.complete)}
    xs, ys, best = [], [], len(ranks)
    for trial in sorted(study.complete, key=lambda trial: trial.number):
        if ranks[trial.number] < best:
            best = ranks[trial.number]
            xs.append(trial.number)
            ys.append(_shown(trial.value or 0.0, study))
    line = {"color": VERMILLION, "width": 2, "shape": "hv"}
    return {"type": "scatter", "mode": "lines", "x": [*xs, last], "y": [*ys, *ys[-1:]], "line": line,
            "hoverinfo": "skip"}  # fmt: skip


def _across(low: float, high: float, study: StudyRecord, **more: Any) -> Figure:
    """A shape from edge to edge of the chart, below the points."""
    place = {"xref": "paper", "x0": 0, "x1": 1, "y0": _shown(low, study), "y1": _shown(high, study), "layer": "below"}
    return {**place, **more}


def _interval_of_best(study: StudyRecord, result: StudyResult) -> list[Figure]:
    if result.accuracy is None:
        return []
    look = {"type": "rect", "line": {"width": 0}, "fillcolor": VERMILLION, "opacity": 0.1}
    return [_across(result.accuracy.low, result.accuracy.high, study, **look)]


def _default_line(study: StudyRecord) -> list[Figure]:
    if study.default_trial is None or study.default_trial.value is None:
        return []
    value, line = study.default_trial.value, {"color": GREY, "width": 1.5, "dash": "dot"}
    return [_across(value, value, study, type="line", line=line)]


# --- parameters -------------------------------------------------------------------------------------------------------


def slices(study: StudyRecord, result: StudyResult, order: Sequence[SweptKey]) -> dict[str, Figure]:
    """Return for each parameter the values of the trials by it, on the scale on which it was searched."""
    return {swept.key: _slice(study, result, swept) for swept in order[:MOST_SLICES]}


def _slice(study: StudyRecord, result: StudyResult, swept: SweptKey) -> Figure:
    data = []
    for role, trials in reversed(roles(study, result).items()):
        some = [trial for trial in trials if swept.key in trial.params]
        hover = "%{text}" + (f", {escape(study.metric)} %{{y}}" if trials[0].value is not None else "")
        if some:
            data.append(_points(some, role, [_x(swept, trial) for trial in some], _values(some, study), hover))
            data[-1]["text"] = [
                escape(f"{sentences.setting(trial, swept.key)} {_last_value(trial, study)}".strip()) for trial in some
            ]
    values = [trial.params[swept.key] for trial in study.trials if swept.key in trial.params]
    title = "times the recommended value" if swept.is_factor else None
    return {"data": data, "layout": layout(230, xaxis=axis(title, **_x_axis(swept, values)), yaxis=axis(nticks=5))}


def _x(swept: SweptKey, trial: TrialRecord) -> Any:
    value = trial.params[swept.key]
    if swept.choices is None:
        return _rounded(value) if isinstance(value, float) else value
    if all(map(is_number, swept.choices)):  # beside its mark it would be read as another number
        return _index_of(swept, value)
    spread = (trial.number * 0.618034) % 1 - 0.5  # by the golden ratio: neighbours side by side, not on top
    return _rounded(_index_of(swept, value) + 0.5 * spread)


def _index_of(swept: SweptKey, value: Any) -> int:
    choices = enumerate(swept.choices or ())
    return next((i for i, choice in choices if choice == value and type(choice) is type(value)), 0)


def _labels(swept: SweptKey) -> list[str]:
    return [escape(cut(sentences.parameter(choice), 14)) for choice in swept.choices or ()]


def _x_axis(swept: SweptKey, values: Sequence[Any]) -> dict[str, Any]:
    if labels := _labels(swept):
        ends = [-0.5, len(labels) - 0.5]
        return {"tickvals": list(range(len(labels))), "ticktext": labels, "range": ends, "showgrid": False}
    if not swept.log or min(values) <= 0:
        return {"nticks": 5}
    ticks = log_ticks(min(values), max(values))
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks], "tickangle": 0}


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten, every few of them over many decades; below two decades other digits too. At most eight.

    plotly's own ticks of a log axis are one a decade or unlabelled digits.
    """
    first, last = floor(log10(low)), floor(log10(high)) + 1
    step = max(1, (last - first) // 4)
    powers = [float(f"1e{power}") for power in range(first, last + 1, step)]
    if sum(low <= power <= high for power in powers) > 1:
        return powers
    for digits in ((1, 2, 5), range(1, 10)):
        ticks = [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in digits]
        if sum(low <= tick <= high for tick in ticks) > 1:
            return ticks
    return [float(f"{low:.3g}"), float(f"{high:.3g}")]


def parallel_coordinates(study: StudyRecord, result: StudyResult, order: Sequence[SweptKey]) -> Figure | None:
    """One line a complete trial through the parameters that all of them have to its value.

    None of too few trials or parameters to see anything.
    """
    trials = study.complete
    shared = [swept for swept in order if all(swept.key in trial.params for trial in trials)][:MOST_AXES]
    if len(trials) < FEWEST_LINES or len(shared) < 2:
        return None
    keys = [swept.key for swept in order]
    dimensions = [
        _dimension(
            sentences.short(swept.key, keys) + " ×" * swept.is_factor,
            swept,
            [trial.params[swept.key] for trial in trials],
        )
        for swept in shared
    ]
    values = {"label": unit(study.metric), "values": _values(trials, study)}
    heights = {"best": 2, "tied with the best": 1}  # plotly draws lines of a larger number above others
    line = {
        "color": [heights.get(_role(trial, result), 0) for trial in trials],
        "cmin": 0,
        "cmax": 2,
        "colorscale": [[0, SKY], [0.5, BLUE], [1, VERMILLION]],
    }
    # plotly writes the ends of each axis as well, which the ticks already say, and those of a log axis as logarithms
    hidden = {"size": 1, "color": "rgba(0,0,0,0)"}
    look = {"labelangle": -12, "labelfont": {"color": INK}, "tickfont": {"color": INK}, "rangefont": hidden}
    figure = {"type": "parcoords", "dimensions": [*dimensions, values], "line": line, **look}
    return {"data": [figure], "layout": layout(420, margin={"l": 60, "r": 60, "t": 70, "b": 20})}


def _dimension(name: str, swept: SweptKey, values: Sequence[Any]) -> Figure:
    if labels := _labels(swept):
        ticks = {"tickvals": list(range(len(labels))), "ticktext": labels, "range": [0, max(1, len(labels) - 1)]}
        return {"label": name, "values": [_index_of(swept, value) for value in values], **ticks}
    if not swept.log or min(values) <= 0:
        return {"label": name, "values": [_rounded(value) for value in values]}
    low, high = min(values), max(values)
    room = 0.06 * log10(high / low)  # between two labels; the axis is drawn from its first tick to its last
    between = [tick for tick in log_ticks(low, high) if log10(low) + room < log10(tick) < log10(high) - room]
    marks = [low, *between, high]
    return {
        "label": name,
        "values": [_rounded(log10(value)) for value in values],
        "tickvals": [_rounded(log10(tick)) for tick in marks],
        "ticktext": [f"{tick:.3g}" for tick in marks],
    }


# --- reports ----------------------------------------------------------------------------------------------------------

_CURVES = {
    "significantly worse": (SKY, 1.2, "solid"),
    "complete": (SKY, 1.2, "solid"),
    "tied with the best": (BLUE, 1.2, "solid"),
    "pruned": (GREY, 1.3, "dot"),
    "paused": (GREEN, 1.3, "dot"),
    "running": (GREEN, 2, "dash"),
    "best": (VERMILLION, 3, "solid"),
}
"""Colour, width in pixels and dash by role, from the lowest curves to the topmost."""


def curves(study: StudyRecord, result: StudyResult) -> Figure:
    """What the trials reported by the point, pruned ones ending in a diamond."""
    by_role = {
        role: [trial for trial in trials if trial.reports][-MOST_CURVES:]
        for role, trials in roles(study, result).items()
    }
    data = [_curves(study, by_role[role], *look) for role, look in _CURVES.items() if by_role.get(role)]
    if pruned := by_role.get("pruned"):
        xs, ys = zip(*(trial.reports[-1] for trial in pruned), strict=True)
        data.append(_points(pruned, "pruned", xs, [_shown(y, study) for y in ys], _at_point(study)))
    seen = "questions seen" if sentences.counts_questions(study) else "point"
    return {"data": data, "layout": layout(340, xaxis=axis(seen), yaxis=axis(unit(study.metric)))}


def _at_point(study: StudyRecord) -> str:
    return "at %{x} questions: %{y}" if sentences.counts_questions(study) else "point %{x}: %{y}"


def _curves(study: StudyRecord, trials: Sequence[TrialRecord], colour: str, width: float, dash: str) -> Figure:
    """All curves of a role as one line with gaps: plotly slows down with hundreds of lines."""
    rows: list[tuple[int | None, float | None, int | None]] = []
    for trial in trials:
        rows += [(point, _shown(value, study), trial.number) for point, value in trial.reports]
        rows.append((None, None, None))
    xs, ys, numbers = zip(*rows, strict=True)
    alone = min(len(trial.reports) for trial in trials) < 2  # one report is no line
    return {
        "type": "scatter",
        "mode": "lines+markers" if alone else "lines",
        "marker": {"color": colour, "size": 5},
        "line": {"color": colour, "width": width, "dash": dash},
        "opacity": 0.8,
        "connectgaps": False,
        "x": xs,
        "y": ys,
        "customdata": numbers,
        "hovertemplate": f"trial %{{customdata}}<br>{_at_point(study)}<extra></extra>",
    }
