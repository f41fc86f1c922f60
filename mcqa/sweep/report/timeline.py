"""Which trial ran in which slot, and when.

optuna.visualization.plot_timeline has a row for each trial, which hides how well the slots were used.
"""

import heapq
from collections.abc import Mapping
from typing import Any

from mcqa.sweep.report.charts import BLUE, CARD, GREEN, GREY, INK, SOFT, VERMILLION, Figure, axis, layout
from mcqa.sweep.report.study_data import Status, Stint, StudyRecord, TrialRecord

HATCHINGS: dict[Status, tuple[str, str, str]] = {
    "complete": (BLUE, "", "plain"),
    "pruned": (GREY, "/", "hatched"),
    "failed": (VERMILLION, "x", "crossed"),
    "running": (GREEN, ".", "dotted"),
    "paused": (GREEN, "|", "barred"),
    "waiting": (SOFT, "-", "lined"),
}
"""By status: colour, plotly's pattern, and the class of its swatch in the legend."""

MOST_LABELS = 250  # trials
ROW, TALLEST = 24, 860  # pixels


def slots(study: StudyRecord) -> dict[int, int]:
    """Return the slot, from 1, of each trial that was started.

    It is the controller's where it was recorded, else the lowest slot that was free when the trial started.
    """
    trials = sorted((trial for trial in study.trials if trial.started is not None), key=_start)
    if all(trial.slot is not None for trial in trials):
        return {trial.number: 1 + (trial.slot or 0) for trial in trials}
    slot_of: dict[int, int] = {}
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for trial in trials:
        while busy and busy[0][0] <= _start(trial):
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot = heapq.heappop(free) if free else len(busy) + 1
        heapq.heappush(busy, (_end(trial, study), slot))
        slot_of[trial.number] = slot
    return slot_of


def _start(trial: TrialRecord) -> float:
    return trial.started or 0.0


def _end(trial: TrialRecord, study: StudyRecord) -> float:
    return max(_start(trial), trial.ended or trial.last_seen or study.now)


def _whole(trial: TrialRecord, study: StudyRecord, slot_of: Mapping[int, int]) -> Stint:
    return Stint(slot_of[trial.number] - 1, _start(trial), _end(trial, study))


def timeline(study: StudyRecord) -> Figure | None:
    """Return bars from start to end, in the time since the first start; None where nothing has started."""
    slot_of = slots(study)
    trials = [trial for trial in study.trials if trial.number in slot_of]
    if not trials:
        return None
    origin = min(map(_start, trials))
    seconds, unit = _unit(max(_end(trial, study) for trial in trials) - origin)
    bars_of = {trial.number: trial.stints or (_whole(trial, study, slot_of),) for trial in trials}
    labelled = len(trials) <= MOST_LABELS
    data = []
    for status in HATCHINGS:
        some = [(trial.number, bar) for trial in trials if trial.status == status for bar in bars_of[trial.number]]
        starts = [round((bar.start - origin) / seconds, 4) for _, bar in some]
        lengths = [round((bar.end - bar.start) / seconds, 4) for _, bar in some]
        bars = {"base": starts, "x": lengths, "y": [1 + bar.slot for _, bar in some]}
        data += [bars | _look([number for number, _ in some], status, labelled)] * bool(some)
    count = max(1 + bar.slot for bars in bars_of.values() for bar in bars)
    figure = layout(
        min(TALLEST, 70 + ROW * count),
        barmode="overlay",
        uniformtext={"mode": "hide", "minsize": 9},
        xaxis=axis(f"time since the first start ({unit})", rangemode="tozero"),
        yaxis=axis(range=[count + 0.6, 0.4], showgrid=False, dtick=1 if count <= 30 else None),
    )
    return {"data": data, "layout": figure}


def _look(numbers: list[int], status: Status, labelled: bool) -> dict[str, Any]:
    colour, shape, _ = HATCHINGS[status]
    edge = {"color": colour if shape else CARD, "width": 1 if labelled else 0.3}
    pattern = {"shape": shape, "size": 7, "solidity": 0.2, "fgcolor": colour, "bgcolor": CARD}
    return {
        "type": "bar",
        "orientation": "h",
        "width": 0.82,
        "customdata": numbers,
        "marker": {"color": colour, "line": edge, **({"pattern": pattern} if shape else {})},
        "text": list(map(str, numbers)) if labelled else [],
        "textposition": "inside" if labelled else "none",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": INK if shape else CARD},
        "hovertemplate": f"trial %{{customdata}}, {status}<br>slot %{{y}}, %{{x}} from %{{base}}<extra></extra>",
    }


def _unit(seconds: float) -> tuple[float, str]:
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 3 * size:
            return size, unit
    return 1.0, "seconds"
