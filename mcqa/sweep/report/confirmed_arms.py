"""The arms of a study with new seeds: what each reached and what it cost, how all pairs differ, and examples.

The other arms are held against the first one of `+experiment=base,…`, or else against the default configuration. Every
pair is compared, so p-values are Holm's over all pairs, and the best arm may be named after the fact.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from mcqa.data.question import Question
from mcqa.evaluation import flips, predictions
from mcqa.evaluation.decisions import decide
from mcqa.evaluation.flips import Answer, Flip, FlipCounts, Kind
from mcqa.evaluation.report.formatting import cut
from mcqa.runs import run_folder
from mcqa.runs.duration import duration
from mcqa.runs.files import read_optional
from mcqa.sweep.report.arms import compare_arms
from mcqa.sweep.report.confirmation import Confirmation, Confirmed, Pair
from mcqa.sweep.report.study_data import StudyRecord, is_number
from mcqa.sweep.report.ties import UNREADABLE, StudyResult, parse_metric

MOST_EXAMPLES = 3  # of each kind and arm
LONGEST = 300  # characters of a question or an answer

KINDS: Mapping[Kind, str] = {"newly right": "gained", "newly wrong": "lost"}


@dataclass(frozen=True)
class Example:
    """A question that an arm gained or lost, and what it is answered by most seeds. base, arm: as texts."""

    question: Question
    base: str
    arm: str

    @property
    def right(self) -> str:
        return self.question.choices[self.question.answer]


@dataclass(frozen=True)
class ConfirmedArm:
    """An arm with its runs.

    place: in the confirmation. setting: what its trial has of other swept keys. seconds, memory: means over its runs,
    each with all its stages. counts, examples: against the base; None of the base itself, and where answers are not
    known.
    """

    place: int
    name: str
    run: Confirmed
    setting: str = ""
    seconds: float | None = None
    memory: float | None = None  # bytes
    recall: float | None = None
    passages: int | None = None
    retrieves: bool = False
    counts: FlipCounts | None = None
    examples: Mapping[str, Sequence[Example]] | None = None  # by what happened to the question: gained, lost

    @property
    def seeds(self) -> str:
        """Return `3`, or `2 of 3` where some runs have not ended well."""
        done = len(self.run.values)
        return f"{done} of {self.run.planned}" if done < self.run.planned else str(done)

    @property
    def cost(self) -> str:
        return "–" if self.seconds is None else duration(self.seconds)

    @property
    def peak(self) -> str:
        return "–" if self.memory is None else f"{self.memory / 2**30:.2f} GiB"


@dataclass(frozen=True)
class ConfirmedArms:
    """All arms, those with a result by their mean, the best first. base: the one that others are held against."""

    study: StudyRecord
    confirmation: Confirmation
    arms: tuple[ConfirmedArm, ...]
    base: ConfirmedArm
    is_tuned: bool  # whether each arm had several trials to choose from

    @property
    def metric(self) -> str:
        return self.confirmation.metric

    @property
    def measured(self) -> list[ConfirmedArm]:
        return [arm for arm in self.arms if arm.run.values]

    @property
    def others(self) -> list[ConfirmedArm]:
        """The arms with a result beside the base."""
        return [arm for arm in self.measured if arm is not self.base]

    @cached_property
    def by_place(self) -> Mapping[int, ConfirmedArm]:
        return {arm.place: arm for arm in self.arms}

    def pair(self, after: ConfirmedArm, before: ConfirmedArm) -> Pair | None:
        """Return how the mean of `after` differs from that of `before`; None where that is not known."""
        for pair in self.confirmation.pairs:
            if (pair.before, pair.after) == (before.place, after.place):
                return pair
            if (pair.before, pair.after) == (after.place, before.place):
                value, low, high = pair.difference
                return Pair(before.place, after.place, type(pair.difference)(-value, -high, -low), pair.p_holm)
        return None

    @property
    def ranked_pairs(self) -> list[tuple[ConfirmedArm, ConfirmedArm, Pair]]:
        """Every pair with the better arm first, in the order of the arms."""
        pairs = ((one, other, self.pair(one, other)) for i, one in enumerate(self.arms) for other in self.arms[i + 1 :])
        return [(one, other, pair) for one, other, pair in pairs if pair is not None]


def confirmed_arms(study: StudyRecord, result: StudyResult, confirmation: Confirmation | None) -> ConfirmedArms | None:
    """Return the arms that new seeds were run of; None of a study without arms, and before any of them has a result."""
    arms = compare_arms(study, result)
    if confirmation is None or not arms or not any(run.values for run in confirmation.configurations):
        return None
    by_trial = {arm.best.number: arm for arm in arms if arm.best}
    found = []
    for place, run in enumerate(confirmation.configurations):
        arm = None if run.trial is None else by_trial.get(run.trial)
        if arm is None and not run.default:
            continue  # of an earlier look, when another trial was the best of its arm
        name = short_name(arm.name) if arm else "the default"
        found.append(ConfirmedArm(place, name, run, arm.setting if arm else "", **_measured(study, run, confirmation)))
    base = next((arm for arm in found if arm.run.default), None)
    if base is None:
        return None
    sign = -1 if study.direction == "minimize" else 1
    found.sort(key=lambda arm: -sign * arm.run.mean.value if arm.run.values else float("inf"))
    if confirmation.by_questions:
        answers = {arm.place: read for arm in found if (read := _answers(study, arm, confirmation)) is not None}
        found = [_with_examples(arm, base, answers) for arm in found]
    base = next(arm for arm in found if arm.place == base.place)
    return ConfirmedArms(study, confirmation, tuple(found), base, any(arm.planned > 1 for arm in arms))


def short_name(arm: str) -> str:
    """Return the experiment alone of an arm that is one: `sft` for `experiment=sft`."""
    return arm.removeprefix("experiment=") if arm.count("=") == 1 else arm


def _measured(study: StudyRecord, run: Confirmed, confirmation: Confirmation) -> dict[str, Any]:
    """What the runs of a configuration cost, and what retrieval found for them."""
    results = [run_folder.read_result(study.folder / folder) for folder in run.folders]
    config = read_optional(study.folder / run.folders[0] / "config.yaml") if run.folders else {}
    evaluation = section if isinstance(section := config.get("evaluation"), dict) else {}
    split, _, _ = confirmation.metric.partition("/")
    recalls = [
        metrics.get(f"{split}/recall_at_k") for one in results if isinstance(metrics := one.get("metrics"), dict)
    ]
    return {
        "seconds": _mean([one.get("seconds") for one in results]),
        "memory": _mean([one.get("peak_memory_bytes") for one in results]),
        "recall": _mean(recalls),
        "passages": evaluation.get("context_k") if evaluation.get("context") else None,
        "retrieves": bool(evaluation.get("context")),
    }


def _mean(values: Sequence[Any]) -> float | None:
    known = [float(value) for value in values if is_number(value)]
    return fmean(known) if known else None


# --- examples ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answers:
    questions: Sequence[Question]
    over_seeds: Sequence[Answer]


def _answers(study: StudyRecord, arm: ConfirmedArm, confirmation: Confirmation) -> _Answers | None:
    split, name = parse_metric(confirmation.metric)
    try:
        runs = [
            predictions.read(study.folder / folder / "predictions" / f"{split}.jsonl") for folder in arm.run.folders
        ]
    except UNREADABLE:
        return None
    if not runs or name is None:
        return None
    return _Answers([row.question for row in runs[0]], flips.over_seeds([decide(rows, name) for rows in runs]))


def _with_examples(arm: ConfirmedArm, base: ConfirmedArm, answers: Mapping[int, _Answers]) -> ConfirmedArm:
    if arm.place == base.place or arm.place not in answers or base.place not in answers:
        return arm
    before, after = answers[base.place], answers[arm.place]
    changed = flips.flips(before.over_seeds, after.over_seeds)
    examples = {
        what: [
            Example(
                question := before.questions[flip.index],
                flips.choice_text(question, flip.before),
                flips.choice_text(question, flip.after),
            )
            for flip in drawn(before.questions, changed, kind)
        ]
        for kind, what in KINDS.items()
    }
    return ConfirmedArm(**{**vars(arm), "counts": flips.count(changed), "examples": examples})


def drawn(questions: Sequence[Question], changed: Sequence[Flip], kind: Kind) -> list[Flip]:
    """Return a few flips of a kind: those with the smallest SHA-256 of the question's id, which nobody can choose."""
    own = [flip for flip in changed if flip.kind == kind]
    own.sort(key=lambda flip: hashlib.sha256(questions[flip.index].id.encode()).hexdigest())
    return own[:MOST_EXAMPLES]


def shortened(text: str) -> str:
    """Return a question or an answer as it is shown."""
    return cut(" ".join(text.split()), LONGEST)
