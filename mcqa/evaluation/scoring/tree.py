"""Rows for the model: tokens that the choices of a question share are read once.

The choices of a question, and its orders of the options, are paths that begin alike. A tree holds every token of
them once, in depth-first order; a token sees itself and those before it whose branch it stands on:

    paths    a b c d e   a b c d f   a b c g
    tokens   a b c d e f g
    depths   0 1 2 3 4 4 3
    ends     7 7 7 6 5 6 7

Token i sees token j where j <= i < ends[j], so three lists of integers hold everything that a mask needs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mcqa.data.tokens import EncodedChoice


@dataclass(frozen=True)
class Path:
    """The tokens that the model reads for one choice, and those that are scored: the last inputs predict them."""

    inputs: list[int]
    scored: list[int]
    choice: int  # its number among the choices of all questions
    dropped: int = 0  # tokens of its context that did not fit into the model


@dataclass(frozen=True)
class Row:
    """One sequence for the model. A target is a position in it, the token that is scored there and its choice."""

    tokens: list[int]
    depths: list[int]  # positions on the path from the root
    ends: list[int]  # where the part of the row that sees this token ends
    targets: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def linear(self) -> bool:
        """Whether it is a single path, for which the causal mask is right."""
        return self.depths[-1] == len(self.tokens) - 1

    @property
    def scored_positions(self) -> int:
        """At how many positions something is scored."""
        return len({position for position, _, _ in self.targets})


def paths(choices: Iterable[EncodedChoice], first: int, context_length: int | None) -> list[Path]:
    """Return the paths of a question, its choices numbered from `first`.

    Tokens that do not fit into the model are dropped from the left. The last token of a choice is scored and never
    read. A choice that does not fit by itself has no path: its end alone is another text.
    """
    question = []
    for number, choice in enumerate(choices, first):
        tokens = [*choice.context, *choice.continuation]
        dropped = 0 if context_length is None else max(0, len(tokens) - (context_length + 1))
        inputs = tokens[dropped:-1]
        if not dropped or dropped < len(choice.context):
            question.append(Path(inputs, choice.continuation[-len(inputs) :], number, dropped))
    return question


def tree_rows(question: Iterable[Path]) -> list[Row]:
    """Return one row for all paths that begin with the same token and have lost as many before it."""
    rows: list[Row] = []
    trail: list[int] = []  # positions in the row of the previous path's tokens
    previous: Path | None = None
    for path in sorted(question, key=lambda path: (path.dropped, path.inputs)):  # neighbours share the most
        alike = previous is not None and previous.dropped == path.dropped
        shared = _shared_length(previous.inputs, path.inputs) if previous is not None and alike else 0
        if rows:
            _close(rows[-1], trail[shared:])
        if not shared:
            rows.append(Row([], [], []))
        row, previous = rows[-1], path
        added = range(len(row.tokens), len(row.tokens) + len(path.inputs) - shared)
        row.tokens.extend(path.inputs[shared:])
        row.depths.extend(range(shared, len(path.inputs)))
        row.ends.extend([0] * len(added))
        trail = [*trail[:shared], *added]
        positions = trail[len(trail) - len(path.scored) :]
        row.targets.extend((at, token, path.choice) for at, token in zip(positions, path.scored, strict=True))
    if rows:
        _close(rows[-1], trail)
    return rows


def linear_rows(question: Iterable[Path]) -> list[Row]:
    """Return a row for every path that no other one continues, for models that cannot read a tree."""
    rows: list[Row] = []
    for path in sorted(question, key=lambda path: path.inputs, reverse=True):
        length = len(path.inputs)
        if not rows or rows[-1].tokens[:length] != path.inputs:
            rows.append(Row(path.inputs, list(range(length)), [length] * length))
        start = length - len(path.scored)
        rows[-1].targets.extend((start + i, token, path.choice) for i, token in enumerate(path.scored))
    return rows


def packed_rows(rows: Iterable[Row], length: int) -> list[Row]:
    """Return the rows one behind the other, in rows of at most `length` tokens or of a single row; none sees another.

    Targets keep their order.
    """
    packed: list[Row] = []
    for row in rows:
        if not packed or len(packed[-1].tokens) + len(row.tokens) > length:
            packed.append(Row([], [], []))
        into, offset = packed[-1], len(packed[-1].tokens)
        into.tokens.extend(row.tokens)
        into.depths.extend(row.depths)
        into.ends.extend(offset + end for end in row.ends)
        into.targets.extend((offset + position, token, choice) for position, token, choice in row.targets)
    return packed


def prefix_length(rows: Sequence[Row]) -> int:
    """Return how many tokens all rows begin with, each on every path of its row and before anything that is scored."""
    first = rows[0].tokens if rows else []
    length = len(first)
    for row in rows:
        trunk = next((position for position, end in enumerate(row.ends) if end < len(row.tokens)), len(row.tokens))
        scored = min(position for position, _, _ in row.targets)
        length = min(length, trunk, scored, _shared_length(first, row.tokens))
    return length


def _shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    for position, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return position
    return min(len(one), len(other))


def _close(row: Row, positions: Iterable[int]) -> None:
    """End the branch of the tokens at these positions: what follows in the row does not see them."""
    for position in positions:
        row.ends[position] = len(row.tokens)
