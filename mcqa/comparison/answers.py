"""What each configuration answers to each question, and where answers flip.

A margin is by how many nats the right choice beats the best wrong one; divided by the choice's length in characters
or bytes under acc_norm and acc_bytes, as its score is.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcqa.comparison.configurations import Configuration
from mcqa.comparison.options import Metric
from mcqa.evaluation.metrics import right, scores
from mcqa.evaluation.predictions import Prediction, best
from mcqa.question import Question

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
        """In more than half of the seeds."""
        return self.right > 0.5


@dataclass(frozen=True)
class Flip:
    """A question of which it matters how two configurations answer it."""

    kind: Kind
    index: int
    before: Answer
    after: Answer


@dataclass(frozen=True)
class Subject:
    """How many questions of a subject are of each kind."""

    name: str
    counts: dict[Kind, int]

    @property
    def questions(self) -> int:
        return sum(self.counts.values())

    @property
    def net(self) -> int:
        return self.counts["newly right"] - self.counts["newly wrong"]


def margin(row: Prediction, metric: Metric) -> float | None:
    normed = list(scores(row, metric))
    of_answer = normed.pop(row.question.answer)
    found = of_answer - max(normed) if not any(map(math.isnan, [of_answer, *normed])) else math.nan
    return None if math.isnan(found) else found


def answers(configuration: Configuration, metric: Metric) -> list[Answer]:
    """One a question, in the order of the predictions."""
    return [_answer(rows, metric) for rows in zip(*configuration.predictions, strict=True)]


def _answer(rows: Sequence[Prediction], metric: Metric) -> Answer:
    """rows: the same question under each seed."""
    choices = Counter(best(scores(row, metric)) for row in rows)
    margins = [found for row in rows if (found := margin(row, metric)) is not None]
    return Answer(
        choice=choices.most_common(1)[0][0],
        right=sum(right(row, metric) for row in rows) / len(rows),
        margin=sum(margins) / len(margins) if len(margins) == len(rows) else None,
    )


def flips(before: Sequence[Answer], after: Sequence[Answer]) -> list[Flip]:
    """One a question."""
    pairs = enumerate(zip(before, after, strict=True))
    return [Flip(_kind(one.is_right, other.is_right), index, one, other) for index, (one, other) in pairs]


def _kind(before: bool, after: bool) -> Kind:
    if before:
        return "always right" if after else "newly wrong"
    return "newly right" if after else "always wrong"


def surest(flips: Sequence[Flip], kind: Kind) -> list[Flip]:
    """Those of one kind, the largest margin after the flip first, for or against the right choice."""
    return sorted((flip for flip in flips if flip.kind == kind), key=lambda flip: -abs(flip.after.margin or 0.0))


def by_subject(questions: Sequence[Question], flips: Sequence[Flip]) -> list[Subject]:
    """The largest net change first, gain or loss; empty where the questions have no subject."""
    counts: dict[str, Counter[Kind]] = {}
    for flip in flips:
        counts.setdefault(questions[flip.index].subject, Counter())[flip.kind] += 1
    if set(counts) <= {""}:
        return []
    found = [Subject(name or "no subject", {kind: count[kind] for kind in KINDS}) for name, count in counts.items()]
    return sorted(found, key=lambda subject: (-abs(subject.net), subject.name))


def choice_text(question: Question, answer: Answer) -> str:
    """The text of the choice that was answered; empty where there is none."""
    return "" if answer.choice is None else question.choices[answer.choice]
