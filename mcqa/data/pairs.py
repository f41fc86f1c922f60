"""Preference pairs (objective=dpo): the right answer of a question against a wrong one, or the two of data=pairs.

Each answer ends with the token that ends an answer, as in every training example. Which wrong choice it is:

    all        each of them, in a pair of its own
    random     one that is drawn anew for each epoch from the seed, the epoch and the question's id
    hardest    the one that the base finds likeliest, which is known once the base has been measured
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from string import ascii_uppercase

from mcqa.config.schema import Config
from mcqa.data import tokens
from mcqa.data.conversations.conversation import Conversation
from mcqa.data.loading import Data
from mcqa.data.prompts import Shots, requests
from mcqa.data.question import Question, reordered, shuffled_order
from mcqa.data.tokens import (
    IGNORE_INDEX,
    EncodedChoice,
    Example,
    Tokenizer,
    TrainingSet,
    encode_answers,
    encode_pairs,
    end_token,
    kept_examples,
)

Hardest = Mapping[str, int]
"""The hardest wrong choice of each question, by its id."""

PairName = tuple[str, int | None]
"""The id of a question or conversation, and its wrong choice where every one of them has a pair."""


@dataclass(frozen=True)
class PairSet(TrainingSet):
    """Examples of two choices, the better one first. hardest: is asked when an epoch begins.

    letters: how often the right answer stands at each place in the first epoch; empty where prompts do not list them.
    """

    pairs_of: Callable[[int, Hardest], list[Example]] = lambda number, hardest: []
    hardest: Callable[[], Hardest] = dict
    longest_row: int = 0
    letters: Mapping[str, int] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        """Tokens of the longest answer with what is before it, of any epoch."""
        return self.longest_row

    def epoch(self, number: int) -> list[Example]:
        """Return the pairs of an epoch, in the same order in all of them but those of a mix."""
        return self.pairs_of(number, self.hardest())

    def first(self, count: int) -> "PairSet":
        """Return the set with its first pairs alone."""
        whole = self.pairs_of
        few = self.examples[:count]
        return replace(self, examples=few, pairs_of=lambda number, hardest: whole(number, hardest)[:count])


def training_set_of(
    config: Config, data: Data, tokenizer: Tokenizer, texts: Sequence[str], shots: Shots
) -> TrainingSet:
    """Return the training examples of a run from what it has read: pairs with objective=dpo.

    Raises:
        DataError: no example is left.
        ModelError: the tokenizer has no end-of-text token.
    """
    if config.objective.prefers:
        return preference_set(config, data, tokenizer, shots)
    return tokens.training_set_of(config, data, tokenizer, texts, shots)


def preference_set(config: Config, data: Data, tokenizer: Tokenizer, shots: Shots | None = None) -> PairSet:
    """Return the pairs of a run. Those of objective.pairs=hardest have any wrong choice until `hardest` is given.

    A question with an answer that is longer than objective.max_length is dropped.

    Raises:
        DataError: no pair is left.
        ModelError: the tokenizer has no end-of-text token.
    """
    prompt, objective, seed = config.prompt_of("train"), config.objective, config.question_order_seed
    end = end_token(tokenizer, prompt.chat_template)

    def encoded(questions: Sequence[Question]) -> dict[str, tuple[EncodedChoice, ...]]:
        """The answers to each question, each with the token that ends it."""
        texts = [requests(tokenizer, prompt, question, shots) for question in questions]
        return {
            question.id: tuple(replace(one, continuation=[*one.continuation, end]) for one in choices)
            for question, choices in zip(questions, encode_pairs(tokenizer, texts), strict=True)
        }

    answers = encoded(data.train)
    conversations = _of_conversations(tokenizer, data.conversations.get("train", []))
    lengths = {name: max(map(_length, choices)) for name, choices in (answers | conversations).items()}
    short_enough, too_long = kept_examples(lengths, objective.max_length)
    kept = set(short_enough)
    questions = {question.id: question for question in data.train if question.id in kept}
    names: list[PairName] = [
        (question.id, wrong)
        for question in questions.values()
        for wrong in (_wrong(question) if objective.pairs == "all" else [None])
    ]
    names += [(name, None) for name in conversations if name in kept]
    known = {_text(name): name for name in names}

    def of_epoch(number: int, hardest: Hardest) -> list[Example]:
        drawn = list(known) if data.mixture is None else data.mixture.epoch(list(known), number)
        read = {known[name][0] for name in drawn}
        orders = {name: _order(config, question, number) for name, question in questions.items() if name in read}
        shown = answers
        if config.shuffle_seed is not None:
            shown = encoded([reordered(questions[name], order) for name, order in orders.items()])
        return [pair(*known[name], orders, shown, number, hardest) for name in drawn]

    def pair(
        name: str,
        wrong: int | None,
        orders: Mapping[str, Sequence[int]],
        shown: Mapping[str, tuple[EncodedChoice, ...]],
        number: int,
        hardest: Hardest,
    ) -> Example:
        if name in conversations:
            return _example(*conversations[name])
        question, order = questions[name], orders[name]
        if wrong is None and objective.pairs == "hardest":
            wrong = hardest.get(name, _wrong(question)[0])
        elif wrong is None:
            wrong = random.Random(f"pair.{seed}.{number}.{name}").choice(_wrong(question))
        return _example(shown[name][order.index(question.answer)], shown[name][order.index(wrong)])

    letters = Counter(
        ascii_uppercase[_order(config, question, 0).index(question.answer)]
        for question in questions.values()
        if config.lists_options
    )
    return PairSet(
        of_epoch(0, {}),
        too_long,
        pairs_of=of_epoch,
        longest_row=max(lengths[name] for name in kept),
        letters=dict(sorted(letters.items())),
    )


def _of_conversations(
    tokenizer: Tokenizer, conversations: Sequence[Conversation]
) -> dict[str, tuple[EncodedChoice, ...]]:
    """Return the answer and the rejected one of each."""
    worse = [with_rejected(one) for one in conversations]
    encoded = zip(encode_answers(tokenizer, conversations), encode_answers(tokenizer, worse), strict=True)
    return {one.id: both for one, both in zip(conversations, encoded, strict=True)}


def with_rejected(conversation: Conversation) -> Conversation:
    """Return the conversation with its rejected answer as the last turn."""
    last = replace(conversation.turns[-1], content=conversation.rejected)
    return replace(conversation, turns=(*conversation.asked, last))


def _example(chosen: EncodedChoice, rejected: EncodedChoice) -> Example:
    ids, before = [*chosen.context, *chosen.continuation], len(chosen.context)
    lengths = (float(len(chosen.continuation)), float(len(rejected.continuation)))
    return Example(ids, [IGNORE_INDEX] * before + ids[before:], (chosen, rejected), 0, lengths)


def _wrong(question: Question) -> list[int]:
    return [number for number in range(len(question.choices)) if number != question.answer]


def _order(config: Config, question: Question, epoch: int) -> Sequence[int]:
    """The order in which the options of a question are shown in an epoch."""
    if config.shuffle_seed is None:
        return range(len(question.choices))
    return shuffled_order(question, config.shuffle_seed, epoch)


def _length(choice: EncodedChoice) -> int:
    return len(choice.context) + len(choice.continuation)


def _text(name: PairName) -> str:
    return name[0] if name[1] is None else f"{name[0]} against {name[1]}"


# --- what is to be known of them --------------------------------------------------------------------------------------

SYSTEMATIC = 1.1
"""By what factor the longer side is at least longer, on average, where a warning says so."""


@dataclass(frozen=True)
class PairLengths:
    """Mean tokens of the better and the worse answers of an epoch, with the token that ends each."""

    chosen: float
    rejected: float
    differ: bool  # whether the mean of the differences is further from 0 than chance would often have it

    @property
    def bias(self) -> str | None:
        """What is longer by SYSTEMATIC and more than by chance: `longer` or `shorter` for the better answers."""
        ratio = self.chosen / self.rejected
        if not self.differ or 1 / SYSTEMATIC < ratio < SYSTEMATIC:
            return None
        return "longer" if ratio > 1 else "shorter"


def pair_lengths(examples: Sequence[Example]) -> PairLengths:
    """Return the lengths of these pairs; they differ where the mean difference is above 2.58 standard errors."""
    differences = [one.lengths[0] - one.lengths[1] for one in examples]
    error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else float("inf")
    chosen, rejected = (fmean(one.lengths[side] for one in examples) for side in (0, 1))
    return PairLengths(chosen, rejected, abs(fmean(differences)) > 2.58 * error)


def length_warning(lengths: PairLengths) -> str | None:
    """Return a warning where the better answers have another length than the worse ones; else None."""
    if lengths.bias is None:
        return None
    return (
        f"The better answers of the pairs are {lengths.bias} than the worse ones, {lengths.chosen:.1f} tokens against "
        f"{lengths.rejected:.1f} on average, and the loss can be lowered by length alone. "
        "objective.preference_loss=sigmoid_norm or ipo divide by the length, and with objective.tail_weight below 1 "
        "the tokens count less by which one answer is longer."
    )


def describe(examples: Sequence[Example], letters: Mapping[str, int], is_shuffled: bool) -> list[str]:
    """Return sentences on the pairs of an epoch: how long the answers are, and where the right ones stand."""
    lengths = pair_lengths(examples)
    said = [
        f"Preference pairs: {len(examples)}; mean tokens of the better answer {lengths.chosen:.1f}, of the worse one "
        f"{lengths.rejected:.1f}, with the token that ends them"
    ]
    if letters:
        total = sum(letters.values())
        shares = ", ".join(f"{letter} {count / total:.0%}" for letter, count in letters.items())
        how = "in the first epoch; options are shuffled for each" if is_shuffled else "in every epoch, as options stay"
        said.append(f"The right answer stands at {shares} {how}")
    return said
