"""Render the HTML reports. `templates/` has the frame (base.html), the style sheet and the macros that they share."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcqa.evaluation.report.charts.style import BLACK, BLUE, GREEN, GREY, GRID, SKY, VERMILLION, WHITE

if TYPE_CHECKING:
    from jinja2 import Environment

SHARED = Path(__file__).with_name("templates")

THEMED = {
    BLUE: "var(--blue)",
    VERMILLION: "var(--vermillion)",
    SKY: "var(--sky)",
    GREEN: "var(--green)",
    GREY: "var(--grey)",
    WHITE: "var(--card)",
    BLACK: "currentColor",
    GRID: "var(--line)",
}
"""What the colours of charts become on a page, which may be dark."""


def render(template: Path, **values: Any) -> str:
    """Return the complete page of a template, which extends base.html.

    Every value is escaped, save what is `markupsafe.Markup` already. A value that the template names and that is not
    passed raises jinja2.UndefinedError.
    """
    return _environment(template.parent).get_template(template.name).render(values)


@cache
def _environment(folder: Path) -> "Environment":
    """Templates are looked up in the folder of the page first, then among the shared ones."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def inline(svg: str, name: str) -> str:
    """Make an SVG file a part of a page: ids of its own, the page's colours and fonts."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{name}">', svg, count=1
    )
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"\b(id=\"|href=\"#|url\(#)", rf"\g<1>{name}-", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", svg)
    svg = re.sub(r"font: ([\d.]+px) inherit", r"font-size: \1", svg)
    svg = re.sub(r"#[0-9a-f]{6}", lambda colour: THEMED.get(colour[0], colour[0]), svg)
    return svg.replace("<text ", '<text fill="currentColor" ')


@dataclass(frozen=True)
class Scale:
    """The range of values that a bar in a table spans, for the macro `interval_bar`."""

    low: float
    high: float

    def position(self, value: float) -> str:
        """Return the distance of a value from the left end, as CSS."""
        return self.width(self.low, value)

    def width(self, low: float, high: float) -> str:
        return f"{100 * (high - low) / (self.high - self.low or 1):.2f}%"
