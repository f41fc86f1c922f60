"""Answers in a file of their own, one a line, beside the file of the rows: data.answers."""

from io import StringIO
from pathlib import Path

from mcqa.config.errors import DataError
from mcqa.config.schema import ColumnName
from mcqa.data.files import locate
from mcqa.data.formats import Rows


def answers_path(rows_path: Path, answers: str, split: str | None) -> Path:
    """Return the file that data.answers names: relative to the rows' folder, `{split}` being the split's name.

    Raises:
        DataError: there is no such file.
    """
    if "{split}" in answers and split is None:
        raise DataError(f"data.answers={answers}: data.path is one file without splits; name the file of its answers.")
    folder = rows_path if rows_path.is_dir() else rows_path.parent
    return locate("data.answers", str(folder / answers.replace("{split}", split or "")))


def with_answers(rows: Rows, path: Path, column: ColumnName) -> Rows:
    """Yield the rows, each with the line of its number in `path` under the name of the answer's column.

    Raises:
        DataError: the rows have such a column themselves, or there are more or fewer lines than rows.
    """
    try:
        lines = [line.removesuffix("\n") for line in StringIO(path.read_text("utf-8-sig"))]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.answers={path}: cannot be read as text in UTF-8 ({error}).") from error
    count = 0
    for where, row in rows:
        if isinstance(row, dict) and count < len(lines):
            if str(column) in row:
                raise DataError(
                    f"{where}: has a column {str(column)!r}, and data.answers={path} gives answers too. Give one of "
                    "the two, or the answers' column another name (data.columns.answer)."
                )
            row[str(column)] = lines[count]
        yield where, row
        count += 1
    if count != len(lines):
        raise DataError(f"data.answers={path}: has {len(lines)} lines, and there are {count} rows. Is one cut off?")
