"""Pictures of a run. Each is built by a function that returns a matplotlib Figure and saved under its own name by
another; `svg` turns a figure into text for an HTML page."""

from mcqa.evaluation.report.charts.confidence import (
    reliability,
    reliability_figure,
    risk_coverage,
    risk_coverage_figure,
)
from mcqa.evaluation.report.charts.option_order import letters, letters_figure, orders, orders_figure
from mcqa.evaluation.report.charts.style import svg
from mcqa.evaluation.report.charts.training import (
    choices_only,
    choices_only_figure,
    curve_figures,
    curves,
    subjects,
    subjects_figure,
)

__all__ = [
    "choices_only",
    "choices_only_figure",
    "curve_figures",
    "curves",
    "letters",
    "letters_figure",
    "orders",
    "orders_figure",
    "reliability",
    "reliability_figure",
    "risk_coverage",
    "risk_coverage_figure",
    "subjects",
    "subjects_figure",
    "svg",
]
