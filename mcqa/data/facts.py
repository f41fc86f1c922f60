"""The embedded question set: plain facts, each in several sentences and several questions.

The tables in fact_tables/ hold the facts. A small base model is pre-trained on `statements`, and `questions` asks
about the same facts in other words. Both are the same on every machine and in every process.

Splits go by fact, not by question: all questions about a fact are in one split, however they are phrased and from
whichever end. So training on the train split cannot teach an answer of dev or test, only how to answer. (As a wrong
choice, a name may occur in any split.)
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any

import yaml

from mcqa.config.errors import DataError
from mcqa.data.question import Question

SPLITS = {"train": 50, "dev": 10, "test": 40}  # per cent of the facts
CHOICES = 4
PHRASINGS = 5  # of each fact in its statements


@dataclass(frozen=True)
class Fact:
    """One pair of a relation: y is the one right answer to every question about x.

    key decides the split. Wrong choices come from facts of the same group where there are enough.
    """

    key: str
    x: str
    y: str
    group: str


@dataclass(frozen=True)
class Relation:
    """Facts of one kind and the templates of their sentences, with {x} and {y} for a fact's names.

    questions ask for y and reverse asks for x, so there is reverse only where no two facts share a y.
    """

    subject: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    reverse: tuple[str, ...]
    facts: tuple[Fact, ...]


def statements(phrasings: int | None = None) -> list[str]:
    """Return every fact in that many different phrasings (None: all of them), fact by fact.

    A fact has its phrasings in an order of its own, of which more phrasings have those of fewer at their beginning.
    """
    pairs = [(fact, relation) for relation in relations() for fact in relation.facts]
    if phrasings is None:
        return [fill(template, fact) for fact, relation in pairs for template in relation.statements]
    return [text for fact, relation in pairs for text in phrased(fact, relation.statements, phrasings)]


def questions(split: str) -> list[Question]:
    """Return the questions about the facts of one split, in table order.

    Within a subject the right answers cycle through the four positions in a shuffled order of the questions, so each
    position is right equally often, to within one question.
    """
    assert split in SPLITS, f"{split!r} is none of {list(SPLITS)}"
    return questions_about(relations(), lambda fact: split_of(fact) == split)


def questions_about(relations: Sequence[Relation], chosen: Callable[[Fact], bool], series: str = "") -> list[Question]:
    """Return the questions of relations about their chosen facts, with right answers at all positions (`questions`).

    series: begins the last part of their ids, where a fact has other questions too.
    """
    pairs = ((fact, relation) for relation in relations for fact in relation.facts if chosen(fact))
    unplaced = [question for fact, relation in pairs for question in _questions_about(fact, relation, series)]
    turns: defaultdict[str, count[int]] = defaultdict(count)  # of each subject
    shuffled = sorted(unplaced, key=lambda question: hash_of(question.id))
    position = {question.id: next(turns[question.subject]) % CHOICES for question in shuffled}
    return [_with_answer_at(position[question.id], question) for question in unplaced]


@cache
def relations() -> tuple[Relation, ...]:
    """Return all relations of all tables, by file name and then in the order of the file."""
    folder = files("mcqa.data") / "fact_tables"
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file()}
    tables = [yaml.safe_load(texts[name]) for name in sorted(texts) if name.endswith(".yaml")]
    return tuple(
        _relation(table["subject"], name, body) for table in tables for name, body in table["relations"].items()
    )


def phrased(fact: Fact, templates: Sequence[str], phrasings: int) -> list[str]:
    """Return a fact in the first templates of an order that its key decides.

    Raises:
        DataError: there are fewer templates than phrasings.
    """
    if phrasings > len(templates):
        raise DataError(f"a fact has {len(templates)} phrasings, and not {phrasings} (data.paraphrases).")
    ordered = sorted(templates, key=lambda template: hash_of(f"{fact.key} {template}"))
    return [fill(template, fact) for template in ordered[:phrasings]]


def split_of(fact: Fact) -> str:
    """Return the split of a fact; adding or removing other facts does not change it."""
    percentile = hash_of(fact.key) % 100
    if percentile < SPLITS["train"]:
        return "train"
    return "dev" if percentile < SPLITS["train"] + SPLITS["dev"] else "test"


def _relation(subject: str, name: str, body: dict[str, Any]) -> Relation:
    """A table has its facts either as facts: {x: y} or as groups: {group: {x: y}}."""
    groups = body.get("groups") or {"": body["facts"]}
    facts = tuple(
        Fact(f"{subject}/{name}/{x.lower().replace(' ', '-')}", x, y, group)
        for group, pairs in groups.items()
        for x, y in pairs.items()
    )
    statements, questions, reverse = (tuple(body.get(kind, ())) for kind in ("statements", "questions", "reverse"))
    return Relation(subject, statements, questions, reverse, facts)


def _questions_about(fact: Fact, relation: Relation, series: str) -> list[Question]:
    """All questions about one fact, each with the right answer as its first choice."""
    templates = [(text, "y") for text in relation.questions] + [(text, "x") for text in relation.reverse]
    return [
        Question(
            id := f"{fact.key}/{series}{number}",
            fill(template, fact),
            (getattr(fact, asked), *_wrong_choices(id, fact, relation, asked)),
            answer=0,
            subject=relation.subject,
            cluster=fact.key,
        )
        for number, (template, asked) in enumerate(templates, start=1)
    ]


def _wrong_choices(id: str, fact: Fact, relation: Relation, asked: str) -> list[str]:
    """Names from other facts of the relation, of the same group first, in a random order that the id decides."""
    shuffled = sorted(relation.facts, key=lambda other: (other.group != fact.group, hash_of(f"{id} {other.key}")))
    names = dict.fromkeys(getattr(other, asked) for other in shuffled)
    return [name for name in names if name != getattr(fact, asked)][: CHOICES - 1]


def _with_answer_at(position: int, question: Question) -> Question:
    right, *wrong = question.choices
    return replace(question, choices=(*wrong[:position], right, *wrong[position:]), answer=position)


def fill(template: str, fact: Fact) -> str:
    """Return the sentence of a fact; it begins with a capital letter."""
    sentence = template.format(x=fact.x, y=fact.y)
    return sentence[0].upper() + sentence[1:]


def hash_of(text: str) -> int:
    """Return a hash that is the same in every process, which Python's own hash of a string is not."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
