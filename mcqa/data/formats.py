"""Rows of one file, each with where it stands.

`where` is path:line for text formats, lines counted from 1 as editors do, and "path: row n" for the others,
rows counted from 0 as pandas and datasets do. A row that cannot be parsed comes as a DataError in its place,
so that all of them can be told at once; a file that cannot be read on raises one.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from mcqa.config.errors import DataError

Row = dict[str, Any]


Rows = Iterator[tuple[str, Row | DataError]]


def rows(path: Path, unnamed: Sequence[str] = ()) -> Rows:
    """The rows of a file in one of FORMATS.

    unnamed: what the columns of a CSV file are called that does not name them. Such a file is told from one
    that does by its first line, in which unnamed[0] is then not a cell.
    """
    try:
        yield from FORMATS[ending(path)](path, unnamed)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}). Is the file cut off?") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def ending(path: Path) -> str:
    """`.csv.gz` of x.csv.gz, `.csv` of x.y.csv."""
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _open(path: Path) -> TextIO:
    """Bytes that are no UTF-8 become lone surrogates, which `_broken` finds row by row."""
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    return cast(TextIO, opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""))


def _broken(text: str) -> DataError | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) - 0xDC00
        return DataError(f"byte 0x{byte:02x} is not UTF-8. Was the file saved as Latin-1 or UTF-16?")
    return None


def _json(path: Path, unnamed: Sequence[str]) -> Rows:
    """A list of objects or an object a line, whichever it is: both go by the name .json."""
    with _open(path) as file:
        first = next((line for line in file if line.strip()), "")
    return _json_list(path) if first.lstrip().startswith("[") else _json_lines(path)


def _json_lines(path: Path) -> Rows:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}:{number}", _json_line(line)


def _json_line(line: str) -> Row | DataError:
    if error := _broken(line):
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
    for number, line in enumerate(text.split("\n") if _broken(text) else [], 1):
        if error := _broken(line):
            raise DataError(f"{path}:{number}: {error}")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: is not JSON ({error.msg}). Is the file cut off?") from None
    for number, row in enumerate(found):
        yield f"{path}: row {number}", _object(row)


def _object(row: Any) -> Row | DataError:
    if not isinstance(row, dict):
        return DataError(f"is {str(row)[:50]!r}, not an object with named fields.")
    return row


def _csv(path: Path, unnamed: Sequence[str], delimiter: str = ",") -> Rows:
    with _open(path) as file:
        records = _records(path, csv.reader(file, delimiter=delimiter, strict=True))
        number, names = next(records, (1, list(unnamed)))
        if unnamed and unnamed[0] not in names:
            yield f"{path}:{number}", _named(unnamed, names)
            names = list(unnamed)
        elif len(set(names)) < len(names) or _broken("".join(names)):
            raise DataError(f"{path}:{number}: the header names a column twice or is not UTF-8: {names}.")
        for number, cells in records:
            yield f"{path}:{number}", _named(names, cells)


def _records(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Records with the line that each begins on; one may go over several lines."""
    number = 1
    try:
        for cells in reader:
            if cells:
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{number}: {error}. Is a quotation mark open, or the file cut off?") from None


def _named(names: Sequence[str], cells: Sequence[str]) -> Row | DataError:
    if error := _broken("".join(cells)):
        return error
    if len(cells) != len(names):
        return DataError(
            f"has {len(cells)} cells and not {len(names)} ({', '.join(names)}). "
            "Is a comma outside quotation marks, or the file cut off?"
        )
    return dict(zip(names, cells, strict=True))


def _tsv(path: Path, unnamed: Sequence[str]) -> Rows:
    return _csv(path, unnamed, delimiter="\t")


def _parquet(path: Path, unnamed: Sequence[str]) -> Rows:
    from pyarrow import parquet

    return _table(path, lambda: parquet.ParquetFile(path).iter_batches())


def _arrow(path: Path, unnamed: Sequence[str]) -> Rows:
    """Both kinds: the file format begins with its name, the stream format (datasets' cache) does not."""
    from pyarrow import ipc, memory_map

    with path.open("rb") as file:
        read = ipc.open_file if file.read(6) == b"ARROW1" else ipc.open_stream
    return _table(path, lambda: read(memory_map(str(path))).read_all().to_batches())


def _table(path: Path, batches: Callable[[], Iterable[Any]]) -> Rows:
    number = 0
    try:
        for batch in batches():
            for row in _batch(batch):
                yield f"{path}: row {number}", row
                number += 1
    except (ValueError, OSError) as error:  # what pyarrow's own exceptions are
        raise DataError(f"{path}: cannot be read ({error}). Is it cut off, or another format?") from error


def _batch(batch: Any) -> list[Row | DataError]:
    try:
        return cast(list[Row | DataError], batch.to_pylist())
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            return [DataError(f"byte 0x{error.object[error.start]:02x} is not UTF-8.")]
        return [row for n in range(batch.num_rows) for row in _batch(batch.slice(n, 1))]


FORMATS: dict[str, Callable[[Path, Sequence[str]], Rows]] = {
    ".jsonl": _json,
    ".jsonl.gz": _json,
    ".json": _json,
    ".json.gz": _json,
    ".csv": _csv,
    ".csv.gz": _csv,
    ".tsv": _tsv,
    ".tsv.gz": _tsv,
    ".parquet": _parquet,
    ".arrow": _arrow,
}
"""In the order in which they are preferred where the same split lies there more than once."""
