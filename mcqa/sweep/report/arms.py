"""Arms: configurations that are compared, each at the best of its own trials, as hydra.sweeper.arms of a study asks.

Two configurations at one learning rate say nothing of each other where each has a best one of its own, and differences
between adapters largely vanish once each has it (arXiv 2602.04998). So every arm has the same trials, and the best of
them counts.

The best arm was chosen, and so was the best trial of each. An arm is therefore called worse than the best only where
all its trials are: its p-value is the largest of theirs, which are adjusted for the choice of the best among all trials
of all arms (`statistics.p_values_against_best`). An arm one of whose trials is as good as the best is then called worse
in at most 5 % of studies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcqa.evaluation.report.formatting import ONE_SEED_EACH, points
from mcqa.evaluation.statistics.clusters import ALPHA
from mcqa.sweep.report import edges, sentences
from mcqa.sweep.report.edges import Edge
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord
from mcqa.sweep.report.ties import Comparison, Estimate, StudyResult

ARMS = "arms"  # in study.yaml


@dataclass(frozen=True)
class Arm:
    """One of the configurations that are compared."""

    name: str  # such as `peft=lora`
    planned: int  # trials
    complete: int
    best: TrialRecord | None = None  # None where none is complete
    setting: str = ""  # what its best trial has of the other keys
    accuracy: Estimate | None = None  # of its best trial, where it is known
    comparison: Comparison | None = None  # of its best trial with the best of all; None of that one, or unknown
    p: float | None = None  # the largest adjusted p-value of its trials
    edges: tuple[Edge, ...] = ()  # other keys whose best value is at an end of what was tried

    @property
    def is_short(self) -> bool:
        """Whether not all of its trials are complete."""
        return self.complete < self.planned

    @property
    def tied(self) -> bool:
        return self.p is not None and self.p >= ALPHA


def compare_arms(study: StudyRecord, result: StudyResult) -> list[Arm]:
    """Return the arms of a study, the best first; nothing where it has none."""
    named = study.description.get(ARMS)
    keys = [key for key in named if isinstance(key, str)] if isinstance(named, list) else []
    trials: dict[tuple[str, ...], list[TrialRecord]] = {}
    for trial in study.trials:
        if keys and all(key in trial.params for key in keys):
            trials.setdefault(tuple(repr(trial.params[key]) for key in keys), []).append(trial)
    arms = [_arm(study, result, own, keys) for own in trials.values()]
    ranks = {trial.number: rank for rank, trial in enumerate(study.complete)}
    return sorted(arms, key=lambda arm: ranks[arm.best.number] if arm.best else len(ranks))


def _arm(study: StudyRecord, result: StudyResult, trials: Sequence[TrialRecord], keys: Sequence[str]) -> Arm:
    name = " ".join(f"{key}={sentences.parameter(trials[0].params[key])}" for key in keys)
    numbers = {trial.number for trial in trials}
    complete = [trial for trial in study.complete if trial.number in numbers]
    if not complete:
        return Arm(name, len(trials), 0)
    best, others = complete[0], [key for key in complete[0].params if key not in keys]
    comparison = result.by_trial.get(best.number)
    ps = [result.by_trial[number].p_adjusted for number in numbers & result.by_trial.keys()]
    found = (edges.find_edge(study, key, best) for key in others)
    return Arm(
        name=name,
        planned=len(trials),
        complete=len(complete),
        best=best,
        setting=", ".join(f"{sentences.short(key, others)} {sentences.setting(best, key)}" for key in others),
        accuracy=comparison.accuracy if comparison else result.accuracy if best == result.best else None,
        comparison=comparison,
        p=max(ps) if comparison else None,
        edges=tuple(edge for edge in found if edge is not None),
    )


def verdict(study: StudyRecord, result: StudyResult) -> str | None:
    """Return the comparison in one sentence; None of a study without arms, or with none that has a value."""
    arms = [arm for arm in compare_arms(study, result) if arm.best]
    if not arms:
        return None
    first, others = arms[0], arms[1:]
    if not others:
        return f"{first.name} has the best {study.metric}, {_reached(first, study)}; no other arm has a complete trial."
    if all(arm.tied for arm in others):
        reached = sentences.listed([f"{arm.name} {_reached(arm, study)}" for arm in arms])
        which = "the two arms" if len(arms) == 2 else f"the best of {len(arms)} arms and any other"
        return (
            "Each arm at the best of its own trials, there is no statistically significant difference between "
            f"{which} by {study.metric}: {reached}."
        )
    reached = f"{study.metric} {_reached(first, study)}"
    head = f"Each at the best of its own trials, {first.name} is the best of {len(arms)} arms, {reached}"
    tied = [arm.name for arm in others if arm.tied]
    worse = [
        f"{arm.name} ({points(arm.comparison.difference.value)} points)"
        for arm in others
        if arm.comparison and not arm.tied
    ]
    unknown = [arm.name for arm in others if arm.p is None]
    parts = [
        f"{sentences.listed(names)} {'is' if len(names) == 1 else 'are'} {what}"
        for names, what in (
            (tied, "tied with it (no statistically significant difference)"),
            (worse, "significantly worse"),
        )
        if names
    ]
    if unknown:
        verb = "is" if len(unknown) == 1 else "are"
        parts.append(f"whether {sentences.listed(unknown)} {verb} significantly worse is unknown")
    about = f"; {ONE_SEED_EACH}" if worse and sentences.has_seed(study) else ""
    return f"{head}; {', '.join(parts)}{about}."


def _reached(arm: Arm, study: StudyRecord) -> str:
    """Return such as `92.9 % with learning_rate 0.002 (1 ×)`."""
    best = sentences.value(arm.best.value, study.metric) if arm.best and arm.best.value is not None else "–"
    return f"{best} with {arm.setting}" if arm.setting else best


def notes(study: StudyRecord, result: StudyResult) -> list[str]:
    """Return what to keep in mind of a comparison of arms."""
    arms, found = compare_arms(study, result), list[str]()
    short = [f"{arm.name} {arm.complete} of {arm.planned}" for arm in arms if arm.is_short]
    if short:
        found.append(f"The arms have had unequal searches, for not all trials are complete: {', '.join(short)}.")
    at_ends = [(arm, edge) for arm in arms for edge in arm.edges]
    if at_ends:
        texts = sentences.listed([f"{arm.name} ({edge.text})" for arm, edge in at_ends])
        found.append(edges.sentence(texts, [edge for _, edge in at_ends], study))
    return found


def rows(arms: Sequence[Arm]) -> list[list[Any]]:
    """Return the lines of arms.csv."""
    return [
        [
            arm.name,
            arm.planned,
            arm.complete,
            arm.best and arm.best.number,
            arm.setting,
            arm.best and arm.best.value,
            *(arm.accuracy[1:] if arm.accuracy else (None, None)),
            *([100 * each for each in arm.comparison.difference] if arm.comparison else [None] * 3),
            arm.p,
        ]
        for arm in arms
    ]


COLUMNS = (
    "arm", "trials", "complete", "best_trial", "best_setting", "value", "low", "high",
    "points_from_best", "points_low", "points_high", "p_adjusted",
)  # fmt: skip


def methods(arms: Sequence[Arm]) -> Mapping[str, str]:
    """Return how the comparison was computed, for the page."""
    if not any(arm.comparison for arm in arms):
        return {}
    return {
        "Arms": (
            "Each arm has the same trials and counts by its best one. Its p-value is the largest of its trials' "
            "p-values as under Ties, which are adjusted for the choice of the best among all trials of all arms: an "
            "arm is called worse only where every trial of it is. Its interval is that of its best trial alone, and "
            "the best of several is on average a little too high, in every arm."
        )
    }
