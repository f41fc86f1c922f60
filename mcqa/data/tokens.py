"""Tokens: the one place that both training and scoring take theirs from.

A question becomes, for every choice, a context and a continuation; prompting.py has their texts. The continuation
starts with the one space between them, because `" A"` and `"A"` are different tokens. Following
lm-evaluation-harness, the whole text is tokenised at once and the tokens of the context alone are cut off its front:

    whole = tokens(context + continuation);  continuation = whole[len(tokens(context)):]

Special tokens are those that the tokenizer adds by itself, and none where a chat template has begun the text with
them. Training on a question means: predict the right choice's continuation, then the end-of-text token (or the one
that ends a turn of the chat template), so the tokens learned are exactly those scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mcqa.config.errors import DataError, ModelError
from mcqa.config.schema import ObjectiveConfig, PromptConfig
from mcqa.data import prompts
from mcqa.data.prompts import Shots
from mcqa.data.question import Question

IGNORED = -100
"""The label of a token that is read but not learned."""

QUESTIONS_A_CALL = 100
"""Questions that are tokenised at once; the tokenizer holds some 100 bytes a token until it is done."""


class Tokenizer(Protocol):
    """What is needed of a transformers tokenizer; with prompt.chat_template its chat template too."""

    bos_token: str | None
    bos_token_id: int | None
    eos_token: str | None
    eos_token_id: int | None

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> Any: ...


@dataclass(frozen=True)
class Encoded:
    """The tokens of one choice: those it is read after, and those that are scored.

    The choices of a question share one list of context; nobody changes it.
    """

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


# --- tokens of choices -----------------------------------------------------------------------------------------------


Pair = tuple[str, str]
"""The texts of a context and of its continuation."""


def encode(
    tokenizer: Tokenizer,
    prompt: PromptConfig,
    questions: Sequence[Question],
    shots: Shots | None = None,
    *,
    without_question: bool = False,
) -> list[list[Encoded]]:
    """For every question the tokens of each of its choices, in order.

    without_question leaves the question and its passage out of the prompt, and nothing else.

    Raises:
        DataError: when there are too few questions to draw shots from, or too many choices for letters.
        ModelError: when there is no chat template and prompt.chat_template wants one.
    """
    texts = [
        prompts.requests(tokenizer, prompt, question, shots, without_question=without_question)
        for question in questions
    ]
    return _tokens_of(tokenizer, texts)


def unconditional(tokenizer: Tokenizer, prompt: PromptConfig, questions: Sequence[Question]) -> list[list[Encoded]]:
    """The choices without any prompt, for acc_mutual_info: after the token that begins texts, else the one that ends.

    Raises:
        ModelError: when the tokenizer has neither.
    """
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if start is None:
        raise ModelError(
            "the tokenizer has no token that begins or ends a text, so no choice can be scored without its question. "
            "Take evaluation.unconditional=false, or set bos_token in its tokenizer_config.json."
        )
    texts = [prompts.continuations(prompt, question) for question in questions]
    flat = list(dict.fromkeys(text for choices in texts for text in choices))
    read = tokenizer(flat, add_special_tokens=False)["input_ids"] if flat else []
    tokens = dict(zip(flat, read, strict=True))
    return [[_after(start, tokens[text]) for text in choices] for choices in texts]


def _after(start: int, ids: list[int]) -> Encoded:
    """A choice that begins with the starting token itself gets no second one."""
    return Encoded([start], ids[1:] if ids[:1] == [start] and len(ids) > 1 else ids)


def _tokens_of(tokenizer: Tokenizer, texts: Sequence[Sequence[Pair]]) -> list[list[Encoded]]:
    pairs = [[split_space(before, after) for before, after in choices] for choices in texts]
    starts = range(0, len(pairs), QUESTIONS_A_CALL)
    return [one for start in starts for one in _tokens_of_some(tokenizer, pairs[start : start + QUESTIONS_A_CALL])]


def _tokens_of_some(tokenizer: Tokenizer, pairs: Sequence[Sequence[Pair]]) -> Iterator[list[Encoded]]:
    texts = dict.fromkeys(text for choices in pairs for before, after in choices for text in (before, before + after))
    tokens = _read(tokenizer, list(texts))
    for choices in pairs:
        yield [_join(tokens[before], tokens[before + after]) for before, after in choices]


def _read(tokenizer: Tokenizer, texts: list[str]) -> dict[str, list[int]]:
    """The tokens of each text; those that begin with the starting token, as chat templates write it, get no other."""
    begun = {text for text in texts if tokenizer.bos_token and text.startswith(tokenizer.bos_token)}
    tokens: dict[str, list[int]] = {}
    for special, some in ((True, [text for text in texts if text not in begun]), (False, list(begun))):
        read = tokenizer(some, add_special_tokens=special)["input_ids"] if some else []
        tokens |= {text: _without_end(tokenizer, text, ids) for text, ids in zip(some, read, strict=True)}
    return tokens


def split_space(before: str, after: str) -> tuple[str, str]:
    """Trailing white space of the context belongs to the continuation, where tokenizers keep it with the word."""
    kept = before.rstrip()
    return kept, before[len(kept) :] + after


def _without_end(tokenizer: Tokenizer, text: str, ids: list[int]) -> list[int]:
    """Some tokenizers close every text with an end-of-text token; here the text goes on."""
    added = len(ids) > 1 and ids[-1] == tokenizer.eos_token_id and not text.endswith(str(tokenizer.eos_token))
    return ids[:-1] if added else ids


def _join(before: list[int], whole: list[int]) -> Encoded:
    """At a join where tokens merge nothing might be left to score; then the merged token is scored."""
    after = whole[len(before) :]
    return Encoded(before, after) if after else Encoded(before[: len(whole) - 1], whole[-1:])


# --- training examples -----------------------------------------------------------------------------------------------


def training_set(
    tokenizer: Tokenizer,
    prompt: PromptConfig,
    objective: ObjectiveConfig,
    questions: Sequence[Question],
    texts: Sequence[str],
    shots: Shots | None = None,
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
    if objective.name == "pretrain":
        named = _text_examples(tokenizer, texts, int(tokenizer.eos_token_id))
    else:
        named = _question_examples(tokenizer, prompt, questions, shots, objective.loss_on == "answer")
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
    tokenizer: Tokenizer, prompt: PromptConfig, questions: Sequence[Question], shots: Shots | None, answer_only: bool
) -> Named:
    right_ones = [[prompts.requests(tokenizer, prompt, question, shots)[question.answer]] for question in questions]
    end = _end(tokenizer, prompt)
    named = {}
    for question, (right,) in zip(questions, _tokens_of(tokenizer, right_ones), strict=True):
        ids = [*right.context, *right.continuation, end]
        unlearned = len(right.context) if answer_only else 0
        named[question.id] = ids, [IGNORED] * unlearned + ids[unlearned:]
    return named


def _end(tokenizer: Tokenizer, prompt: PromptConfig) -> int:
    """What ends an answer: the end of text, or the token by which the chat template ends a turn where it is one."""
    assert tokenizer.eos_token_id is not None
    text = prompts.end_of_turn(tokenizer) if prompt.chat_template else ""
    ids = tokenizer([text], add_special_tokens=False)["input_ids"][0] if text else []
    return int(ids[0] if len(ids) == 1 else tokenizer.eos_token_id)


def _text_examples(tokenizer: Tokenizer, texts: Sequence[str], end: int) -> Named:
    read = tokenizer(list(texts), add_special_tokens=True)["input_ids"] if texts else []
    closed = [[*_without_end(tokenizer, text, ids), end] for text, ids in zip(texts, read, strict=True)]
    return {f"text {number}": (ids, list(ids)) for number, ids in enumerate(closed, start=1)}
