"""Prompts and tokens: the one place that both training and scoring take their tokens from.

A question becomes, for every choice, a context and a continuation. The continuation starts with the one space
between them, because `" A"` and `"A"` are different tokens. Following lm-evaluation-harness, the whole text is
tokenised at once and the tokens of the context alone are cut off its front:

    whole = tokens(context + continuation);  continuation = whole[len(tokens(context)):]

Special tokens are those that the tokenizer adds by itself. Training on a question means: predict the right
choice's continuation, then the end-of-text token, so the tokens learned are exactly those scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Protocol

from mcqa.config import ObjectiveConfig, PromptConfig
from mcqa.errors import DataError, ModelError
from mcqa.question import Question

IGNORED = -100
"""The label of a token that is read but not learned."""


class Tokenizer(Protocol):
    """What is needed of a transformers tokenizer."""

    eos_token_id: int | None

    def __call__(self, texts: list[str]) -> Any: ...


@dataclass(frozen=True)
class Encoded:
    """The tokens of one choice: those it is read after, and those that are scored."""

    context: list[int]
    continuation: list[int]


@dataclass(frozen=True)
class Example:
    """One training example; labels are IGNORED where nothing is learned."""

    input_ids: list[int]
    labels: list[int]

    @property
    def supervised(self) -> int:
        """Tokens that are learned; the first one has nothing before it to be predicted from."""
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True)
class TrainingSet:
    """Examples short enough to train on, and the ids of those that are not with their lengths in tokens."""

    examples: list[Example]
    too_long: dict[str, int]


# --- texts -----------------------------------------------------------------------------------------------------------


def context(prompt: PromptConfig, question: Question) -> str:
    """The text that every choice of the question is read after; it ends with `Answer:`."""
    parts = [f"{prompt.instruction}\n\n"] if prompt.instruction else []
    if question.context:
        parts.append(f"{question.context.strip()}\n")
    parts.append(f"Question: {question.question.strip()}\n")
    if prompt.style == "letters":
        parts += [f"{letter}. {choice}\n" for letter, choice in zip(ascii_uppercase, question.choices, strict=False)]
    return "".join([*parts, "Answer:"])


def continuations(prompt: PromptConfig, question: Question) -> list[str]:
    """The text of each choice that is scored, with the space before it."""
    if prompt.style == "cloze":
        return [f" {choice}" for choice in question.choices]
    if len(question.choices) > len(ascii_uppercase):
        raise DataError(
            f"question {question.id!r} has {len(question.choices)} choices and there are 26 letters; take prompt=cloze."
        )
    return [f" {letter}" for letter, _ in zip(ascii_uppercase, question.choices, strict=False)]


# --- tokens ----------------------------------------------------------------------------------------------------------


def encode(tokenizer: Tokenizer, prompt: PromptConfig, questions: Sequence[Question]) -> list[list[Encoded]]:
    """For every question the tokens of each of its choices, in order; one tokenizer call in all."""
    pairs = [
        [split_space(context(prompt, question), text) for text in continuations(prompt, question)]
        for question in questions
    ]
    flat = [pair for choices in pairs for pair in choices]
    texts = list(dict.fromkeys([before for before, _ in flat] + [before + after for before, after in flat]))
    read = tokenizer(texts)["input_ids"] if texts else []
    tokens = dict(zip(texts, (_without_end(tokenizer, ids) for ids in read), strict=True))
    return [[_join(tokens[before], tokens[before + after]) for before, after in choices] for choices in pairs]


def split_space(before: str, after: str) -> tuple[str, str]:
    """Trailing white space of the context belongs to the continuation, where tokenizers keep it with the word."""
    kept = before.rstrip()
    return kept, before[len(kept) :] + after


def _without_end(tokenizer: Tokenizer, ids: list[int]) -> list[int]:
    """Some tokenizers close every text with an end-of-text token; here the text goes on."""
    return ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else ids


def _join(before: list[int], whole: list[int]) -> Encoded:
    """At a join where tokens merge nothing might be left to score; then the merged token is scored."""
    before, after = list(before), list(whole[len(before) :])
    if not after:
        before, after = before[: len(whole) - 1], list(whole[-1:])
    return Encoded(before, after)


def training_set(
    tokenizer: Tokenizer,
    prompt: PromptConfig,
    objective: ObjectiveConfig,
    questions: Sequence[Question],
    texts: Sequence[str],
) -> TrainingSet:
    """What objective learns from: one example per question, or with `pretrain` per text, each with an end of text.

    Examples longer than objective.max_length are left out and never cut.

    Raises:
        DataError: when none is left.
        ModelError: when the tokenizer has no end-of-text token.
    """
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "the tokenizer has no end-of-text token, so a model could not learn where an answer ends. "
            "Set eos_token in its tokenizer_config.json."
        )
    end = int(tokenizer.eos_token_id)
    if objective.name == "pretrain":
        named = _text_examples(tokenizer, texts, end)
    else:
        named = _question_examples(tokenizer, prompt, questions, end, objective.loss_on == "answer")
    too_long = {name: len(ids) for name, (ids, _) in named.items() if len(ids) > objective.max_length}
    examples = [Example(ids, labels) for name, (ids, labels) in named.items() if name not in too_long]
    if not examples:
        shortest = f"; the shortest has {min(too_long.values())}" if too_long else ""
        raise DataError(
            f"no training example is left: {len(too_long)} are longer than objective.max_length="
            f"{objective.max_length} tokens{shortest}. Raise it, or look at the data."
        )
    assert all(example.supervised for example in examples), "an example without a supervised token"
    return TrainingSet(examples, too_long)


Named = dict[str, tuple[list[int], list[int]]]
"""Input ids and labels by the name of what they come from."""


def _question_examples(
    tokenizer: Tokenizer, prompt: PromptConfig, questions: Sequence[Question], end: int, answer_only: bool
) -> Named:
    named = {}
    for question, choices in zip(questions, encode(tokenizer, prompt, questions), strict=True):
        right = choices[question.answer]
        ids = [*right.context, *right.continuation, end]
        unlearned = len(right.context) if answer_only else 0
        named[question.id] = ids, [IGNORED] * unlearned + ids[unlearned:]
    return named


def _text_examples(tokenizer: Tokenizer, texts: Sequence[str], end: int) -> Named:
    read = tokenizer(list(texts))["input_ids"] if texts else []
    closed = [[*_without_end(tokenizer, ids), end] for ids in read]
    return {f"text {number}": (ids, list(ids)) for number, ids in enumerate(closed, start=1)}
