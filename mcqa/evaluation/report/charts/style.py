"""What all pictures share. Colours are Okabe and Ito's, which people with any colour vision can tell apart; legends
stand outside the axes, where no data can be."""

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)


GREY = "#999999"


WIDTH = 7.0  # inches


def blank(height: float, rows: int = 1, columns: int = 1, **layout: Any) -> tuple[Any, Any]:
    """A figure of this height in inches and its axes: one, or an array as matplotlib's `subplots` gives it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, **layout)
    for one in figure.axes:
        one.grid(alpha=0.3)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def legend(figure: Any, axes: Any, columns: int) -> None:
    """One for the whole figure, above it, of what these axes show."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False)


def interval(axes: Any, x: float, low: float, high: float, colour: str, upright: bool) -> None:
    ends = ([x, x], [low, high]) if upright else ([low, high], [x, x])
    axes.plot(*ends, color=colour, linewidth=2)


def counted(questions: int) -> str:
    return f"{questions} question{'' if questions == 1 else 's'}"


def save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def svg(figure: Any) -> str:
    """An <svg> element for an HTML page, with words as words; figures of the same numbers give the same text.

    Ids that nothing refers to are dropped, for a page may hold several pictures.
    """
    import matplotlib

    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "mcqa", "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = drawn.getvalue()
    element = text[text.index("<svg") :].strip()
    return _without_ids(element, set(re.findall(r"#([\w-]+)", element)))


def _without_ids(element: str, used: Iterable[str]) -> str:
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", element)
