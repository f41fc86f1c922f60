"""Text files: packed or not, in the encoding that is given, or that their bytes show."""

import codecs
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from mcqa.config.errors import DataError
from mcqa.data.formats import rows
from mcqa.data.formats.encodings import non_ascii_words, only_encoding
from mcqa.data.formats.rows import FileOptions

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by the byte order mark at the beginning of a file."""


@dataclass(frozen=True)
class TextFile:
    """A text file, packed if its name ends in .gz, and its encoding.

    Single bytes that are not of this encoding become lone surrogates, which `damage` finds row by row.
    """

    path: Path
    encoding: str

    def lines(self) -> Iterator[str]:
        """Yield the lines with their ends, without a byte order mark.

        Raises:
            DataError: a line is too long, or the file is not of this encoding from some place on.
        """
        with self._open() as file:
            try:
                for number, line in enumerate(iter(partial(file.readline, rows.LONGEST), ""), 1):
                    if len(line) == rows.LONGEST:
                        raise DataError(
                            f"{self.path}:{number}: the line has more than {rows.LONGEST} characters. "
                            "Is the file damaged?"
                        )
                    yield line if number > 1 else line.removeprefix("\ufeff")
            except UnicodeError as error:
                raise DataError(f"{self.path}: {self._not_of_encoding(error)}") from error

    def read(self) -> str:
        """Return the whole text, without a byte order mark.

        Raises:
            DataError: it is too long, or not of this encoding.
        """
        with self._open() as file:
            try:
                text = file.read(rows.LONGEST)
            except UnicodeError as error:
                raise DataError(f"{self.path}: {self._not_of_encoding(error)}") from error
        if len(text) == rows.LONGEST:
            raise DataError(f"{self.path}: has more than {rows.LONGEST} characters. Save it as JSON Lines.")
        return text.removeprefix("\ufeff")

    def damage(self, text: str) -> DataError | None:
        """Return what is wrong with the characters of a text of this file."""
        if "\0" in text:
            return DataError("contains a NUL character. Was the file saved as UTF-16, or is it damaged?")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            byte = ord(text[error.start]) - 0xDC00  # surrogateescape maps byte b to U+DC00 + b
            if self.encoding != "utf-8":
                return DataError(f"byte 0x{byte:02x} is not {self.encoding}. Is data.encoding right?")
            return DataError(
                f"byte 0x{byte:02x} is not UTF-8. Was the file saved as Latin-1 or UTF-16? data.encoding names it."
            )
        return None

    def _open(self) -> TextIO:
        opener: Callable[..., Any] = gzip.open if _is_packed(self.path) else open
        return cast(TextIO, opener(self.path, "rt", encoding=self.encoding, errors="surrogateescape", newline=""))

    def _not_of_encoding(self, error: UnicodeError) -> str:
        reason = getattr(error, "reason", None) or error
        return f"is not {self.encoding} ({reason}). Is it cut off, or is data.encoding another one?"


def text_file(path: Path, options: FileOptions, told: list[str], search: bool = False) -> TextFile:
    """Return the file with its encoding: the one that is given, or that of its byte order mark, or UTF-8.

    search: for formats that may be of any encoding; where no line with other characters than ASCII is UTF-8, the file
        is of another one, and `only_encoding` finds it. Where some lines are UTF-8, the others are damaged.

    Raises:
        DataError: several encodings are possible.
    """
    if options.encoding is not None:
        name = codecs.lookup(options.encoding).name
        return TextFile(path, "utf-8" if name == "utf-8-sig" else name)
    with _open_bytes(path) as file:
        start = file.read(4)
    if encoding := next((name for mark, name in MARKS.items() if start.startswith(mark)), None):
        if encoding != "utf-8":
            told.append(f"the encoding {encoding.upper()} (data.encoding)")
        return TextFile(path, encoding)
    if search and (words := _words_of_another_encoding(path)):
        try:
            encoding = only_encoding(words)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        told.append(f"the encoding {encoding} (data.encoding)")
        return TextFile(path, encoding)
    return TextFile(path, "utf-8")


def _words_of_another_encoding(path: Path) -> set[bytes]:
    """Return the words that are not ASCII; none of them where one line or more is UTF-8, or a byte is NUL."""
    words: set[bytes] = set()
    with _open_bytes(path) as file:
        for line in iter(partial(file.readline, rows.LONGEST), b""):
            if b"\0" in line:
                return set()
            if not line.isascii():
                try:
                    line.decode()
                    return set()
                except UnicodeDecodeError:
                    words.update(non_ascii_words(line))
    return words


def _open_bytes(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path) if _is_packed(path) else path.open("rb"))


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"
