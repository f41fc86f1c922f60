"""Texts without questions: those of data.texts, and the passages that evaluation.context searches.

    facts, new_facts          the statements of the embedded facts, or of the made-up ones
    a text file               .txt or .txt.gz, one text a line
    a file of rows            .jsonl, .csv, .parquet …, with a column of texts
    a folder                  all such files in it, by name and without subfolders
    hub:owner/name            the rows of a set on the hub, its split train; hub:owner/name/configuration@revision

White space around a text is left out, and so are empty ones.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcqa.config.errors import DataError
from mcqa.config.schema import ColumnName, DataConfig, FilePath
from mcqa.data import facts, files, hub, new_facts
from mcqa.data.bad_rows import BadRow, listed
from mcqa.data.checks import describe_value
from mcqa.data.formats import FORMATS, FileOptions, Row, Rows, extension, read_rows
from mcqa.data.formats.text import text_file
from mcqa.data.hub import TextsOnHub
from mcqa.data.readers.columns import ABSENT, column_names, lookup

TEXT = (".txt", ".txt.gz")
COLUMN = "text"
HUB = re.compile(r"hub:(?P<name>[^/@]+/[^/@]+)(/(?P<configuration>[^/@]+))?(@(?P<revision>.+))?")


def load_texts(config: DataConfig, notes: list[str] | None = None) -> list[str]:
    """Return the texts of data.texts in data.paraphrases phrasings, text by text; an empty list where it is null.

    notes: sentences on how many there are are appended here.

    Raises:
        DataError: they cannot be read, there are none, or some have too few phrasings.
    """
    if config.texts is None:
        return []
    phrasings, told = config.paraphrases or 1, f"texts: {{}} of {config.texts}"
    if config.texts == "facts":
        texts, phrasings = facts.statements(config.paraphrases), config.paraphrases or facts.PHRASINGS
    elif config.texts == "new_facts":
        texts = new_facts.statements(phrasings, config.reversed)
        phrasings *= 1 + config.reversed
    else:
        source = _Source("data.texts", config.texts, config.text_column, config.paraphrase_columns, phrasings)
        texts = [text for phrased in source.read() for text in phrased]
    groups = [texts[start : start + phrasings] for start in range(0, len(texts), phrasings)]
    if notes is not None:
        what = f", {len(groups)} in {phrasings} phrasings each" if phrasings > 1 else ""
        notes.append(f"{told.format(len(texts))}{what} (data.texts)")
        if equal := sum(len(set(group)) < phrasings for group in groups):
            notes.append(f"texts: {equal} of {len(groups)} have a phrasing twice, and it is kept (data.paraphrases)")
        if repeated := len(groups) - len({group[0] for group in groups}):
            notes.append(f"texts: {repeated} of {len(groups)} are duplicates, and are kept")
    return texts


def read_passages(path: FilePath) -> list[str]:
    """Return the passages that evaluation.passages names, each once; of made-up facts a phrasing of each.

    Raises:
        DataError: they cannot be read, or there are none.
    """
    if path == "facts":
        return list(dict.fromkeys(facts.statements()))
    if path == "new_facts":
        return new_facts.statements()
    return list(dict.fromkeys(text for (text,) in _Source("evaluation.passages", path).read()))


def on_hub(key: str, path: FilePath | None) -> TextsOnHub | None:
    """Return the texts on the hub that a key of the configuration names; None where it names something else."""
    match = HUB.fullmatch(path or "")
    return match and TextsOnHub(key, match["name"], match["configuration"], match["revision"])


@dataclass(frozen=True)
class _Source:
    """Where texts are. paraphrases: one column that holds a list, or several; phrasings: how many of each text."""

    key: str
    path: FilePath
    column: ColumnName = COLUMN
    paraphrases: ColumnName | list[ColumnName] | None = None
    phrasings: int = 1

    def read(self) -> list[list[str]]:
        """Return the phrasings of each text.

        Raises:
            DataError: there is no text, or some rows have none or too few phrasings.
        """
        texts: list[list[str]] = []
        bad: list[BadRow] = []
        rows = 0
        for where, row in self._rows():
            rows += 1
            try:
                if isinstance(row, DataError):
                    raise row
                texts += [phrased] if (phrased := self._phrasings(row)) else []
            except DataError as error:
                bad.append(BadRow(where, str(error)))
        if bad:
            head = f"{self.key}={self.path}: {len(bad)} of {rows} rows cannot be used:"
            raise DataError("\n".join([head, *listed(bad)]))
        if not texts:
            raise DataError(f"{self.key}={self.path}: has no text in it.")
        return texts

    def _phrasings(self, row: Row) -> list[str]:
        """Return as many phrasings of a row as there are to be; none of an empty text."""
        text = lookup(row, self.column)
        if not isinstance(text, str):
            there = ", ".join(column_names(row)) or "nothing"
            raise DataError(f"has no text under {str(self.column)!r}; there is {there}. ({self.key})")
        if not (text := text.strip()):
            return []
        if self.phrasings == 1:
            return [text]
        phrased = [text, *self._paraphrases(row)]
        if len(phrased) < self.phrasings:
            raise DataError(
                f"has {len(phrased)} phrasings, the text among them, and data.paraphrases={self.phrasings} wants "
                f"{self.phrasings}."
            )
        return phrased[: self.phrasings]

    def _paraphrases(self, row: Row) -> list[str]:
        """Return the paraphrases of a row that are not empty."""
        assert self.paraphrases is not None, "a rule of the configuration"
        if isinstance(self.paraphrases, list):
            values = [lookup(row, name) for name in self.paraphrases]
            values = [None if value is ABSENT else value for value in values]
        elif not isinstance(values := lookup(row, self.paraphrases), list):
            got = "absent" if values is ABSENT else f"{describe_value(values)}, and no list"
            raise DataError(f"{str(self.paraphrases)!r} is {got}. (data.paraphrase_columns)")
        for value in values:
            if value is not None and not isinstance(value, str):
                raise DataError(f"a paraphrase is {describe_value(value)}, and no text. (data.paraphrase_columns)")
        return [value.strip() for value in values if value is not None and value.strip()]

    def _rows(self) -> Rows:
        if self.path.startswith("hub:"):
            if (texts := on_hub(self.key, self.path)) is None:
                raise DataError(f"{self.key}={self.path}: is written hub:owner/name/configuration@revision.")
            yield from hub.read_rows(texts, "train")
            return
        for file in self._files():
            yield from read_rows(file) if extension(file) not in TEXT else self._lines(file)

    def _lines(self, file: Path) -> Rows:
        """Yield the lines of a text file as rows."""
        if self.phrasings > 1:
            raise DataError(f"{file}: is text without columns, and has no paraphrases. (data.paraphrases)")
        try:
            text = text_file(file, FileOptions(), [])
            for number, line in enumerate(text.lines(), 1):
                where = f"{file}:{number}"
                if "\0" in line:
                    raise DataError(f"{where}: contains a NUL character. Was the file saved as UTF-16? ({self.key})")
                if text.damage(line) is not None:
                    raise DataError(f"{where}: is not UTF-8 text. Save the file as UTF-8. ({self.key})")
                yield where, {str(self.column): line}
        except (OSError, EOFError) as error:
            raise DataError(f"{file}: cannot be read: {error}. ({self.key})") from error

    def _files(self) -> Iterator[Path]:
        full = files.locate(self.key, self.path)
        known = (*TEXT, *FORMATS)
        if full.is_file():
            if extension(full) not in known:
                raise DataError(f"{self.key}={self.path}: files end in {', '.join(known)}.")
            yield full
            return
        chosen = [file for file in sorted(full.iterdir()) if extension(file) in known and file.is_file()]
        if not chosen:
            raise DataError(f"{self.key}={self.path}: no file in this folder ends in {', '.join(known)}.")
        yield from chosen
