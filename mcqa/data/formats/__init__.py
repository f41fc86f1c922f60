"""Read the rows of one file, each with its place.

The place is "path:line" in text formats and Excel's, lines counted from 1 as in editors, and "path: row n" in the
others, rows counted from 0 as in pandas and datasets. A row that cannot be parsed is yielded as a DataError, so that
all of them can be reported at once; a file that cannot be read any further raises one.
"""

import gzip
import zlib
from functools import partial
from pathlib import Path

from mcqa.config.errors import DataError
from mcqa.data.formats.columnar import read_arrow, read_parquet
from mcqa.data.formats.delimited import read_delimited
from mcqa.data.formats.json_rows import read_json
from mcqa.data.formats.rows import FileOptions, Reader, Row, Rows
from mcqa.data.formats.spreadsheet import read_spreadsheet

__all__ = ["FORMATS", "FileOptions", "Row", "Rows", "extension", "read_rows"]

_TEXT: dict[str, Reader] = {
    ".jsonl": read_json,
    ".json": read_json,
    ".csv": read_delimited,
    ".tsv": partial(read_delimited, usual="\t"),
}
FORMATS: dict[str, Reader] = {
    **{f"{name}{packed}": read for name, read in _TEXT.items() for packed in ("", ".gz")},
    ".xlsx": read_spreadsheet,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
}
"""Readers by file extension; where a split exists in several formats, the first of these is read."""


def read_rows(path: Path, options: FileOptions | None = None, told: list[str] | None = None) -> Rows:
    """Yield (place, row) for each row of a file in one of FORMATS.

    told: what is found and was not given in `options`, such as "the encoding cp1252 (data.encoding)", is appended here.

    Raises:
        DataError: the file cannot be opened, decompressed or parsed any further.
    """
    try:
        if not path.is_file() and path.exists():  # opening a pipe waits for its other end
            raise DataError(f"{path}: is a folder, pipe, socket or device, and not a file.")
        yield from FORMATS[extension(path)](path, options or FileOptions(), [] if told is None else told)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}). Is the file cut off?") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except RecursionError as error:
        raise DataError(f"{path}: is nested too deeply.") from error


def extension(path: Path) -> str:
    """Return `.csv.gz` for x.csv.gz and `.csv` for x.y.csv."""
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
