"""The embedded question set: plain facts, each in several sentences and several questions.

The tables in fact_tables/ hold the facts. `statements` is what a small base model is pre-trained on, and
`questions` asks about the same facts in other words; both are the same on every machine and in every process.

Splits go by fact, not by question: however a question is phrased, and from whichever end, its fact is asked
about in one split only. So training on the train split cannot teach an answer of dev or test, only how to
answer. (As a wrong choice, a name may turn up in any split.)
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from mcqa.data.question import Question

SPLITS = {"train": 50, "dev": 10, "test": 40}  # per cent of the facts


CHOICES = 4


@dataclass(frozen=True)
class Fact:
    """One pair of a relation: y is the one right answer to every question about x.

    key is what a split is drawn by. Wrong choices come from facts of the same group where there are enough.
    """

    key: str
    x: str
    y: str
    group: str


@dataclass(frozen=True)
class Relation:
    """Facts of one kind and the phrasings around them, with {x} and {y} where a fact's names go.

    questions ask for y and reverse asks for x, so there is reverse only where no two facts share a y.
    """

    subject: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    reverse: tuple[str, ...]
    facts: tuple[Fact, ...]


def statements() -> list[str]:
    """Every fact in every phrasing, fact by fact."""
    return [
        _fill(phrasing, fact) for relation in relations() for fact in relation.facts for phrasing in relation.statements
    ]


def questions(split: str) -> list[Question]:
    """The questions about the facts of one split, in table order.

    Within a subject the right answers go round the four positions in a shuffled order of the questions, so
    each position is right equally often, to within one question.
    """
    assert split in SPLITS, f"{split!r} is none of {list(SPLITS)}"
    unplaced = [
        question
        for relation in relations()
        for fact in relation.facts
        if split_of(fact) == split
        for question in _right_first(relation, fact)
    ]
    ids = defaultdict(list)
    for question in sorted(unplaced, key=lambda question: _number(question.id)):
        ids[question.subject].append(question.id)
    position = {id: turn % CHOICES for of_subject in ids.values() for turn, id in enumerate(of_subject)}
    return [_moved(question, position[question.id]) for question in unplaced]


@cache
def relations() -> tuple[Relation, ...]:
    """All relations of all tables, by file name and then in the order of the file."""
    folder = files("mcqa.data") / "fact_tables"
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file()}
    tables = [yaml.safe_load(texts[name]) for name in sorted(texts) if name.endswith(".yaml")]
    return tuple(
        _relation(table["subject"], name, body) for table in tables for name, body in table["relations"].items()
    )


def split_of(fact: Fact) -> str:
    """Where a fact is asked about; it stays there whatever other facts come and go."""
    number = _number(fact.key) % 100
    if number < SPLITS["train"]:
        return "train"
    return "dev" if number < SPLITS["train"] + SPLITS["dev"] else "test"


def _relation(subject: str, name: str, body: dict[str, Any]) -> Relation:
    """A table gives its facts either as facts, {x: y}, or as groups, {group: {x: y}}."""
    groups = body.get("groups") or {"": body["facts"]}
    facts = tuple(
        Fact(f"{subject}/{name}/{x.lower().replace(' ', '-')}", x, y, group)
        for group, pairs in groups.items()
        for x, y in pairs.items()
    )
    return Relation(
        subject,
        statements=tuple(body["statements"]),
        questions=tuple(body["questions"]),
        reverse=tuple(body.get("reverse", ())),
        facts=facts,
    )


def _right_first(relation: Relation, fact: Fact) -> list[Question]:
    """All questions about one fact, each with the right answer as its first choice."""
    phrasings = [(text, "y") for text in relation.questions] + [(text, "x") for text in relation.reverse]
    return [
        Question(
            id := f"{fact.key}/{number}",
            _fill(phrasing, fact),
            (getattr(fact, asked), *_wrong(id, relation, fact, asked)),
            answer=0,
            subject=relation.subject,
            cluster=fact.key,
        )
        for number, (phrasing, asked) in enumerate(phrasings, start=1)
    ]


def _wrong(id: str, relation: Relation, fact: Fact, asked: str) -> list[str]:
    """What other facts of the relation have in the answer's place, first from the same group, drawn by id."""

    def drawn(other: Fact) -> tuple[bool, int]:
        return other.group != fact.group, _number(f"{id} {other.key}")

    names = [getattr(other, asked) for other in sorted(relation.facts, key=drawn)]
    return [name for name in dict.fromkeys(names) if name != getattr(fact, asked)][: CHOICES - 1]


def _moved(question: Question, position: int) -> Question:
    right, *wrong = question.choices
    return replace(question, choices=(*wrong[:position], right, *wrong[position:]), answer=position)


def _fill(phrasing: str, fact: Fact) -> str:
    sentence = phrasing.format(x=fact.x, y=fact.y)
    return sentence[0].upper() + sentence[1:]


def _number(text: str) -> int:
    """Random, and the same everywhere: Python's own hash of a string differs from process to process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
