"""The comparison as one HTML file that needs nothing else: no network, no fonts, no libraries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mcqa.compare import sentences, tables
from mcqa.compare.analysis import Comparison, Pair
from mcqa.data.question import Question
from mcqa.evaluation.flips import KINDS, Answer, Flip, most_confident
from mcqa.evaluation.report.formatting import cut, percent
from mcqa.evaluation.report.html import Scale, inline, render

TEMPLATE = Path(__file__).with_name("page.html")

CAPTIONS = {
    "accuracy": ("Accuracy", "with 95 % interval; dotted: guessing"),
    "differences": ("Differences", "with 95 % interval; filled: significant at 5 %"),
    "subjects": ("Flips by subject", "and net change"),
    "margins": ("Margins before and after", "a question that crosses an axis flips"),
    "confidence": ("Risk and coverage", "share wrong among the most confident answers"),
    "reliability": ("Reliability", "accuracy by confidence"),
    "letters": ("Letters", "chosen and recalled, over all orders of the options"),
}
OF_ONE_RUN = ("confidence", "reliability", "letters")  # by summed scores, whatever metric the comparison is about
MOST_PAIRS, MOST_KEYS, LONGEST_VALUE = 100, 150, 120
MOST_LISTS = 4  # pairs whose questions are listed
MOST_LISTED = 600  # questions on the page, so that a browser can hold it; questions.csv has all
ALWAYS_WRONG = 0.1  # the part of the list that questions have which both answer wrong
LONGEST_TEXT = 700  # characters of a question, a choice or a passage
SCALE_MARGIN = 0.03  # on both sides of the intervals


class FlipList(NamedTuple):
    """What the page shows of one pair's questions. omitted: for each kind what is left out of `flips`."""

    pair: Pair
    names: tuple[str, str]
    net: str
    flips: list[Flip]
    subjects: list[str]
    omitted: list[str]


def render_page(comparison: Comparison, drawn: Mapping[str, str], sections: Sequence[tables.Section] = ()) -> str:
    """Return the complete page. drawn: the charts as SVG by name."""
    from markupsafe import Markup

    compared, verdict = comparison.compared, sentences.verdict(comparison)
    pairs, configurations = comparison.with_first[:MOST_LISTS], len(compared.configurations)
    scale = _scale(comparison)
    shown = {key: [cut(value, LONGEST_VALUE) for value in values] for key, values in compared.differing.items()}
    return render(
        TEMPLATE,
        title=f"Comparison: {verdict}",
        subject=sentences.measured(comparison),
        verdict=verdict,
        remarks=sentences.notes(comparison),
        comparison=comparison,
        accuracies=tables.accuracies(comparison),
        scale=scale,
        scale_name=f"{100 * scale.low:.0f} to {100 * scale.high:.0f} %",
        figures=[(*_caption(name, comparison), Markup(inline(svg, name))) for name, svg in drawn.items()],
        sections=sections,
        differences=tables.differences(comparison, MOST_PAIRS, detailed=True),
        flip_lists=[_flip_list(comparison, pair, MOST_LISTED // len(pairs)) for pair in pairs],
        differing=tables.keys(dict(list(shown.items())[:MOST_KEYS]), configurations),
        speed_only=tables.keys(compared.speed_only, configurations),
        runs=_runs(comparison),
        shorten=lambda text: cut(text, LONGEST_TEXT),
        margin=_margin,
        answered_by=_answered_by,
        about=_about,
    )


def _scale(comparison: Comparison) -> Scale:
    ends = [end for accuracy in comparison.accuracies for end in (accuracy.low, accuracy.high)] + [comparison.chance]
    return Scale(max(0.0, min(ends) - SCALE_MARGIN), min(1.0, max(ends) + SCALE_MARGIN))


def _runs(comparison: Comparison) -> list[list[Any]]:
    return [
        [number, run.shown, run.seed_shown, str(run.environment.get("git_commit") or "–")[:8]]
        for number, configuration in enumerate(comparison.configurations, 1)
        for run in configuration.runs
    ]


def _caption(name: str, comparison: Comparison) -> tuple[str, str]:
    kind, _, number = name.partition("_")
    title, explanation = CAPTIONS[kind]
    several = any(len(accuracy.seeds) > 1 for accuracy in comparison.accuracies)
    pair = comparison.with_first[0]
    if kind == "accuracy" and several:
        explanation += "; strokes: single seeds"
    if kind == "differences" and len(comparison.pairs) > 1:
        explanation = "with 95 % intervals of all together (max-T); filled: significant at 5 %"
    if kind == "subjects":
        explanation = f"{pair.after + 1} vs {pair.before + 1}, {explanation}"
    if kind == "margins" and comparison.several_seeds(pair):
        explanation = "mean margins over seeds"
    if kind in OF_ONE_RUN:
        explanation += f"; by acc (summed scores){', of the first seed' if several else ''}"
    return f"{title}, {number}" if number else title, explanation


def _flip_list(comparison: Comparison, pair: Pair, most: int) -> FlipList:
    listed, seeds = _listed(pair, most), comparison.several_seeds(pair)
    counts = {kind: (sum(flip.kind == kind for flip in listed), pair.counts.by_kind[kind]) for kind in KINDS}
    del counts["always right"]  # of which none is listed
    return FlipList(
        pair,
        names=(comparison.label(pair.before), comparison.label(pair.after)),
        net=sentences.net(pair.counts.net, seeds) if seeds else "",
        flips=listed,
        subjects=sorted({comparison.questions[flip.index].subject for flip in listed} - {""}),
        omitted=[f"the {n} most confident of {total} {kind}" for kind, (n, total) in counts.items() if n < total],
    )


def _listed(pair: Pair, most: int) -> list[Flip]:
    """The most confident of each kind; newly right and newly wrong share the room that always wrong leaves."""
    always = most_confident(pair.flips, "always wrong")[: int(most * ALWAYS_WRONG)]
    right, wrong = most_confident(pair.flips, "newly right"), most_confident(pair.flips, "newly wrong")
    room = most - len(always)
    room_for_right = max(room // 2, room - len(wrong))
    return right[:room_for_right] + wrong[: room - min(len(right), room_for_right)] + always


def _margin(answer: Answer) -> str:
    return "–" if answer.margin is None else f"{answer.margin:+.2f}".replace("-", "−")


def _answered_by(choice: int, flip: Flip, names: tuple[str, str]) -> str:
    by = [name for name, answer in zip(names, (flip.before, flip.after), strict=True) if answer.choice == choice]
    return f"← {' and '.join(by)}" if by else ""


def _about(question: Question, flip: Flip, names: tuple[str, str]) -> str:
    """The question's id and subject, and where seeds disagree, how many are right."""
    answers = zip(names, (flip.before, flip.after), strict=True)
    shares = [
        f"{name}: right in {percent(answer.right)} of its seeds" for name, answer in answers if 0 < answer.right < 1
    ]
    return cut(" · ".join(filter(None, [question.id, question.subject, *shares])), LONGEST_TEXT)
