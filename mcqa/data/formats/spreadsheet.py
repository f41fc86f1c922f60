"""Rows of Excel files (.xlsx), by openpyxl."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.formats.rows import FileOptions, Row, Rows, named_twice

MOST_BYTES = 2**28  # of the unpacked file, much of which openpyxl holds in memory several times
MOST_ROWS = 2**20  # Excel has no more
OLD_EXCEL = bytes.fromhex("d0cf11e0a1b11ae1")  # also of new files with a password

PLAIN = re.compile(r"General|@|[#0,]*(?:\.[#0]+)?")
"""Formats that show a number as it is, apart from digits and their groups: not as a percentage, date or amount."""


@dataclass(frozen=True)
class UnclearCell:
    """A cell that shows something else than is stored in it; no text, so that who reads it says so."""

    stored: object
    shown: str

    def __str__(self) -> str:
        return f"{self.stored}, {self.shown}"


def read_spreadsheet(path: Path, options: FileOptions, told: list[str]) -> Rows:
    """Yield the rows of the only sheet with cells, or of data.sheet; a place is the row's number in Excel.

    Whole numbers are int, and formulas have the value that Excel has stored. Dates, errors and numbers in a format such
    as percent are no text, and an error of their row where it is used.

    Raises:
        DataError: the file is damaged, or has several sheets, or openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f"{path}: Excel files are read by openpyxl, which is not installed: pip install 'mcqa[xlsx]'. Or save the "
            "sheet as CSV."
        ) from error
    _check_archive(path)
    try:
        # Twice, because a formula whose value is not stored is an empty cell otherwise.
        with (
            closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as values,
            closing(openpyxl.load_workbook(path, read_only=True)) as formulas,
        ):
            sheet = _sheet_name(path, values, options.sheet)
            yield from _sheet_rows(path, values[sheet], formulas[sheet], options)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # openpyxl raises of all kinds
        raise DataError(f"{path}: cannot be read ({type(error).__name__}: {error}). Is it damaged?") from error


def _check_archive(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(8) == OLD_EXCEL:
            raise DataError(f"{path}: is an old Excel file (.xls), or has a password. Save it as .xlsx without one.")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: is no Excel file ({error}). Is it cut off, or another format?") from error
    if size > MOST_BYTES:
        raise DataError(f"{path}: unpacks to {size} bytes, more than {MOST_BYTES}. Save the sheet as CSV.")


def _sheet_name(path: Path, workbook: Any, wanted: str | None) -> str:
    names = [sheet.title for sheet in workbook.worksheets]
    filled = [sheet.title for sheet in workbook.worksheets if any(_cells(sheet))]
    if wanted is not None and wanted not in names:
        raise DataError(f"{path}: there is no sheet {wanted!r}, only {', '.join(map(repr, names))} (data.sheet).")
    if wanted is None and len(filled) > 1:
        listed = ", ".join(map(repr, filled))
        raise DataError(f"{path}: has several sheets: {listed}. data.sheet says which one has the questions.")
    return wanted or (filled or names)[0]


def _cells(sheet: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of cells, as long as their cells go; what the file says about its size need not be so."""
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows()):
        if number >= MOST_ROWS:  # the empty rows before one with a huge number would take forever
            raise ValueError(f"a row has a number above {MOST_ROWS}")
        yield row if any(cell.value is not None for cell in row) else ()


def _sheet_rows(path: Path, values: Any, formulas: Any, options: FileOptions) -> Rows:
    names: list[str] | None = None
    for number, (row, written) in enumerate(zip_longest(_cells(values), _cells(formulas), fillvalue=()), 1):
        cells: list[Any] | DataError
        try:
            cells = _values(row, written)
        except DataError as error:
            cells = error
        if cells == []:
            continue
        if names is None and options.header:
            if isinstance(cells, DataError):
                raise DataError(f"{path}:{number}: {cells}")
            names = _header(f"{path}:{number}", cells)
            continue
        if names is None and not isinstance(cells, DataError):
            names = [str(place) for place in range(1, len(cells) + 1)]
        yield f"{path}:{number}", cells if isinstance(cells, DataError) else _named(names or [], cells)


def _header(where: str, cells: Sequence[Any]) -> list[str]:
    names = ["" if cell is None else str(cell) for cell in cells]
    if twice := named_twice(filter(None, names)):
        raise DataError(
            f"{where}: the header names a column twice: {twice}. If this is a row and there is no header: "
            "data.header=false, and columns by number (data.columns.question=1)."
        )
    return names


def _named(names: Sequence[str], cells: Sequence[Any]) -> Row | DataError:
    row = dict.fromkeys(filter(None, names))
    for name, cell in zip_longest(names, cells):
        if name:
            row[name] = cell
        elif cell is not None:
            return DataError(f"has {str(cell)[:50]!r} in a column without a name.")
    return row


def _values(row: Sequence[Any], written: Sequence[Any]) -> list[Any]:
    """The values of the cells, up to the last one that has any."""
    values = [_value(cell, source) for cell, source in zip_longest(row, written)]
    while values and values[-1] is None:
        values.pop()
    return values


def _value(cell: Any, source: Any) -> Any:
    from openpyxl.utils.escape import unescape

    value = None if cell is None else cell.value
    if value is None:
        if source is not None and source.value is not None:
            raise DataError(
                f"cell {source.coordinate} is a formula whose value is not stored. Open the file in Excel or "
                "LibreOffice and save it."
            )
        return None
    if cell.data_type == "e":
        return UnclearCell(value, "the error of a formula")
    if isinstance(value, str):
        return unescape(value)  # _x000D_ is a line end
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if not PLAIN.fullmatch(cell.number_format or "General"):
        return UnclearCell(value, f"shown in the format {cell.number_format}")
    return int(value) if float(value).is_integer() else value
