"""Damaged question files, drawn by a seed: what each writes, and what loading it must end in.

`cases` returns the same cases for the same seed, and writes nothing; `problem` runs one of them through the real
loading functions.
"""

import csv
import gzip
import io
import json
import os
import random
import socket
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from mcqa.config.composition import ROOT
from mcqa.config.errors import DataError
from mcqa.config.schema import DataConfig, Recommended, Splits
from mcqa.data.loading import load
from mcqa.data.question import Question
from tests.local_columns import own_columns

Row = dict[str, Any]
Outcome = Literal["error", "as before", "row left out", "error or loaded"]

QUESTIONS = 12
LONGEST_MESSAGE = 15_000  # ten rows at a thousand characters, and the rest
COLUMNS = ("id", "question", "A", "B", "C", "D", "answer", "subject", "note")
TEXT = (".jsonl", ".json", ".csv", ".tsv", ".jsonl.gz", ".csv.gz")
JSON_LINES = (".jsonl", ".jsonl.gz")
TABLES = (".csv", ".tsv", ".csv.gz")
BINARY = (".parquet", ".arrow")
EXCEL = ".xlsx"


@dataclass(frozen=True)
class Case:
    """One damaged question set, of which the split `test` is loaded.

    write: writes the files into a folder, from the rows of a good question set.
    outcome: "error" is a DataError that contains `message`. "row left out" is that error too, and with
        data.bad_rows=skip the good questions but one, in order. "as before" are the good questions. "error or loaded"
        is for random damage, which may by chance do no harm.
    path: data.path, in which {folder} is the folder; split: the publisher's name of the split.
    """

    name: str
    write: Callable[[Path, Sequence[Row]], None]
    outcome: Outcome
    message: str = ""
    path: str = "{folder}"
    split: str = "test"


def cases(seed: int, count: int) -> Iterator[Case]:
    """Yield `count` cases: every kind of damage in turn, each time in another format, at another row or with another
    value."""
    chance = random.Random(seed)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        case = kind(chance)
        yield replace(case, name=f"{number}: {case.name}")


def questions(count: int = QUESTIONS) -> list[Row]:
    """Return the rows of a good question set; no two are alike."""
    rows = []
    for number in range(count):
        choices = [f"{number + step}" for step in range(4)]
        cells = dict(zip("ABCD", choices, strict=True))
        question = f"Größe: what is {number} + {number % 4}?"
        rows.append(
            {"id": f"q{number}", "question": question, **cells, "answer": number % 4, "subject": "sums", "note": "x"}
        )
    return rows


def problem(case: Case, folder: Path) -> str | None:
    """Write the case into an empty folder and load it; return what is not as it must be, or None.

    Whatever is raised besides DataError is a bug, and is not caught.
    """
    good = questions()
    case.write(folder, good)
    expected = [_as_question(row) for row in good]
    if case.outcome == "row left out":
        loaded, skipped = _load(case, folder, "skip")
        if isinstance(loaded, str):
            return f"with data.bad_rows=skip: {loaded}"
        if len(skipped) != 1 or case.message not in skipped[0]:
            return f"left out: {skipped}, expected one with {case.message!r}"
        if len(loaded) != len(expected) - 1 or any(question not in expected for question in loaded):
            return f"loaded {loaded}"
    loaded, _ = _load(case, folder, "error")
    if isinstance(loaded, str):
        if case.outcome == "as before" or case.message not in loaded:
            return f"expected {case.outcome} {case.message!r}, got the error: {loaded[:2000]}"
        if len(loaded) > LONGEST_MESSAGE or not loaded.replace("\n", "").isprintable():
            return f"a message of {len(loaded)} characters, or with some that cannot be printed"
    elif case.outcome in ("error", "row left out"):
        return f"no error, expected {case.message!r}; loaded {len(loaded)} questions"
    elif case.outcome == "as before" and loaded != expected:
        return f"loaded {loaded}"
    return None


def _load(case: Case, folder: Path, bad_rows: Literal["error", "skip"]) -> tuple[list[Question] | str, list[str]]:
    """The questions or the message of the DataError, and the messages about rows that were left out."""
    values = yaml.safe_load((ROOT / "conf" / "data" / "local.yaml").read_text("utf-8"))
    columns = own_columns("question", list("ABCD"), "answer", subject="subject", id="id")
    path = case.path.replace("{folder}", str(folder))
    given = {"path": path, "columns": columns, "bad_rows": bad_rows, "recommended": Recommended(128, 3)}
    try:
        data = load(DataConfig(**values | given | {"splits": Splits("x", None, case.split)}), ["test"])
    except DataError as error:
        return str(error), []
    return data.splits["test"], data.bad_rows


def _as_question(row: Row) -> Question:
    choices = tuple(row[letter] for letter in "ABCD")
    return Question(row["id"], row["question"], choices, row["answer"], subject=row["subject"])


# --- files ------------------------------------------------------------------------------------------------------------


def encoded(rows: Sequence[Row], kind: str) -> bytes:
    """Return the file of these rows in a format, by its extension."""
    if kind.endswith(".gz"):
        return gzip.compress(encoded(rows, kind.removesuffix(".gz")), mtime=0)
    if kind == ".jsonl":
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()
    if kind == ".json":
        return json.dumps(rows, indent=1).encode()
    if kind in (".csv", ".tsv"):
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], delimiter="\t" if kind == ".tsv" else ",", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    if kind == EXCEL:
        return workbook([list(rows[0]), *(list(row.values()) for row in rows)])
    import pyarrow as pa

    return _table(pa.Table.from_pylist(list(rows)), kind)


def workbook(*sheets: Sequence[Sequence[Any]]) -> bytes:
    """Return an Excel file with these sheets, each a list of rows."""
    from openpyxl import Workbook

    book, out = Workbook(), io.BytesIO()
    book.remove(book.active)
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"Sheet{number}")
        for row in rows:
            sheet.append(row)
    book.save(out)
    return out.getvalue()


def _table(table: Any, kind: str) -> bytes:
    import pyarrow as pa
    from pyarrow import ipc, parquet

    out = pa.BufferOutputStream()
    if kind == ".parquet":
        parquet.write_table(table, out)
    else:
        with ipc.new_stream(out, table.schema) as stream:
            stream.write_table(table)
    return bytes(out.getvalue().to_pybytes())


def _save(path: Path, content: bytes, packed: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)


def _changed(kind: str, change: Callable[[bytes], bytes]) -> Callable[[Path, Sequence[Row]], None]:
    """Write test.<kind> with its bytes changed; those of a packed file before it is packed."""

    def write(folder: Path, rows: Sequence[Row]) -> None:
        packed = kind.endswith(".gz")
        _save(folder / f"test{kind}", change(encoded(rows, kind.removesuffix(".gz"))), packed)

    return write


def _raw(kind: str, change: Callable[[bytes], bytes]) -> Callable[[Path, Sequence[Row]], None]:
    """Write test.<kind> with the bytes of the file itself changed."""
    return lambda folder, rows: _save(folder / f"test{kind}", change(encoded(rows, kind)))


# --- one row ----------------------------------------------------------------------------------------------------------

BAD_VALUES: Sequence[tuple[str, Any, str]] = (
    ("answer", 4, "answer 4 is not from 0 to 3"),
    ("answer", -2, "answer -2 is not from 0 to 3"),
    ("answer", -1, "there is no answer: it is -1"),
    ("answer", 10**30, "is not from 0 to 3"),
    ("answer", "9" * 5000, "is not"),
    ("answer", "٣", "is not a whole number"),
    ("answer", True, "answer True is not a whole number"),
    ("answer", 1.0, "answer 1.0 is not a whole number"),
    ("answer", float("nan"), "there is no answer: it is nan"),
    ("answer", float("inf"), "answer inf is not a whole number"),
    ("answer", "B", "answer 'B' is not a whole number"),
    ("answer", None, "there is no answer: it is absent"),
    ("answer", [1], "answer [1] is not a whole number"),
    ("answer", {"text": "1"}, "is not a whole number"),
    ("answer", "y" * 3_000_000, "is not a whole number"),
    ("A", "", "choice 'A' is empty"),
    ("B", "   ", "is empty"),
    ("C", None, "choice 'C' is empty"),
    ("D", True, "choice 4 is 'True' (bool), not text"),
    ("D", {"text": "a"}, "not text"),
    ("A", "half \ud800", "half a character"),
    ("B", "NUL \0", "contains a NUL character"),
    ("C", "lost \ufffd", "U+FFFD"),
    ("question", "", "question is empty"),
    ("question", None, "question is absent"),
    ("question", 5, "question is '5' (int), not text"),
    ("question", ["a"], "not text"),
    ("id", ["q1"], "neither text nor a number"),
    ("id", {"n": 1}, "neither text nor a number"),
    ("id", True, "neither text nor a number"),
    ("id", float("nan"), "neither text nor a number"),
    ("subject", True, "subject is 'True' (bool), neither text nor a number"),
    ("subject", ["a" * 3_000_000], "neither text nor a number"),
)


def bad_value(chance: random.Random) -> Case:
    column, value, message = chance.choice(BAD_VALUES)
    kind, number = chance.choice((*JSON_LINES, ".json")), chance.randrange(QUESTIONS)

    def write(folder: Path, rows: Sequence[Row]) -> None:
        changed = [row | {column: value} if n == number else row for n, row in enumerate(rows)]
        content = "".join(f"{json.dumps(row)}\n" for row in changed)
        if kind == ".json":
            content = json.dumps(changed)
        _save(folder / f"test{kind}", content.encode(), kind.endswith(".gz"))

    return Case(f"{column}={str(value)[:20]!r} in {kind}", write, "row left out", message)


BAD_CELLS: Sequence[tuple[str, str, str]] = (
    ("answer", "4", "answer 4 is not from 0 to 3"),
    ("answer", "1.0", "is not a whole number"),
    ("answer", "True", "is not a whole number"),
    ("answer", "", "there is no answer"),
    ("answer", "8" * 5000, "is not"),
    ("A", "", "choice 'A' is empty"),
    ("question", " ", "question is empty"),
    ("question", "lost \ufffd", "U+FFFD"),
    ("note", "NUL \0", "contains a NUL character"),
)


def bad_cell(chance: random.Random) -> Case:
    (column, value, message), kind = chance.choice(BAD_CELLS), chance.choice(TABLES)
    number = chance.randrange(QUESTIONS)

    def write(folder: Path, rows: Sequence[Row]) -> None:
        changed = [row | {column: value} if n == number else row for n, row in enumerate(rows)]
        _save(folder / f"test{kind}", encoded(changed, kind))

    return Case(f"cell {column}={value[:20]!r} in {kind}", write, "row left out", message)


BAD_LINES: Sequence[tuple[str, bytes, str]] = (
    ("a list", b"[1, 2]", "not an object with named fields"),
    ("a number", b"17", "not an object with named fields"),
    ("text", b'"text"', "not an object with named fields"),
    ("null", b"null", "not an object with named fields"),
    ("no JSON", b"version https://git-lfs.github.com/spec/v1", "is not JSON"),
    ("no object's end", b'{"question": "a"', "is not JSON"),
    ("an integer of 5000 digits", b'{"note": ' + b"7" * 5000 + b"}", "a number with too many digits"),
    ("20,000 lists in lists", b'{"note": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "nested too deeply"),
    ("20,000 objects in objects", b'{"a": ' * 20_000 + b"1" + b"}" * 20_000, "nested too deeply"),
    ("a key twice", b'{"question": "a", "question": "b"}', "names 'question' twice"),
    ("a key twice within", b'{"choices": {"text": 1, "text": 2}}', "names 'text' twice"),
    ("a byte of Latin-1", b'{"question": "\xe9"}', "byte 0xe9 is not UTF-8"),
    ("a NUL byte", b'{"question": "a\0"}', "contains a NUL character"),
    ("an empty object", b"{}", "there is no '"),
    ("3 MB", b'{"' + b"k" * 3_000_000 + b'": 1}', "there is no '"),
    ("100,000 keys", json.dumps(dict.fromkeys(map(str, range(100_000)))).encode(), "there is no '"),
)


def bad_line(chance: random.Random) -> Case:
    name, line, message = chance.choice(BAD_LINES)
    kind, number = chance.choice(JSON_LINES), chance.randrange(1, QUESTIONS)  # a first line decides the format

    def change(content: bytes) -> bytes:
        lines = content.splitlines()
        return b"\n".join([*lines[:number], line, *lines[number + 1 :], b""])

    return Case(f"{name} in {kind}", _changed(kind, change), "row left out", message)


def cells_too_few_or_too_many(chance: random.Random) -> Case:
    kind, number, many = chance.choice(TABLES), chance.randrange(1, QUESTIONS + 1), chance.random() < 0.5
    separator = b"\t" if kind == ".tsv" else b","

    def change(content: bytes) -> bytes:
        lines = content.splitlines()
        lines[number] = lines[number] + separator if many else lines[number].rsplit(separator, 1)[0]
        return b"\n".join([*lines, b""])

    message = f"has {10 if many else 8} cells and not 9"
    return Case(f"{'more' if many else 'fewer'} cells in {kind}", _changed(kind, change), "row left out", message)


def same_id(chance: random.Random) -> Case:
    kind, number = chance.choice((*TEXT, *BINARY)), chance.randrange(1, QUESTIONS)

    def write(folder: Path, rows: Sequence[Row]) -> None:
        changed = [row | {"id": "q0"} if n == number else row for n, row in enumerate(rows)]
        _save(folder / f"test{kind}", encoded(changed, kind))

    return Case(f"an id twice in {kind}", write, "row left out", "id 'q0' is that of another question")


def same_choice(chance: random.Random) -> Case:
    kind, number, further = chance.choice((*TEXT, *BINARY)), chance.randrange(QUESTIONS), chance.randrange(1, 4)

    def write(folder: Path, rows: Sequence[Row]) -> None:
        right, wrong = rows[number]["answer"], (rows[number]["answer"] + further) % 4
        text = f" {rows[number]['ABCD'[right]]}"
        changed = [row | {"ABCD"[wrong]: text} if n == number else row for n, row in enumerate(rows)]
        _save(folder / f"test{kind}", encoded(changed, kind))

    return Case(f"a wrong choice that is the answer in {kind}", write, "row left out", ", and the answer is one of")


def bad_table_value(chance: random.Random) -> Case:
    kind, number = chance.choice(BINARY), chance.randrange(QUESTIONS)
    what = chance.choice(("a date out of range", "a time out of range", "no UTF-8", "null"))

    def write(folder: Path, rows: Sequence[Row]) -> None:
        import pyarrow as pa

        table = pa.Table.from_pylist(list(rows))
        if what == "null":
            texts = [None if n == number else row["question"] for n, row in enumerate(rows)]
            table = table.set_column(table.schema.get_field_index("question"), "question", pa.array(texts))
        elif what == "no UTF-8":
            texts = [b"\xff" if n == number else b"a" for n in range(len(rows))]
            table = table.append_column("comment", pa.array(texts).view(pa.string()))
        elif what == "a date out of range":
            days = [2**31 - 1 if n == number else n for n in range(len(rows))]
            table = table.append_column("date", pa.array(days, pa.int32()).view(pa.date32()))
        else:
            seconds = [2**50 if n == number else n for n in range(len(rows))]
            table = table.append_column("time", pa.array(seconds, pa.int64()).view(pa.timestamp("ms")))
        _save(folder / f"test{kind}", _table(table, kind))

    message = {"no UTF-8": "byte 0xff is not UTF-8", "null": "question is absent"}.get(what, "cannot be read")
    return Case(f"{what} in {kind}", write, "row left out", message)


# --- whole files ------------------------------------------------------------------------------------------------------


def shards(chance: random.Random) -> Case:
    kind, total = chance.choice((*TEXT, *BINARY)), chance.randrange(2, 5)
    folder_of = chance.choice(("test", "test/data"))  # test-00000-of-00002.csv, or test/data-00000-of-00002.csv
    first = chance.choice((0, 1))
    damage = chance.choice(("none", "missing", "missing", "totals", "twice", "too many"))
    lost = chance.randrange(1 - first, total)  # without number 0 of those from 0, no one sees where they begin

    def write(folder: Path, rows: Sequence[Row]) -> None:
        step = -(-len(rows) // total)
        for n in range(total):
            if damage == "missing" and n == lost:
                continue
            part = encoded(rows[n * step : (n + 1) * step], kind)
            _save(folder / f"{folder_of}-{n + first:05}-of-{total:05}{kind}", part)
        extra = {"totals": f"{first:05}-of-00009", "twice": f"{first}-of-{total}", "too many": f"{77:05}-of-{total:05}"}
        if damage in extra:
            _save(folder / f"{folder_of}-{extra[damage]}{kind}", encoded(rows, kind))

    missing = f"{Path(folder_of).name}-{lost + first:05}-of-{total:05}{kind}"
    if damage == "missing" and first and lost == total - 1:
        missing = "missing are"  # the last of those from 1 may as well be the first of those from 0
    messages = {"missing": missing, "totals": "are of totals", "twice": "more than once", "too many": "have number 77"}
    outcome: Outcome = "as before" if damage == "none" else "error"
    return Case(f"{total} shards of {kind} from {first}: {damage}", write, outcome, messages.get(damage, ""))


BAD_FILES: Sequence[tuple[str, Sequence[str], Callable[[bytes], bytes], str]] = (
    ("an empty file", TEXT, lambda content: b"", "has no rows"),
    ("blank lines only", TEXT, lambda content: b"\n\n\n", "has no rows"),
    ("a byte order mark only", TEXT, lambda content: b"\xef\xbb\xbf", "has no rows"),
    ("a header only", TABLES, lambda content: content.split(b"\n")[0] + b"\n", "has no rows"),
    ("one column", TABLES, lambda content: b"question\nWhat?\n", "there is no '"),
    (
        "a column twice",
        TABLES,
        lambda content: content.replace(b"note", b"answer", 1),
        "names a column twice: 'answer'",
    ),
    ("no header", TABLES, lambda content: content.split(b"\n", 1)[1], "test"),
    ("UTF-16 cut off", TEXT, lambda content: content.decode().encode("utf-16")[:-1], "is not utf-16"),
    ("UTF-16 by mistake", TEXT, lambda content: b"\xff\xfe" + content[: len(content) // 2 * 2], "test"),
    ("UTF-16 without a mark", TEXT, lambda content: content.decode().encode("utf-16-le"), "UTF-16"),
    ("Latin-1", (".json", ".jsonl"), lambda content: _in_latin_1(content), "byte 0xf6 is not UTF-8"),
    (
        "one of two encodings",
        (".csv",),
        lambda content: _in_latin_1(content, "très"),
        "a word is 'très:' (cp1252), 'trčs:' (cp1250)",
    ),
    (
        "one of two delimiters",
        (".csv",),
        lambda content: content.replace(b" + ", b";").replace(b"question", b"question;", 1),
        "cells may be separated by comma or semicolon",
    ),
    ("an open quotation mark", (".csv",), lambda content: content.replace(b"Gr", b'"Gr', 1), "Is a quotation"),
    ("a list cut off", (".json",), lambda content: content[: len(content) // 2], "Is the file cut off?"),
    ("a list nested deep", (".json",), lambda content: b"[" * 20_000 + b"]" * 20_000, "nested too deeply"),
    ("a huge number", (".json",), lambda content: content.replace(b": 0", b": " + b"1" * 5000, 1), "too many digits"),
    ("a key twice", (".json",), lambda content: content.replace(b'"note"', b'"A"', 1), "names 'A' twice"),
)


def _in_latin_1(content: bytes, word: str = "Größe") -> bytes:
    return content.replace(b"Gr\\u00f6\\u00dfe", "Größe".encode()).decode().replace("Größe", word).encode("latin-1")


def bad_file(chance: random.Random) -> Case:
    name, kinds, change, message = chance.choice(BAD_FILES)
    kind = chance.choice(kinds)
    return Case(f"{name} as {kind}", _changed(kind, change), "error", message)


def another_form(chance: random.Random) -> Case:
    """Other encodings and delimiters, which are found."""
    encoding = chance.choice(("utf-8-sig", "utf-16", "utf-32", "cp1252", "iso8859_15"))
    delimiter, line = chance.choice(((",", ""), (";", ""), (";", "sep=;\r\n"), ("\t", ""), ("|", ""), ("#", "sep=#\n")))
    kind = chance.choice((".csv", ".csv.gz"))

    def change(content: bytes) -> bytes:
        return (line + content.decode().replace(",", delimiter)).encode(encoding)

    return Case(f"{kind} in {encoding} with {delimiter!r} {line[:5]}", _changed(kind, change), "as before")


def _archive(change: Callable[[str, bytes], bytes | None]) -> Callable[[bytes], bytes]:
    """Change, or by None leave out, the members of a zip file by their names and contents."""

    def changed(content: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                if (member := change(name, old.read(name))) is not None:
                    new.writestr(name, member)
        return out.getvalue()

    return changed


def _with_size(content: bytes, size: int) -> bytes:
    """A zip file whose directory says that its first member unpacks to so many bytes."""
    start = content.index(b"PK\1\2") + 24
    return content[:start] + size.to_bytes(4, "little") + content[start + 4 :]


def _in_sheet(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return _archive(lambda name, content: content.replace(old, new, 1) if "/sheet1" in name else content)


def _without(part: str) -> Callable[[bytes], bytes]:
    return _archive(lambda name, content: None if part in name else content)


ENTITY = b'<!DOCTYPE worksheet [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><worksheet'

BAD_WORKBOOKS: Sequence[tuple[str, Callable[[bytes], bytes], str]] = (
    ("cut off", lambda content: content[: len(content) // 2], "is no Excel file"),
    ("empty", lambda content: b"", "is no Excel file"),
    ("a CSV file", lambda content: b"question,A\na,b\n", "is no Excel file"),
    ("with a password", lambda content: bytes.fromhex("d0cf11e0a1b11ae1") + content, "or has a password"),
    ("without its sheet", _without("/sheet1"), "cannot be read"),
    ("without its list of sheets", _without("xl/workbook.xml"), "cannot be read"),
    ("with a sheet cut off", _archive(lambda name, content: content[:-200] if "/sheet1" in name else content), "read"),
    ("with entities", _in_sheet(b"<worksheet", ENTITY), "cannot be read"),
    ("with a row far below", _in_sheet(b'<row r="9"', b'<row r="99999999999"'), "a row has a number above"),
    ("of 4 GB", lambda content: _with_size(content, 2**32 - 16), "unpacks to"),
)


def bad_workbook(chance: random.Random) -> Case:
    name, change, message = chance.choice(BAD_WORKBOOKS)
    return Case(f"an Excel file {name}", _raw(EXCEL, change), "error", message)


BAD_EXCEL_CELLS: Sequence[tuple[str, Any, str]] = (
    ("question", date(2024, 1, 2), "question is '2024-01-02 00:00:00' (datetime), not text"),
    ("question", "#N/A", "the error of a formula"),
    ("question", "=A1", "is a formula whose value is not stored"),
    ("answer", 1.5, "answer 1.5 is not a whole number"),
    ("answer", None, "there is no answer"),
    ("question", True, "question is 'True' (bool), not text"),
    ("question", "lost \ufffd", "U+FFFD"),
    ("A", None, "choice 'A' is empty"),
)


def bad_excel_cell(chance: random.Random) -> Case:
    (column, value, message), number = chance.choice(BAD_EXCEL_CELLS), chance.randrange(QUESTIONS)

    def write(folder: Path, rows: Sequence[Row]) -> None:
        changed = [row | {column: value} if n == number else row for n, row in enumerate(rows)]
        _save(folder / f"test{EXCEL}", encoded(changed, EXCEL))

    return Case(f"{column}={str(value)[:20]!r} in {EXCEL}", write, "row left out", message)


def sheets(chance: random.Random) -> Case:
    """Besides the questions: nothing, an empty sheet, empty rows and columns, or another sheet."""
    what = chance.choice(("an empty sheet", "empty rows and columns", "another sheet", "values beside the table"))

    def write(folder: Path, rows: Sequence[Row]) -> None:
        table: list[list[Any]] = [list(rows[0]), *(list(row.values()) for row in rows)]
        if what == "empty rows and columns":
            table = [[*row, None, None] for row in table] + [[None] * 9, [None]]
        elif what == "values beside the table":
            table[-1] += [None, "checked"]
        second = {"an empty sheet": [[]], "another sheet": [["notes"]]}.get(what)
        _save(folder / f"test{EXCEL}", workbook(table, *([second] if second else [])))

    outcome, message = {
        "another sheet": ("error", "has several sheets: 'Sheet1', 'Sheet2'. data.sheet says"),
        "values beside the table": ("row left out", "has 'checked' in a column without a name"),
    }.get(what, ("as before", ""))
    return Case(f"{what} in {EXCEL}", write, cast(Outcome, outcome), message)


def saved_by_datasets(chance: random.Random) -> Case:
    """A folder of save_to_disk, with files of its cache; or with a state.json that is damaged."""
    state: Any = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": "test"}
    damage, content, message = chance.choice(
        (
            ("", json.dumps(state), ""),
            ("cut off", json.dumps(state)[:-9], "state.json: cannot be read"),
            ("with a missing file", json.dumps({"_data_files": [{"filename": "x.arrow"}]}), "x.arrow is missing"),
            ("with a file elsewhere", json.dumps({"_data_files": [{"filename": "/dev/zero"}]}), "is not in its folder"),
            ("with chosen rows", json.dumps(state | {"_indices_data_files": [1]}), "chooses some rows"),
            ("with other contents", json.dumps({"_data_files": 5}), "is not as datasets.save_to_disk writes it"),
        )
    )

    def write(folder: Path, rows: Sequence[Row]) -> None:
        _save(folder / "test" / "data-00000-of-00001.arrow", encoded(rows, ".arrow"))
        _save(folder / "test" / "cache-0a1b2c.arrow", encoded(rows, ".arrow"))
        _save(folder / "test" / "state.json", content.encode())

    return Case(f"a saved dataset {damage}", write, "error" if message else "as before", message)


RANDOM_KINDS = (".jsonl.gz", ".csv.gz", ".json", ".csv", EXCEL, *BINARY)


def cut_off(chance: random.Random) -> Case:
    kind, share = chance.choice((".jsonl.gz", ".csv.gz", ".json", EXCEL, *BINARY)), chance.random()
    write = _raw(kind, lambda content: content[: int(share * (len(content) - 8))])
    outcome: Outcome = "error" if share > 0.1 else "error or loaded"
    return Case(f"{kind} cut off at {share:.0%}", write, outcome, "test")


def random_bytes(chance: random.Random) -> Case:
    kind, seed, many = chance.choice(RANDOM_KINDS), chance.random(), chance.choice((1, 3, 30))

    def change(content: bytes) -> bytes:
        damage, changed = random.Random(seed), bytearray(content)
        for _ in range(many):
            changed[damage.randrange(len(changed))] = damage.randrange(256)
        return bytes(changed)

    return Case(f"{many} random bytes in {kind}", _raw(kind, change), "error or loaded")


def garbage(chance: random.Random) -> Case:
    kind, content = chance.choice((*TEXT, EXCEL, *BINARY)), chance.randbytes(chance.choice((1, 100, 70_000)))
    return Case(f"{len(content)} bytes of noise as {kind}", _raw(kind, lambda _: content), "error")


def repeated_table_column(chance: random.Random) -> Case:
    kind = chance.choice(BINARY)

    def write(folder: Path, rows: Sequence[Row]) -> None:
        import pyarrow as pa

        table = pa.Table.from_pylist(list(rows))
        _save(folder / f"test{kind}", _table(table.append_column("answer", pa.array([0] * len(rows))), kind))

    return Case(f"a column twice in {kind}", write, "error", "names a column twice: 'answer'")


def harmless(chance: random.Random) -> Case:
    """What may look like damage."""
    large = "x" * 200_000
    name, kinds, change = chance.choice(
        (
            ("a byte order mark", TEXT, lambda content: b"\xef\xbb\xbf" + content),
            ("UTF-16", TEXT, lambda content: content.decode().encode("utf-16")),
            ("Latin-1", TABLES, lambda content: content.decode().encode("latin-1")),
            ("all cells quoted", (".csv", ".csv.gz"), lambda content: _all_quoted(content, b",")),
            ("all cells quoted", (".tsv",), lambda content: _all_quoted(content, b"\t")),
            ("Windows line ends", TEXT, lambda content: content.replace(b"\n", b"\r\n")),
            ("blank lines at the end", TEXT, lambda content: content + b"\n\n"),
            ("a cell of 200 kB", TABLES, lambda content: content.replace(b"x\n", large.encode() + b"\n", 1)),
            ("a value of 200 kB", JSON_LINES, lambda content: content.replace(b'"x"', f'"{large}"'.encode(), 1)),
            ("NaN where nothing is read", JSON_LINES, lambda content: content.replace(b'"x"', b"NaN", 1)),
            ("Infinity", JSON_LINES, lambda content: content.replace(b'"x"', b"-Infinity", 1)),
            ("lists in lists", JSON_LINES, lambda content: content.replace(b'"x"', b"[" * 50 + b"]" * 50, 1)),
        )
    )
    kind = chance.choice(kinds)
    return Case(f"{name} in {kind}", _changed(kind, change), "as before")


def _all_quoted(content: bytes, delimiter: bytes) -> bytes:
    return b"".join(b'"' + line.replace(delimiter, b'"' + delimiter + b'"') + b'"\n' for line in content.splitlines())


def odd_subject(chance: random.Random) -> Case:
    subject = chance.choice(("$x^$", "_", "\\", "😀", "a\nb", "s" * 5000, "<script>alert(1)</script>", "a|b", "=1+1"))
    kind, number = chance.choice((*TEXT, *BINARY)), chance.randrange(QUESTIONS)

    def write(folder: Path, rows: Sequence[Row]) -> None:
        assert isinstance(rows, list)
        rows[number]["subject"] = subject  # of the good set too, with which the loaded one is compared
        _save(folder / f"test{kind}", encoded(rows, kind))

    return Case(f"subject {subject[:30]!r} in {kind}", write, "as before")


# --- paths ------------------------------------------------------------------------------------------------------------


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        here = os.open(path.parent, os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{here}/{path.name}")  # the whole path may be too long for a socket
        finally:
            os.close(here)


def _loop(path: Path) -> None:
    path.symlink_to(path.with_name("back"))
    path.with_name("back").symlink_to(path)


SPECIAL: Sequence[tuple[str, Callable[[Path], None]]] = (
    ("a pipe", _pipe),
    ("a socket", _socket),
    ("/dev/zero", lambda path: path.symlink_to("/dev/zero")),
    ("a loop of links", _loop),
    ("a link to nothing", lambda path: path.symlink_to(path.with_name("nothing"))),
)


def special_file(chance: random.Random) -> Case:
    """What is no file, as the split in the folder or as data.path itself."""
    name, make = chance.choice(SPECIAL)
    kind, named = chance.choice((*TEXT, *BINARY)), chance.random() < 0.5
    path = f"{{folder}}/test{kind}" if named else "{folder}"
    return Case(
        f"{name} as {'data.path' if named else 'test'}{kind}",
        lambda folder, rows: make(folder / f"test{kind}"),
        "error",
        f"test{kind}",
        path,
    )


def bad_path(chance: random.Random) -> Case:
    path = chance.choice(
        (
            "{folder}/" + "n" * 300,
            "{folder}/a\0b",
            "~nosuchuser/x",
            "{folder}/" + "deep/" * 2000,
            "{folder}/test.jsonl/x",
            "/dev/zero",
            "{folder}/tset.jsonl",
            "{folder}/\ud800",
            "",
        )
    )
    return Case(f"data.path={path[:30]!r}", _raw(".jsonl", lambda content: content), "error", "data.path", path)


def bad_split(chance: random.Random) -> Case:
    split = chance.choice(("n" * 300, "a\0b", "/etc/passwd", "**", "[", "tset", "\ud800", "a\nb"))
    return Case(
        f"data.splits.test={split[:20]!r}", _raw(".jsonl", lambda content: content), "error", "split", split=split
    )


KINDS: Sequence[Callable[[random.Random], Case]] = (
    bad_value,
    bad_line,
    bad_cell,
    cells_too_few_or_too_many,
    same_id,
    same_choice,
    bad_table_value,
    shards,
    bad_file,
    cut_off,
    random_bytes,
    garbage,
    repeated_table_column,
    harmless,
    odd_subject,
    another_form,
    bad_workbook,
    bad_excel_cell,
    sheets,
    saved_by_datasets,
    special_file,
    bad_path,
    bad_split,
)
