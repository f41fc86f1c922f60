"""Charts of a run: functions that return matplotlib figures, and what a run draws of what it measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa.evaluation.metrics import ClusterBy, by_subject
from mcqa.evaluation.option_order import order_accuracies
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.charts.confidence import reliability_figure, risk_coverage_figure
from mcqa.evaluation.report.charts.option_order import letters_figure, orders_figure
from mcqa.evaluation.report.charts.style import save
from mcqa.evaluation.report.charts.training import choices_only_figure, curve_figures, subjects_figure


def save_evaluation_charts(
    folder: Path,
    name: str,
    rows: Sequence[Prediction],
    cluster: ClusterBy,
    temperature: float | None,
    base: Sequence[Prediction] = (),
) -> None:
    """Write the charts of one evaluation as <chart>_<name>.png, of what was measured.

    cluster: which questions are related; temperature: of the calibration, if one was fitted; base: the same questions
    before training.
    """
    lines = {"base": base, "fine-tuned": rows} if base else {name: rows}
    figures = {"reliability": reliability_figure(rows, temperature), "risk_coverage": risk_coverage_figure(lines)}
    if all(row.choices_only is not None for row in rows):
        figures["choices_only"] = choices_only_figure(rows, cluster)
    if any(row.orders for row in rows):
        figures["letters"] = letters_figure(rows)
    if len(order_accuracies(rows)) > 1:  # all questions were measured under the same orders
        figures["orders"] = orders_figure(rows)
    for chart, figure in figures.items():
        save(figure, folder / f"{chart}_{name}.png")


def save_training_charts(
    folder: Path,
    history: Sequence[Mapping[str, float]],
    metrics: Mapping[str, float],
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    cluster: ClusterBy,
) -> None:
    """Write loss.png, accuracy.png and, where the questions have subjects, subjects.png."""
    figures: dict[str, Any] = curve_figures(history, metrics)
    if by_subject(after):
        figures["subjects"] = subjects_figure(before, after, cluster)
    for chart, figure in figures.items():
        save(figure, folder / f"{chart}.png")
