"""Which trial ran in which slot, and when."""

import heapq
from typing import Any

from mcqa.sweep.report.charts import BLUE, GREEN, GREY, SOFT, VERMILLION, Figure, axis, layout
from mcqa.sweep.report.study_data import Status, StudyRecord, TrialRecord

HATCHINGS: dict[Status, tuple[str, str, str]] = {
    "complete": (BLUE, "", "plain"),
    "pruned": (GREY, "/", "hatched"),
    "failed": (VERMILLION, "x", "crossed"),
    "running": (GREEN, ".", "dotted"),
    "waiting": (SOFT, "-", "lined"),
}
"""Colour, plotly's pattern and what to call it, by state."""


MOST_LABELS, ROW, TALLEST = 250, 24, 860  # trials; pixels


def slots(study: StudyRecord) -> dict[int, int]:
    """The slot of each trial that was started, from 1: the controller's where it wrote them down, else the lowest one
    that was free when the trial started."""
    started = sorted((trial for trial in study.trials if trial.started is not None), key=_start)
    if all(trial.slot is not None for trial in started):
        return {trial.number: 1 + (trial.slot or 0) for trial in started}
    found: dict[int, int] = {}
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for trial in started:
        while busy and busy[0][0] <= _start(trial):
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(busy) + 1
        heapq.heappush(busy, (_end(trial, study), slot))
        found[trial.number] = slot
    return found


def _start(trial: TrialRecord) -> float:
    return trial.started or 0.0


def _end(trial: TrialRecord, study: StudyRecord) -> float:
    return max(_start(trial), trial.ended or trial.alive or study.now)


def timeline(study: StudyRecord) -> Figure | None:
    """Bars from start to end, in the time since the first start; None where nothing has started."""
    rows = slots(study)
    trials = [trial for trial in study.trials if trial.number in rows]
    if not trials:
        return None
    origin = min(map(_start, trials))
    size, unit = _unit(max(_end(trial, study) for trial in trials) - origin)
    labelled = len(trials) <= MOST_LABELS
    data = [
        _bars(study, [one for one in trials if one.status == status], rows, origin, size, labelled, status)
        for status in HATCHINGS
    ]
    count = max(rows.values())
    height = min(TALLEST, 70 + ROW * count)
    ticks: dict[str, Any] = {"dtick": 1} if count <= 30 else {}
    figure = layout(
        height,
        barmode="overlay",
        uniformtext={"mode": "hide", "minsize": 9},
        xaxis=axis(f"time since the first start ({unit})", rangemode="tozero"),
        yaxis=axis(range=[count + 0.6, 0.4], showgrid=False, **ticks),
    )
    return {"data": [one for one in data if one["x"]], "layout": figure}


def _bars(
    study: StudyRecord,
    trials: list[TrialRecord],
    rows: dict[int, int],
    origin: float,
    size: float,
    labelled: bool,
    status: Status,
) -> Figure:
    colour, pattern, _ = HATCHINGS[status]
    edge = {"color": colour if pattern else "var(--card)", "width": 1 if labelled else 0.3}
    hatching = {"shape": pattern, "size": 7, "solidity": 0.2, "fgcolor": colour, "bgcolor": "var(--card)"}
    texts = {"text": [str(trial.number) for trial in trials], "textposition": "inside"} if labelled else {}
    return {
        "type": "bar",
        "orientation": "h",
        "base": [round((_start(trial) - origin) / size, 4) for trial in trials],
        "x": [round((_end(trial, study) - _start(trial)) / size, 4) for trial in trials],
        "y": [rows[trial.number] for trial in trials],
        "width": 0.82,
        "customdata": [trial.number for trial in trials],
        "marker": {"color": colour, "line": edge, **({"pattern": hatching} if pattern else {})},
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": "var(--ink)" if pattern else "var(--card)"},
        "hovertemplate": f"trial %{{customdata}}, {status}<br>slot %{{y}}, %{{x}} from %{{base}}<extra></extra>",
        **texts,
    }


def _unit(seconds: float) -> tuple[float, str]:
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 3 * size:
            return size, unit
    return 1.0, "seconds"
