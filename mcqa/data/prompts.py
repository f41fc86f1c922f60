"""Prompts: the text that a question becomes, and the solved questions (shots) that may stand before it.

All choices of a question follow the same text, which ends with `Answer:`, after one space. The text is put together as
lm-evaluation-harness does: the instruction (its description), then the shots, each followed by a space, its right
answer and a blank line, then the question.

With prompt.chat_template all of that is one turn of the user, and the choice follows the tokenizer's template without
a space: the harness's --apply_chat_template with --fewshot_as_multiturn false. The instruction is in the user's turn
too, because not every template has a system turn. Templates that support thinking are told to leave it out.
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
    """Select the shots of each question; made once from the training questions (the pool).

    The selection depends on the seed and on what is asked, never on the order of the pool, of the options or of the
    questions. A question is never its own example, and one that is in the pool twice counts once.

    Raises:
        DataError: the pool has too few questions.
    """

    def __init__(self, prompt: PromptConfig, pool: Sequence[Question]) -> None:
        self.prompt = prompt
        unique = {_identity(shot): shot for shot in sorted(pool, key=lambda shot: shot.content)} if prompt.shots else {}
        self.pool = sorted(unique.items(), key=lambda item: self._digest(item[0]))
        self.identities = set(unique)

    @property
    def fixed(self) -> list[Question]:
        """The shots of every question that is not one of them; none where each question has its own."""
        return [shot for _, shot in self.pool[: self.prompt.shots]] if self.prompt.shots_draw == "fixed" else []

    def before(self, question: Question) -> list[Question]:
        """Return the prompt.shots questions that stand before this one, in order."""
        if not self.prompt.shots:
            return []
        own = _identity(question)
        others = len(self.pool) - (own in self.identities)
        if others < self.prompt.shots:
            raise DataError(
                f"prompt.shots={self.prompt.shots}: there are {others} training questions to draw from besides "
                f"question {question.id!r}. Lower it, or give more training questions."
            )
        order = self._random_indices(own) if self.prompt.shots_draw == "per_question" else iter(range(len(self.pool)))
        candidates = (self.pool[index] for index in order)
        return list(islice((shot for identity, shot in candidates if identity != own), self.prompt.shots))

    def _random_indices(self, identity: str) -> Iterator[int]:
        """Indices into the pool, each once and equally likely; a few hashes per question, however large the pool."""
        seen: set[int] = set()
        for attempt in count():
            index = int.from_bytes(self._digest(f"{attempt}\n{identity}")[:8], "big") % len(self.pool)
            if index not in seen:
                yield index
            seen.add(index)

    def _digest(self, text: str) -> bytes:
        return hashlib.sha256(f"shots\n{self.prompt.shots_seed}\n{text}".encode()).digest()


def _identity(question: Question) -> str:
    """Equal for the same question under any order of its options."""
    right = question.choices[question.answer]
    return json.dumps([question.context, question.question, sorted(question.choices), right], ensure_ascii=False)


def context(
    prompt: PromptConfig, question: Question, shots: Sequence[Question] = (), *, without_question: bool = False
) -> str:
    """Return the text that all choices of the question follow, before any chat template.

    without_question: leave out the question and its passage; instruction, shots and the options of `letters` stay.
    """
    instruction = f"{prompt.instruction}\n\n" if prompt.instruction else ""
    solved = (f"{_question_text(prompt, shot)} {answers(prompt, shot)[shot.answer]}\n\n" for shot in shots)
    return "".join([instruction, *solved, _question_text(prompt, question, without_question)])


def _question_text(prompt: PromptConfig, question: Question, without_question: bool = False) -> str:
    passage = f"{question.context.strip()}\n" if question.context else ""
    asked = "" if without_question else f"{passage}Question: {question.question.strip()}\n"
    options = zip(ascii_uppercase, question.choices, strict=False) if prompt.style == "letters" else ()
    return "".join([asked, *(f"{letter}. {choice}\n" for letter, choice in options), "Answer:"])


def answers(prompt: PromptConfig, question: Question) -> list[str]:
    """Return the answer text of each choice: the choice itself, or its letter with prompt.style letters."""
    if prompt.style == "cloze":
        return list(question.choices)
    if len(question.choices) > len(ascii_uppercase):
        raise DataError(
            f"question {question.id!r} has {len(question.choices)} choices and there are 26 letters; take prompt=cloze."
        )
    return list(ascii_uppercase[: len(question.choices)])


def continuations(prompt: PromptConfig, question: Question) -> list[str]:
    """Return the text of each choice that is scored, with the space before it where there is one."""
    delimiter = "" if prompt.chat_template else " "
    return [f"{delimiter}{answer}" for answer in answers(prompt, question)]


def requests(
    tokenizer: Any, prompt: PromptConfig, question: Question, shots: Shots | None, *, without_question: bool = False
) -> list[tuple[str, str]]:
    """Return for each choice the text before it, chat template included, and the text that is scored."""
    solved = (shots or Shots(prompt, [])).before(question)
    text = context(prompt, question, solved, without_question=without_question)
    before = apply_chat_template(tokenizer, prompt, text)
    return [(before, after) for after in continuations(prompt, question)]


# --- chat templates --------------------------------------------------------------------------------------------------


def apply_chat_template(tokenizer: Any, prompt: PromptConfig, text: str) -> str:
    """Return text as the user's turn, up to where the assistant's begins; unchanged without prompt.chat_template.

    Raises:
        ModelError: the tokenizer has no chat template.
    """
    if not prompt.chat_template:
        return text
    return _render(tokenizer, [("user", text)], add_generation_prompt=True)


def end_of_turn(tokenizer: Any) -> str:
    """Return what the tokenizer's template writes after the assistant's answer, without white space."""
    marker = "the answer"
    turns = [("user", "a question"), ("assistant", marker)]
    return _render(tokenizer, turns, add_generation_prompt=False).rpartition(marker)[2].strip()


def _render(tokenizer: Any, turns: Sequence[tuple[str, str]], add_generation_prompt: bool) -> str:
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "prompt.chat_template=true: the tokenizer has no chat template; base models have none. "
            "Take prompt.chat_template=false, or a model that was trained for chat."
        )
    text = tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in turns],
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
        enable_thinking=False,  # ignored by templates without thinking
    )
    return str(text)
