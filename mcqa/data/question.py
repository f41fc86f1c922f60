"""Question, the noun that every stage shares."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Question:
    """One multiple-choice question with exactly one right choice.

    answer is an index into choices. context is a passage that the question is about, subject a field of knowledge
    and cluster what other questions share with this one besides a passage, such as the fact that is asked for; each
    is empty where the data has none. ids are unique within a split.
    """

    id: str
    question: str
    choices: tuple[str, ...]
    answer: int
    context: str = ""
    subject: str = ""
    cluster: str = ""

    @property
    def content(self) -> str:
        """What makes two questions the same question: all that is asked, and neither id nor what it belongs to."""
        return json.dumps([self.context, self.question, self.choices, self.answer], ensure_ascii=False)


def reordered(question: Question, order: Sequence[int]) -> Question:
    """The same question with the choice order[i] at place i."""
    assert sorted(order) == list(range(len(question.choices))), "every choice once"
    return replace(question, choices=tuple(question.choices[i] for i in order), answer=order.index(question.answer))


def fingerprint(questions: Iterable[Question]) -> str:
    """16 hexadecimal digits over ids and contents, in order."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(f"{question.id}\n{question.content}\n".encode())
    return digest.hexdigest()[:16]
