"""The passages of a text collection that evaluation.context searches.

A text file (.txt, or .txt.gz) has one passage a line. The other formats that questions may have (.jsonl, .csv,
.parquet …) have one a row, in a column `text`. Of a folder all such files are read, by name and without subfolders.
`facts` are the sentences about the embedded facts.
"""

from collections.abc import Iterator
from pathlib import Path

from mcqa.config.errors import DataError
from mcqa.config.schema import FilePath
from mcqa.data import files
from mcqa.data.formats import FORMATS, FileOptions, extension, read_rows
from mcqa.data.formats.text import text_file

KEY = "evaluation.passages"
TEXT = (".txt", ".txt.gz")
COLUMN = "text"


def read_passages(path: FilePath) -> list[str]:
    """Return the passages that evaluation.passages names, each once, without white space around them.

    Raises:
        DataError: the file or folder does not exist, or holds a row that is no passage, or no passage at all.
    """
    if path == "facts":
        from mcqa.data import facts

        return list(dict.fromkeys(facts.statements()))
    found = (text.strip() for file in _files(path) for text in _texts(file))
    passages = list(dict.fromkeys(text for text in found if text))
    if not passages:
        raise DataError(f"{KEY}={path}: has no text in it.")
    return passages


def _files(path: FilePath) -> list[Path]:
    full = files.locate(KEY, path)
    known = (*TEXT, *FORMATS)
    if full.is_file():
        if extension(full) not in known:
            raise DataError(f"{KEY}={path}: files end in {', '.join(known)}.")
        return [full]
    chosen = [file for file in sorted(full.iterdir()) if extension(file) in known and file.is_file()]
    if not chosen:
        raise DataError(f"{KEY}={path}: no file in this folder ends in {', '.join(known)}.")
    return chosen


def _texts(path: Path) -> Iterator[str]:
    if extension(path) not in TEXT:
        for where, row in read_rows(path):
            if isinstance(row, DataError):
                raise DataError(f"{where}: {row}")
            if not isinstance(text := row.get(COLUMN), str):
                raise DataError(
                    f"{where}: has no text under {COLUMN!r}; there is {', '.join(row) or 'nothing'}. ({KEY})"
                )
            yield text
        return
    try:
        text = text_file(path, FileOptions(), [])
        for number, line in enumerate(text.lines(), 1):
            if text.damage(line) is not None:
                raise DataError(f"{path}:{number}: is not UTF-8 text. Save the file as UTF-8. ({KEY})")
            yield line
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}. ({KEY})") from error
