"""The encoding of text that is not Unicode: found where only one reading makes sense, else asked for.

charset-normalizer proposes encodings by how orderly the characters are that they read. That does not make them right:
in a French text cp1250 reads "trčs" where cp1252 reads "très". So all proposals, and the encodings of Excel, must read
the same text; left out are only those whose reading cannot be text of any language.
"""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from mcqa.config.errors import DataError, quoted

USUAL = ("cp1252", "cp1250", "cp850", "mac_roman")
"""What Excel saves as CSV in Western and Central Europe, CSV (MS-DOS) and CSV (Macintosh); always considered, because a
text with many symbols does not look orderly."""

KNOWN = [
    *USUAL,
    *("cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("latin_1", "iso8859_2", "iso8859_15", "cp437", "cp852", "koi8_r"),
    *("cp932", "gb18030", "big5", "cp949", "euc_jp"),
]
"""What spreadsheets and editors save, by the names of Python."""

SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC")
"""Scripts that do not stand side by side in a word."""

ENOUGH_MARKS = 3  # typographic marks of a text, all in their places, are no letters of another encoding

_WITHIN_WORDS = "’‘·\xad\xa0–—…"
_OF_FORMULAS = "×÷±²³°µ"
_SYMBOL = re.compile(rf"(a+)([^\x00-\x7f{_WITHIN_WORDS}]+)(a+)")  # where all letters are an a
_DRAWING = re.compile("[\u2500-\u259f]")
_IN_PLACE = re.compile(
    r"(?<!\w)[“„‘](?=\w)"  # before a word
    r"|(?<=[\w.,;:!?%)])[”“’…](?!\w)"  # behind it
    r"|(?<=\w)’(?=(?:s|t|d|m|re|ve|ll)\b)"  # it’s
    r"|(?<!\S)[–—…](?!\S)|(?<=\d)–(?=\d)"  # alone, 1–2
)


def non_ascii_words(line: bytes) -> Iterable[bytes]:
    """Return the words of a line that are not ASCII; in all encodings of KNOWN white space is that of ASCII."""
    return (word for word in line.split() if not word.isascii())


def only_encoding(words: Iterable[bytes]) -> str:
    """Return the encoding in which words are written that are not UTF-8.

    Raises:
        DataError: no encoding is possible, or several read different words.
    """
    content = b"\n".join(sorted(words))
    readings = _possible_readings(content)
    orderly = [text for text in readings if _has_only_marks(text)]
    if len(orderly) == 1:
        return readings[orderly[0]]
    if len(readings) == 1:
        return next(iter(readings.values()))
    if not readings:
        raise DataError("is neither UTF-8 nor text in another usual encoding. data.encoding=<name> names it.")
    versions = [text.split("\n") for text in readings]
    # The first word that all read in their own way, or else that some do.
    most = max(len(set(word)) for word in zip(*versions, strict=True))
    word = next(word for word in zip(*versions, strict=True) if len(set(word)) == most)
    parts = [re.split(r"[;,|]", text) for text in word]
    if len(set(map(len, parts))) == 1:  # else an encoding has these within a character
        word = max(zip(*parts, strict=True), key=lambda part: len(set(part)))
    names = dict(zip(reversed(word), reversed(readings.values()), strict=True))  # the first name of each
    shown = ", ".join(f"{quoted(text)} ({name})" for text, name in reversed(names.items()))
    raise DataError(
        f"is not UTF-8, and its encoding is in doubt: a word is {shown}. data.encoding=<name> says which one it is: "
        "cp1252 of Windows in Western Europe, cp1250 in Central Europe, cp1251 for Cyrillic, mac_roman of older Macs, …"
    )


def _possible_readings(content: bytes) -> dict[str, str]:
    """Return the texts that the content may be, each with the first encoding that reads it so."""
    from charset_normalizer import from_bytes  # 20 ms

    proposed = [name for match in from_bytes(content, cp_isolation=KNOWN) for name in match.could_be_from_charset]
    readings: dict[str, str] = {}
    for name in dict.fromkeys([*USUAL, *proposed]):
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        if not _is_impossible(text):
            readings.setdefault(text, name)
    return readings


def _is_impossible(text: str) -> bool:
    """Whether there are control characters, parts of drawings (│), symbols within words (f¸r), or words in two scripts
    (fьr)."""
    if _DRAWING.search(text) or any(
        unicodedata.category(character) in ("Cc", "Cn", "Co") for character in set(text) - {"\n"}
    ):
        return True
    return any(map(_is_no_word, text.split("\n")))


def _is_no_word(word: str) -> bool:
    scripts = [_script(one) for one in word if one.isalpha()]
    if any(one != other for one, other in pairwise(scripts) if one and other):
        return True
    letters = "".join("a" if one.isalpha() and unicodedata.category(one) != "Lm" else one for one in word)
    return any(
        len(match[1]) + len(match[3]) > 2 or set(match[2]) - set(_OF_FORMULAS)  # a×b is possible
        for match in _SYMBOL.finditer(letters)
    )


def _script(letter: str) -> str:
    first = unicodedata.name(letter, "").split(" ")[0]
    return first if first in SCRIPTS else ""


def _has_only_marks(text: str) -> bool:
    """Whether all that is not ASCII are quotation marks, apostrophes and dashes, and each of them in its place."""
    marks = _IN_PLACE.findall(text)
    # "…" is not counted: cp850 has its à there, which ends words too.
    return _IN_PLACE.sub("", text).isascii() and len(marks) - marks.count("…") >= ENOUGH_MARKS
