"""What training changed: curves of loss and accuracy, accuracy by subject, and accuracy without the question."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mcqa.evaluation.metrics import ClusterBy, by_subject, chance_accuracy, compute_metrics, within_subject
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.charts.style import BLUE, GREY, ORANGE, interval, legend, new_figure, styled
from mcqa.evaluation.report.formatting import count, one_line

MOST_SUBJECTS, LONGEST = 60, 40  # MMLU has 57; characters of a subject

Points = Sequence[tuple[int, float]]


@styled
def curve_figures(history: Sequence[Mapping[str, float]], base: Mapping[str, float]) -> dict[str, Any]:
    """Draw loss, and accuracy where dev has questions, by update.

    history: what the training loop logged; base: metrics before training.
    """
    loss = {"train": _points(history, "loss"), "dev": _points(history, "eval_dev/loss")}
    curves = {"loss": _curve(loss, "loss (nats per token)", base["base/dev/loss"])}
    if "base/dev/acc" in base:
        accuracy = {"dev": _points(history, "eval_dev/acc")}
        curves["accuracy"] = _curve(accuracy, "accuracy", base["base/dev/acc"])
    return curves


def _points(history: Sequence[Mapping[str, float]], name: str) -> Points:
    return [(int(entry["step"]), entry[name]) for entry in history if name in entry]


def _curve(lines: Mapping[str, Points], label: str, base: float) -> Any:
    figure, axes = new_figure(3.4)
    for (name, points), colour in zip(lines.items(), (ORANGE, BLUE) if len(lines) > 1 else (BLUE,), strict=True):
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", markersize=3, color=colour, label=name)
    axes.axhline(base, color=GREY, linestyle="--", label="base on dev")
    axes.set_xlabel("updates")
    axes.set_ylabel(label)
    legend(figure, axes, columns=3)
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
    axes.set_yticks(range(len(names)), [f"{one_line(name, LONGEST)} ({len(groups[name])})" for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(0, 1.02)
    rest = f"; the largest {len(names)} of {len(groups)} subjects" if len(groups) > len(names) else ""
    axes.set_xlabel(f"accuracy on test, with 95 % interval (questions){rest}")
    legend(figure, axes, columns=2)
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
