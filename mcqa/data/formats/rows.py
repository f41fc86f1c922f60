"""What a reader of files gives: rows with their places, and the options for what a format leaves open."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcqa.config.errors import DataError

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row | DataError]]

LONGEST = 2**30
"""Characters of a line, and of a .json file that holds a list: a small file can unpack to more than the memory."""


@dataclass(frozen=True)
class FileOptions:
    """What the configuration says about files whose format leaves it open; None: it is found in the file.

    names: of the columns of CSV files without a header, where they are known; a file then has a header if the first
        name is a cell of its first line.
    """

    header: bool = True
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    names: Sequence[str] = ()


Reader = Callable[[Path, FileOptions, list[str]], Rows]
"""Reads a file of one format; what it finds and was not told, such as an encoding, it appends to the list."""


def named_twice(names: Iterable[str]) -> str:
    """Return the names that stand more than once, quoted."""
    return ", ".join(repr(name) for name, count in Counter(names).items() if count > 1)
