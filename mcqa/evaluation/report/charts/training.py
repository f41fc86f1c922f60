"""What training changed: curves by update, accuracy by subject, and accuracy without the question."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcqa.config.metric_names import greater_is_better
from mcqa.evaluation.metrics import ClusterBy, by_subject, chance_accuracy, compute_metrics, within_subject
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.charts.style import BLUE, GREY, ORANGE, VERMILLION, interval, legend, new_figure, styled
from mcqa.evaluation.report.formatting import count, one_line

MOST_SUBJECTS, LONGEST = 60, 40  # MMLU has 57; characters of a subject

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Curves:
    """What a training has logged, and what its curves are drawn beside.

    points: by update, under the names of events.jsonl. metrics: of the run, with those of the base. chance: accuracy of
    guessing. clipped_above: the gradient norm that larger ones are scaled to, or None. chosen_by: the metric of dev
    that chooses the state which test is measured with. objective: what is minimised on train; dev has nats per token.
    """

    points: Sequence[Mapping[str, float]]
    metrics: Mapping[str, float]
    chance: float | None = None
    clipped_above: float | None = None
    chosen_by: str = "dev/acc"
    objective: str = "sft"

    def of(self, name: str) -> Points:
        """Return a metric by update."""
        return [(int(point["step"]), point[name]) for point in self.points if name in point]

    @property
    def chosen(self) -> int:
        """The update whose state is measured on test: the first of the best that dev has measured, else the last."""
        measured = [(step, value) for step, value in self.of(self.chosen_by) if not math.isnan(value)]
        if not measured:
            return max((int(point["step"]) for point in self.points), default=0)
        sign = 1 if greater_is_better(self.chosen_by) else -1
        return max(measured, key=lambda pair: sign * pair[1])[0]


@styled
def curve_figures(curves: Curves) -> dict[str, Any]:
    """Draw by update what was logged: loss, accuracy where dev has questions, learning rate and gradient norm."""
    drawn = {"loss": _loss, "accuracy": _accuracies, "learning_rate": _learning_rate, "gradient_norm": _gradient_norm}
    needs = {
        "loss": "train/loss",
        "accuracy": "dev/acc",
        "learning_rate": "learning_rate",
        "gradient_norm": "grad_norm",
    }
    return {name: draw(curves) for name, draw in drawn.items() if curves.of(needs[name])}


def _over_updates(label: str) -> tuple[Any, Any]:
    figure, axes = new_figure(3.4)
    axes.set_xlabel("updates")
    axes.set_ylabel(label)
    return figure, axes


def _line(axes: Any, points: Points, colour: str, label: str) -> None:
    axes.plot([x for x, _ in points], [y for _, y in points], "o-", markersize=3, color=colour, label=label)


def _with_base(axes: Any, base: float | None, points: Points, colour: str) -> None:
    """Draw the base at 0, and from there to the first point."""
    if base is not None and points:
        (step, value) = points[0]
        axes.plot([0, step], [base, value], ":", color=colour)
        axes.plot([0], [base], "s", color=GREY, label="base on dev")


def _loss(curves: Curves) -> Any:
    same = curves.objective in ("sft", "pretrain", "mixed")
    figure, axes = _over_updates("loss (nats per token)" if same else "loss (nats; dev: per token)")
    _line(axes, curves.of("train/loss"), ORANGE, "train" if same else f"train (objective={curves.objective})")
    dev = curves.of("dev/loss")
    _with_base(axes, curves.metrics.get("base/dev/loss"), dev, BLUE)
    if dev:
        _line(axes, dev, BLUE, "dev")
    axes.set_ylim(bottom=0)
    legend(figure, axes, columns=3)
    return figure


def _accuracies(curves: Curves) -> Any:
    """Dev by update with its intervals, and test before and after, at the state that was chosen."""
    figure, axes = _over_updates("accuracy (%)")
    percent = [(step, 100 * value) for step, value in curves.of("dev/acc")]
    ends = {name: dict(curves.of(f"dev/acc_ci_{name}")) for name in ("low", "high")}
    for step, _ in percent:
        if step in ends["low"] and step in ends["high"]:
            interval(axes, step, 100 * ends["low"][step], 100 * ends["high"][step], BLUE, upright=True)
    base = curves.metrics.get("base/dev/acc")
    _with_base(axes, None if base is None else 100 * base, percent, BLUE)
    _line(axes, percent, BLUE, "dev, 95 % interval")
    for name, step, label in (("base/test", 0, None), ("test", curves.chosen, "test, before and after")):
        found = [curves.metrics.get(f"{name}/acc{end}") for end in ("", "_ci_low", "_ci_high")]
        value, low, high = (None if one is None else 100 * one for one in found)
        if value is not None and low is not None and high is not None:
            interval(axes, step, low, high, VERMILLION, upright=True)
            axes.plot([step], [value], "D", color=VERMILLION, label=label)
    if curves.chance is not None:
        axes.axhline(100 * curves.chance, color=GREY, linestyle="--", zorder=1, label="guessing")
    axes.set_ylim(0, 102)
    legend(figure, axes, columns=4)
    return figure


def _learning_rate(curves: Curves) -> Any:
    figure, axes = _over_updates("learning rate")
    _line(axes, curves.of("learning_rate"), BLUE, "learning rate")
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axes.set_ylim(bottom=0)
    legend(figure, axes, columns=1)
    return figure


def _gradient_norm(curves: Curves) -> Any:
    """On a logarithmic axis: what matters are factors."""
    figure, axes = _over_updates("gradient norm")
    _line(axes, curves.of("grad_norm"), BLUE, "before clipping")
    if curves.clipped_above:
        label = f"clipped to {curves.clipped_above:g}"
        axes.axhline(curves.clipped_above, color=GREY, linestyle="--", zorder=1, label=label)
    if any(value > 0 for _, value in curves.of("grad_norm")):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    legend(figure, axes, columns=2)
    return figure


@styled
def subjects_figure(before: Sequence[Prediction], after: Sequence[Prediction], cluster: ClusterBy) -> Any:
    """Draw accuracy with 95 % interval by subject, before and after training; of very many the largest.

    The intervals are those of subjects_test.csv, which account for related questions.
    """
    groups, earlier = by_subject(after), by_subject(before)
    largest = sorted(groups, key=lambda name: len(groups[name]), reverse=True)[:MOST_SUBJECTS]
    names = sorted(largest, key=lambda name: compute_metrics(groups[name])["acc"])
    figure, axes = new_figure(1.4 + 0.34 * len(names))
    for offset, colour, marker, label, rows in (
        (-0.14, GREY, "s", "base", earlier),
        (0.14, BLUE, "o", "fine-tuned", groups),
    ):
        for i, name in enumerate(names):
            _accuracy(axes, i + offset, rows[name], within_subject(cluster), colour, marker, label if i == 0 else None)
    chance = chance_accuracy([row.question for row in after])
    axes.plot([chance, chance], [-0.6, len(names) - 0.4], color=GREY, linestyle="--", zorder=1, label="guessing")
    axes.set_yticks(range(len(names)), [f"{one_line(name, LONGEST)} ({len(groups[name])})" for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(0, 1.02)
    rest = f"; the largest {len(names)} of {len(groups)} subjects" if len(groups) > len(names) else ""
    axes.set_xlabel(f"accuracy on test, with 95 % interval (questions){rest}")
    legend(figure, axes, columns=3)
    return figure


@styled
def choices_only_figure(rows: Sequence[Prediction], cluster: ClusterBy) -> Any:
    """Draw accuracy with the question, with the choices alone, and of guessing."""
    alone = [dataclasses.replace(row, scores=row.choices_only or row.scores) for row in rows]
    figure, axes = new_figure(2.0)
    _accuracy(axes, 1, rows, cluster, BLUE, "o", None)
    _accuracy(axes, 0, alone, cluster, ORANGE, "s", None)
    axes.axvline(chance_accuracy([row.question for row in rows]), color=GREY, linestyle="--", label="guessing")
    axes.set_yticks([1, 0], ["question and choices", "choices only"])
    axes.set_ylim(-0.6, 1.6)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel(f"accuracy on {count(len(rows), 'question')}, with 95 % interval")
    legend(figure, axes, columns=1)
    return figure


def _accuracy(
    axes: Any, y: float, rows: Sequence[Prediction], cluster: ClusterBy, colour: str, marker: str, label: str | None
) -> None:
    metrics = compute_metrics(rows, cluster)
    interval(axes, y, metrics["acc_ci_low"], metrics["acc_ci_high"], colour, upright=False)
    axes.plot(metrics["acc"], y, marker, color=colour, label=label)
