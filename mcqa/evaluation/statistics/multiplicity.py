"""Many comparisons at once: adjusted p-values, and letters for what cannot be told apart."""

from collections.abc import Callable, Sequence
from itertools import combinations
from string import ascii_letters


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: rejecting those below 5 % errs at all in at most 5 % (Holm 1979)."""
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted


def compact_letter_display(means: Sequence[float], apart: Callable[[int, int], bool]) -> list[str]:
    """Compact letter display (Piepho 2004): items that share a letter cannot be told apart, all others can.

    apart(i, j) is asked once for every i < j. Letters go from the best mean to the worst, so the best has "a".
    """
    places = sorted(range(len(means)), key=lambda index: (-means[index], index))
    order = {index: place for place, index in enumerate(places)}
    columns = [frozenset(range(len(means)))] if means else []
    for pair in combinations(range(len(means)), 2):
        if apart(*pair):
            columns = _split(columns, *pair)
    columns.sort(key=lambda column: sorted(order[index] for index in column))
    letters = [_letter(number) for number in range(len(columns))]
    return ["".join(x for x, column in zip(letters, columns, strict=True) if i in column) for i in range(len(means))]


def _split(columns: list[frozenset[int]], i: int, j: int) -> list[frozenset[int]]:
    """No column keeps both: insert the two halves, absorb columns that lie within another."""
    halves = [column - {one} for column in columns if {i, j} <= column for one in (i, j)]
    kept = {column for column in columns if not {i, j} <= column} | set(halves)
    return [column for column in kept if not any(column < other for other in kept)]


def _letter(number: int) -> str:
    """a to z, A to Z, then Greek: no group is left without a letter."""
    return ascii_letters[number] if number < len(ascii_letters) else chr(ord("α") + number - len(ascii_letters))
