"""Which examples of several sets an epoch has, by weights and a temperature (data=mix).

The share of a set is its weight times its size to the power of 1 / temperature (mT5, Xue et al. 2021, arXiv:2010.11934,
with alpha = 1 / temperature). An epoch has as many examples as the sets have together, so that with temperature 1 and
equal weights it has every example once. A set that gets more than its size repeats, and one that gets less is
continued in the next epoch: nothing is drawn again before all of its set has been drawn.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mixture:
    """weights: by the name of each set. seed: of the order in which the examples of a set are drawn."""

    weights: Mapping[str, float]
    temperature: float
    seed: int

    def counts(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Return how many examples of each set an epoch has, in all as many as there are (largest remainders)."""
        total = sum(sizes.values())
        parts = {name: self.weights[name] * size ** (1 / self.temperature) for name, size in sizes.items() if size}
        exact = {name: total * part / sum(parts.values()) for name, part in parts.items()}
        counts = {name: int(share) for name, share in exact.items()}
        by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
        for name in by_remainder[: total - sum(counts.values())]:
            counts[name] += 1
        return counts

    def epoch(self, names: Sequence[str], number: int) -> list[str]:
        """Return the names of the examples of an epoch (from 0), in their given order; a set stands before the `/`."""
        sets: dict[str, list[str]] = {}
        for name in names:
            sets.setdefault(set_of(name), []).append(name)
        drawn: Counter[str] = Counter()
        for of, count in self.counts({of: len(own) for of, own in sets.items()}).items():
            drawn.update(drawn_from(sets[of], count * number, count, f"mix\n{self.seed}"))
        return [name for name in names for _ in range(drawn[name])]


def drawn_from(names: Sequence[str], start: int, count: int, key: str) -> list[str]:
    """Return `count` names from place `start` on in all of them in one order, then all in another, and so on.

    key: what decides the orders.
    """
    first, last = start // len(names), (start + count - 1) // len(names)
    orders = [name for cycle in range(first, last + 1) for name in _shuffled(names, f"{key}\n{cycle}")]
    offset = start - first * len(names)
    return orders[offset : offset + count]


def _shuffled(names: Sequence[str], key: str) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{key}\n{name}".encode()).digest())


def set_of(name: str) -> str:
    """Return the set of a mix that an id belongs to."""
    return name.partition("/")[0]
