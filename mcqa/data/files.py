"""Find the files that hold a split, and read their rows.

The first of these layouts that exists is read, in the first of FORMATS:

    <split>.csv                          one file
    <split>-00000-of-00002.parquet       the shards of a hub repository
    <split>/*.arrow                      one file per subject or shard
    *_<split>.csv                        one file per subject, as MMLU's authors publish it

A folder that datasets has saved (save_to_disk) lists its Arrow files in state.json, and no others are read.
"""

import json
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Sequence
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Any

from mcqa.config.errors import DataError, nearest
from mcqa.data.formats import FORMATS, FileOptions, Rows, extension, read_rows

LAYOUTS = ("{split}{extension}", "{split}-[0-9]*-of-[0-9]*{extension}", "{split}/*{extension}", "*_{split}{extension}")
METADATA = {"dataset_info.json", "dataset_dict.json", "state.json"}  # saved by datasets beside the data
SHARD = re.compile(r"(.*-)?\d+(-of-\d+)?")
NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d{1,9})-of-(?P<total>\d{1,9})(-.*)?(?P<extension>\..+)", re.S | re.A)
MOST_SHARDS = 20  # missing ones in an error


def split_rows(
    files: Sequence[Path], split: str | None, options: FileOptions | None = None, notes: list[str] | None = None
) -> Rows:
    """Yield the rows of all files as read_rows does; one without a subject gets that of its file's name, if any.

    notes: after the last row, a sentence for each finding of read_rows is appended here.
    """
    findings = defaultdict[tuple[str, ...], list[Path]](list)
    for file in files:
        subject, told = subject_from_name(file, split), list[str]()
        for where, row in read_rows(file, options, told):
            if subject and isinstance(row, dict):
                row.setdefault("subject", subject)
            yield where, row
        findings[tuple(told)].append(file)
    for found, those in findings.items():
        if found and notes is not None:
            names = those[0].name if len(those) == 1 else f"{those[0].name} and {len(those) - 1} more files"
            notes.append(f"{f'{split}: ' if split else ''}{names} read with {' and '.join(found)}")


def subject_from_name(file: Path, split: str | None) -> str:
    """Return `anatomy` for anatomy_test.csv and for test/anatomy.arrow, "" for test.csv and for shards."""
    stem = file.name.removesuffix(extension(file))
    suffix = re.escape(split) if split else "train|dev|val|validation|test"
    if match := re.fullmatch(rf"(.+)_({suffix})", stem):
        return match[1]
    return stem if split and file.parent.name == split and stem != split and not SHARD.fullmatch(stem) else ""


def has_split(folder: Path, split: str) -> bool:
    """Whether a folder has files of a split."""
    patterns = [layout.format(split=escape(split), extension=known) for layout in LAYOUTS for known in FORMATS]
    return any(_matching_files(folder, pattern) for pattern in patterns)


def find_split_files(folder: Path, split: str) -> tuple[list[Path], list[Path]]:
    """Return the files of a split, and others that seem to hold it too but are not read.

    Raises:
        DataError: no file holds the split, where the message lists what was looked for and what exists, or not all
            of its shards are there.
    """
    patterns = [layout.format(split=escape(split), extension=known) for layout in LAYOUTS for known in FORMATS]
    try:
        groups = [files for pattern in patterns if (files := _matching_files(folder, pattern))]
    except PermissionError:
        raise
    except (OSError, ValueError, NotImplementedError) as error:  # too long, or with a NUL character, or absolute
        raise DataError(f"data.splits: {split!r} cannot be the name of a split ({error}).") from error
    if not groups:
        raise DataError(_no_such_split(folder, split))
    _require_all_shards(groups[0])
    return groups[0], [file for group in groups[1:] for file in group]


def _matching_files(folder: Path, pattern: str) -> list[Path]:
    """What is no file either, such as a link to nothing, is reported where it is opened."""
    files = [file for file in folder.glob(pattern) if not file.is_dir() and not file.name.startswith(".")]
    saved = {parent: set(saved_files(parent)) for parent in {file.parent for file in files} if is_saved(parent)}
    return sorted(file for file in files if file.name not in METADATA and file in saved.get(file.parent, [file]))


def is_saved(folder: Path) -> bool:
    """Whether a folder holds a single split that datasets has saved.

    Raises:
        DataError: its state.json cannot be read.
    """
    return "_data_files" in _saved_state(folder)


def saved_files(folder: Path) -> list[Path]:
    """Return the files of a split that datasets has saved; others beside them are its cache.

    Raises:
        DataError: state.json is not what datasets writes, or a file that it lists is missing.
    """
    state = _saved_state(folder)
    try:
        names = [entry["filename"] for entry in state["_data_files"]]
        files = [folder / name for name in names]
    except (LookupError, TypeError) as error:
        raise DataError(f"{folder}/state.json: is not as datasets.save_to_disk writes it ({error!r}).") from error
    if state.get("_indices_data_files"):  # of versions of datasets before 1.6
        raise DataError(f"{folder}/state.json: chooses some rows of the files. Load it by datasets and save it again.")
    if outside := [file for file in files if file.parent != folder]:
        raise DataError(f"{folder}/state.json: names {outside[0]}, which is not in its folder.")
    if missing := [file.name for file in files if not file.exists()]:
        raise DataError(f"{folder}: {missing[0]} is missing, which state.json lists. Was not all of it copied?")
    return files


def _saved_state(folder: Path) -> dict[str, Any]:
    """What datasets has written about a split; empty where there is nothing."""
    try:
        state = json.loads((folder / "state.json").read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{folder}/state.json: cannot be read ({error}). Is it damaged?") from error
    return state if isinstance(state, dict) else {}


def _require_all_shards(files: Sequence[Path]) -> None:
    """Raise where shards such as train-00000-of-00002.parquet are not complete; the first is number 0 or 1."""
    sets = defaultdict[str, list[re.Match[str]]](list)
    for file in files:
        if match := NUMBERED.fullmatch(file.name):
            sets[match["before"]].append(match)
    for before, shards in sets.items():
        numbers, totals = Counter(int(shard["number"]) for shard in shards), {int(shard["total"]) for shard in shards}
        total = max(totals)
        expected = range(1, total + 1) if 0 not in numbers and total in numbers else range(total)
        if len(totals) > 1:
            problem = f"are of totals {sorted(totals)}, so of two editions. Keep one of them."
        elif twice := [number for number, count in numbers.items() if count > 1]:
            problem = f"have number {twice[0]} more than once. Keep one file of each number."
        elif unexpected := [number for number in numbers if number not in expected]:
            problem = f"have number {unexpected[0]} of only {total}. Is it of another edition?"
        elif len(numbers) < total:
            missing = islice((number for number in expected if number not in numbers), MOST_SHARDS)
            names = ", ".join(_with_number(shards[0], number) for number in missing)
            rest = total - len(numbers) - MOST_SHARDS
            problem = (
                f"are {len(numbers)} of {total}; missing are {names}{f' and {rest} more' if rest > 0 else ''}. "
                "Download them again: without them, a part would be taken for the whole split."
            )
        else:
            continue
        raise DataError(f"{files[0].parent}: the shards {before}*-of-* {problem}")


def _with_number(shard: re.Match[str], number: int) -> str:
    """The file name of another shard, without what may differ between shards (a hash)."""
    return f"{shard['before']}{number:0{len(shard['number'])}}-of-{shard['total']}{shard['extension']}"


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


def locate(key: str, path: str) -> Path:
    """Return the file or folder that a key of the configuration names.

    Raises:
        DataError: it does not exist, cannot be looked up, or is neither a file nor a folder.
    """
    if not path.strip():
        raise DataError(f"{key} is empty.")
    try:
        full = Path(path).expanduser()
        kind = stat.S_IFMT(full.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        siblings = [entry.name for entry in full.parent.iterdir()] if full.parent.is_dir() else []
        origin = "" if full.is_absolute() else f" from {Path.cwd()}"
        raise DataError(f"{key}={path}: no such file or folder{origin}.{nearest(full.name, siblings)}") from None
    except (OSError, ValueError, RuntimeError) as error:  # too long, a loop of links, a NUL character, ~nobody
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{key}={path}: cannot be looked up ({reason}).") from error
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{key}={path}: is a pipe, socket or device, and neither a file nor a folder.")
    return full


def is_one_split(path: Path) -> bool:
    """Whether all questions are in one file or saved split, from which train, dev and test are cut."""
    return path.is_file() or is_saved(path)


def files_of(path: Path) -> list[Path]:
    """Return the file, or those of a saved split.

    Raises:
        DataError: as for `saved_files`.
    """
    return [path] if path.is_file() else saved_files(path)


def existing_path(path: str) -> Path:
    """Return the file or folder with questions that data.path names.

    Raises:
        DataError: as for `locate`, and for a file of an unknown format.
    """
    full = locate("data.path", path)
    if full.is_file() and extension(full) not in FORMATS:
        raise DataError(f"data.path={path}: files end in {', '.join(FORMATS)}.")
    return full
