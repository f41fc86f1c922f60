"""Made-up facts for teaching a model something that it cannot know, as rivers of towns that do not exist.

The design is that of "Physics of Language Models: Part 3.1" (arXiv 2309.14316). The texts state all facts, and train
asks about the facts of train alone, so that

- texts alone teach the facts,
- questions alone teach how to answer, and never an answer of dev or test,
- both together are the mixture, whose test asks for facts that only the texts have stated.

`asked` are questions about all facts, those of test too, in words that no other split uses: question and answer as the
way to teach (arXiv 2603.23562). `reversed` asks for the first name of each test fact and gives the second.

Names are drawn by a fixed hash from syllables, the same on every machine; no sentence of facts.py has one of them. The
wrong choices are right answers of the same split, where it has enough facts of the relation, so that nobody who has
seen the questions of train can exclude a choice of test.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import count, islice
from typing import Any

import yaml

from mcqa.data.facts import Fact, Relation, hash_of, phrased, questions_about
from mcqa.data.question import Question

FACTS_PER_RELATION = 25  # more add new ones, and those before keep their names
PHRASINGS = 16  # of each fact; as many texts as names can be in the other order are REVERSED
REVERSED = 10

TURNS = ("train", "test", "dev", "train", "test")  # the splits of five facts in a row
SPLITS = ("train", "dev", "test", "asked", "reversed")

CONSONANTS = ("b", "br", "d", "dr", "f", "g", "gl", "h", "k", "kr", "l", "m", "n", "p", "pl", "r", "s", "t", "tr", "v")
VOWELS = ("a", "e", "i", "o", "u")


@dataclass(frozen=True)
class NewRelation(Relation):
    """A relation whose statements name x first. reversed: statements that name y first; asked: further questions."""

    reversed: tuple[str, ...]
    asked: tuple[str, ...]


def statements(phrasings: int = 1, reversed: bool = False) -> list[str]:
    """Return every fact in that many phrasings, fact by fact; more phrasings begin with those of fewer.

    reversed: after them as many phrasings with the two names in the other order.

    Raises:
        DataError: a fact has fewer phrasings.
    """
    return [
        text
        for relation in relations()
        for fact in relation.facts
        for templates in (relation.statements, relation.reversed)[: 1 + reversed]
        for text in phrased(fact, templates, phrasings)
    ]


def questions(split: str) -> list[Question]:
    """Return the questions of a split, in table order; right answers are spread as those of facts.py."""
    assert split in SPLITS, f"{split!r} is none of {SPLITS}"
    if split == "asked":
        asked = [replace(one, questions=one.asked, reverse=()) for one in relations()]
        return questions_about(asked, lambda fact: True, "asked ")
    if split == "reversed":
        backward = [replace(one, questions=()) for one in relations()]
        return questions_about(backward, lambda fact: fact.group == "test", "reversed ")
    return questions_about([replace(one, reverse=()) for one in relations()], lambda fact: fact.group == split)


@cache
def relations() -> tuple[NewRelation, ...]:
    """Return all relations, in the order of their table."""
    table = yaml.safe_load((files("mcqa.data") / "new_facts.yaml").read_text(encoding="utf-8"))
    return tuple(_relation(name, body) for name, body in table.items())


def _relation(name: str, body: dict[str, Any]) -> NewRelation:
    xs, ys = (list(islice(_names(f"{name} {side}", body[side]), FACTS_PER_RELATION)) for side in "xy")
    facts = tuple(
        Fact(f"new_facts/{name}/{x.lower().replace(' ', '-')}", x, y, group=TURNS[number % len(TURNS)])
        for number, (x, y) in enumerate(zip(xs, ys, strict=True))
    )
    kinds = ("statements", "questions", "reverse", "reversed", "asked")
    of = {kind: tuple(body.get(kind, ())) for kind in kinds}
    return NewRelation(name, of["statements"], of["questions"], of["reverse"], facts, of["reversed"], of["asked"])


def _names(key: str, patterns: list[str]) -> Iterator[str]:
    """Yield names without end, each once where they are drawn from syllables or digits."""
    yielded = set[str]()
    for number in count():
        name = _name(hash_of(f"{key} {number}"), patterns)
        if name not in yielded or name in patterns:
            yielded.add(name)
            yield name


def _name(drawn: int, patterns: list[str]) -> str:
    """Fill the pattern that a large number chooses with the syllables and digits that the rest of it chooses."""
    drawn, place = divmod(drawn, len(patterns))
    name = ""
    for character in patterns[place]:
        if character == "*":
            drawn, consonant = divmod(drawn, len(CONSONANTS))
            drawn, vowel = divmod(drawn, len(VOWELS))
            syllable = CONSONANTS[consonant] + VOWELS[vowel]
            character = syllable if name and name[-1] != " " else syllable.capitalize()
        elif character == "#":
            drawn, digit = divmod(drawn, 10)
            character = str(digit)
        name += character
    return name
