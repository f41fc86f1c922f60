"""How well confidence tells right from wrong: reliability diagrams and risk-coverage curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcqa.evaluation.calibration import (
    area_under_risk_coverage,
    expected_calibration_error,
    reliability_bins,
    risk_coverage,
)
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.charts.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WHITE,
    interval,
    legend,
    new_figure,
    styled,
)

LINES = [(BLUE, "-"), (VERMILLION, "--"), (GREEN, "-."), (ORANGE, ":"), (PURPLE, "-"), (SKY, "--"), (BLACK, "-.")]
FEWEST = 10  # answered questions: the risk of fewer is too noisy to draw
LONGEST = 25  # characters of a label of which two fit side by side


@styled
def reliability_figure(rows: Sequence[Prediction], temperature: float | None) -> Any:
    """Draw accuracy by confidence over a histogram of confidence; with a temperature also the same scaled by it."""
    panels = [1.0] if temperature is None else [1.0, temperature]
    figure, axes = new_figure(
        4.6, 2, len(panels), squeeze=False, sharex=True, sharey="row", gridspec_kw={"height_ratios": [3, 1]}
    )
    for i, scaling in enumerate(panels):
        label = "unscaled" if i == 0 else f"temperature {scaling:.2f}"
        _reliability_panel(axes[0][i], axes[1][i], rows, scaling)
        axes[0][i].set_title(f"{label}: ECE {expected_calibration_error(rows, scaling):.3f}")
    axes[0][0].set_ylabel("accuracy")
    axes[1][0].set_ylabel("questions")
    figure.supxlabel("confidence (probability of the answer)", fontsize=10)
    legend(figure, axes[0][0], columns=2)
    return figure


def _reliability_panel(above: Any, below: Any, rows: Sequence[Prediction], temperature: float) -> None:
    bins = reliability_bins(rows, temperature)
    above.plot([0, 1], [0, 1], "--", color=GREY, label="perfect calibration")
    for bar in bins:
        interval(above, bar.confidence, bar.ci_low, bar.ci_high, BLUE, upright=True)
    label = "accuracy in a bin of confidence, 95 % interval"
    above.plot([bar.confidence for bar in bins], [bar.accuracy for bar in bins], "o", color=BLUE, label=label)
    above.set_xlim(0, 1.02)
    above.set_ylim(-0.04, 1.04)
    widths = [bar.high - bar.low for bar in bins]
    below.bar([bar.low for bar in bins], [bar.n for bar in bins], widths, align="edge", color=SKY, edgecolor=WHITE)


@styled
def risk_coverage_figure(rows: Mapping[str, Sequence[Prediction]]) -> Any:
    """Draw the share of wrong answers among the most confident ones, a line for each label; from 10 questions on."""
    figure, axes = new_figure(3.8)
    for i, (label, predictions) in enumerate(rows.items()):
        points = risk_coverage(predictions)
        points = points[min(FEWEST, len(points)) - 1 :]
        colour, line = LINES[i % len(LINES)]
        label = f"{label} (area {area_under_risk_coverage(predictions):.3f})"
        axes.plot([x for x, _ in points], [y for _, y in points], line, color=colour, label=label)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("coverage: share of questions answered, most confident first")
    axes.set_ylabel("risk: share of wrong answers")
    legend(figure, axes, columns=2 if max(map(len, rows)) <= LONGEST else 1)
    return figure
