"""How well confidence tells right from wrong: reliability diagrams and risk-coverage curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcqa.evaluation import calibration
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.charts import style

COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.ORANGE, style.PURPLE, style.SKY, style.BLACK)
STROKES = ("-", "--", "-.", ":")
FEWEST = 10  # answered questions: the risk of fewer is too noisy to draw
LONGEST = 25  # characters of a label of which two fit side by side


@style.styled
def reliability_figure(rows: Sequence[Prediction], temperature: float | None) -> Any:
    """Draw accuracy by confidence over a histogram of confidence; with a temperature also the same scaled by it."""
    panels = [1.0] if temperature is None else [1.0, temperature]
    figure, axes = style.new_figure(
        4.6, 2, len(panels), squeeze=False, sharex=True, sharey="row", gridspec_kw={"height_ratios": [3, 1]}
    )
    for i, scaling in enumerate(panels):
        label = "unscaled" if i == 0 else f"temperature {scaling:.2f}"
        _reliability_panel(axes[0][i], axes[1][i], rows, scaling)
        axes[0][i].set_title(f"{label}: ECE {calibration.expected_calibration_error(rows, scaling):.3f}")
    axes[0][0].set_ylabel("accuracy")
    axes[1][0].set_ylabel("questions")
    figure.supxlabel("confidence (probability of the answer)", fontsize=10)
    style.legend(figure, axes[0][0], columns=2)
    return figure


def _reliability_panel(above: Any, below: Any, rows: Sequence[Prediction], temperature: float) -> None:
    bins = calibration.reliability_bins(rows, temperature)
    above.plot([0, 1], [0, 1], "--", color=style.GREY, label="perfect calibration")
    for bar in bins:
        style.interval(above, bar.confidence, bar.ci_low, bar.ci_high, style.BLUE, upright=True)
    label = "accuracy in a bin of confidence, 95 % interval"
    above.plot([bar.confidence for bar in bins], [bar.accuracy for bar in bins], "o", color=style.BLUE, label=label)
    above.set_xlim(0, 1.02)
    above.set_ylim(-0.04, 1.04)
    widths = [bar.high - bar.low for bar in bins]
    below.bar(
        [bar.low for bar in bins], [bar.n for bar in bins], widths, align="edge", color=style.SKY, edgecolor=style.WHITE
    )


@style.styled
def risk_coverage_figure(rows: Mapping[str, Sequence[Prediction]]) -> Any:
    """Draw the share of wrong answers among the most confident ones, a line for each label; from 10 questions on."""
    figure, axes = style.new_figure(3.8)
    for i, (label, predictions) in enumerate(rows.items()):
        points = calibration.risk_coverage(predictions)
        points = points[min(FEWEST, len(points)) - 1 :]
        colour, line = COLOURS[i % len(COLOURS)], STROKES[i % len(STROKES)]
        label = f"{label} (area {calibration.area_under_risk_coverage(predictions):.3f})"
        axes.plot([x for x, _ in points], [y for _, y in points], line, color=colour, label=label)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("coverage: share of questions answered, most confident first")
    axes.set_ylabel("risk: share of wrong answers")
    style.legend(figure, axes, columns=2 if max(map(len, rows)) <= LONGEST else 1)
    return figure
