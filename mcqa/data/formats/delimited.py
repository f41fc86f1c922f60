"""Rows of CSV and TSV: which character stands between cells, whether quotation marks belong to them, and the header."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from mcqa.config.delimiters import DELIMITERS
from mcqa.config.errors import DataError
from mcqa.data.formats.rows import LONGEST, FileOptions, Row, Rows, named_twice
from mcqa.data.formats.text import TextFile, text_file

SAMPLE = 1000  # records that a delimiter must cut into equally many cells

DECLARATION = re.compile(r'"?sep=(.)"?[\r\n]*')
"""A first line that Excel reads and writes, and which is no row: it names the delimiter."""

QUOTED = re.compile(r'"(?:[^"]|"")*"')
NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]*")  # and empty: a writer that quotes all text does not quote these

Record = tuple[int, list[str]]  # the number of its first line, and its cells


@dataclass(frozen=True)
class Table:
    """A file, the character between its cells, whether cells may be quoted, and how many lines precede the first."""

    file: TextFile
    delimiter: str
    quoted: bool
    skipped: int = 0

    def records(self) -> Iterator[Record]:
        """Yield the records with the number of their first line; a quoted cell may span several lines.

        Raises:
            DataError: a quotation mark is open, or a line cannot be read.
        """
        csv.field_size_limit(LONGEST)
        lines = islice(self.file.lines(), self.skipped, None)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        reader = csv.reader(lines, delimiter=self.delimiter, quoting=quoting, strict=True)
        number = self.skipped + 1
        try:
            for cells in reader:
                if cells:  # else a blank line
                    yield number, cells
                number = self.skipped + reader.line_num + 1
        except csv.Error as error:
            place = f"{self.file.path}:{number}"
            raise DataError(f"{place}: {error}. Is a quotation mark open, or the file cut off?") from None

    @property
    def delimiter_name(self) -> str:
        """The name of the delimiter, or the character itself."""
        return next((name for name, one in DELIMITERS.items() if one == self.delimiter), repr(self.delimiter))


def read_delimited(path: Path, options: FileOptions, told: list[str], usual: str | None = None) -> Rows:
    """Yield the rows of a CSV file, or with usual="\\t" of a TSV file."""
    file = text_file(path, options, told, search=True)
    table = _table(file, options, told, usual)
    records = ((number, cells) for number, cells in table.records() if any(cells))  # spreadsheets have empty rows
    first = next(records, None)
    if first is None:
        return
    number, cells = first
    if options.names and (not options.header or options.names[0] not in cells):
        names = list(options.names)
        yield f"{path}:{number}", _named_cells(table, names, cells)
    elif not options.header:
        names = [str(place) for place in range(1, len(cells) + 1)]
        yield f"{path}:{number}", _named_cells(table, names, cells)
    else:
        names = _header(file, number, cells)
    for number, cells in records:
        yield f"{path}:{number}", _named_cells(table, names, cells)


def _header(file: TextFile, number: int, names: list[str]) -> list[str]:
    """The names of the columns; those behind the last one, which spreadsheets write, are empty."""
    where = f"{file.path}:{number}"
    if error := file.damage("".join(names)):
        raise DataError(f"{where}: {error}")
    if twice := named_twice(name for name in _without_empty_end(names)):
        raise DataError(
            f"{where}: the header names a column twice: {twice}. If this line is a row and there is no header: "
            "data.header=false, and columns by number (data.columns.question=1)."
        )
    return names


def _without_empty_end(cells: Sequence[str]) -> Sequence[str]:
    last = max((place for place, cell in enumerate(cells) if cell), default=-1)
    return cells[: last + 1]


def _named_cells(table: Table, names: Sequence[str], cells: Sequence[str]) -> Row | DataError:
    if error := table.file.damage("".join(cells)):
        return error
    named = _without_empty_end(names)
    if len(cells) != len(names):
        return DataError(
            f"has {len(cells)} cells and not {len(names)} ({', '.join(named)}). "
            f"Is a {table.delimiter_name} outside quotation marks, or the file cut off?"
        )
    if any(beyond := cells[len(named) :]):
        return DataError(f"has {next(filter(None, beyond))[:50]!r} in a column without a name.")
    return dict(zip(named, cells, strict=False))


# --- the delimiter and quotation marks -------------------------------------------------------------------------------


def _table(file: TextFile, options: FileOptions, told: list[str], usual: str | None) -> Table:
    declared = DECLARATION.fullmatch(next(file.lines(), ""))
    skipped = 1 if declared else 0
    given = options.delimiter and DELIMITERS.get(options.delimiter, options.delimiter)
    if given and declared and declared[1] != given:
        raise DataError(
            f"{file.path}:1: the file says that {declared[1]!r} stands between cells, and data.delimiter that "
            f"{given!r} does. Take data.delimiter=null, or remove this line."
        )
    delimiter = given or (declared and declared[1]) or usual or _only_delimiter(file, skipped)
    quoted = delimiter != "\t" or _tab_cells_are_quoted(file, skipped, told)
    table = Table(file, delimiter, quoted, skipped)
    if not given and delimiter != (usual or ","):
        told.append(f"a {table.delimiter_name} between cells (data.delimiter)")
    return table


def _only_delimiter(file: TextFile, skipped: int) -> str:
    """The only one that cuts the first records into equally many cells, or at least the first one into several."""
    cuts: list[str] = []
    even: list[str] = []
    for delimiter in DELIMITERS.values():
        samples = [_sample(Table(file, delimiter, True, skipped))]
        if delimiter == "\t":
            samples.append(_sample(Table(file, delimiter, False, skipped)))
        if any(len(sizes) > 0 and sizes[0] > 1 for sizes, _ in samples):
            cuts.append(delimiter)
        if any(whole and sizes and set(sizes) == {sizes[0]} != {1} for sizes, whole in samples):
            even.append(delimiter)
    candidates = cuts if len(cuts) < 2 else even
    if len(candidates) == 1:
        return candidates[0]
    if not cuts:
        return ","
    names = [name for name, one in DELIMITERS.items() if one in (even or cuts)]
    raise DataError(
        f"{file.path}: cells may be separated by {' or '.join(names)}. data.delimiter={names[0]} (or another one) says "
        "which it is."
    )


def _sample(table: Table, count: int | None = SAMPLE) -> tuple[list[int], bool]:
    """How many cells the first records have, and whether all of these records could be read."""
    sizes: list[int] = []
    try:
        for _, cells in islice(table.records(), count):
            sizes.append(len(cells))
    except DataError:
        return sizes, False
    return sizes, True


def _tab_cells_are_quoted(file: TextFile, skipped: int, told: list[str]) -> bool:
    """Whether quotation marks around cells are a spreadsheet's and not the text's.

    Published TSV files have the text's own (CODAH: `say "go cats" first`, and no cell is quoted). Marks around a cell
    are a writer's where they are needed, so that the cell has doubled ones, tabs or line ends; or where all text has
    them. Otherwise they are kept.
    """
    sizes: set[int] = set()
    kept, needed, bare, open_ = 0, 0, False, False
    for line in islice(file.lines(), skipped, None):
        cells = line.rstrip("\r\n").split("\t")
        if not any(cells):
            continue
        sizes.add(len(cells))
        for cell in cells:
            if QUOTED.fullmatch(cell):
                needed += '""' in cell[1:-1]
                kept += '""' not in cell[1:-1]
            else:
                kept += cell.startswith('"')
                open_ = open_ or cell.startswith('"')
                bare = bare or not NUMBER.fullmatch(cell)
    if kept + needed == 0:
        return False
    if not bare or kept == 0:
        return True
    if open_ or len(sizes) > 1:  # as where cells contain tabs and line ends
        even, whole = _sample(Table(file, "\t", True, skipped), None)
        if whole and len(set(even)) == 1:
            if len(sizes) > 1:
                return True
            raise DataError(
                f"{file.path}: whether quotation marks belong to the text is in doubt, as all lines have equally many "
                "cells with and without them. Save the file as CSV or JSON Lines."
            )
    told.append("quotation marks as they are")
    return False
