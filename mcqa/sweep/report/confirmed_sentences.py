"""What the arms of a study with new seeds show and leave open, in sentences for the page, terminal and Markdown."""

from collections.abc import Iterator

from mcqa.evaluation.report.formatting import p_equals, percent
from mcqa.evaluation.statistics.clusters import ALPHA
from mcqa.runs import run_folder
from mcqa.sweep.report import sentences
from mcqa.sweep.report.confirmation import Pair
from mcqa.sweep.report.confirmed_arms import ConfirmedArm, ConfirmedArms

PLANNED = (
    ("paraphrases", "text", "More phrasings of each fact"),
    ("sft_then_dpo", "sft", "DPO after supervised fine-tuning"),
    ("choice", "sft", "Training on the choice as well"),
)
"""Pairs of arms, by their names, that answer a question, and what it asks of."""

OUT_OF_SCOPE = "Policy-gradient methods (PPO, GRPO) are no part of this comparison."


def verdict(arms: ConfirmedArms) -> str:
    """Return which arm is the best with new seeds, and whether it differs significantly from the base."""
    best, base = arms.measured[0], arms.base
    where = "On test" if arms.metric.startswith("test/") else "With new seeds"
    if not base.run.values:
        return f"{where} {best.name} has the best {_metric(arms)}, {_reached(arms, best)}; {base.name} has no result."
    if best is base:
        return f"{where} no arm is better than {base.name}, {_metric(arms)} {_reached(arms, base)}."
    head = f"{where} {best.name} has the best {_metric(arms)} of {len(arms.measured)} arms, {_reached(arms, best)}"
    return f"{head}; {base.name} has {_reached(arms, base)}: {_difference(arms, best, base)}."


def supported(arms: ConfirmedArms) -> Iterator[str]:
    """Yield what the numbers say, and for which questions they leave open."""
    yield from _against_base(arms)
    best, second = (arms.measured * 2)[:2]
    if arms.base not in (best, second):
        yield f"The best arm against the second: {_compared(arms, best, second)}"
    yield from _planned(arms)
    yield from _retrieval(arms)


def limits(arms: ConfirmedArms) -> Iterator[str]:
    """Yield what is missing, and what no number here is about."""
    for arm in arms.arms:
        if not arm.run.values:
            yield f"{arm.name} has no run with a result, so nothing is said of it."
        elif len(arm.run.values) < arm.run.planned:
            alone = " The interval leaves out its seeds." if len(arm.run.values) == 1 and arm.run.trains else ""
            yield f"{arm.name} has a result with {len(arm.run.values)} of {arm.run.planned} seeds.{alone}"
    if not arms.confirmation.by_questions:
        yield (
            "Not all runs have readable answers to the same questions, so intervals and p-values are of the seeds "
            "alone."
        )
    if untrained := [arm.name for arm in arms.measured if not arm.run.trains]:
        train, them = ("trains", "it") if len(untrained) == 1 else ("train", "them")
        yield f"{sentences.listed(untrained)} {train} nothing: no seed changes {them}, so there is no seed variance."
    if arms.is_tuned:
        yield "Each arm counts by the trial that was the best of its own on dev; nothing was chosen on test."
    else:
        yield (
            "Each arm had one trial, so nothing was chosen, neither on dev nor on test; an arm that is behind here may "
            "not be at another learning rate or length of training."
        )
    model, data = (run_folder.short_name(dict(arms.study.base), group) for group in ("model", "data"))
    yield f"All of this is about {model} and {data}, and says nothing of other models and questions. {OUT_OF_SCOPE}"


def _metric(arms: ConfirmedArms) -> str:
    return "accuracy" if arms.metric.endswith("/acc") else arms.metric


def _reached(arms: ConfirmedArms, arm: ConfirmedArm) -> str:
    return sentences.value(arm.run.mean.value, arms.metric)


def _difference(arms: ConfirmedArms, after: ConfirmedArm, before: ConfirmedArm) -> str:
    """Return such as `+3.1 points (95 % CI 1.2 to 5.0), Holm-adjusted p = 0.0021, a significant difference`."""
    if (pair := arms.pair(after, before)) is None:
        return "too few runs have a result to say whether they differ"
    reading = "a significant difference" if pair.p_holm < ALPHA else "no significant difference"
    return f"{_numbers(arms, pair)}, {reading}"


def _numbers(arms: ConfirmedArms, pair: Pair) -> str:
    return f"{sentences.difference(pair.difference, arms.metric)}, {p_equals(pair.p_holm, 'Holm-adjusted p')}"


def _is_better(arms: ConfirmedArms, pair: Pair) -> bool:
    return (pair.difference.value > 0) == (arms.study.direction != "minimize")


def _compared(arms: ConfirmedArms, after: ConfirmedArm, before: ConfirmedArm) -> str:
    """Return a sentence on two arms that claims no more than the test of their difference supports."""
    if (pair := arms.pair(after, before)) is None:
        return f"too few runs of {after.name} and {before.name} have a result to compare them."
    if pair.p_holm >= ALPHA:
        return (
            f"no statistically significant difference between {after.name} and {before.name}: {_numbers(arms, pair)}. "
            "That does not show that there is none."
        )
    word = "better" if _is_better(arms, pair) else "worse"
    return f"{after.name} is significantly {word} than {before.name}: {_numbers(arms, pair)}."


def _against_base(arms: ConfirmedArms) -> Iterator[str]:
    base, groups = arms.base, dict[str, list[str]]()
    for arm in arms.others:
        if (pair := arms.pair(arm, base)) is not None:
            significant = "significantly better than" if _is_better(arms, pair) else "significantly worse than"
            what = significant if pair.p_holm < ALPHA else "not significantly different from"
            numbers = f"{sentences.difference(pair.difference, arms.metric)}"
            groups.setdefault(what, []).append(f"{arm.name} {numbers}")
    for what in ("significantly better than", "significantly worse than", "not significantly different from"):
        if names := groups.get(what):
            yield f"{what.capitalize()} {base.name}: {sentences.listed(names)}."


def _planned(arms: ConfirmedArms) -> Iterator[str]:
    named = {arm.name: arm for arm in arms.measured}
    for after, before, about in PLANNED:
        if after in named and before in named:
            yield f"{about}: {_compared(arms, named[after], named[before])}"


def _retrieval(arms: ConfirmedArms) -> Iterator[str]:
    """Yield how looking up compares with the best of what was trained without passages, and how much it found."""
    looked_up = [arm for arm in arms.measured if arm.retrieves]
    trained = [arm for arm in arms.measured if arm.run.trains and not arm.retrieves]
    for arm in looked_up:
        if trained:
            yield f"Retrieval against the best fine-tuned arm: {_compared(arms, arm, trained[0])}"
        if arm.recall is not None:
            yield (
                f"The passages that {arm.name} puts before a question (at most {arm.passages}) contain the right "
                f"answer's text for {percent(arm.recall)} of the questions."
            )
