"""Read the rows of one file, each with its place.

The place is "path:line" in text formats, lines counted from 1 as in editors, and "path: row n" in the others, rows
counted from 0 as in pandas and datasets. A row that cannot be parsed is yielded as a DataError, so that all of them
can be reported at once; a file that cannot be read any further raises one.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

from mcqa.config.errors import DataError

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row | DataError]]


def read_rows(path: Path, columns: Sequence[str] = ()) -> Rows:
    """Yield (place, row) for each row of a file in one of FORMATS.

    columns: names for the columns of a CSV file without a header. A file has a header if columns[0] is a cell of its
    first line.

    Raises:
        DataError: the file cannot be opened, decompressed or parsed any further.
    """
    try:
        yield from FORMATS[extension(path)](path, columns)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}). Is the file cut off?") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def extension(path: Path) -> str:
    """Return `.csv.gz` for x.csv.gz and `.csv` for x.y.csv."""
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _open(path: Path) -> TextIO:
    """Bytes that are not UTF-8 become lone surrogates, which `_encoding_error` finds row by row."""
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    return cast(TextIO, opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""))


def _encoding_error(text: str) -> DataError | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) - 0xDC00  # surrogateescape maps byte b to U+DC00 + b
        return DataError(f"byte 0x{byte:02x} is not UTF-8. Was the file saved as Latin-1 or UTF-16?")
    return None


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(path: Path, columns: Sequence[str]) -> Rows:
    """A file named .json may hold a list of objects or an object per line; its first character decides."""
    with _open(path) as file:
        first = next((line for line in file if line.strip()), "")
    return _json_list(path) if first.lstrip().startswith("[") else _json_lines(path)


def _json_lines(path: Path) -> Rows:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}:{number}", _json_line(line)


def _json_line(line: str) -> Row | DataError:
    if error := _encoding_error(line):
        return error
    try:
        return _object(json.loads(line.rstrip()))
    except json.JSONDecodeError as wrong:
        cause = "" if line.endswith(("\n", "\r")) else " Is the file cut off?"
        problem = f"{wrong.msg} at character {wrong.pos + 1}"
        return DataError(f"is not JSON ({problem}): {line.strip()[:50]!r}.{cause}")


def _json_list(path: Path) -> Rows:
    with _open(path) as file:
        text = file.read()
    for number, line in enumerate(text.split("\n") if _encoding_error(text) else [], 1):
        if error := _encoding_error(line):
            raise DataError(f"{path}:{number}: {error}")
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: is not JSON ({error.msg}). Is the file cut off?") from None
    for number, row in enumerate(rows):
        yield f"{path}: row {number}", _object(row)


def _object(row: Any) -> Row | DataError:
    return row if isinstance(row, dict) else DataError(f"is {str(row)[:50]!r}, not an object with named fields.")


# --- CSV and TSV -----------------------------------------------------------------------------------------------------


def _csv(path: Path, columns: Sequence[str], delimiter: str = ",") -> Rows:
    with _open(path) as file:
        records = _records(path, csv.reader(file, delimiter=delimiter, strict=True))
        number, names = next(records, (1, list(columns)))
        if columns and columns[0] not in names:  # no header: the first line is a row
            yield f"{path}:{number}", _named_cells(columns, names)
            names = list(columns)
        elif len(set(names)) < len(names) or _encoding_error("".join(names)):
            raise DataError(f"{path}:{number}: the header names a column twice or is not UTF-8: {names}.")
        for number, cells in records:
            yield f"{path}:{number}", _named_cells(names, cells)


def _records(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Records with the number of their first line; a quoted cell may span several lines."""
    number = 1
    try:
        for cells in reader:
            if cells:
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{number}: {error}. Is a quotation mark open, or the file cut off?") from None


def _named_cells(names: Sequence[str], cells: Sequence[str]) -> Row | DataError:
    if error := _encoding_error("".join(cells)):
        return error
    if len(cells) != len(names):
        return DataError(
            f"has {len(cells)} cells and not {len(names)} ({', '.join(names)}). "
            "Is a comma outside quotation marks, or the file cut off?"
        )
    return dict(zip(names, cells, strict=True))


# --- Parquet and Arrow -----------------------------------------------------------------------------------------------


def _parquet(path: Path, columns: Sequence[str]) -> Rows:
    from pyarrow import parquet

    return _batches(path, lambda: parquet.ParquetFile(path).iter_batches())


def _arrow(path: Path, columns: Sequence[str]) -> Rows:
    """The Arrow file format begins with its name; the stream format, which datasets uses for its cache, does not."""
    from pyarrow import ipc, memory_map

    with path.open("rb") as file:
        read = ipc.open_file if file.read(6) == b"ARROW1" else ipc.open_stream
    return _batches(path, lambda: read(memory_map(str(path))).read_all().to_batches())


def _batches(path: Path, open_batches: Callable[[], Iterable[Any]]) -> Rows:
    number = 0
    try:
        for batch in open_batches():
            for row in _batch_rows(batch):
                yield f"{path}: row {number}", row
                number += 1
    except (ValueError, OSError) as error:  # pyarrow's own exceptions derive from these
        raise DataError(f"{path}: cannot be read ({error}). Is it cut off, or another format?") from error


def _batch_rows(batch: Any) -> list[Row | DataError]:
    """One row that is not UTF-8 fails its whole batch; the batch is then read row by row."""
    try:
        return cast(list[Row | DataError], batch.to_pylist())
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            return [DataError(f"byte 0x{error.object[error.start]:02x} is not UTF-8.")]
        return [row for n in range(batch.num_rows) for row in _batch_rows(batch.slice(n, 1))]


Reader = Callable[[Path, Sequence[str]], Rows]
_TEXT: dict[str, Reader] = {".jsonl": _json, ".json": _json, ".csv": _csv, ".tsv": partial(_csv, delimiter="\t")}
FORMATS: dict[str, Reader] = {
    **{f"{name}{packed}": read for name, read in _TEXT.items() for packed in ("", ".gz")},
    ".parquet": _parquet,
    ".arrow": _arrow,
}
"""Readers by file extension; where a split exists in several formats, the first of these is read."""
