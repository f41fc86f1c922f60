"""Rows of Parquet and Arrow files."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from mcqa.config.errors import DataError
from mcqa.data.formats.rows import FileOptions, Row, Rows, named_twice


def read_parquet(path: Path, options: FileOptions, told: list[str]) -> Rows:
    """Yield the rows of a Parquet file, batch by batch."""
    from pyarrow import parquet

    return _batches(path, lambda: parquet.ParquetFile(path).iter_batches())


def read_arrow(path: Path, options: FileOptions, told: list[str]) -> Rows:
    """Yield the rows of an Arrow file.

    The file format begins with its name; the stream format, in which datasets saves, does not.
    """
    from pyarrow import ipc, memory_map

    with path.open("rb") as file:
        read = ipc.open_file if file.read(6) == b"ARROW1" else ipc.open_stream
    return _batches(path, lambda: read(memory_map(str(path))).read_all().to_batches())


def _batches(path: Path, open_batches: Callable[[], Iterable[Any]]) -> Rows:
    from pyarrow import ArrowException

    number = 0
    try:
        for batch in open_batches():
            if twice := named_twice(batch.schema.names):
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
