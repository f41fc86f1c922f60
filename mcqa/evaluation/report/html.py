"""Render the HTML reports. `templates/` has the frame (base.html), the style sheet and the macros that they share."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

SHARED = Path(__file__).with_name("templates")


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
