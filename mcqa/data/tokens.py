"""Tokens of questions and training examples; training and scoring both take theirs from here.

For every choice a question becomes a context and a continuation, whose texts come from prompts.py. The continuation
starts with the one space between them, because `" A"` and `"A"` are different tokens. An empty context is the token
that begins texts, as in lm-evaluation-harness. Following lm-evaluation-harness,
the whole text is tokenised at once and the tokens of the context alone are cut off its front:

    whole = tokens(context + continuation);  continuation = whole[len(tokens(context)):]

Special tokens are those that the tokenizer adds by itself, and none where a chat template has already begun the text
with them. Training on a question means to predict the right choice's continuation, then the end-of-text token (or the
one that ends a turn of the chat template), so exactly the scored tokens are learned.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from mcqa.config.errors import DataError, ModelError
from mcqa.config.schema import Config, ObjectiveConfig, PromptConfig
from mcqa.data import prompts
from mcqa.data.conversations.conversation import Conversation
from mcqa.data.conversations.texts import assistant_turns, last_turn
from mcqa.data.general_texts import Replay, replay_of
from mcqa.data.loading import Data
from mcqa.data.mixture import Mixture
from mcqa.data.prompts import Shots
from mcqa.data.question import Question, with_shuffled_choices

IGNORE_INDEX = -100
"""The label of a token that is read but not learned, as in PyTorch's cross entropy."""

BATCH_QUESTIONS = 100
"""Questions that are tokenised at once; the tokenizer holds about 100 bytes per token until it is done."""


class Tokenizer(Protocol):
    """What is needed of a transformers tokenizer; with prompt.chat_template its chat template too."""

    bos_token: str | None
    bos_token_id: int | None
    eos_token: str | None
    eos_token_id: int | None

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> Any: ...


@dataclass(frozen=True)
class EncodedChoice:
    """The token ids of one choice: those before it, and those that are scored.

    The choices of a question share one context list where they follow the same text; nobody may change it.
    """

    context: list[int]
    continuation: list[int]


@dataclass(frozen=True)
class Example:
    """One training example; labels are IGNORE_INDEX where nothing is learned.

    With objective `choice` also every choice, which one is right, and by what the score of each is divided.
    """

    input_ids: list[int]
    labels: list[int]
    choices: tuple[EncodedChoice, ...] = ()
    answer: int = 0
    lengths: tuple[float, ...] = ()

    @property
    def supervised(self) -> int:
        """The number of learned tokens. The first one does not count: nothing before it predicts it."""
        return sum(label != IGNORE_INDEX for label in self.labels[1:])


@dataclass(frozen=True)
class TrainingSet:
    """Examples short enough to train on, and the lengths in tokens of the others by their id.

    of_epoch: encodes the examples of an epoch (from 0), equally many in all of them, where they are not the same.
    undrawn: examples of a mix, or of replay, that other epochs have and the first one does not.
    """

    examples: list[Example]
    too_long: dict[str, int]
    of_epoch: Callable[[int], list[Example]] | None = None
    undrawn: Sequence[Example] = ()

    @property
    def longest(self) -> int:
        """Tokens of the longest example of any epoch; 0 where nothing is trained."""
        return max((len(example.input_ids) for example in (*self.examples, *self.undrawn)), default=0)

    def epoch(self, number: int) -> list[Example]:
        """Return the examples as they are in an epoch, in one order for all of them but those of a mix or replay."""
        return self.examples if self.of_epoch is None else self.of_epoch(number)

    def first(self, count: int) -> "TrainingSet":
        """Return the set with its first examples alone."""
        of_epoch = self.of_epoch and (lambda number: self.epoch(number)[:count])
        return TrainingSet(self.examples[:count], self.too_long, of_epoch)


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
) -> list[list[EncodedChoice]]:
    """Return for each question the tokens of each of its choices, in order.

    without_question: leave the question and its passage out of the prompt.

    Raises:
        DataError: there are too few questions to draw shots from, or too many choices for letters.
        ModelError: prompt.chat_template is true and the tokenizer has no chat template.
    """
    requests = partial(prompts.requests, tokenizer, prompt, shots=shots, without_question=without_question)
    return encode_pairs(tokenizer, [requests(question) for question in questions])


def encode_unconditional(
    tokenizer: Tokenizer, prompt: PromptConfig, questions: Sequence[Question]
) -> list[list[EncodedChoice]]:
    """Return the choices without any prompt, for acc_mutual_info: after the BOS token, or EOS if there is no BOS.

    Raises:
        ModelError: the tokenizer has neither.
    """
    start = _start_token(tokenizer, "without its question. Take evaluation.unconditional=false")
    texts = [prompts.continuations(prompt, question) for question in questions]
    unique = list(dict.fromkeys(text for choices in texts for text in choices))
    ids = tokenizer(unique, add_special_tokens=False)["input_ids"] if unique else []
    encoded = {text: _after_start(start, text_ids) for text, text_ids in zip(unique, ids, strict=True)}
    return [[encoded[text] for text in choices] for choices in texts]


def _start_token(tokenizer: Tokenizer, what: str) -> int:
    """The token that stands for an empty text: BOS, else EOS."""
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    if start is None:
        raise ModelError(
            f"the tokenizer has no token that begins or ends a text, so no choice can be scored {what}, or set "
            "bos_token in its tokenizer_config.json."
        )
    return int(start)


def _after_start(start: int, ids: list[int]) -> EncodedChoice:
    """A choice that begins with the start token itself gets no second one."""
    return EncodedChoice([start], ids[1:] if ids[:1] == [start] and len(ids) > 1 else ids)


def encode_pairs(tokenizer: Tokenizer, pairs: Sequence[Sequence[Pair]]) -> list[list[EncodedChoice]]:
    """Return the tokens of the choices of each question from their texts."""
    encoded = []
    for start in range(0, len(pairs), BATCH_QUESTIONS):
        batch = [[move_trailing_space(*pair) for pair in choices] for choices in pairs[start : start + BATCH_QUESTIONS]]
        texts = (text for choices in batch for before, after in choices for text in (before, before + after))
        tokens = _tokenize(tokenizer, list(dict.fromkeys(texts)))
        for choices in batch:
            encoded.append([_encode_pair(tokenizer, tokens, *pair) for pair in choices])
    return encoded


def _encode_pair(tokenizer: Tokenizer, tokens: dict[str, list[int]], before: str, after: str) -> EncodedChoice:
    context, whole = tokens[before], tokens[before + after]
    if not before and not context:
        return _after_start(_start_token(tokenizer, "after an empty prompt. Take prompt=cloze"), whole)
    return _cut_off_context(context, whole)


def _tokenize(tokenizer: Tokenizer, texts: list[str]) -> dict[str, list[int]]:
    """The tokens of each text. Special tokens are not added to texts that begin with BOS, as chat templates do."""
    with_bos = {text for text in texts if tokenizer.bos_token and text.startswith(tokenizer.bos_token)}
    tokens: dict[str, list[int]] = {}
    for special, group in ((True, [text for text in texts if text not in with_bos]), (False, list(with_bos))):
        ids = tokenizer(group, add_special_tokens=special)["input_ids"] if group else []
        tokens |= {text: _strip_eos(tokenizer, text, text_ids) for text, text_ids in zip(group, ids, strict=True)}
    return tokens


def move_trailing_space(before: str, after: str) -> tuple[str, str]:
    """Move white space from the end of the context to the continuation; tokenizers keep it with the next word."""
    kept = before.rstrip()
    return kept, before[len(kept) :] + after


def _strip_eos(tokenizer: Tokenizer, text: str, ids: list[int]) -> list[int]:
    """Drop the EOS token that some tokenizers append to every text."""
    appended = len(ids) > 1 and ids[-1] == tokenizer.eos_token_id and not text.endswith(str(tokenizer.eos_token))
    return ids[:-1] if appended else ids


def _cut_off_context(context: list[int], whole: list[int]) -> EncodedChoice:
    """If tokens merge across the boundary, nothing may be left to score; then the merged token is scored."""
    if len(whole) > len(context):
        return EncodedChoice(context, whole[len(context) :])
    return EncodedChoice(context[: len(whole) - 1], whole[-1:])


# --- training examples -----------------------------------------------------------------------------------------------


def training_set_of(
    config: Config, data: Data, tokenizer: Tokenizer, texts: Sequence[str], shots: Shots
) -> TrainingSet:
    """Return the training examples of a run from what it has read; as for `training_set`. objective=none has none."""
    if not config.objective.trains:
        return TrainingSet([], {})
    conversations = data.conversations.get("train", [])
    asked = config.prompt_of("train"), config.objective, data.train, texts, shots, config.shuffle_seed
    return training_set(tokenizer, *asked, conversations, data.mixture, replay_of(config, data.general))


def training_set(
    tokenizer: Tokenizer,
    prompt: PromptConfig,
    objective: ObjectiveConfig,
    questions: Sequence[Question],
    texts: Sequence[str],
    shots: Shots | None = None,
    shuffle_seed: int | None = None,
    conversations: Sequence[Conversation] = (),
    mixture: Mixture | None = None,
    replay: Replay | None = None,
) -> TrainingSet:
    """Return one example per question and conversation, or per text with objective `pretrain`, or of both with
    `mixed`, each with an end-of-text token.

    Questions and conversations longer than objective.max_length are dropped and never cut; texts become windows.

    shuffle_seed: draws another order of every question's options for each epoch; None leaves them as they are.
    mixture: draws the questions and conversations of each epoch; None where an epoch has them all. replay: adds
    windows of general text to each epoch, other ones each time.

    Raises:
        DataError: no example is left.
        ModelError: the tokenizer has no end-of-text token.
    """
    named: dict[str, Example] = {}
    if objective.name != "pretrain":
        named = _question_examples(tokenizer, prompt, objective, questions, shots)
        named |= _conversation_examples(tokenizer, objective, conversations)
    windows = text_windows(tokenizer, texts, objective.max_length) if objective.reads_texts else []
    lengths = {name: len(example.input_ids) for name, example in named.items()}
    only_texts = objective.name == "pretrain" and bool(windows)
    names, too_long = ([], {}) if only_texts else kept_examples(lengths, objective.max_length)
    kept = {name: named[name] for name in names}
    assert all(example.supervised for example in kept.values()), "an example without a supervised token"
    general = [] if replay is None else text_windows(tokenizer, replay.texts, objective.max_length)
    stays = not kept or (shuffle_seed is None and mixture is None)
    if stays and not general:
        return TrainingSet([*kept.values(), *windows], too_long)

    def drawn(number: int) -> list[str]:
        return list(kept) if mixture is None else mixture.epoch(list(kept), number)

    def with_general(own: list[Example], number: int) -> list[Example]:
        drawn = [] if replay is None else replay.epoch(len(general), len(own), number)
        return [*own, *(general[window] for window in drawn)]

    def of_epoch(number: int) -> list[Example]:
        names, of_this_epoch = drawn(number), kept
        if shuffle_seed is not None and kept:
            read = set(names)
            own = [question for question in questions if question.id in read]
            shuffled = [with_shuffled_choices(question, shuffle_seed, number) for question in own]
            of_this_epoch = kept | _question_examples(tokenizer, prompt, objective, shuffled, shots)
        return with_general([*(of_this_epoch[name] for name in names), *windows], number)

    first = drawn(0)
    undrawn = [kept[name] for name in kept.keys() - set(first)]
    examples = with_general([*(kept[name] for name in first), *windows], 0)
    return TrainingSet(examples, too_long, of_epoch, [*undrawn, *general])


def kept_examples(lengths: Mapping[str, int], max_length: int) -> tuple[list[str], dict[str, int]]:
    """Return the names of examples that are short enough, and the lengths of the others.

    Raises:
        DataError: none is left.
    """
    too_long = {name: length for name, length in lengths.items() if length > max_length}
    kept = [name for name in lengths if name not in too_long]
    if not kept:
        shortest = f"; the shortest has {min(too_long.values())}" if too_long else ""
        raise DataError(
            f"no training example is left: {len(too_long)} are longer than objective.max_length={max_length} "
            f"tokens{shortest}. Raise it, or look at the data."
        )
    return kept, too_long


def encode_answers(tokenizer: Tokenizer, conversations: Sequence[Conversation]) -> list[EncodedChoice]:
    """Return the tokens before the last turn of each conversation, and those of the turn, with the one that ends it.

    Raises:
        ModelError: a conversation takes the chat template, and the tokenizer has none.
        DataError: the template refuses a conversation.
    """
    pairs = [[last_turn(tokenizer, one)] for one in conversations]
    encoded = [choice for (choice,) in encode_pairs(tokenizer, pairs)]
    ends = {form: end_token(tokenizer, form == "chat") for form in {one.form for one in conversations}}
    return [
        EncodedChoice(choice.context, [*choice.continuation, ends[one.form]])
        for choice, one in zip(encoded, conversations, strict=True)
    ]


def _conversation_examples(
    tokenizer: Tokenizer, objective: ObjectiveConfig, conversations: Sequence[Conversation]
) -> dict[str, Example]:
    earlier: list[list[EncodedChoice]] = [[] for _ in conversations]
    if objective.loss_on == "assistant":
        pairs = [assistant_turns(tokenizer, one)[:-1] for one in conversations]
        earlier = encode_pairs(tokenizer, pairs)
    examples = {}
    for one, last, turns in zip(conversations, encode_answers(tokenizer, conversations), earlier, strict=True):
        ids = [*last.context, *last.continuation]
        learned = range(0 if objective.loss_on == "all" else len(last.context), len(ids))
        labels = [token if place in learned else IGNORE_INDEX for place, token in enumerate(ids)]
        for turn in turns:
            start, stop = _place(turn, ids, one)
            stop += one.form == "chat"  # the token that ends the turn
            labels[start:stop] = ids[start:stop]
        examples[one.id] = Example(ids, labels)
    return examples


def _place(turn: EncodedChoice, ids: list[int], conversation: Conversation) -> tuple[int, int]:
    """Return from where to where a turn's own tokens are in those of the conversation, without one that is shared with
    the next turn."""
    own = [*turn.context, *turn.continuation]
    stop = next((place for place, pair in enumerate(zip(own, ids, strict=False)) if pair[0] != pair[1]), len(own))
    if stop < len(own) - 1 or stop <= len(turn.context):
        raise DataError(
            f"conversation {conversation.id!r}: an earlier turn of the assistant has other tokens in the whole "
            "conversation than alone, as where a chat template rewrites earlier turns; take objective.loss_on=answer."
        )
    return len(turn.context), stop


def _question_examples(
    tokenizer: Tokenizer,
    prompt: PromptConfig,
    objective: ObjectiveConfig,
    questions: Sequence[Question],
    shots: Shots | None,
) -> dict[str, Example]:
    with_choices, end = objective.compares_choices, end_token(tokenizer, prompt.chat_template)
    pairs = [prompts.requests(tokenizer, prompt, question, shots) for question in questions]
    if not with_choices:
        pairs = [[choices[question.answer]] for question, choices in zip(questions, pairs, strict=True)]
    examples = {}
    for question, choices in zip(questions, encode_pairs(tokenizer, pairs), strict=True):
        right = choices[question.answer] if with_choices else choices[0]
        ids = [*right.context, *right.continuation, end]
        ignored = 0 if objective.loss_on == "all" else len(right.context)
        example = Example(ids, [IGNORE_INDEX] * ignored + ids[ignored:])
        if with_choices:
            lengths = _lengths(objective.normalise, prompt, question, choices)
            example = replace(example, choices=tuple(choices), answer=question.answer, lengths=lengths)
        examples[question.id] = example
    return examples


def _lengths(
    normalise: str | None, prompt: PromptConfig, question: Question, choices: Sequence[EncodedChoice]
) -> tuple[float, ...]:
    """Return by what the score of each choice is divided, as metrics of the same name divide it."""
    if normalise == "tokens":
        return tuple(float(len(choice.continuation)) for choice in choices)
    texts = prompts.texts(prompt, question)
    if normalise == "characters":
        return tuple(float(len(text)) for text in texts)
    if normalise == "bytes":
        return tuple(float(len(text.encode())) for text in texts)
    return (1.0,) * len(choices)


def end_token(tokenizer: Tokenizer, is_chat: bool) -> int:
    """Return the token that ends an answer: EOS, or what ends a turn of the chat template if that is a single token.

    Raises:
        ModelError: the tokenizer has no end-of-text token.
    """
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "the tokenizer has no end-of-text token, so a model could not learn where an answer ends. "
            "Set eos_token in its tokenizer_config.json."
        )
    text = prompts.end_of_turn(tokenizer) if is_chat else ""
    ids = tokenizer([text], add_special_tokens=False)["input_ids"][0] if text else []
    return int(ids[0] if len(ids) == 1 else tokenizer.eos_token_id)


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> list[EncodedChoice]:
    """Return the first tokens of each text, at most `length`; all but the first of them are scored."""
    ids = tokenizer(list(texts), add_special_tokens=True)["input_ids"] if texts else []
    first = [_strip_eos(tokenizer, text, text_ids)[:length] for text, text_ids in zip(texts, ids, strict=True)]
    return [EncodedChoice(text_ids[:1], text_ids[1:]) for text_ids in first]


def text_windows(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> list[Example]:
    """Return the texts, each with an end-of-text token, in windows of at most `length` tokens.

    A window begins with the last token of the one before it, which nothing predicts there, so that every token of a
    text but its first is learned once.
    """
    end = end_token(tokenizer, is_chat=False)
    ids = tokenizer(list(texts), add_special_tokens=True)["input_ids"] if texts else []
    examples = []
    for text, text_ids in zip(texts, ids, strict=True):
        whole = [*_strip_eos(tokenizer, text, text_ids), end]
        windows = [whole[at : at + length] for at in range(0, max(1, len(whole) - 1), length - 1)]
        examples += [Example(window, list(window)) for window in windows if len(window) > 1]
    return examples
