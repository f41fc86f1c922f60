"""Charts of a comparison as SVG. The page puts its own colours and fonts in place of these."""

from collections.abc import Iterator, Sequence
from typing import Any

from mcqa.compare import sentences
from mcqa.compare.analysis import Comparison, Pair
from mcqa.evaluation.flips import KINDS, Kind, by_subject
from mcqa.evaluation.report.charts.confidence import reliability_figure, risk_coverage_figure
from mcqa.evaluation.report.charts.option_order import letters_figure
from mcqa.evaluation.report.charts.style import BLUE, GREY, SKY, VERMILLION, WHITE, interval, new_figure, styled, svg
from mcqa.evaluation.report.formatting import one_line

COLOURS: dict[Kind, str] = {"newly right": BLUE, "newly wrong": VERMILLION, "always right": SKY, "always wrong": GREY}
WIDTH = 5.4  # inches: about a phone's width, half a desktop page
MOST_SUBJECTS, MOST_PAIRS, LONGEST = 30, 20, 30
MOST_RUNS = 4  # configurations with charts of their own
MOST_POINTS = 800  # more become a pixel image within the SVG, of some kilobytes


def draw_charts(comparison: Comparison) -> dict[str, str]:
    """Return the charts as SVG by name, those that this comparison has data for."""
    return {name: svg(figure) for name, figure in _figures(comparison)}


@styled
def _figures(comparison: Comparison) -> list[tuple[str, Any]]:
    figures = [("accuracy", accuracy_figure(comparison)), ("differences", differences_figure(comparison))]
    pair = comparison.with_first[0]
    if by_subject(comparison.questions, pair.flips):
        figures.append(("subjects", subjects_figure(comparison)))
    if any(flip.before.margin is not None and flip.after.margin is not None for flip in pair.flips):
        figures.append(("margins", margins_figure(comparison)))
    return figures + list(_of_runs(comparison))


def _of_runs(comparison: Comparison) -> Iterator[tuple[str, Any]]:
    """Confidence and the effect of the order of the options, for the first seed of each configuration."""
    shown = comparison.configurations[:MOST_RUNS]
    rows = {_label(comparison, i): configuration.predictions[0] for i, configuration in enumerate(shown)}
    yield "confidence", risk_coverage_figure(rows)
    for i, predictions in enumerate(rows.values(), start=1):
        yield f"reliability_{i}", reliability_figure(predictions, None)
        if any(len(row.orders) > 1 for row in predictions):
            yield f"letters_{i}", letters_figure(predictions)


def accuracy_figure(comparison: Comparison) -> Any:
    """Draw the accuracy of each configuration with its 95 % interval; small marks for single seeds."""
    accuracies = comparison.accuracies
    figure, axes = _rows([f"{_label(comparison, i)}  {accuracy.group}" for i, accuracy in enumerate(accuracies)])
    for i, accuracy in enumerate(accuracies):
        interval(axes, i, 100 * accuracy.low, 100 * accuracy.high, BLUE, upright=False)
        if len(accuracy.seeds) > 1:
            seeds = [100 * seed for seed in accuracy.seeds]
            axes.plot(seeds, [i] * len(seeds), "|", color=VERMILLION, markersize=9)
        axes.plot(100 * accuracy.mean, i, "o", color=BLUE, markersize=7)
    axes.axvline(100 * comparison.chance, color=GREY, linestyle=":")
    axes.set_xlabel("accuracy (%)")
    return figure


def differences_figure(comparison: Comparison) -> Any:
    """Draw a forest plot: every pair's difference with its 95 % interval, filled where it is significant."""
    pairs = comparison.pairs[:MOST_PAIRS]
    figure, axes = _rows([f"{pair.after + 1} vs {pair.before + 1}" for pair in pairs])
    axes.axvline(0, color=GREY)
    for i, pair in enumerate(pairs):
        difference = pair.difference
        colour = GREY if not pair.significant else BLUE if difference.estimate >= 0 else VERMILLION
        interval(axes, i, 100 * pair.low, 100 * pair.high, colour, upright=False)
        face = colour if pair.significant else WHITE
        marker = {"markersize": 7, "markeredgewidth": 1.8, "markerfacecolor": face}
        axes.plot(100 * difference.estimate, i, "o", color=colour, **marker)
    rest = f"; the first {MOST_PAIRS} pairs" if len(comparison.pairs) > MOST_PAIRS else ""
    axes.set_xlabel(f"difference (points){rest}")
    return figure


def subjects_figure(comparison: Comparison) -> Any:
    """Draw questions gained to the right, lost to the left, by subject, the largest net change on top."""
    pair = comparison.with_first[0]
    counts, seeds = by_subject(comparison.questions, pair.flips), comparison.several_seeds(pair)
    gained, lost = ("gained", "lost") if seeds else ("newly right", "newly wrong")
    figure, axes = _rows(
        [f"{one_line(subject.name, LONGEST)} ({subject.questions})" for subject in counts[:MOST_SUBJECTS]]
    )
    for i, subject in enumerate(counts[:MOST_SUBJECTS]):
        axes.barh(i, subject.gained, color=BLUE, height=0.62, label=gained if i == 0 else None)
        axes.barh(i, -subject.lost, color=VERMILLION, height=0.62, label=lost if i == 0 else None)
        end, text = (subject.gained, i), sentences.net(subject.net, seeds)
        axes.annotate(text, end, xytext=(4, 0), textcoords="offset points", va="center")
    axes.axvline(0, color=GREY)
    axes.xaxis.set_major_formatter(lambda x, _: f"{abs(x):g}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(x=0.12)
    rest = f"; {MOST_SUBJECTS} of {len(counts)} subjects" if len(counts) > MOST_SUBJECTS else ""
    axes.set_xlabel(f"questions{', mean over seeds' if seeds else ''}, and net{rest}")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def margins_figure(comparison: Comparison) -> Any:
    """Draw the margin of every question before and after. For single runs, a question that crosses an axis flips; over
    seeds margins are means, and the majority of seeds decides."""
    pair = comparison.with_first[0]
    figure, axes = new_figure(4.6, width=WIDTH)
    few = len(pair.flips) <= MOST_POINTS
    for kind in reversed(KINDS):
        points = _margins(pair, kind)
        style = {"s": 14 if few else 5, "alpha": 0.6, "linewidths": 0, "rasterized": not few}
        axes.scatter([x for x, _ in points], [y for _, y in points], color=COLOURS[kind], label=kind, **style)
    axes.axhline(0, color=GREY)
    axes.axvline(0, color=GREY)
    per = {"acc_norm": " per character", "acc_bytes": " per byte", "acc_tokens": " per token"}
    unit = f"nats{per.get(comparison.metric, '')}"
    axes.set_xlabel(f"{_label(comparison, pair.before)}: margin of the right choice ({unit})")
    axes.set_ylabel(_label(comparison, pair.after))
    layout = {"handletextpad": 0.1, "columnspacing": 0.8, "fontsize": 9, "markerscale": 2}
    figure.legend(loc="outside upper center", ncols=4, **layout)
    return figure


def _margins(pair: Pair, kind: Kind) -> list[tuple[float, float]]:
    margins = [(flip.before.margin, flip.after.margin) for flip in pair.flips if flip.kind == kind]
    known = [(x, y) for x, y in margins if x is not None and y is not None]
    return [(x, y) for x, y in known if abs(x) < 1e6 and abs(y) < 1e6]  # not where a score is minus infinity


def _label(comparison: Comparison, i: int) -> str:
    return f"{i + 1} {one_line(comparison.label(i), LONGEST)}"


def _rows(names: Sequence[str]) -> tuple[Any, Any]:
    """A chart with one line for each name, the first on top."""
    figure, axes = new_figure(1.0 + 0.3 * len(names), width=WIDTH)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
    return figure, axes
