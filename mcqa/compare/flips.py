"""What each configuration answers to each question, and where answers flip."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcqa.compare.configurations import Configuration
from mcqa.data.question import Question
from mcqa.evaluation.decisions import Decision, decide

Kind = Literal["newly right", "newly wrong", "always right", "always wrong"]


KINDS: tuple[Kind, ...] = ("newly right", "newly wrong", "always right", "always wrong")


@dataclass(frozen=True)
class Answer:
    """One configuration on one question: over its seeds, the share that is right, the commonest choice and the mean
    margin. choice and margin are None where a score is not a number."""

    choice: int | None
    right: float
    margin: float | None

    @property
    def is_right(self) -> bool:
        """In more than half of the seeds; where it is just half, the mean margin decides."""
        return self.right > 0.5 or (self.right == 0.5 and (self.margin or 0.0) > 0)


@dataclass(frozen=True)
class Flip:
    """A question of which it matters how two configurations answer it."""

    kind: Kind
    index: int
    before: Answer
    after: Answer

    @property
    def change(self) -> float:
        """By how much the share of seeds with a right answer rises; 1, 0 or -1 for single runs."""
        return self.after.right - self.before.right


@dataclass(frozen=True)
class Subject:
    """How many questions of a subject are of each kind, and how many were gained and lost.

    Over several seeds a question is gained or lost in part; for single runs these are the newly right and the newly
    wrong ones. The net over all subjects is the difference of the accuracies times the number of questions.
    """

    name: str
    counts: dict[Kind, int]
    gained: float
    lost: float

    @property
    def questions(self) -> int:
        return sum(self.counts.values())

    @property
    def net(self) -> float:
        return _tidy(self.gained - self.lost)


def answers(configuration: Configuration, metric: str) -> list[Answer]:
    """One a question, in the order of the predictions."""
    seeds = [decide(rows, metric) for rows in configuration.predictions]
    return [_answer(found) for found in zip(*seeds, strict=True)]


def _answer(found: Sequence[Decision]) -> Answer:
    """found: the same question under each seed."""
    margins = [one.margin for one in found if one.margin is not None]
    return Answer(
        choice=Counter(one.choice for one in found).most_common(1)[0][0],
        right=sum(one.right for one in found) / len(found),
        margin=sum(margins) / len(margins) if len(margins) == len(found) else None,
    )


def flips(before: Sequence[Answer], after: Sequence[Answer]) -> list[Flip]:
    """One a question."""
    pairs = enumerate(zip(before, after, strict=True))
    return [Flip(_kind(one.is_right, other.is_right), index, one, other) for index, (one, other) in pairs]


def _kind(before: bool, after: bool) -> Kind:
    if before:
        return "always right" if after else "newly wrong"
    return "newly right" if after else "always wrong"


def net(flips: Sequence[Flip]) -> float:
    """Questions gained less questions lost."""
    return _tidy(math.fsum(flip.change for flip in flips))


def _tidy(questions: float) -> float:
    """Thirds of questions do not add up to whole ones exactly; 0 has no sign."""
    return round(questions, 9) + 0.0


def surest(flips: Sequence[Flip], kind: Kind) -> list[Flip]:
    """Those of one kind, the largest margin after the flip first, for or against the right choice."""
    return sorted((flip for flip in flips if flip.kind == kind), key=lambda flip: -abs(flip.after.margin or 0.0))


def by_subject(questions: Sequence[Question], flips: Sequence[Flip]) -> list[Subject]:
    """The largest net change first, gain or loss; empty where the questions have no subject."""
    groups: dict[str, list[Flip]] = {}
    for flip in flips:
        groups.setdefault(questions[flip.index].subject, []).append(flip)
    if set(groups) <= {""}:
        return []
    found = [_subject(name or "no subject", group) for name, group in groups.items()]
    return sorted(found, key=lambda subject: (-abs(subject.net), subject.name))


def _subject(name: str, flips: Sequence[Flip]) -> Subject:
    kinds, changes = Counter(flip.kind for flip in flips), [flip.change for flip in flips]
    gained, lost = (math.fsum(max(0.0, sign * change) for change in changes) for sign in (1, -1))
    return Subject(name, {kind: kinds[kind] for kind in KINDS}, _tidy(gained), _tidy(lost))


def choice_text(question: Question, answer: Answer) -> str:
    """The text of the choice that was answered; empty where there is none."""
    return "" if answer.choice is None else question.choices[answer.choice]
