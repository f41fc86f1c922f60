"""What the order of the options does: letters chosen and recalled, and accuracy order by order."""

from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from mcqa.evaluation.option_order import LetterStatistics, order_accuracies, order_metrics, recall_deviation
from mcqa.evaluation.option_order import letter_statistics as letters_of
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.charts.style import BLACK, BLUE, GREEN, GREY, ORANGE, blank, counted, interval, legend, save
from mcqa.evaluation.statistics import wilson_interval

NAMED = 24  # orders, all of four choices: with more of them there is no room for names


def letters(folder: Path, name: str, rows: Sequence[Prediction]) -> None:
    """letters_<name>.png."""
    save(letters_figure(rows), folder / f"letters_{name}.png")


def letters_figure(rows: Sequence[Prediction]) -> Any:
    """How often each letter was right, chosen and expected (the prior), and how often the right letter was found."""
    found = letters_of(rows)
    figure, (left, right) = blank(3.6, 1, 2)
    _chosen(left, found)
    _recall(right, found)
    for axes in (left, right):
        axes.set_xticks(range(len(found)), [one.letter for one in found])
        axes.set_xlabel("letter")
        axes.grid(axis="x", visible=False)
    legend(figure, left, columns=3)
    return figure


def _chosen(axes: Any, found: Sequence[LetterStatistics]) -> None:
    places = range(len(found))
    for offset, colour, label, counts in (
        (-0.2, GREY, "right", [one.right for one in found]),
        (0.2, BLUE, "chosen", [one.chosen for one in found]),
    ):
        shares = [count / max(1, sum(counts)) for count in counts]
        axes.bar([i + offset for i in places], shares, 0.4, color=colour, label=label)
    axes.plot(places, [one.prior for one in found], "D", color=ORANGE, markeredgecolor=BLACK, label="estimated prior")
    axes.set_ylabel("share of answers")
    axes.set_title("answers by letter", fontsize=11)


def _recall(axes: Any, found: Sequence[LetterStatistics]) -> None:
    """The interval counts the orders of a question as one observation, for they are not independent."""
    for i, one in enumerate(found):
        if one.recall is not None:
            low, high = wilson_interval(round(one.recall * one.questions), one.questions)
            interval(axes, i, low, high, BLUE, upright=True)
            axes.plot(i, one.recall, "o", color=BLUE)
    axes.set_xlim(-0.6, len(found) - 0.4)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("recall, with 95 % interval")
    axes.set_title(f"recall: standard deviation {recall_deviation(found):.3f}", fontsize=11)


def orders(folder: Path, name: str, rows: Sequence[Prediction]) -> None:
    """orders_<name>.png; nothing unless all questions were measured under the same orders, and several."""
    if len(order_accuracies(rows)) > 1:
        save(orders_figure(rows), folder / f"orders_{name}.png")


def orders_figure(rows: Sequence[Prediction]) -> Any:
    """Accuracy with 95 % interval under each order, named by the choices in it, and the two corrected accuracies."""
    columns, found = order_accuracies(rows), order_metrics(rows)
    named = len(columns) <= NAMED
    figure, axes = blank(height=1.6 + (0.26 if named else 0.045) * len(columns))
    for i, accuracy in enumerate(columns.values()):
        interval(axes, i, *wilson_interval(round(accuracy * len(rows)), len(rows)), GREY, upright=False)
        label = "one order, 95 % interval" if i == 0 else None
        axes.plot(accuracy, i, "o", color=BLUE, markersize=6 if named else 3, label=label)
    axes.axvline(found["acc_debiased"], color=ORANGE, linestyle="--", zorder=1, label="letters' prior removed")
    axes.axvline(found["acc_averaged"], color=GREEN, linestyle=":", zorder=1, label="averaged over orders")
    axes.set_ylim(len(columns) - 0.4, -0.6)  # the given order at the top
    names = ["".join(ascii_uppercase[choice] for choice in order) for order in columns] if named else []
    axes.set_yticks(range(len(names)), names)
    axes.set_ylabel("order")
    axes.set_xlabel(f"accuracy on {counted(len(rows))}" + (f" ({_example(names[-1])})" if names else ""))
    legend(figure, axes, columns=3)
    return figure


def _example(name: str) -> str:
    return f"{name}: at letter A stands the choice given as {name[0]}"
