"""updates.csv in a run folder: loss, gradient norm and learning rate of every single update.

The curves are means over tracking.log_every updates, in which a spike disappears. A run that is resumed appends the
updates after its checkpoint once more, so of equal updates the last line counts.
"""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mcqa.runs.files import retry_stalled_io

HEADER = "update,loss,grad_norm,learning_rate"
FILE = "updates.csv"


@dataclass(frozen=True)
class Update:
    """One update, from 1; or the mean of several where only the curve is known. grad_norm: before clipping, NaN where
    it is not known."""

    number: int
    loss: float
    grad_norm: float
    learning_rate: float


def append(path: Path, updates: Iterable[Update]) -> None:
    """Write updates at the end of the file.

    Raises:
        OSError: the disk does not take them.
    """
    lines = [f"{one.number},{one.loss:.7g},{one.grad_norm:.5g},{one.learning_rate:.7g}\n" for one in updates]

    def write() -> None:
        with open(path, "a", encoding="utf-8") as file:
            if not file.tell():
                file.write(f"{HEADER}\n")
            file.writelines(lines)

    retry_stalled_io(write)


def read(path: Path) -> list[Update]:
    """Return the updates in the file, in their order; none where it is missing. Lines that a crash has cut are left
    out."""
    by_number: dict[int, Update] = {}
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            for cells in csv.reader(file):
                try:
                    number, loss, grad_norm, learning_rate = cells
                    by_number[int(number)] = Update(int(number), float(loss), float(grad_norm), float(learning_rate))
                except ValueError:
                    continue
    except OSError:
        return []
    return [by_number[number] for number in sorted(by_number) if not math.isnan(by_number[number].learning_rate)]
