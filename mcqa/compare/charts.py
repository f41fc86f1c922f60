"""Pictures of a comparison as SVG. Colours are Okabe and Ito's, which people with any colour vision can tell apart.

Text stays text, in black; the page puts its own colours and letters in place of these.
"""

import warnings
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

from mcqa.compare import sentences
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.flips import KINDS, Kind, by_subject
from mcqa.evaluation.report.charts import letters_figure, reliability_figure, risk_coverage_figure

BLUE, VERMILLION, SKY, GREY = "#0072B2", "#D55E00", "#56B4E9", "#999999"


COLOURS: dict[Kind, str] = {
    "newly right": BLUE,
    "newly wrong": VERMILLION,
    "always right": SKY,
    "always wrong": GREY,
}


WIDTH = 5.4  # inches: about a phone's width, half a desktop page


MOST_SUBJECTS, MOST_PAIRS, LONGEST = 30, 20, 30


MOST_RUNS = 4  # configurations with pictures of their own


MOST_POINTS = 800  # more become a pixel image within the SVG, of some kilobytes


def charts(comparison: Comparison) -> dict[str, str]:
    """SVG by name; those that this comparison has something for."""
    found = {"accuracy": _drawn(accuracy(comparison)), "differences": _drawn(differences(comparison))}
    pair = comparison.with_first[0]
    if by_subject(comparison.questions, pair.flips):
        found["subjects"] = _drawn(subjects(comparison))
    if any(flip.before.margin is not None and flip.after.margin is not None for flip in pair.flips):
        found["margins"] = _drawn(margins(comparison))
    return found | {name: _drawn(figure) for name, figure in _of_runs(comparison)}


def _of_runs(comparison: Comparison) -> Iterator[tuple[str, Any]]:
    """How sure the answers are and what the order of the options does, by the first seed of each configuration."""
    rows = {_label(comparison, i): found.predictions[0] for i, found in enumerate(comparison.configurations)}
    shown = dict(list(rows.items())[:MOST_RUNS])
    yield "confidence", _clear(risk_coverage_figure(shown))
    for i, of in enumerate(shown.values(), start=1):
        yield f"reliability_{i}", _clear(reliability_figure(of, None))
        if any(len(row.orders) > 1 for row in of):
            yield f"letters_{i}", _clear(letters_figure(of))


def _clear(figure: Any) -> Any:
    """On the page's own background."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    return figure


def accuracy(comparison: Comparison) -> Any:
    """Accuracy of each configuration with its 95 % interval; small marks for single seeds."""
    names = [f"{_label(comparison, i)}  {found.group}" for i, found in enumerate(comparison.accuracies)]
    figure, axes = _rows(names)
    for i, found in enumerate(comparison.accuracies):
        axes.plot([100 * found.low, 100 * found.high], [i, i], color=BLUE, linewidth=2.5, solid_capstyle="round")
        if len(found.seeds) > 1:
            axes.plot([100 * seed for seed in found.seeds], [i] * len(found.seeds), "|", color=VERMILLION, markersize=9)
        axes.plot(100 * found.mean, i, "o", color=BLUE, markersize=7)
    axes.axvline(100 * comparison.chance, color=GREY, linestyle=":", linewidth=1.5)
    axes.set_xlabel("accuracy (%)")
    return figure


def differences(comparison: Comparison) -> Any:
    """A forest plot: every pair's difference with its 95 % interval, filled where it is more than noise."""
    pairs = comparison.pairs[:MOST_PAIRS]
    figure, axes = _rows([f"{pair.after + 1} against {pair.before + 1}" for pair in pairs])
    axes.axvline(0, color=GREY, linewidth=1.5)
    for i, pair in enumerate(pairs):
        found, colour = pair.found, (BLUE if pair.found.points >= 0 else VERMILLION) if pair.apart else GREY
        axes.plot([100 * found.low, 100 * found.high], [i, i], color=colour, linewidth=2.5, solid_capstyle="round")
        face = colour if pair.apart else "white"
        axes.plot(100 * found.points, i, "o", color=colour, markerfacecolor=face, markersize=7, markeredgewidth=1.8)
    rest = f"; the first {MOST_PAIRS} pairs" if len(comparison.pairs) > MOST_PAIRS else ""
    axes.set_xlabel(f"difference (points){rest}")
    return figure


def subjects(comparison: Comparison) -> Any:
    """Questions gained to the right, lost to the left, by subject, the largest net change on top."""
    pair = comparison.with_first[0]
    found, seeds = by_subject(comparison.questions, pair.flips), comparison.several_seeds(pair)
    gained, lost = ("gained", "lost") if seeds else ("newly right", "newly wrong")
    figure, axes = _rows([f"{_cut(subject.name)} ({subject.questions})" for subject in found[:MOST_SUBJECTS]])
    for i, subject in enumerate(found[:MOST_SUBJECTS]):
        axes.barh(i, subject.gained, color=BLUE, height=0.62, label=gained if i == 0 else None)
        axes.barh(i, -subject.lost, color=VERMILLION, height=0.62, label=lost if i == 0 else None)
        at, text = (subject.gained, i), sentences.net(subject.net, seeds)
        axes.annotate(text, at, xytext=(4, 0), textcoords="offset points", va="center")
    axes.axvline(0, color=GREY, linewidth=1.5)
    axes.xaxis.set_major_formatter(lambda x, _: f"{abs(x):g}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(x=0.12)
    rest = f"; {MOST_SUBJECTS} of {len(found)} subjects" if len(found) > MOST_SUBJECTS else ""
    axes.set_xlabel(f"questions{', mean over seeds' if seeds else ''}, and net{rest}")
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return figure


def margins(comparison: Comparison) -> Any:
    """Margin of every question before and after. Of single runs, a question that crosses an axis flips; over seeds
    margins are means, and most seeds decide."""
    pair = comparison.with_first[0]
    figure, axes = _figure(4.6)
    few = len(pair.flips) <= MOST_POINTS
    for kind in reversed(KINDS):
        points = _margins(pair, kind)
        style = {"s": 14 if few else 5, "alpha": 0.6, "linewidths": 0, "rasterized": not few}
        axes.scatter([x for x, _ in points], [y for _, y in points], color=COLOURS[kind], label=kind, **style)
    axes.axhline(0, color=GREY, linewidth=1.2)
    axes.axvline(0, color=GREY, linewidth=1.2)
    per = {"acc_norm": " per character", "acc_bytes": " per byte", "acc_tokens": " per token"}
    unit = f"nats{per.get(comparison.metric, '')}"
    axes.set_xlabel(f"{_label(comparison, pair.before)}: margin of the right choice ({unit})")
    axes.set_ylabel(_label(comparison, pair.after))
    figure.legend(
        loc="outside upper center",
        ncols=4,
        frameon=False,
        handletextpad=0.1,
        columnspacing=0.8,
        fontsize=9,
        markerscale=2,
    )
    return figure


def _margins(pair: Pair, kind: Kind) -> list[tuple[float, float]]:
    found = [(flip.before.margin, flip.after.margin) for flip in pair.flips if flip.kind == kind]
    finite = [(x, y) for x, y in found if x is not None and y is not None]
    return [(x, y) for x, y in finite if abs(x) < 1e6 and abs(y) < 1e6]  # not where a score is minus infinity


def _label(comparison: Comparison, i: int) -> str:
    return f"{i + 1} {_cut(comparison.label(i))}"


def _cut(text: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in text)  # XML takes no control characters
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _rows(names: Sequence[str]) -> tuple[Any, Any]:
    """A picture with one line a name, the first on top."""
    figure, axes = _figure(1.0 + 0.3 * len(names))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    return figure, axes


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    return figure, axes


def _drawn(figure: Any) -> str:
    from matplotlib import rc_context

    style = {"svg.fonttype": "none", "svg.hashsalt": "mcqa", "text.parse_math": False, "savefig.dpi": 200}
    with rc_context(style), StringIO() as text, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of letters that matplotlib's font lacks; the browser has them
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        return text.getvalue()
