"""Prompts: the text that a question becomes, and the solved questions that may stand before it.

Every choice of a question is read after the same text, which ends with `Answer:`, and continues it after one space.
Put together as lm-evaluation-harness does: the instruction (its description), then the shots, each followed by a
space, its right answer and a blank line, then the question.

With prompt.chat_template all of that is one turn of the user, and the choice follows the tokenizer's template
without a space: the harness's --apply_chat_template with --fewshot_as_multiturn false, where an instruction stands in
the user's turn too, because not every template knows a system's. Templates that can think are told not to.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import count, islice
from string import ascii_uppercase
from typing import Any

from mcqa.config.errors import DataError, ModelError
from mcqa.config.schema import PromptConfig
from mcqa.data.question import Question


class Shots:
    """Draws the solved questions that stand before a question; made once from the training questions.

    What is drawn depends on the seed and on what is asked, never on the order of the pool, of the options or of the
    questions. A question is not its own example, and one that is twice in the pool counts once.

    Raises:
        DataError: when the pool has too few questions.
    """

    def __init__(self, prompt: PromptConfig, pool: Sequence[Question]) -> None:
        self.prompt = prompt
        drawn = {_asks(shot): shot for shot in sorted(pool, key=lambda shot: shot.content)} if prompt.shots else {}
        self.pool = sorted(drawn.items(), key=lambda item: self._digest(item[0]))
        self.drawn = set(drawn)

    @property
    def fixed(self) -> list[Question]:
        """What stands before every question that is not among them; nothing where each has its own."""
        return [shot for _, shot in self.pool[: self.prompt.shots]] if self.prompt.shots_draw == "fixed" else []

    def before(self, question: Question) -> list[Question]:
        """prompt.shots questions of the pool, in the order in which they stand."""
        if not self.prompt.shots:
            return []
        asked = _asks(question)
        others = len(self.pool) - (asked in self.drawn)
        if others < self.prompt.shots:
            raise DataError(
                f"prompt.shots={self.prompt.shots}: there are {others} training questions to draw from besides "
                f"question {question.id!r}. Lower it, or give more training questions."
            )
        order = self._places(asked) if self.prompt.shots_draw == "per_question" else iter(range(len(self.pool)))
        shots = (self.pool[place] for place in order)
        return list(islice((shot for asks, shot in shots if asks != asked), self.prompt.shots))

    def _places(self, asked: str) -> Iterator[int]:
        """Places in the pool, each once and equally likely; a few hashes a question, however large the pool."""
        seen: set[int] = set()
        for turn in count():
            place = int.from_bytes(self._digest(f"{turn}\n{asked}")[:8], "big") % len(self.pool)
            if place not in seen:
                yield place
            seen.add(place)

    def _digest(self, text: str) -> bytes:
        return hashlib.sha256(f"shots\n{self.prompt.shots_seed}\n{text}".encode()).digest()


def _asks(question: Question) -> str:
    """Equal for the same question under any order of its options."""
    right = question.choices[question.answer]
    return json.dumps([question.context, question.question, sorted(question.choices), right], ensure_ascii=False)


def context(
    prompt: PromptConfig, question: Question, shots: Sequence[Question] = (), *, without_question: bool = False
) -> str:
    """The text that every choice of the question is read after, before any chat template.

    without_question leaves the question and its passage out and keeps the options of `letters`; the instruction and
    the shots stay whole.
    """
    instruction = f"{prompt.instruction}\n\n" if prompt.instruction else ""
    solved = (f"{_asked(prompt, shot)} {answers(prompt, shot)[shot.answer]}\n\n" for shot in shots)
    return "".join([instruction, *solved, _asked(prompt, question, without_question)])


def _asked(prompt: PromptConfig, question: Question, without_question: bool = False) -> str:
    parts = []
    if question.context and not without_question:
        parts.append(f"{question.context.strip()}\n")
    if not without_question:
        parts.append(f"Question: {question.question.strip()}\n")
    if prompt.style == "letters":
        parts += [f"{letter}. {choice}\n" for letter, choice in zip(ascii_uppercase, question.choices, strict=False)]
    return "".join([*parts, "Answer:"])


def answers(prompt: PromptConfig, question: Question) -> list[str]:
    """What answers the question, choice by choice: the choices themselves or their letters."""
    if prompt.style == "cloze":
        return list(question.choices)
    if len(question.choices) > len(ascii_uppercase):
        raise DataError(
            f"question {question.id!r} has {len(question.choices)} choices and there are 26 letters; take prompt=cloze."
        )
    return list(ascii_uppercase[: len(question.choices)])


def continuations(prompt: PromptConfig, question: Question) -> list[str]:
    """The text of each choice that is scored, with the space before it where one belongs."""
    delimiter = "" if prompt.chat_template else " "
    return [f"{delimiter}{answer}" for answer in answers(prompt, question)]


def requests(
    tokenizer: Any, prompt: PromptConfig, question: Question, shots: Shots | None, *, without_question: bool = False
) -> list[tuple[str, str]]:
    """For every choice the text that it is read after and the text that is scored, as one says them to a model."""
    solved = (shots or Shots(prompt, [])).before(question)
    text = context(prompt, question, solved, without_question=without_question)
    before = in_template(tokenizer, prompt, text)
    return [(before, after) for after in continuations(prompt, question)]


# --- chat templates --------------------------------------------------------------------------------------------------


def in_template(tokenizer: Any, prompt: PromptConfig, text: str) -> str:
    """With prompt.chat_template text as the user's turn, up to where the assistant begins; else text itself."""
    if not prompt.chat_template:
        return text
    _check_template(tokenizer)
    return str(_rendered(tokenizer, [("user", text)], add_generation_prompt=True))


def end_of_turn(tokenizer: Any) -> str:
    """What the tokenizer's template writes after the assistant's words, without white space."""
    _check_template(tokenizer)
    marker = "the words"
    said = _rendered(tokenizer, [("user", "a question"), ("assistant", marker)], add_generation_prompt=False)
    return str(said).rpartition(marker)[2].strip()


def _rendered(tokenizer: Any, turns: Sequence[tuple[str, str]], add_generation_prompt: bool) -> Any:
    return tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in turns],
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
        enable_thinking=False,  # an empty block of thoughts where a template has one, else ignored
    )


def _check_template(tokenizer: Any) -> None:
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "prompt.chat_template=true: the tokenizer has no chat template; base models have none. "
            "Take prompt.chat_template=false, or a model that was trained for chat."
        )
