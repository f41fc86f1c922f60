"""Which questions are the same: exactly, with other wrong choices, in other words, or with another answer.

Case and white space never count. Near duplicates have the same passage, the same right answer and the same numbers, and
share more than NEAR of the words of the question, and of question and choices (Jaccard index of two sets). Such
sets have one of their rarest words in common (prefix filter: Chaudhuri et al. 2006; Bayardo et al. 2007, All Pairs), so
an inverted index of these finds them. Where very many questions share them, as in sets that a template has made, a
question is compared with MOST_TRIED others only, and near duplicates may be missed.
"""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from mcqa.data.question import Question

NEAR = 0.8
MOST_TRIED = 50
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Traits:
    """What a question is compared by; two that are equal in one of these are the same question in this sense.

    asked: the question and its passage. answered: these and the right answer. whole: these and all choices, in any
    order. unanswered: question, passage and all choices in any order, whichever is right.
    words: numbers of the words of question and choices, the rarest first; asking: those of the question alone. group:
    what near duplicates agree in.
    """

    asked: bytes
    answered: bytes
    whole: bytes
    unanswered: bytes
    group: bytes
    words: tuple[int, ...]
    asking: frozenset[int]


def traits_of(splits: Mapping[str, Sequence[Question]]) -> dict[str, list[Traits]]:
    """Return the traits of the questions of each split; those of one call are comparable with each other."""
    numbers: dict[str, int] = {}
    frequency: list[int] = []
    found = {split: [_traits(question, numbers, frequency) for question in splits[split]] for split in splits}
    rank = sorted(range(len(frequency)), key=frequency.__getitem__)
    place = sorted(range(len(rank)), key=rank.__getitem__)

    def ranked(one: Traits) -> Traits:
        words, asking = ([place[number] for number in numbers] for numbers in (one.words, one.asking))
        return replace(one, words=tuple(sorted(words)), asking=frozenset(asking))

    return {split: list(map(ranked, found[split])) for split in splits}


def _traits(question: Question, numbers: dict[str, int], frequency: list[int]) -> Traits:
    """numbers: of all words until now, to which new ones are added. frequency: in how many questions each one is."""
    passage, asked, *choices = map(normalized, (question.context, question.question, *question.choices))
    right, together = choices[question.answer], "\n".join(sorted(choices))
    words = set(WORD.findall(f"{asked}\n{together}"))
    for word in words:
        if numbers.setdefault(word, len(frequency)) == len(frequency):
            frequency.append(0)
        frequency[numbers[word]] += 1
    figures = " ".join(sorted(word for word in words if not word.isalpha()))
    return Traits(
        asked=_digest(passage, asked),
        answered=answered(question),
        whole=_digest(passage, asked, together, right),
        unanswered=_digest(passage, asked, together),
        group=_digest(passage, right, figures),
        words=tuple(numbers[word] for word in words),
        asking=frozenset(numbers[word] for word in set(WORD.findall(asked))),
    )


def answered(question: Question) -> bytes:
    """Return what is equal where the same is asked and the right answer is the same, whatever the wrong choices."""
    return _digest(*map(normalized, (question.context, question.question, question.choices[question.answer])))


def normalized(text: str) -> str:
    """Return a text without case, and with single spaces."""
    return " ".join(text.casefold().split())


def _digest(*texts: str) -> bytes:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).digest()


class NearIndex:
    """Finds an added question that is nearly the same as another one."""

    def __init__(self, added: Iterable[Traits] = ()) -> None:
        self._added: list[Traits] = []
        self._having: defaultdict[tuple[bytes, int], list[int]] = defaultdict(list)  # by group and rare word
        for one in added:
            self.add(one)

    def add(self, one: Traits) -> None:
        for word in _prefix(one.words):
            self._having[one.group, word].append(len(self._added))
        self._added.append(one)

    def find(self, one: Traits) -> int | None:
        """Return the number, from 0, of the first question found that is nearly the same; None where there is none."""
        words = set(one.words)
        sharing = (number for word in _prefix(one.words) for number in self._having.get((one.group, word), ()))
        candidates = islice(sharing, MOST_TRIED)
        return next((number for number in candidates if self._is_near(number, one, words)), None)

    def _is_near(self, number: int, one: Traits, words: set[int]) -> bool:
        other = self._added[number]
        return _are_similar(words, other.words) and _are_similar(one.asking, other.asking)


def _prefix(words: tuple[int, ...]) -> tuple[int, ...]:
    """The rarest words: at least one of them is in any set that is so similar, since at most the others are missing."""
    return words[: len(words) - math.ceil(NEAR * len(words)) + 1]


def _are_similar(words: Set[int], others: Collection[int]) -> bool:
    if not NEAR * len(words) <= len(others) <= len(words) / NEAR:
        return False
    shared = sum(word in words for word in others)
    return shared > NEAR * (len(words) + len(others) - shared)


# --- within a split --------------------------------------------------------------------------------------------------


def repeated(keys: Iterable[bytes | str]) -> list[int]:
    """Return the numbers of the keys, of a question each, that were there before."""
    seen: set[bytes | str] = set()
    numbers = []
    for number, key in enumerate(keys):
        if key in seen:
            numbers.append(number)
        seen.add(key)
    return numbers


def nearly_repeated(traits: Sequence[Traits]) -> list[tuple[int, int]]:
    """Return the number of each question that is nearly, and not quite, one before it, and the number of that one."""
    index, numbers, pairs = NearIndex(), list[int](), []
    exact = set(repeated(one.whole for one in traits))
    for number, one in enumerate(traits):
        if number in exact:
            continue
        if (found := index.find(one)) is not None:
            pairs.append((number, numbers[found]))
        index.add(one)
        numbers.append(number)
    return pairs


def conflicting(traits: Sequence[Traits]) -> list[list[int]]:
    """Return the numbers of the questions in each group that has the same choices and not the same right one."""
    answers: defaultdict[bytes, set[bytes]] = defaultdict(set)
    members: defaultdict[bytes, list[int]] = defaultdict(list)
    for number, one in enumerate(traits):
        answers[one.unanswered].add(one.whole)
        members[one.unanswered].append(number)
    return [members[key] for key, different in answers.items() if len(different) > 1]


# --- between splits --------------------------------------------------------------------------------------------------


def shared(traits: Sequence[Traits], others: Sequence[Traits]) -> list[int]:
    """Return the numbers of the questions that the others have too, with the same right answer."""
    known = {other.answered for other in others}
    return [number for number, one in enumerate(traits) if one.answered in known]


def nearly_shared(traits: Sequence[Traits], others: Sequence[Traits]) -> list[int]:
    """Return the numbers of the questions that the others have nearly, and not quite."""
    exact, index = set(shared(traits, others)), NearIndex(others)
    return [n for n, one in enumerate(traits) if n not in exact and index.find(one) is not None]


# --- removal from train ----------------------------------------------------------------------------------------------


def cleaned(
    train: Sequence[Question], clean: Iterable[str], measured: Sequence[Question]
) -> tuple[list[Question], dict[str, int]]:
    """Return train without what data.clean names, and how many questions each of its words has removed.

    Of questions that are equal, or nearly so, the first one stays; of those with different answers none does. measured:
    the questions of dev, test and further sets.
    """
    counts: dict[str, int] = {}
    for what in (name for name in REMOVALS if name in set(clean)):
        traits = traits_of({"train": train, "measured": measured})
        gone = set(REMOVALS[what](traits["train"], traits["measured"]))
        train = [question for number, question in enumerate(train) if number not in gone]
        counts[what] = len(gone)
    return list(train), counts


REMOVALS: dict[str, Any] = {
    "conflicts": lambda train, _: [number for group in conflicting(train) for number in group],
    "overlap": shared,
    "near_overlap": nearly_shared,
    "duplicates": lambda train, _: repeated(one.whole for one in train),
    "near_duplicates": lambda train, _: [number for number, _ in nearly_repeated(train)],
}
"""What data.clean can remove from train, in this order; each is given the traits of train and of what is measured."""
