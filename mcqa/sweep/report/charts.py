"""Pictures of a study as plotly figures in plain data, which the page draws.

Colours are named as the page's style sheet names them (`var(--blue)`), so that they follow its light and dark theme.
Every role has a symbol and every state a hatching of its own: nothing hangs on colour alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import floor, log10
from typing import Any

from mcqa.sweep.report import sentences
from mcqa.sweep.report.study_data import StudyRecord, SweptKey, TrialRecord
from mcqa.sweep.report.ties import StudyResult

Figure = dict[str, Any]
"""`data` and `layout` as plotly.js takes them."""

BLUE, VERMILLION, SKY, GREY, GREEN, INK, SOFT, LINE = (
    f"var(--{name})" for name in ("blue", "vermillion", "sky", "grey", "green", "ink", "soft", "line")
)


SYMBOLS = {
    "best": (VERMILLION, "star", 15, "★"),
    "tied with the best": (BLUE, "circle", 8, "●"),
    "worse by more than noise": (SKY, "square", 7, "■"),
    "complete": (BLUE, "circle", 8, "●"),
    "pruned": (GREY, "diamond-open", 8, "◇"),
    "running": (GREEN, "circle-open", 9, "○"),
    "failed": (INK, "x-thin-open", 8, "×"),
}
"""Colour, plotly's symbol, its size in pixels and the letter that looks like it, by the role of a trial."""


MOST_SLICES = 24


MANY = 300  # trials of a role, from where they are drawn smaller


def roles(study: StudyRecord, answer: StudyResult) -> dict[str, list[TrialRecord]]:
    """Every trial that was started, in the role that it has in the pictures; the best first."""
    best, tied = {trial.number for trial in study.front}, set(answer.tied)
    found: dict[str, list[TrialRecord]] = {role: [] for role in SYMBOLS}
    for trial in study.trials:
        if role := _role(trial, best, tied, answer.by_trial):
            found[role].append(trial)
    return {role: trials for role, trials in found.items() if trials}


def _role(trial: TrialRecord, best: set[int], tied: set[int], compared: Mapping[int, Any]) -> str | None:
    if trial.status == "complete":
        if trial.number in best:
            return "best"
        if trial.number in compared:
            return "tied with the best" if trial.number in tied else "worse by more than noise"
        return "complete"
    return None if trial.status == "waiting" else trial.status


def scale(metric: str) -> float:
    return 100.0 if sentences.is_share(metric) else 1.0


def unit(metric: str) -> str:
    return f"{metric} (%)" if sentences.is_share(metric) else metric


def rounded(value: float) -> float:
    """Six digits, which no picture can show."""
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
        "hoverlabel": {"bgcolor": "var(--card)", "bordercolor": LINE, "font": {"color": INK}},
        **more,
    }


def axis(title: str | None = None, **more: Any) -> dict[str, Any]:
    named = {"title": {"text": escape(title), "standoff": 10}} if title else {}
    plain = {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "automargin": True, "fixedrange": False}
    return {**plain, **named, **more}


def points(trials: Sequence[TrialRecord], role: str, xs: Sequence[Any], ys: Sequence[float], hover: str) -> Figure:
    colour, symbol, size, _ = SYMBOLS[role]
    many = len(trials) > MANY
    edge = {"width": 1.6 if "open" in symbol else 0.8, "color": colour if "open" in symbol else "var(--card)"}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(xs),
        "y": [rounded(y) for y in ys],
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


# --- history ----------------------------------------------------------------------------------------------------------


def history(study: StudyRecord, answer: StudyResult, objective: int = 0) -> Figure:
    """Every complete trial's value by its number, and the best so far; the others stand at the foot."""
    metric, bottom = study.metrics[objective], foot(study, objective)
    data = [_best_so_far(study, objective)] if len(study.metrics) == 1 else []
    for role, trials in reversed(roles(study, answer).items()):  # the best on top
        ys = [_height(trial, study, objective, bottom) for trial in trials]
        data.append(points(trials, role, [trial.number for trial in trials], ys, _hover(role, metric)))
    return {"data": data, "layout": layout(340, xaxis=axis("trial", **_numbers(study)), yaxis=axis(),
                                           shapes=_band(answer, metric) + _usual(study, objective))}  # fmt: skip


def _numbers(study: StudyRecord) -> dict[str, Any]:
    """Whole numbers, with room for a star at either end."""
    last = study.trials[-1].number if study.trials else 0
    room = 0.02 * last + 0.3
    return {"range": [-room, last + room], **({"dtick": 1} if last <= 12 else {"nticks": 10})}


def foot(study: StudyRecord, objective: int) -> float:
    """Where trials without a final value stand, below all that have one: the value of a part of a run is no value."""
    known = [scale(study.metrics[objective]) * trial.values[objective] for trial in study.complete]
    return min(known) - 0.1 * ((max(known) - min(known)) or abs(min(known)) or 1) if known else 0.0


def _height(trial: TrialRecord, study: StudyRecord, objective: int, bottom: float) -> float:
    complete = trial.status == "complete" and len(trial.values) == len(study.metrics)
    return scale(study.metrics[objective]) * trial.values[objective] if complete else bottom


def _hover(role: str, metric: str, before: str = "") -> str:
    return before if role in ("pruned", "running", "failed") else f"{before} {escape(metric)} %{{y}}"


def _best_so_far(study: StudyRecord, objective: int) -> Figure:
    xs, ys, best = [], [], None
    for trial in sorted(study.complete, key=lambda one: one.number):
        if best is None or study.loss(trial.values, objective) < study.loss(best.values, objective):
            best = trial
            xs.append(trial.number)
            ys.append(rounded(scale(study.metrics[objective]) * trial.values[objective]))
    last = study.trials[-1].number if study.trials else 0
    line = {"color": VERMILLION, "width": 2, "shape": "hv"}
    more = {"hoverinfo": "skip", "type": "scatter", "mode": "lines"}
    return {"x": [*xs, last], "y": [*ys, *ys[-1:]], "line": line, **more}


def _band(answer: StudyResult, metric: str) -> list[Figure]:
    """The best trial's interval."""
    if answer.accuracy is None:
        return []
    _, low, high = answer.accuracy
    ends = {"y0": rounded(scale(metric) * low), "y1": rounded(scale(metric) * high)}
    paper = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "layer": "below", "line": {"width": 0}}
    return [{**paper, **ends, "fillcolor": VERMILLION, "opacity": 0.1}]


def _usual(study: StudyRecord, objective: int) -> list[Figure]:
    """The default configuration, as a dotted line."""
    if study.default is None or not study.default.values:
        return []
    at = rounded(scale(study.metrics[objective]) * study.default.values[objective])
    line = {"color": GREY, "width": 1.5, "dash": "dot"}
    return [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": at, "y1": at, "line": line, "layer": "below"}]


def front(study: StudyRecord, answer: StudyResult) -> Figure:
    """Two objectives against each other."""
    data = []
    for role, trials in roles(study, answer).items():
        if role in ("best", "complete"):
            xs, ys = ([scale(study.metrics[i]) * one.values[i] for one in trials] for i in (0, 1))
            data.append(points(trials, role, [rounded(x) for x in xs], ys, "%{x}, %{y}"))
    return {"data": data, "layout": layout(360, xaxis=axis(unit(study.metrics[0])), yaxis=axis(unit(study.metrics[1])))}


# --- slices -----------------------------------------------------------------------------------------------------------


def slices(
    study: StudyRecord, answer: StudyResult, order: Sequence[SweptKey], objective: int = 0
) -> Iterator[tuple[str, Figure]]:
    """For each parameter the values of the trials by it, on the scale on which it was searched."""
    for swept in order[:MOST_SLICES]:
        yield swept.key, _slice(study, answer, swept, objective)


def _slice(study: StudyRecord, answer: StudyResult, swept: SweptKey, objective: int) -> Figure:
    data, bottom = [], foot(study, objective)
    for role, trials in reversed(roles(study, answer).items()):
        shown = [one for one in trials if swept.key in one.params]
        xs, ys = [_place(swept, one) for one in shown], [_height(one, study, objective, bottom) for one in shown]
        hover = _hover(role, study.metrics[objective], "%{x}" if swept.choices is None else "")
        data += [points(shown, role, xs, ys, hover)] if shown else []
    found = [trial.params[swept.key] for trial in study.trials if swept.key in trial.params]
    return {"data": data, "layout": layout(230, xaxis=axis(**_ticks(swept, found)), yaxis=axis(nticks=5))}


def _place(swept: SweptKey, trial: TrialRecord) -> Any:
    value = trial.params[swept.key]
    if swept.choices is None:
        return rounded(value) if isinstance(value, float) else value
    return rounded(choice_of(swept, value) + 0.5 * ((trial.number * 0.618034) % 1 - 0.5))  # side by side, not on top


def choice_of(swept: SweptKey, value: Any) -> int:
    assert swept.choices is not None
    return next((i for i, one in enumerate(swept.choices) if one == value and type(one) is type(value)), 0)


def _ticks(swept: SweptKey, found: Sequence[Any]) -> dict[str, Any]:
    if swept.choices is not None:
        texts = [escape(cut(sentences.parameter(choice), 14)) for choice in swept.choices]
        ends = [-0.5, len(texts) - 0.5]
        return {"tickvals": list(range(len(texts))), "ticktext": texts, "range": ends, "showgrid": False}
    if not swept.log or min(found) <= 0:
        return {"nticks": 5}
    marks = log_ticks(min(found), max(found))
    return {"type": "log", "tickvals": marks, "ticktext": [f"{mark:g}" for mark in marks], "tickangle": 0}


def cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, every few of them over many decades; below two decades other digits too. At most six or so."""
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


# --- reports ----------------------------------------------------------------------------------------------------------

MOST_CURVES = 120  # of a kind; more hide each other


def curves(study: StudyRecord, answer: StudyResult) -> Figure:
    """What the trials reported on their way, by the point; pruned ones end in a cross."""
    found = roles(study, answer)
    chosen = {
        "complete": [*found.get("worse by more than noise", []), *found.get("complete", [])],
        "tied": found.get("tied with the best", []),
        "pruned": found.get("pruned", []),
        "running": found.get("running", []),
        "best": found.get("best", []),
    }
    looks = {"complete": (SKY, 1.2, "solid"), "tied": (BLUE, 1.2, "solid"), "pruned": (GREY, 1.3, "dot"),
             "running": (GREEN, 2, "dash"), "best": (VERMILLION, 3, "solid")}  # fmt: skip
    data = [_curves(study, trials[-MOST_CURVES:], *looks[kind]) for kind, trials in chosen.items() if trials]
    ends = [trial for trial in chosen["pruned"][-MOST_CURVES:] if trial.reports]
    if ends:
        xs, factor = [trial.reports[-1][0] for trial in ends], scale(study.metrics[0])
        role = "pruned"
        data.append(points(ends, role, xs, [factor * trial.reports[-1][1] for trial in ends], "point %{x}: %{y}"))
    return {"data": data, "layout": layout(340, xaxis=axis("point"), yaxis=axis())}


def _curves(study: StudyRecord, trials: Sequence[TrialRecord], colour: str, width: float, dash: str) -> Figure:
    xs: list[int | None] = []
    ys: list[float | None] = []
    numbers: list[int | None] = []
    for trial in trials:
        xs += [*(point for point, _ in trial.reports), None]
        ys += [*(rounded(scale(study.metrics[0]) * value) for _, value in trial.reports), None]
        numbers += [*[trial.number] * len(trial.reports), None]
    line = {"color": colour, "width": width, "dash": dash}
    hover = "trial %{customdata}<br>point %{x}: %{y}<extra></extra>"
    more = {"connectgaps": False, "opacity": 0.8, "hovertemplate": hover}
    dots = {"mode": "lines+markers", "marker": {"color": colour, "size": 5}}  # one report alone is no line
    mode = dots if min(len(trial.reports) for trial in trials) < 2 else {"mode": "lines"}
    return {"type": "scatter", **mode, "x": xs, "y": ys, "customdata": numbers, "line": line, **more}
