"""Question, the noun that every stage shares."""

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True)
class Question:
    """One multiple-choice question with exactly one right choice.

    answer is an index into choices. context is a passage that the question is about. Questions with the same cluster
    are related otherwise, for example by asking for the same fact. context, subject and cluster are empty where the
    data has none. ids are unique within a split. retrieved: passages that were found for it, the best first; they are
    no part of what is asked.
    """

    id: str
    question: str
    choices: tuple[str, ...]
    answer: int
    context: str = ""
    subject: str = ""
    cluster: str = ""
    retrieved: tuple[str, ...] = ()

    @property
    def shown_context(self) -> str:
        """What stands before the question: the retrieved passages, the best one last, which a prompt that is cut
        loses last, and then its own."""
        return "\n".join([*reversed(self.retrieved), *([self.context] if self.context else [])])

    @property
    def content(self) -> str:
        """What makes two questions the same question: all that is asked, without id, subject and cluster."""
        return json.dumps([self.context, self.question, self.choices, self.answer], ensure_ascii=False)


def reordered(question: Question, order: Sequence[int]) -> Question:
    """Return the same question with the choice order[i] at position i."""
    assert sorted(order) == list(range(len(question.choices))), "every choice once"
    return replace(question, choices=tuple(question.choices[i] for i in order), answer=order.index(question.answer))


def in_drawn_order(question: Question, seed: int) -> Question:
    """Return the question with its choices in an order drawn from the seed and its content."""
    order = list(range(len(question.choices)))
    random.Random(f"order.{seed}.{question.content}").shuffle(order)
    return reordered(question, order)


def with_shuffled_choices(question: Question, seed: int, epoch: int) -> Question:
    """Return the question with its choices in an order drawn from the seed, the epoch and its id."""
    return reordered(question, shuffled_order(question, seed, epoch))


def shuffled_order(question: Question, seed: int, epoch: int) -> list[int]:
    """Return that order: which choice stands at each place."""
    order = list(range(len(question.choices)))
    random.Random(f"{seed}.{epoch}.{question.id}").shuffle(order)
    return order


class HasContent(Protocol):
    """A question, or a conversation."""

    @property
    def id(self) -> str: ...

    @property
    def content(self) -> str: ...


def fingerprint(questions: Iterable[HasContent]) -> str:
    """Return 16 hexadecimal digits of a hash over ids and contents, in order."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(f"{question.id}\n{question.content}\n".encode())
    return digest.hexdigest()[:16]
