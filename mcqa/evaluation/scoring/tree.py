"""Rows for the model: what the choices of a question have in common is read once.

The choices of a question, and its orders of the options, are paths that begin alike. A tree holds every token of
them once, in depth-first order; a token sees itself and those before it whose branch it stands on:

    paths    a b c d e   a b c d f   a b c g
    tokens   a b c d e f g
    depths   0 1 2 3 4 4 3
    ends     7 7 7 6 5 6 7

Token i sees token j where j <= i < ends[j], so three lists of integers say everything that a mask needs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mcqa.data.tokens import EncodedChoice


@dataclass(frozen=True)
class Path:
    """The tokens that the model reads for one choice, and those that it is scored on: the last inputs predict them."""

    inputs: list[int]
    scored: list[int]
    choice: int  # its number among all choices


@dataclass(frozen=True)
class Row:
    """One sequence for the model. A target is a place in it, the token that is scored there and its choice."""

    tokens: list[int]
    depths: list[int]  # positions on the path from the root
    ends: list[int]  # where the part of the row that sees this token ends
    targets: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def linear(self) -> bool:
        """A single path, for which the causal mask is right."""
        return self.depths[-1] == len(self.tokens) - 1

    @property
    def places(self) -> int:
        """At how many places something is scored."""
        return len({place for place, _, _ in self.targets})


def paths(choices: Iterable[EncodedChoice], first: int, context_length: int | None) -> tuple[list[Path], bool]:
    """The paths of a question, its choices numbered from `first`; whether one was cut on the left to fit."""
    found, cut = [], False
    for number, one in enumerate(choices, first):
        tokens = [*one.context, *one.continuation]
        if context_length is not None and len(tokens) > context_length + 1:  # the last token is never read
            tokens, cut = tokens[-(context_length + 1) :], True
        inputs = tokens[:-1]
        found.append(Path(inputs, one.continuation[-len(inputs) :], number))
    return found, cut


def trees(question: Iterable[Path]) -> list[Row]:
    """One row for all paths that begin with the same token."""
    rows: list[Row] = []
    trail: list[int] = []  # where the tokens of the path before stand in the row
    before: list[int] = []
    for path in sorted(question, key=lambda path: path.inputs):  # neighbours share the most
        shared = _shared(before, path.inputs)
        if rows and shared:
            _close(rows[-1], trail[shared:])
            trail = trail[:shared]
        else:
            _close(rows[-1], trail) if rows else None
            rows.append(Row([], [], []))
            trail = []
        row = rows[-1]
        added = range(len(row.tokens), len(row.tokens) + len(path.inputs) - len(trail))
        row.tokens.extend(path.inputs[len(trail) :])
        row.depths.extend(range(len(trail), len(path.inputs)))
        row.ends.extend([0] * len(added))
        trail = [*trail, *added]
        places = trail[len(trail) - len(path.scored) :]
        row.targets.extend((place, token, path.choice) for place, token in zip(places, path.scored, strict=True))
        before = path.inputs
    if rows:
        _close(rows[-1], trail)
    return rows


def lines(question: Iterable[Path]) -> list[Row]:
    """A row for every path that no other one continues: what models without tree masks can read."""
    rows: list[Row] = []
    for path in sorted(question, key=lambda path: path.inputs, reverse=True):
        length = len(path.inputs)
        if not rows or rows[-1].tokens[:length] != path.inputs:
            rows.append(Row(path.inputs, list(range(length)), [length] * length))
        start = length - len(path.scored)
        rows[-1].targets.extend((start + i, token, path.choice) for i, token in enumerate(path.scored))
    return rows


def header(rows: Sequence[Row]) -> int:
    """How many tokens all rows begin with, each on every path of its row and before anything that is scored."""
    first = rows[0].tokens if rows else []
    length = len(first)
    for row in rows:
        trunk = next((place for place, end in enumerate(row.ends) if end < len(row.tokens)), len(row.tokens))
        scored = min(place for place, _, _ in row.targets)
        length = min(length, trunk, scored, _shared(first, row.tokens))
    return length


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))


def _close(row: Row, places: Iterable[int]) -> None:
    for place in places:
        row.ends[place] = len(row.tokens)
