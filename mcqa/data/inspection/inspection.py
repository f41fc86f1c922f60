"""What a file or folder of questions is, which columns read it, and the keys that say so."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mcqa.config.composition import ROOT
from mcqa.config.errors import DataError
from mcqa.config.schema import Columns
from mcqa.data import answer_files, files
from mcqa.data.formats import FileOptions, Rows, extension
from mcqa.data.inspection import detection, published
from mcqa.data.inspection.candidates import Table
from mcqa.data.inspection.detection import Detection, Reading
from mcqa.data.question import Question

SPLITS = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
"""What publishers call our splits."""

TABLES = (".csv", ".tsv", ".xlsx", ".csv.gz", ".tsv.gz")  # whose first line may be a header or a row
ANSWER = "answer"  # the column of answers in a file of their own, as conf/data/local.yaml names it
PLAIN = re.compile(r"[A-Za-z_./][\w./-]*", re.ASCII)
WORDS = ("true", "false", "null", "nan", "inf")  # that are no text for Hydra


@dataclass(frozen=True)
class Source:
    """A file, or a folder with the files of its splits, and what was given about their format.

    header: None where nobody has said whether the first line of a table is one. answers: data.answers.
    """

    path: Path
    options: FileOptions
    header: bool | None
    splits: dict[str, str | None]
    answers: str | None = None

    def files(self) -> list[tuple[str | None, list[Path]]]:
        """Return the files of each split, or of the only one, which has no name."""
        if files.is_one_split(self.path):
            return [(None, files.files_of(self.path))]
        return [(name, files.find_split_files(self.path, name)[0]) for name in self.splits.values() if name]

    def rows(self, header: bool, names: Sequence[str] = (), notes: list[str] | None = None) -> Rows:
        """Yield all rows; names: of the columns of a table without a header."""
        options = replace(self.options, header=header, names=names)
        for split, paths in self.files():
            rows = files.split_rows(paths, split, options, notes)
            if self.answers is None:
                yield from rows
            else:
                beside = answer_files.answers_path(self.path, self.answers, split)
                yield from answer_files.with_answers(rows, beside, ANSWER)

    @property
    def is_table(self) -> bool:
        """Whether its first line may be a header or a row."""
        return any(extension(path) in TABLES for _, paths in self.files() for path in paths)


@dataclass(frozen=True)
class Version:
    """The rows with their first line as a header, or as a row: their places, what is damaged, and how they read."""

    has_header: bool
    table: Table
    places: list[str]
    damaged: list[str]
    detection: Detection


@dataclass(frozen=True)
class Inspection:
    """What is known about a file.

    notes: such as its encoding. versions: by whether the first line is a header. published: the questions by each
    published set whose format these rows have.
    """

    source: Source
    notes: list[str]
    versions: list[Version]
    published: dict[str, list[Question]]

    @property
    def readings(self) -> list[tuple[Version, Reading]]:
        """All columns that read all rows, each to other questions."""
        return [(version, reading) for version in self.versions for reading in version.detection.readings]

    @property
    def certain(self) -> tuple[Version, Reading] | None:
        """The only reading of undamaged rows, where there is no other and no doubt."""
        if len(self.readings) != 1:
            return None
        ((version, reading),) = self.readings
        return (version, reading) if reading.is_evident and not version.damaged else None

    def keys(self, version: Version, columns: Columns, always: Sequence[str] = ()) -> list[str]:
        """Return the command line's keys for a reading; always: those of columns that are named in any case."""
        return [*_source_keys(self.source, version.has_header, "local"), *column_keys(columns, always)]

    def published_keys(self, name: str) -> list[str]:
        """Return the command line's keys for a published set."""
        return _source_keys(self.source, True, name)


def find(path: Path, options: FileOptions, header: bool | None, answers: str | None = None) -> Source:
    """Return the file or folder to look at, with its splits: all that a run needs, if it has a train split.

    Without a test split the dev split is test, and dev is held out from train; a train split alone is cut as a file is.

    Raises:
        DataError: a folder in which no split has a known name.
    """
    if files.is_one_split(path):
        return Source(path, options, header, {}, answers)
    splits = {ours: next((name for name in names if _has(path, name)), None) for ours, names in SPLITS.items()}
    if not any(splits.values()):
        files.find_split_files(path, "train")  # which says what there is
    if splits["train"] is not None and splits["test"] is None:
        splits |= {"dev": None, "test": splits["dev"]}
        parts = files.find_split_files(path, splits["train"])[0]
        if splits["test"] is None and len(parts) == 1 and answers is None:
            return Source(parts[0], options, header, {}, answers)
    return Source(path, options, header, splits, answers)


def _has(folder: Path, split: str) -> bool:
    try:
        files.find_split_files(folder, split)
    except DataError:
        return False
    return True


def inspect(source: Source) -> Inspection:
    """Read all rows and try which columns, and which published sets, read them.

    Raises:
        DataError: the rows cannot be read at all, or there are none.
    """
    notes, versions = list[str](), list[Version]()
    problem = DataError(f"{source.path}: has no rows.")
    headers = [True, False] if source.is_table else [True]
    for has_header in headers if source.header is None else [source.header]:
        found: list[str] = []
        try:
            version = _version(source, has_header, found)
        except DataError as error:
            problem = problem if versions else error
            continue
        if version.table.rows:
            versions.append(version)
            notes = notes or found
        elif version.damaged:
            problem = DataError(version.damaged[0])
    if not versions:
        raise problem
    if source.header is None and not versions[0].has_header and len(versions[0].table.rows) == 1:
        raise DataError(f"{source.path}: has a first line and no other row; data.header=false reads it as a row.")
    return Inspection(source, notes, versions, published.sets_that_read(lambda names: source.rows(True, names)))


def _version(source: Source, has_header: bool, notes: list[str]) -> Version:
    rows: list[dict[str, Any]] = []
    places, damaged = [], []
    for where, row in source.rows(has_header, notes=notes):
        if isinstance(row, DataError):
            damaged.append(f"{where}: {row}")
        else:
            rows.append(row)
            places.append(where)
    table = Table(rows, has_header)
    return Version(has_header, table, places, damaged, detection.detect(table))


# --- keys ------------------------------------------------------------------------------------------------------------


def column_keys(columns: Columns, always: Sequence[str] = ()) -> list[str]:
    """Return the keys of data.columns that differ from those of conf/data/local.yaml, and some in any case."""
    own = yaml.safe_load((ROOT / "conf" / "data" / "local.yaml").read_text("utf-8"))["columns"]
    unused = {"answer", "answer_as"} if columns.right is not None else set()
    changed = {key: value for key, value in vars(columns).items() if value != own[key] or key in always}
    return [f"data.columns.{key}={override(value)}" for key, value in changed.items() if key not in unused]


def _source_keys(source: Source, has_header: bool, name: str) -> list[str]:
    given = source.options
    values: dict[str, Any] = {"data": name, "data.path": str(source.path)}
    values |= {} if has_header else {"data.header": False}
    values |= {} if source.answers is None else {"data.answers": source.answers}
    for key in ("delimiter", "encoding", "sheet"):
        values |= {} if getattr(given, key) is None else {f"data.{key}": getattr(given, key)}
    own = yaml.safe_load((ROOT / "conf" / "data" / "local.yaml").read_text("utf-8"))["splits"]
    values |= {f"data.splits.{ours}": theirs for ours, theirs in source.splits.items() if own[ours] != theirs}
    return [f"{key}={override(value)}" for key, value in values.items()]


def override(value: Any) -> str:
    """Return a value as Hydra's command line reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(override, value))}]"
    text = str(value)
    if isinstance(value, int) or (PLAIN.fullmatch(text) and text.lower() not in WORDS):
        return text
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    doubled = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f'"{doubled}"'


def unlike(readings: Sequence[Reading]) -> Iterator[str]:
    """Yield the keys in which readings differ."""
    for key in vars(readings[0].columns):
        if len({repr(getattr(reading.columns, key)) for reading in readings}) > 1:
            yield key
