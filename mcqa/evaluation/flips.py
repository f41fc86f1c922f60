"""What each configuration answers to each question, and where answers flip."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcqa.data.question import Question
from mcqa.evaluation.decisions import Decision

Kind = Literal["newly right", "newly wrong", "always right", "always wrong"]
KINDS: tuple[Kind, ...] = ("newly right", "newly wrong", "always right", "always wrong")


@dataclass(frozen=True)
class Answer:
    """How one configuration answers one question: over its seeds the most frequent choice, the share that is right and
    the mean margin. choice and margin are None where a score is not a number."""

    choice: int | None
    right: float
    margin: float | None

    @property
    def is_right(self) -> bool:
        """Whether more than half of the seeds are right; where it is just half, the mean margin decides."""
        return self.right > 0.5 or (self.right == 0.5 and (self.margin or 0.0) > 0)


@dataclass(frozen=True)
class Flip:
    """How two configurations answer the question of this index."""

    kind: Kind
    index: int
    before: Answer
    after: Answer

    @property
    def change(self) -> float:
        """The change in the share of seeds with a right answer; 1, 0 or -1 for single runs."""
        return self.after.right - self.before.right


@dataclass(frozen=True)
class FlipCounts:
    """How many questions are of each kind, and how many were gained and lost.

    Over several seeds a question is gained or lost in part; for single runs gained and lost are the newly right and the
    newly wrong ones. The net of all questions is the difference of the accuracies times the number of questions.
    """

    name: str
    by_kind: dict[Kind, int]
    gained: float
    lost: float

    @property
    def questions(self) -> int:
        return sum(self.by_kind.values())

    @property
    def net(self) -> float:
        return _without_rounding_errors(self.gained - self.lost)


def over_seeds(seeds: Sequence[Sequence[Decision]]) -> list[Answer]:
    """Return the answer to each question, from the decisions of each seed."""
    return [_answer(decisions) for decisions in zip(*seeds, strict=True)]


def _answer(decisions: Sequence[Decision]) -> Answer:
    margins = [decision.margin for decision in decisions]
    known = [margin for margin in margins if margin is not None]
    return Answer(
        choice=Counter(decision.choice for decision in decisions).most_common(1)[0][0],
        right=sum(decision.right for decision in decisions) / len(decisions),
        margin=sum(known) / len(known) if len(known) == len(margins) else None,
    )


def flips(before: Sequence[Answer], after: Sequence[Answer]) -> list[Flip]:
    """Return one flip for each question, in their order."""
    pairs = enumerate(zip(before, after, strict=True))
    return [Flip(_kind(old.is_right, new.is_right), index, old, new) for index, (old, new) in pairs]


def _kind(before: bool, after: bool) -> Kind:
    if before:
        return "always right" if after else "newly wrong"
    return "newly right" if after else "always wrong"


def most_confident(flips: Sequence[Flip], kind: Kind) -> list[Flip]:
    """Return the flips of one kind, the largest margin after the flip first, for or against the right choice."""
    return sorted((flip for flip in flips if flip.kind == kind), key=lambda flip: -abs(flip.after.margin or 0.0))


def count(flips: Sequence[Flip], name: str = "") -> FlipCounts:
    kinds, changes = Counter(flip.kind for flip in flips), [flip.change for flip in flips]
    gained, lost = (math.fsum(max(0.0, sign * change) for change in changes) for sign in (1, -1))
    by_kind = {kind: kinds[kind] for kind in KINDS}
    return FlipCounts(name, by_kind, _without_rounding_errors(gained), _without_rounding_errors(lost))


def _without_rounding_errors(questions: float) -> float:
    """Thirds of questions do not add up to whole ones exactly; 0 has no sign."""
    return round(questions, 9) + 0.0


def by_subject(questions: Sequence[Question], flips: Sequence[Flip]) -> list[FlipCounts]:
    """Count the flips of each subject, the largest net change first; empty where the questions have no subject."""
    groups: dict[str, list[Flip]] = {}
    for flip in flips:
        groups.setdefault(questions[flip.index].subject, []).append(flip)
    if set(groups) <= {""}:
        return []
    counts = [count(group, name or "no subject") for name, group in groups.items()]
    return sorted(counts, key=lambda subject: (-abs(subject.net), subject.name))


def choice_text(question: Question, answer: Answer) -> str:
    """Return the text of the choice that was answered; empty where there is none."""
    return "" if answer.choice is None else question.choices[answer.choice]
