"""Pictures of a run: curves of loss and accuracy, and accuracy by subject. Colours are Okabe and Ito's, which
people with any colour vision can tell apart."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa.evaluation.metrics import by_subject, metrics
from mcqa.evaluation.predictions import Prediction

ORANGE, BLUE, GREY = "#E69F00", "#0072B2", "#999999"
Points = Sequence[tuple[int, float]]


def curves(folder: Path, history: Sequence[Mapping[str, float]], base: Mapping[str, float]) -> None:
    """loss.png and accuracy.png, from what the training loop logged."""
    loss = {"train": _points(history, "loss"), "dev": _points(history, "eval_dev/loss")}
    _curve(folder / "loss.png", loss, "loss (nats per token)", base["base/dev/loss"])
    accuracy = {"dev": _points(history, "eval_dev/acc")}
    _curve(folder / "accuracy.png", accuracy, "accuracy", base["base/dev/acc"])


def _points(history: Sequence[Mapping[str, float]], name: str) -> Points:
    return [(int(entry["step"]), entry[name]) for entry in history if name in entry]


def subjects(folder: Path, before: Sequence[Prediction], after: Sequence[Prediction]) -> None:
    """subjects.png: accuracy with 95 % interval by subject, before and after; nothing where there are no subjects."""
    groups = by_subject(after)
    if not groups:
        return
    earlier = by_subject(before)
    names = sorted(groups, key=lambda name: metrics(groups[name])["acc"])
    figure, axes = _figure(height=1.2 + 0.34 * len(names))
    for offset, colour, label, of in ((-0.14, GREY, "base", earlier), (0.14, BLUE, "fine-tuned", groups)):
        for i, name in enumerate(names):
            found = metrics(of[name])
            axes.plot([found["acc_ci_low"], found["acc_ci_high"]], [i + offset] * 2, color=colour, linewidth=2)
            axes.plot(found["acc"], i + offset, "o", color=colour, label=label if i == 0 else None)
    axes.set_yticks(range(len(names)), [f"{name} ({len(groups[name])})" for name in names])
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("accuracy on test, with 95 % interval (questions)")
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    _save(figure, folder / "subjects.png")


def _curve(path: Path, lines: Mapping[str, Points], label: str, base: float) -> None:
    figure, axes = _figure(height=3.4)
    for (name, points), colour in zip(lines.items(), (ORANGE, BLUE) if len(lines) > 1 else (BLUE,), strict=True):
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", markersize=3, color=colour, label=name)
    axes.axhline(base, color=GREY, linestyle="--", label="base on dev")
    axes.set_xlabel("updates")
    axes.set_ylabel(label)
    axes.legend(frameon=False)
    _save(figure, path)


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
