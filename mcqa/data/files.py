"""Which files hold a split, and its rows.

A folder holds a split as the first of these that is there, in the first of FORMATS:

    <split>.csv                          one file
    <split>-00000-of-00002.parquet       the shards of a hub repository
    <split>/*.arrow                      one file per subject or shard
    *_<split>.csv                        one file per subject, as MMLU's authors publish it
"""

import re
from collections.abc import Sequence
from glob import escape
from pathlib import Path

from mcqa.config.errors import DataError, nearest
from mcqa.data.formats import FORMATS, Rows, ending, rows

LAYOUTS = ("{split}{end}", "{split}-[0-9]*-of-[0-9]*{end}", "{split}/*{end}", "*_{split}{end}")


BOOKKEEPING = {"dataset_info.json", "dataset_dict.json", "state.json"}  # what datasets saves beside the data


SHARD = re.compile(r"(.*-)?\d+(-of-\d+)?")


def split_rows(files: Sequence[Path], split: str | None, unnamed: Sequence[str] = ()) -> Rows:
    """The rows of all files; one without a subject gets that which its file's name tells, if any."""
    for file in files:
        subject = subject_of(file, split)
        for where, row in rows(file, unnamed):
            if subject and isinstance(row, dict):
                row.setdefault("subject", subject)
            yield where, row


def subject_of(file: Path, split: str | None) -> str:
    """`anatomy` of anatomy_test.csv and of test/anatomy.arrow; nothing of test.csv and of shards."""
    stem = file.name.removesuffix(ending(file))
    known = re.escape(split) if split else "train|dev|val|validation|test"
    if found := re.fullmatch(rf"(.+)_({known})", stem):
        return found[1]
    return stem if split and file.parent.name == split and stem != split and not SHARD.fullmatch(stem) else ""


def find(folder: Path, split: str) -> tuple[list[Path], list[Path]]:
    """The files of a split, and others that seem to hold it too and are left unread.

    Raises:
        DataError: nothing holds it; says what was looked for and what is there.
    """
    patterns = [(layout.format(split=escape(split), end=end)) for layout in LAYOUTS for end in FORMATS]
    groups = [files for pattern in patterns if (files := _matching(folder, pattern))]
    if not groups:
        raise DataError(_nothing(folder, split))
    return groups[0], [file for group in groups[1:] for file in group]


def _matching(folder: Path, pattern: str) -> list[Path]:
    return sorted(
        file
        for file in folder.glob(pattern)
        if file.is_file() and file.name not in BOOKKEEPING and not file.name.startswith(".")
    )


def _nothing(folder: Path, split: str) -> str:
    there = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    names = {re.sub(r"(-\d+-of-\d+)?(\.\w+)*$", "", name) for name in there}
    shown = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
    formats = ", ".join(end for end in FORMATS if not end.endswith(".gz"))
    return (
        f"{folder}: no split {split!r} here. Looked for {split}.*, {split}-*-of-*.*, {split}/*.* and "
        f"*_{split}.* in {formats} (text also .gz); there is {shown or 'nothing'}.{nearest(split, names)} "
        "data.splits says what the splits are called; data.splits.dev=null cuts dev from train."
    )


def existing(path: str) -> Path:
    """The file or folder of that name.

    Raises:
        DataError: it is not there, or a file of no known format.
    """
    found = Path(path).expanduser()
    if not found.exists():
        beside = [entry.name for entry in found.parent.iterdir()] if found.parent.is_dir() else []
        whence = "" if found.is_absolute() else f" from {Path.cwd()}"
        raise DataError(f"data.path={path}: no such file or folder{whence}.{nearest(found.name, beside)}")
    if found.is_file() and ending(found) not in FORMATS:
        raise DataError(f"data.path={path}: files end in {', '.join(FORMATS)}.")
    return found
