"""How an update is split into forward passes: questions of similar length together, as many as the device takes.

The split changes nothing but the order of sums: the loss is divided by what the whole update holds (losses.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcqa.config.schema import HardwareConfig
from mcqa.training.losses import Item

CPU_TOKENS, GPU_TOKENS = 512, 1 << 15
"""Token positions of a forward pass, padding included, where hardware.training_tokens is null."""

CPU_LOGITS, GPU_LOGITS = 1 << 25, 1 << 28
"""Numbers in the logits of a forward pass, at most; in float32, 128 MiB and 1 GiB."""


@dataclass(frozen=True)
class Budget:
    """What a forward pass holds at most: items, token positions with padding, and positions with logits.

    packed: there is no padding, since items are packed into rows one behind the other.
    """

    items: int
    tokens: int
    positions: int
    packed: bool = False

    def allows(self, batch: Sequence[Item]) -> bool:
        """Whether the items fit into one forward pass; a single one always does."""
        positions = sum(item.positions for item in batch)
        fits = len(batch) <= self.items and self._size(batch) <= self.tokens and positions <= self.positions
        return fits or len(batch) == 1

    def _size(self, batch: Sequence[Item]) -> int:
        if self.packed:
            return sum(item.tokens for item in batch)
        return sum(len(item.rows) for item in batch) * max(item.longest for item in batch)

    def halved(self, batch: Sequence[Item]) -> "Budget":
        """Return a budget with room for about half of this batch."""
        return replace(self, items=max(1, len(batch) // 2), tokens=max(1, self._size(batch) // 2))


def budget(hardware: HardwareConfig, vocabulary: int, packed: bool = False) -> Budget:
    """Return the budget of a device. vocabulary: columns of the logits."""
    on_gpu = hardware.device == "cuda"
    items = hardware.micro_batch_size if isinstance(hardware.micro_batch_size, int) else 1 << 30
    tokens = hardware.training_tokens or (GPU_TOKENS if on_gpu else CPU_TOKENS)
    return Budget(items, tokens, max(1, (GPU_LOGITS if on_gpu else CPU_LOGITS) // vocabulary), packed)


def split(items: Sequence[Item], limits: Budget, at_least: int = 1) -> list[list[Item]]:
    """Return the items in batches, the longest first.

    at_least: how many batches, for processes that must take equally many; there may be fewer where items are fewer.
    """
    ordered = sorted(items, key=lambda item: (item.longest, len(item.rows)), reverse=True)
    batches: list[list[Item]] = []
    for item in ordered:
        if batches and limits.allows([*batches[-1], item]):
            batches[-1].append(item)
        else:
            batches.append([item])
    while len(batches) < at_least and (largest := max(batches, key=len)) and len(largest) > 1:
        place, half = batches.index(largest), len(largest) // 2
        batches[place : place + 1] = [largest[:half], largest[half:]]
    return batches
