"""Rows that cannot be used: what is wrong with each, and a list of them in which nothing is said twice."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mcqa.config.errors import shortened
from mcqa.config.schema import Columns
from mcqa.data.formats import Row, extension
from mcqa.data.readers.columns import ABSENT, lookup

MAX_LISTED = 10  # problems in an error
MAX_PLACES = 3  # of a problem that several rows have
WITH_HEADERS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".xlsx")


class BadRow(NamedTuple):
    """Where a row stands, and why it cannot be used."""

    where: str
    problem: str

    def __str__(self) -> str:
        return shortened(f"{self.where}: {self.problem}")


def listed(rows: Sequence[BadRow]) -> list[str]:
    """Return a line for each of the first problems, those of most rows first, each with its first places."""
    places = defaultdict[str, list[str]](list)
    for row in rows:
        places[row.problem].append(row.where)
    groups = sorted(places.items(), key=lambda group: -len(group[1]))
    lines = [shortened(f"  {_first_of(where)}: {problem}") for problem, where in groups[:MAX_LISTED]]
    if rest := sum(len(where) for _, where in groups[MAX_LISTED:]):
        lines.append(f"  and {rest} more.")
    return lines


def _first_of(places: Sequence[str]) -> str:
    """The first of several places; those of the same file by what differs."""
    shown = [places[0]]
    for place in places[1:MAX_PLACES]:
        file, _, number = place.rpartition(":")
        same = places[0].rpartition(":")[0] == file
        shown.append(number.strip() if same and number.startswith(" ") else f":{number}" if same else place)
    rest = len(places) - len(shown)
    return ", ".join(shown) + (f" and {rest} more rows" if rest else "")


def header_advice(where: str, row: Row | None, columns: Columns | None) -> str:
    """Return a sentence about a file whose header may be a row, because it names neither question nor answer."""
    if row is None or columns is None or extension(Path(where.rpartition(":")[0])) not in WITH_HEADERS:
        return ""
    question, answer = columns.question, columns.answer or columns.right
    if any(name is not None and lookup(row, name) is not ABSENT for name in (question, answer)):
        return ""
    return (
        f"The first line names neither {question!r} nor {answer!r}. If it is a row and no header, take "
        "data.header=false and columns by number, as data.columns.question=1."
    )
