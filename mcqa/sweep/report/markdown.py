"""The arms of a study with new seeds as tables, and as report.md: what report.html says of them, as a text."""

from collections.abc import Iterator, Sequence

from mcqa.evaluation.report.formatting import count, p_value, percent
from mcqa.evaluation.statistics.clusters import ALPHA
from mcqa.sweep.report import confirmed_sentences, sentences
from mcqa.sweep.report.confirmed_arms import MOST_EXAMPLES, ConfirmedArm, ConfirmedArms, shortened


def markdown(arms: ConfirmedArms) -> str:
    """Return report.md: what report.html says of the arms, to be pasted elsewhere."""
    parts = [f"# {arms.study.name}", f"**{_escaped(confirmed_sentences.verdict(arms))}**", _table(*table(arms))]
    parts += [
        NOTE.format(sources=arms.confirmation.sources),
        "## What the numbers support",
        _list(confirmed_sentences.supported(arms)),
    ]
    parts += [
        "## What they do not",
        _list(confirmed_sentences.limits(arms)),
        "## All pairs",
        _table(*pairs_table(arms)),
    ]
    parts += [HOLM]
    for number, arm in enumerate(arm for arm in arms.others if arm.counts):
        if not number:
            parts += ["## Questions gained and lost", EXAMPLES.format(base=arms.base.name, most=MOST_EXAMPLES)]
        parts += [f"### {title(arm)}", *_examples(arm, arms.base)]
    return "\n\n".join(part for part in parts if part) + "\n"


NOTE = (
    "Means over the seeds, with 95 % intervals that cover {sources}. Time and peak memory are means over the runs, "
    "each a whole one: loading, all stages of training and measuring."
)
HOLM = (
    "The better arm of each pair is named first. Intervals are of each pair alone; p is Holm's over all of these "
    "pairs, so that the best arm may be named after the fact."
)
EXAMPLES = (
    "Against {base}, by what most seeds answer. Up to {most} of each kind, those with the smallest SHA-256 of the "
    "question's id, so that nobody has picked them."
)


def table(arms: ConfirmedArms) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the rows of the table of arms."""
    settings = any(arm.setting for arm in arms.arms)
    recalls = any(arm.recall is not None for arm in arms.arms)
    headings = ["arm", *(["at"] if settings else []), "seeds", _called(arms.metric), "95 % interval"]
    headings += [f"from {arms.base.name} (95 % CI)", "p (Holm)", "time", "peak memory"]
    headings += [f"recall@{next(arm.passages for arm in arms.arms if arm.recall is not None)}"] if recalls else []
    return headings, [_row(arms, arm, settings, recalls) for arm in arms.arms]


def _row(arms: ConfirmedArms, arm: ConfirmedArm, settings: bool, recalls: bool) -> list[str]:
    pair, has_result = None if arm is arms.base else arms.pair(arm, arms.base), bool(arm.run.values)
    return [
        arm.name,
        *([arm.setting] if settings else []),
        arm.seeds,
        sentences.value(arm.run.mean.value, arms.metric) if has_result else "–",
        sentences.interval(arm.run.mean, arms.metric) if has_result else "–",
        sentences.difference(pair.difference, arms.metric, "") if pair else "–",
        p_value(pair.p_holm) if pair else "–",
        arm.cost,
        arm.peak,
        *(["–" if arm.recall is None else percent(arm.recall)] if recalls else []),
    ]


def pairs_table(arms: ConfirmedArms) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the rows of the table of all pairs."""
    rows = [
        [
            f"{one.name} – {other.name}",
            sentences.difference(pair.difference, arms.metric, ""),
            p_value(pair.p_holm),
            "significant" if pair.p_holm < ALPHA else "not significant",
        ]
        for one, other, pair in arms.ranked_pairs
    ]
    return ["pair", "difference (95 % CI)", "p (Holm)", ""], rows


def title(arm: ConfirmedArm) -> str:
    """Return how many questions most seeds of an arm gained and lost: `sft: 12 questions gained, 3 lost`."""
    assert arm.counts is not None, "of an arm with answers"
    by_kind = arm.counts.by_kind
    return f"{arm.name}: {count(by_kind['newly right'], 'question')} gained, {by_kind['newly wrong']} lost"


def _called(metric: str) -> str:
    return "accuracy on test" if metric == "test/acc" else metric


def _examples(arm: ConfirmedArm, base: ConfirmedArm) -> Iterator[str]:
    for what, examples in (arm.examples or {}).items():
        if examples:
            headings = [what, base.name, arm.name, "right answer"]
            rows = [[one.question.question, one.base, one.arm, one.right] for one in examples]
            yield _table(headings, [[shortened(cell) for cell in row] for row in rows])


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines) if rows else ""


def _list(texts: Iterator[str]) -> str:
    return "\n".join(f"- {_escaped(text)}" for text in texts)


def _escaped(text: str) -> str:
    """Return a text that Markdown shows as it is; an underscore within a name is shown anyway."""
    return "".join(f"\\{letter}" if letter in "\\`*<>[]|" else letter for letter in text)
