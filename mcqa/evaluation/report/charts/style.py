"""The one style of all charts. Colours are Okabe and Ito's, which people with any colour vision can distinguish.

Legends stand outside the axes, where they cover no data.
"""

import functools
import warnings
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"
GREY, GRID, WHITE = "#999999", "#b0b0b0", "#ffffff"
WIDTH = 7.0  # inches
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.dpi": 120,
    "grid.alpha": 0.3,
    "grid.color": GRID,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "mcqa",  # figures of the same numbers give the same file
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that draws or saves: what it creates has this style."""

    @functools.wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> T:
        from matplotlib import rc_context

        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return in_style


def new_figure(height: float, rows: int = 1, columns: int = 1, width: float = WIDTH, **layout: Any) -> tuple[Any, Any]:
    """Return a figure of this size in inches and its axes: one, or an array as matplotlib's `subplots` returns it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, **layout)


def legend(figure: Any, axes: Any, columns: int) -> None:
    """Add a legend for the whole figure above it, of what these axes show."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def interval(axes: Any, x: float, low: float, high: float, colour: str, upright: bool) -> None:
    ends = ([x, x], [low, high]) if upright else ([low, high], [x, x])
    axes.plot(*ends, color=colour, linewidth=2)


@styled
def save(figure: Any, path: Path, title: str = "") -> None:
    """Write a figure as PNG, with a title above its legend; on a page the caption says it."""
    for of_figure in figure.legends if title else ():
        of_figure.set_title(title, prop={"size": 11, "weight": "bold"})
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # which draws a box instead
        figure.savefig(path)


@styled
def svg(figure: Any) -> str:
    """Return an SVG file with a transparent background; what is drawn as an image within it has 200 dots an inch."""
    with StringIO() as text, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of letters that matplotlib's font lacks; the browser has them
        metadata = {"Date": None, "Creator": None}
        figure.savefig(text, format="svg", metadata=metadata, transparent=True, dpi=200)
        return text.getvalue()
