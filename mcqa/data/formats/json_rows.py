"""Rows of JSON and JSON Lines. Both are UTF-8 by their standard; UTF-16 has its mark, and others must be named."""

import json
from pathlib import Path
from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.formats.rows import FileOptions, Row, Rows, named_twice
from mcqa.data.formats.text import TextFile, text_file


class WrittenFloat(float):
    """A number whose text is that of the file: as a choice, 0.50 is 0.50."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def read_json(path: Path, options: FileOptions, told: list[str]) -> Rows:
    """Yield the rows of a file that holds a list of objects, an object per line, or one object over several lines.

    Its first character decides, and for one object that its first line is this character alone.
    """
    file = text_file(path, options, told)
    first = next((line for line in file.lines() if line.strip()), "").strip()
    if first.startswith("["):
        yield from ((f"{path}: row {number}", _object(row)) for number, row in enumerate(_whole(file)))
    elif first == "{":
        yield str(path), _object(_whole(file))
    else:
        yield from _lines(file)


def _lines(file: TextFile) -> Rows:
    for number, line in enumerate(file.lines(), 1):
        if line.strip():
            yield f"{file.path}:{number}", _line(file, line)


def _line(file: TextFile, line: str) -> Row | DataError:
    if error := file.damage(line):
        return error
    try:
        return _object(_parse(line.rstrip()))
    except DataError as error:
        return error
    except json.JSONDecodeError as wrong:
        cause = "" if line.endswith(("\n", "\r")) else " Is the file cut off?"
        problem = f"{wrong.msg} at character {wrong.pos + 1}"
        return DataError(f"is not JSON ({problem}): {line.strip()[:50]!r}.{cause}")


def _whole(file: TextFile) -> Any:
    """Raises DataError: the file is damaged, or is no JSON."""
    text = file.read()
    for number, line in enumerate(text.split("\n") if file.damage(text) else [], 1):
        if error := file.damage(line):
            raise DataError(f"{file.path}:{number}: {error}")
    try:
        return _parse(text)
    except DataError as error:
        raise DataError(f"{file.path}: {error}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{file.path}:{error.lineno}: is not JSON ({error.msg}). Is the file cut off?") from None


def _parse(text: str) -> Any:
    """Raises DataError or JSONDecodeError: it is no JSON, or JSON whose value is in doubt or beyond reason."""
    try:
        return json.loads(text, object_pairs_hook=_without_repetition, parse_float=WrittenFloat)
    except RecursionError:
        raise DataError("is nested too deeply.") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python's own limit, 4300
        raise DataError("contains a number with too many digits.") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise DataError(f"an object names {named_twice(name for name, _ in pairs)} twice, so its value is in doubt.")
    return row


def _object(row: Any) -> Row | DataError:
    return row if isinstance(row, dict) else DataError(f"is {str(row)[:50]!r}, not an object with named fields.")
