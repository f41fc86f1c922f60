"""Conversation, the noun of data without choices: what is trained on where there is no question to answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from mcqa.data.question import Question

Role = Literal["system", "user", "assistant"]
Form = Literal["chat", "plain", "alpaca"]


@dataclass(frozen=True)
class Turn:
    """What one side says; content as it is published, white space included."""

    role: Role
    content: str


@dataclass(frozen=True)
class Conversation:
    """Turns of a user and an assistant, one after the other, after an optional one of the system.

    The last turn is the assistant's, the answer, which is learned. rejected is a worse answer to the same turns, for
    objectives that compare two; "" where there is none. form: the text that the turns become (texts.py).
    Conversations with the same cluster are related. ids are unique within a split.
    """

    id: str
    turns: tuple[Turn, ...]
    form: Form
    rejected: str = ""
    subject: str = ""
    cluster: str = ""

    @property
    def asked(self) -> tuple[Turn, ...]:
        """The turns before the answer."""
        return self.turns[:-1]

    @property
    def answer(self) -> str:
        """The last turn's content."""
        return self.turns[-1].content

    @property
    def content(self) -> str:
        """What makes two conversations the same one: all that is said, without id, subject and cluster."""
        return json.dumps([[(turn.role, turn.content) for turn in self.turns], self.rejected], ensure_ascii=False)

    @property
    def question(self) -> str:
        """What is asked last."""
        return self.turns[-2].content

    @property
    def context(self) -> str:
        """What the answer is about, as a question's passage: conversations that share it stay in one split."""
        return "\n".join(turn.content for turn in self.asked)


Entry = Question | Conversation
"""What a row of data is read as."""

E = TypeVar("E", Question, Conversation, Entry)


def counted(entries: Sequence[Entry]) -> str:
    """Return how many there are of what, such as `3 questions`."""
    kinds = {type(entry) for entry in entries}
    noun = "question" if kinds <= {Question} else "conversation" if kinds == {Conversation} else "row"
    return f"{len(entries)} {noun}{'' if len(entries) == 1 else 's'}"
