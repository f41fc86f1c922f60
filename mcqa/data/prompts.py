"""Prompts: the text that a question becomes, and the solved questions (shots) that may stand before it.

The style (mcqa/config/prompt_styles.py) says what stands before an answer and what is scored of each choice, after one
space. The text is put together as lm-evaluation-harness does: the instruction (its description), then the shots, each
followed by a space, its right answer and a blank line, then the question.

With prompt.chat_template all of that is one turn of the user, and the choice follows the tokenizer's template without
a space: the harness's --apply_chat_template with --fewshot_as_multiturn false. The instruction is in the user's turn
too, because not every template has a system turn. Templates that support thinking are told to leave it out.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count, islice
from string import ascii_uppercase
from typing import Any

from mcqa.config.errors import DataError, ModelError, quoted
from mcqa.config.prompt_styles import fill, templates, values
from mcqa.config.schema import PromptConfig
from mcqa.data.question import Question


class Shots:
    """Select the shots of each question; made once from the training questions (the pool).

    The selection depends on the seed and on what is asked, never on the order of the pool, of the options or of the
    questions. A question is never its own example, and one that is in the pool twice counts once.

    Raises:
        DataError: the pool has too few questions.
    """

    def __init__(
        self,
        prompt: PromptConfig,
        pool: Sequence[Question],
        pools_of_sets: Mapping[str, Sequence[Question]] | None = None,
    ) -> None:
        """pools_of_sets: by the name of a further question set its own pool, where it has one."""
        self.prompt = prompt
        self.of_sets = {name: Shots(prompt, own) for name, own in (pools_of_sets or {}).items()}
        unique = {_identity(shot): shot for shot in sorted(pool, key=lambda shot: shot.content)} if prompt.shots else {}
        self.pool = sorted(unique.items(), key=lambda item: self._digest(item[0]))
        self.identities = set(unique)

    def of(self, name: str) -> "Shots":
        """Return the shots of a split or further question set: those of its own pool, where it has one."""
        return self.of_sets.get(name, self)

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
    prompt: PromptConfig,
    question: Question,
    shots: Sequence[Question] = (),
    *,
    without_question: bool = False,
    choice: int = 0,
) -> str:
    """Return the text that stands before a choice, before any chat template: the same for all choices in most styles.

    without_question: leave out the question and its passage; instruction, shots and the options of `letters` stay.

    Raises:
        DataError: the question has too many choices for letters, no blank to fill, or not what a template asks for.
    """
    instruction = f"{_instruction(prompt, question)}\n\n" if prompt.instruction else ""
    solved = (_solved(prompt, shot) for shot in shots)
    asked = replace(question, question="", context="", retrieved=()) if without_question else question
    leaves_blank = without_question and templates(prompt).text_names_choice
    return "".join([instruction, *solved, "" if leaves_blank else _text(prompt, asked, choice)])


def answers(prompt: PromptConfig, question: Question, *, without_question: bool = False) -> list[str]:
    """Return what is scored of each choice: the choice itself, its letter, or what else the style says.

    without_question: where the style fills the choices into the question and scores the rest of it, the choices.

    Raises:
        DataError: as for context.
    """
    style = templates(prompt)
    if without_question and style.text_names_choice:
        return list(question.choices)
    return [_fill(style.answer, prompt, question, choice) for choice in range(len(question.choices))]


def texts(prompt: PromptConfig, question: Question) -> list[str]:
    """Return the text of each choice by whose length acc_norm and acc_bytes divide its score, as the harness counts.

    It is what is scored, and where the choices are read after different texts, the one that has the choice in it.
    """
    if not templates(prompt).text_names_choice:
        return answers(prompt, question)
    return [_text(prompt, question, choice) for choice in range(len(question.choices))]


@lru_cache(maxsize=4096)
def _solved(prompt: PromptConfig, shot: Question) -> str:
    return f"{_text(prompt, shot, shot.answer)} {answers(prompt, shot)[shot.answer]}\n\n"


def _text(prompt: PromptConfig, question: Question, choice: int) -> str:
    return _fill(templates(prompt).text, prompt, question, choice)


def _instruction(prompt: PromptConfig, question: Question) -> str:
    return _fill(prompt.instruction, prompt, question, 0) if prompt.style == "template" else prompt.instruction


def _fill(template: str, prompt: PromptConfig, question: Question, choice: int) -> str:
    if len(question.choices) > len(ascii_uppercase) and templates(prompt).has_letters:
        raise DataError(
            f"question {question.id!r} has {len(question.choices)} choices and there are 26 letters; take prompt=cloze."
        )
    if prompt.style == "blank":
        _check_blank(question)
    given = values(question.question, question.shown_context, question.subject, list(question.choices), choice)
    try:
        return fill(template, given)
    except ValueError as error:
        raise DataError(f"question {question.id!r}: the template {template!r} cannot be filled in: {error}") from error


def _check_blank(question: Question) -> None:
    blanks = re.findall("_+", question.question)
    if len(blanks) != 1:
        problem = f"{len(blanks)} blanks" if blanks else "no blank (_)"
        raise DataError(
            f"question {question.id!r} has {problem}, and prompt=blank fills the choices into one: "
            f"{quoted(question.question)}. Take prompt=cloze."
        )
    if not question.question.rpartition("_")[2].strip():
        raise DataError(
            f"question {question.id!r} ends with its blank, and prompt=blank scores what stands after it: "
            f"{quoted(question.question)}. Take prompt=continuation, without the blank."
        )


def continuations(prompt: PromptConfig, question: Question, *, without_question: bool = False) -> list[str]:
    """Return the text of each choice that is scored, with the space before it where there is one."""
    delimiter = "" if prompt.chat_template else " "
    return [f"{delimiter}{answer}" for answer in answers(prompt, question, without_question=without_question)]


def requests(
    tokenizer: Any, prompt: PromptConfig, question: Question, shots: Shots | None, *, without_question: bool = False
) -> list[tuple[str, str]]:
    """Return for each choice the text before it, chat template included, and the text that is scored."""
    solved = (shots or Shots(prompt, [])).before(question)
    choices = range(len(question.choices)) if templates(prompt).text_names_choice else [0]
    before = [context(prompt, question, solved, without_question=without_question, choice=n) for n in choices]
    before = [apply_chat_template(tokenizer, prompt, text) for text in before]
    after = continuations(prompt, question, without_question=without_question)
    return list(zip(before if len(before) > 1 else before * len(after), after, strict=True))


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
