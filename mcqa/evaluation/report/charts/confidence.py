"""How well confidence tells right from wrong: reliability diagrams and risk-coverage curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa.evaluation.calibration import area_under_risk_coverage, expected_calibration_error
from mcqa.evaluation.calibration import reliability_bins as bins_of
from mcqa.evaluation.calibration import risk_coverage as points_of
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.charts.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    blank,
    interval,
    legend,
    save,
)

STYLES = [(BLUE, "-"), (RED, "--"), (GREEN, "-."), (ORANGE, ":"), (PURPLE, "-"), (SKY, "--"), (BLACK, "-.")]


FEWEST = 10  # questions answered: the risk of fewer jumps too much to be drawn


LONGEST = 25  # characters of a label of which two fit side by side


def reliability(folder: Path, name: str, rows: Sequence[Prediction], temperature: float | None) -> None:
    """reliability_<name>.png."""
    save(reliability_figure(rows, temperature), folder / f"reliability_{name}.png")


def reliability_figure(rows: Sequence[Prediction], temperature: float | None) -> Any:
    """Accuracy by confidence over a histogram of confidence; beside it, with a temperature, the same scaled by it."""
    panels = [1.0] if temperature is None else [1.0, temperature]
    figure, axes = blank(
        4.6, 2, len(panels), squeeze=False, sharex=True, sharey="row", gridspec_kw={"height_ratios": [3, 1]}
    )
    for i, at in enumerate(panels):
        label = "as scored" if i == 0 else f"temperature {at:.2f}"
        _reliability_panel(axes[0][i], axes[1][i], rows, at)
        axes[0][i].set_title(f"{label}: ECE {expected_calibration_error(rows, at):.3f}", fontsize=11)
    axes[0][0].set_ylabel("accuracy")
    axes[1][0].set_ylabel("questions")
    figure.supxlabel("confidence (probability of the answer given)", fontsize=10)
    legend(figure, axes[0][0], columns=2)
    return figure


def _reliability_panel(above: Any, below: Any, rows: Sequence[Prediction], temperature: float) -> None:
    bins = bins_of(rows, temperature)
    above.plot([0, 1], [0, 1], "--", color=GREY, label="as often right as sure")
    for one in bins:
        interval(above, one.confidence, one.ci_low, one.ci_high, BLUE, upright=True)
    label = "accuracy in a bin of confidence, 95 % interval"
    above.plot([one.confidence for one in bins], [one.accuracy for one in bins], "o", color=BLUE, label=label)
    above.set_xlim(0, 1.02)
    above.set_ylim(-0.04, 1.04)
    widths = [one.high - one.low for one in bins]
    below.bar([one.low for one in bins], [one.n for one in bins], widths, align="edge", color=SKY, edgecolor="white")


def risk_coverage(folder: Path, name: str, rows: Mapping[str, Sequence[Prediction]]) -> None:
    """risk_coverage_<name>.png."""
    save(risk_coverage_figure(rows), folder / f"risk_coverage_{name}.png")


def risk_coverage_figure(rows: Mapping[str, Sequence[Prediction]]) -> Any:
    """Share of wrong answers among the surest answers, one line for each label; from 10 questions on."""
    figure, axes = blank(height=3.8)
    for i, (label, of) in enumerate(rows.items()):
        points = points_of(of)
        points = points[min(FEWEST, len(points)) - 1 :]
        colour, style = STYLES[i % len(STYLES)]
        named = f"{label} (area {area_under_risk_coverage(of):.3f})"
        axes.plot([x for x, _ in points], [y for _, y in points], style, color=colour, label=named)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("coverage: share of questions answered, surest first")
    axes.set_ylabel("risk: share of wrong answers")
    legend(figure, axes, columns=2 if max(map(len, rows)) <= LONGEST else 1)
    return figure
