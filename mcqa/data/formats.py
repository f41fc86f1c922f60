"""Read the rows of one file, each with its place.

The place is "path:line" in text formats, lines counted from 1 as in editors, and "path: row n" in the others, rows
counted from 0 as in pandas and datasets. A row that cannot be parsed is yielded as a DataError, so that all of them
can be reported at once; a file that cannot be read any further raises one.
"""

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

from mcqa.config.errors import DataError

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row | DataError]]

LONGEST = 2**30
"""Characters of a line, and of a .json file that holds a list: a small file can unpack to more than the memory."""


def read_rows(path: Path, columns: Sequence[str] = ()) -> Rows:
    """Yield (place, row) for each row of a file in one of FORMATS.

    columns: names for the columns of a CSV file without a header. A file has a header if columns[0] is a cell of its
    first line.

    Raises:
        DataError: the file cannot be opened, decompressed or parsed any further.
    """
    try:
        if not path.is_file() and path.exists():  # opening a pipe waits for its other end
            raise DataError(f"{path}: is a folder, pipe, socket or device, and not a file.")
        yield from FORMATS[extension(path)](path, columns)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}). Is the file cut off?") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except RecursionError as error:
        raise DataError(f"{path}: is nested too deeply.") from error


def extension(path: Path) -> str:
    """Return `.csv.gz` for x.csv.gz and `.csv` for x.y.csv."""
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _open(path: Path) -> TextIO:
    """Bytes that are not UTF-8 become lone surrogates, which `_encoding_error` finds row by row."""
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    return cast(TextIO, opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""))


def _lines(path: Path) -> Iterator[str]:
    with _open(path) as file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST), ""), 1):
            if len(line) == LONGEST:
                raise DataError(f"{path}:{number}: the line has more than {LONGEST} characters. Is the file damaged?")
            yield line


def _encoding_error(text: str) -> DataError | None:
    if "\0" in text:
        return DataError("contains a NUL character. Was the file saved as UTF-16, or is it damaged?")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) - 0xDC00  # surrogateescape maps byte b to U+DC00 + b
        return DataError(f"byte 0x{byte:02x} is not UTF-8. Was the file saved as Latin-1 or UTF-16?")
    return None


def _twice(names: Iterable[str]) -> str:
    """The names that stand more than once, quoted."""
    return ", ".join(repr(name) for name, count in Counter(names).items() if count > 1)


# --- JSON ------------------------------------------------------------------------------------------------------------


def _json(path: Path, columns: Sequence[str]) -> Rows:
    """A file named .json may hold a list of objects or an object per line; its first character decides."""
    first = next((line for line in _lines(path) if line.strip()), "")
    return _json_list(path) if first.lstrip().startswith("[") else _json_lines(path)


def _json_lines(path: Path) -> Rows:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield f"{path}:{number}", _json_line(line)


def _json_line(line: str) -> Row | DataError:
    if error := _encoding_error(line):
        return error
    try:
        return _object(_parse(line.rstrip()))
    except DataError as error:
        return error
    except json.JSONDecodeError as wrong:
        cause = "" if line.endswith(("\n", "\r")) else " Is the file cut off?"
        problem = f"{wrong.msg} at character {wrong.pos + 1}"
        return DataError(f"is not JSON ({problem}): {line.strip()[:50]!r}.{cause}")


def _json_list(path: Path) -> Rows:
    with _open(path) as file:
        text = file.read(LONGEST)
    if len(text) == LONGEST:
        raise DataError(f"{path}: has more than {LONGEST} characters. Save it as JSON Lines, an object per line.")
    for number, line in enumerate(text.split("\n") if _encoding_error(text) else [], 1):
        if error := _encoding_error(line):
            raise DataError(f"{path}:{number}: {error}")
    try:
        rows = [_object(row) for row in _parse(text)]
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: is not JSON ({error.msg}). Is the file cut off?") from None
    for number, row in enumerate(rows):
        yield f"{path}: row {number}", row


def _parse(text: str) -> Any:
    """Raises DataError or JSONDecodeError: it is no JSON, or JSON whose value is in doubt or beyond reason."""
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError:
        raise DataError("is nested too deeply.") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python's own limit, 4300
        raise DataError("contains a number with too many digits.") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise DataError(f"an object names {_twice(name for name, _ in pairs)} twice, so its value is in doubt.")
    return row


def _object(row: Any) -> Row | DataError:
    return row if isinstance(row, dict) else DataError(f"is {str(row)[:50]!r}, not an object with named fields.")


# --- CSV and TSV -----------------------------------------------------------------------------------------------------


def _csv(path: Path, columns: Sequence[str], delimiter: str = ",") -> Rows:
    csv.field_size_limit(LONGEST)
    records = _records(path, csv.reader(_lines(path), delimiter=delimiter, strict=True))
    number, names = next(records, (1, list(columns)))
    if columns and columns[0] not in names:  # no header: the first line is a row
        yield f"{path}:{number}", _named_cells(columns, names)
        names = list(columns)
    elif error := _encoding_error("".join(names)):
        raise DataError(f"{path}:{number}: {error}")
    elif twice := _twice(names):
        raise DataError(f"{path}:{number}: the header names a column twice: {twice}.")
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
    from pyarrow import ArrowException

    number = 0
    try:
        for batch in open_batches():
            if twice := _twice(batch.schema.names):
                raise DataError(f"{path}: names a column twice: {twice}.")
            _validate(batch)
            for row in _batch_rows(batch):
                yield f"{path}: row {number}", row
                number += 1
    except (ArrowException, ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}). Is it cut off, or another format?") from error


def _validate(batch: Any) -> None:
    """Raise where reading the values would end the process, as those of a damaged file can."""
    from pyarrow import ArrowInvalid

    for column in batch.columns:
        try:
            column.validate(full=True)
        except ArrowInvalid as error:
            if "UTF8" not in str(error):  # which spoils only its row
                raise


def _batch_rows(batch: Any) -> list[Row | DataError]:
    """A value that Python cannot hold fails its whole batch, which is then halved until only its row is left out."""
    try:
        return cast(list[Row | DataError], batch.to_pylist())
    except (ValueError, ArithmeticError, LookupError) as error:
        if (half := batch.num_rows // 2) == 0:
            return [DataError(_unreadable(error))]
    return [*_batch_rows(batch.slice(0, half)), *_batch_rows(batch.slice(half))]


def _unreadable(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte 0x{error.object[error.start]:02x} is not UTF-8."
    return f"has a value that cannot be read, such as a date out of range ({error})."


Reader = Callable[[Path, Sequence[str]], Rows]
_TEXT: dict[str, Reader] = {".jsonl": _json, ".json": _json, ".csv": _csv, ".tsv": partial(_csv, delimiter="\t")}
FORMATS: dict[str, Reader] = {
    **{f"{name}{packed}": read for name, read in _TEXT.items() for packed in ("", ".gz")},
    ".parquet": _parquet,
    ".arrow": _arrow,
}
"""Readers by file extension; where a split exists in several formats, the first of these is read."""
