"""Find the files that hold a split, and read their rows.

The first of these layouts that exists is read, in the first of FORMATS:

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
from mcqa.data.formats import FORMATS, Rows, extension, read_rows

LAYOUTS = ("{split}{extension}", "{split}-[0-9]*-of-[0-9]*{extension}", "{split}/*{extension}", "*_{split}{extension}")
METADATA = {"dataset_info.json", "dataset_dict.json", "state.json"}  # saved by datasets beside the data
SHARD = re.compile(r"(.*-)?\d+(-of-\d+)?")


def split_rows(files: Sequence[Path], split: str | None, columns: Sequence[str] = ()) -> Rows:
    """Yield the rows of all files as read_rows does; one without a subject gets that of its file's name, if any."""
    for file in files:
        subject = subject_from_name(file, split)
        for where, row in read_rows(file, columns):
            if subject and isinstance(row, dict):
                row.setdefault("subject", subject)
            yield where, row


def subject_from_name(file: Path, split: str | None) -> str:
    """Return `anatomy` for anatomy_test.csv and for test/anatomy.arrow, "" for test.csv and for shards."""
    stem = file.name.removesuffix(extension(file))
    suffix = re.escape(split) if split else "train|dev|val|validation|test"
    if match := re.fullmatch(rf"(.+)_({suffix})", stem):
        return match[1]
    return stem if split and file.parent.name == split and stem != split and not SHARD.fullmatch(stem) else ""


def find_split_files(folder: Path, split: str) -> tuple[list[Path], list[Path]]:
    """Return the files of a split, and others that seem to hold it too but are not read.

    Raises:
        DataError: no file holds the split; the message lists what was looked for and what exists.
    """
    patterns = [layout.format(split=escape(split), extension=known) for layout in LAYOUTS for known in FORMATS]
    groups = [files for pattern in patterns if (files := _matching_files(folder, pattern))]
    if not groups:
        raise DataError(_no_such_split(folder, split))
    return groups[0], [file for group in groups[1:] for file in group]


def _matching_files(folder: Path, pattern: str) -> list[Path]:
    files = (file for file in folder.glob(pattern) if file.is_file() and not file.name.startswith("."))
    return sorted(file for file in files if file.name not in METADATA)


def _no_such_split(folder: Path, split: str) -> str:
    entries = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    splits = {re.sub(r"(-\d+-of-\d+)?(\.\w+)*$", "", name) for name in entries}
    listed = ", ".join(entries[:20]) + (f" and {len(entries) - 20} more" if len(entries) > 20 else "")
    formats = ", ".join(known for known in FORMATS if not known.endswith(".gz"))
    return (
        f"{folder}: no split {split!r} here. Looked for {split}.*, {split}-*-of-*.*, {split}/*.* and "
        f"*_{split}.* in {formats} (text also .gz); there is {listed or 'nothing'}.{nearest(split, splits)} "
        "data.splits names the splits; data.splits.dev=null holds dev out from train."
    )


def existing_path(path: str) -> Path:
    """Return the file or folder that data.path names.

    Raises:
        DataError: it does not exist, or is a file of an unknown format.
    """
    full = Path(path).expanduser()
    if not full.exists():
        siblings = [entry.name for entry in full.parent.iterdir()] if full.parent.is_dir() else []
        origin = "" if full.is_absolute() else f" from {Path.cwd()}"
        raise DataError(f"data.path={path}: no such file or folder{origin}.{nearest(full.name, siblings)}")
    if full.is_file() and extension(full) not in FORMATS:
        raise DataError(f"data.path={path}: files end in {', '.join(FORMATS)}.")
    return full
