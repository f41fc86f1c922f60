"""What the order of the options does: letters chosen and recalled, and accuracy order by order."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from mcqa.evaluation.option_order import (
    LetterStatistics,
    letter_statistics,
    order_accuracies,
    order_metrics,
    recall_deviation,
)
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.charts.style import BLACK, BLUE, GREEN, GREY, ORANGE, interval, legend, new_figure, styled
from mcqa.evaluation.report.formatting import count
from mcqa.evaluation.statistics import wilson_interval

MOST_NAMES = 24  # orders, all of four choices: with more of them there is no room for names


@styled
def letters_figure(rows: Sequence[Prediction]) -> Any:
    """Draw how often each letter was right, chosen and expected (the prior), and its recall."""
    letters = letter_statistics(rows)
    figure, (left, right) = new_figure(3.6, 1, 2)
    _chosen(left, letters)
    _recall(right, letters)
    for axes in (left, right):
        axes.set_xticks(range(len(letters)), [letter.letter for letter in letters])
        axes.set_xlabel("letter")
        axes.grid(axis="x", visible=False)
    legend(figure, left, columns=3)
    return figure


def _chosen(axes: Any, letters: Sequence[LetterStatistics]) -> None:
    positions = range(len(letters))
    for offset, colour, label, counts in (
        (-0.2, GREY, "right", [letter.right for letter in letters]),
        (0.2, BLUE, "chosen", [letter.chosen for letter in letters]),
    ):
        shares = [n / max(1, sum(counts)) for n in counts]
        axes.bar([i + offset for i in positions], shares, 0.4, color=colour, label=label)
    if all(letter.prior is not None for letter in letters):
        priors = [letter.prior for letter in letters]
        axes.plot(positions, priors, "D", color=ORANGE, markeredgecolor=BLACK, label="estimated prior")
    axes.set_ylabel("share of answers")
    axes.set_title("answers by letter")


def _recall(axes: Any, letters: Sequence[LetterStatistics]) -> None:
    """The interval counts the orders of a question as one observation, for they are not independent."""
    for i, letter in enumerate(letters):
        if letter.recall is not None:
            low, high = wilson_interval(round(letter.recall * letter.questions), letter.questions)
            interval(axes, i, low, high, BLUE, upright=True)
            axes.plot(i, letter.recall, "o", color=BLUE)
    axes.set_xlim(-0.6, len(letters) - 0.4)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("recall, with 95 % interval")
    axes.set_title(f"recall: standard deviation {recall_deviation(letters):.3f}")


@styled
def orders_figure(rows: Sequence[Prediction]) -> Any:
    """Draw accuracy with 95 % interval under each order, named by the choices in it, and the corrected
    accuracies. All questions must have been measured under the same orders."""
    accuracies, metrics = order_accuracies(rows), order_metrics(rows)
    named = len(accuracies) <= MOST_NAMES
    figure, axes = new_figure(1.6 + (0.26 if named else 0.045) * len(accuracies))
    for i, accuracy in enumerate(accuracies.values()):
        interval(axes, i, *wilson_interval(round(accuracy * len(rows)), len(rows)), GREY, upright=False)
        label = "one order, 95 % interval" if i == 0 else None
        axes.plot(accuracy, i, "o", color=BLUE, markersize=6 if named else 3, label=label)
    if "acc_debiased" in metrics:
        axes.axvline(metrics["acc_debiased"], color=ORANGE, linestyle="--", zorder=1, label="letters' prior removed")
    axes.axvline(metrics["acc_averaged"], color=GREEN, linestyle=":", zorder=1, label="averaged over orders")
    axes.set_ylim(len(accuracies) - 0.4, -0.6)  # the given order at the top
    names = ["".join(ascii_uppercase[choice] for choice in order) for order in accuracies] if named else []
    axes.set_yticks(range(len(names)), names)
    axes.set_ylabel("order")
    example = f" ({names[-1]}: at letter A stands the choice given as {names[-1][0]})" if names else ""
    axes.set_xlabel(f"accuracy on {count(len(rows), 'question')}{example}")
    legend(figure, axes, columns=3)
    return figure
