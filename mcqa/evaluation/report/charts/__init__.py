"""Charts of a run: functions that return matplotlib figures, and what a run draws of what it measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcqa.evaluation.metrics import ClusterBy, by_subject
from mcqa.evaluation.option_order import order_accuracies
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.charts.confidence import reliability_figure, risk_coverage_figure
from mcqa.evaluation.report.charts.option_order import letters_figure, orders_figure
from mcqa.evaluation.report.charts.style import save
from mcqa.evaluation.report.charts.training import Curves, choices_only_figure, curve_figures, subjects_figure

CAPTIONS = {
    "loss": ("Loss", "of the training questions, and of dev"),
    "accuracy": ("Accuracy", "on dev, and on test of the state that dev chose"),
    "learning_rate": ("Learning rate", "after each logged update"),
    "gradient_norm": ("Gradient norm", "of all trained weights, logarithmic"),
    "subjects": ("Accuracy by subject", "before and after training"),
    "reliability": ("Reliability", "accuracy by confidence"),
    "risk_coverage": ("Risk and coverage", "share wrong among the most confident answers"),
    "letters": ("Letters", "chosen and recalled, over all orders of the options"),
    "orders": ("Orders of the options", "accuracy under each"),
    "choices_only": ("Without the question", "accuracy by the choices alone"),
}
"""The title of each chart, and what it shows."""


def title(chart: str, name: str = "") -> str:
    """Return the title of a chart as a picture; name: of the split or set that it is about."""
    heading, explanation = CAPTIONS[chart]
    return f"{heading}{f' on {name}' if name else ''}: {explanation}"


def evaluation_figures(
    name: str,
    rows: Sequence[Prediction],
    cluster: ClusterBy,
    temperature: float | None,
    base: Sequence[Prediction] = (),
) -> dict[str, Any]:
    """Return the charts of one evaluation by name, those of what was measured.

    name: of the split or set. cluster: which questions are related; temperature: of the calibration, if one was fitted;
    base: the same questions before training.
    """
    lines = {"base": base, "fine-tuned": rows} if base else {name: rows}
    figures = {"reliability": reliability_figure(rows, temperature), "risk_coverage": risk_coverage_figure(lines)}
    if all(row.choices_only is not None for row in rows):
        figures["choices_only"] = choices_only_figure(rows, cluster)
    if any(row.orders for row in rows):
        figures["letters"] = letters_figure(rows)
    if len(order_accuracies(rows)) > 1:  # all questions were measured under the same orders
        figures["orders"] = orders_figure(rows)
    return figures


def save_evaluation_charts(
    folder: Path,
    name: str,
    rows: Sequence[Prediction],
    cluster: ClusterBy,
    temperature: float | None,
    base: Sequence[Prediction] = (),
) -> None:
    """Write the charts of `evaluation_figures` as <chart>_<name>.png."""
    for chart, figure in evaluation_figures(name, rows, cluster, temperature, base).items():
        save(figure, folder / f"{chart}_{name}.png", title(chart, name))


def save_training_charts(
    folder: Path, curves: Curves, before: Sequence[Prediction], after: Sequence[Prediction], cluster: ClusterBy
) -> None:
    """Write the curves and, where the questions have subjects, subjects.png."""
    figures: dict[str, Any] = curve_figures(curves)
    if by_subject(after):
        figures["subjects"] = subjects_figure(before, after, cluster)
    for chart, figure in figures.items():
        save(figure, folder / f"{chart}.png", title(chart))
