"""Checkpoints on disk: a folder each, complete or not there.

A checkpoint is written in another folder, flushed to the disk file by file, listed with all sizes and hashes in
complete.json and then moved into place. One without the list, or with a file that is missing or has another size or
hash, is damaged: it is never read, and moved to damaged/. A file that cannot be read at the moment is not damaged.
"""

import itertools
import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from mcqa.config.errors import FileError
from mcqa.runs.files import retry_stalled_io
from mcqa.runs.run_folder import shown

log = logging.getLogger(__name__)

T = TypeVar("T")

LIST, STATE = "complete.json", "trainer_state.json"
ASIDE, REMOVED, DAMAGED = ".writing", ".removed", "damaged"
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
BLOCK_BYTES = 2**22  # of a file, read at a time


def aside(folder: Path) -> Path:
    """Return the folder where checkpoints are written before they are complete."""
    return folder / ASIDE


def name(step: int) -> str:
    """Return the name of the checkpoint after `step` updates, as the Trainer has it."""
    return f"checkpoint-{step}"


def commit(folder: Path, step: int) -> Path:
    """Flush the checkpoint after `step` updates to the disk, move it into place and return its folder.

    Raises:
        OSError: the disk does not take it; earlier checkpoints are untouched.
    """
    written, place = aside(folder) / name(step), folder / name(step)
    paths = [path for path in sorted(written.rglob("*"), reverse=True) if path != written / LIST]
    files = {path.relative_to(written).as_posix(): path for path in paths if path.is_file()}
    sizes = {file: _flush(path) for file, path in files.items()}
    hashes = {file: _hash(path) for file, path in files.items()}
    (written / LIST).write_text(json.dumps({"step": step, "files": sizes, "xxh3_128": hashes}, indent=2))
    for path in [written / LIST, *(path for path in paths if path.is_dir()), written]:
        _flush(path)
    if place.exists():  # it was written before a measurement, and now after it; or it is damaged
        _remove(place)
    written.rename(place)
    _flush(folder)
    return place


def problem(checkpoint: Path) -> str | None:
    """Return how a checkpoint is damaged, if it is.

    Raises:
        FileError: a file of it is there and cannot be read.
    """
    try:
        listed = json.loads(_read(checkpoint / LIST, Path.read_bytes))
        sizes, hashes = dict(listed["files"]), dict(listed.get("xxh3_128", {}))  # earlier versions had no hashes
    except (*MISSING, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"it is incomplete ({LIST} is missing or damaged)"
    problems = (_problem_of_file(checkpoint / file, size, hashes.get(file)) for file, size in sizes.items())
    return next((found for found in problems if found), None)


def _problem_of_file(path: Path, size: int, expected_hash: str | None) -> str | None:
    try:
        if (found := _read(path, os.stat).st_size) != size:
            return f"{path.name} has {found} bytes instead of {size}"
        if expected_hash is not None and _read(path, _hash) != expected_hash:
            return f"the content of {path.name} is not what was written"
    except MISSING:
        return f"{path.name} is missing"
    return None


def _read(path: Path, read: Callable[[Path], T]) -> T:
    """Call `read` with the path and return its result; wait while the file system stalls.

    Raises:
        OSError: of MISSING, there is no such file.
        FileError: it cannot be read.
    """
    try:
        return retry_stalled_io(lambda: read(path))
    except MISSING:
        raise
    except OSError as error:
        raise FileError(
            f"{shown(path)} cannot be read: {error.strerror or error}. The checkpoint may be whole, so nothing is "
            "changed and the run does not begin anew. Resume the run when the file can be read."
        ) from error


def state(checkpoint: Path) -> dict[str, Any]:
    """Return the Trainer's state as it was saved."""
    saved: dict[str, Any] = json.loads(_read(checkpoint / STATE, Path.read_bytes))
    return saved


def newest(folder: Path) -> Path | None:
    """Return the newest checkpoint to resume from; warn of newer ones that are damaged, and move them aside.

    A checkpoint whose best state is damaged does not count either, since that state is the result of the run.

    Raises:
        FileError: one cannot be read, so that nobody knows whether it is damaged.
    """
    shutil.rmtree(aside(folder), ignore_errors=True)
    shutil.rmtree(folder / REMOVED, ignore_errors=True)
    damaged: dict[Path, str] = {}
    usable = None
    for checkpoint in reversed(steps(folder)):
        reason = problem(checkpoint) or _problem_of_best(checkpoint)
        if reason is None:
            usable = checkpoint
            break
        damaged[checkpoint] = reason
    if damaged:
        log.warning(
            "Damaged checkpoints are moved to %s (%s). The run resumes from %s.",
            shown(folder / DAMAGED),
            "; ".join(f"{checkpoint.name}: {reason}" for checkpoint, reason in damaged.items()),
            usable.name if usable else "its beginning",
        )
    for checkpoint in damaged:
        _move_aside(checkpoint)
    return usable


def rotate(folder: Path, keep: int, best_step: int | None) -> None:
    """Remove all but the newest `keep` and the best."""
    for checkpoint in steps(folder)[:-keep]:
        if best_step is None or checkpoint.name != name(best_step):
            _remove(checkpoint)


def steps(folder: Path) -> list[Path]:
    """Return all checkpoints by their number of updates."""
    try:
        names = [name for name in _read(folder, os.listdir) if re.fullmatch(r"checkpoint-\d+", name)]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names, key=lambda name: int(name.split("-")[1]))]


def _problem_of_best(checkpoint: Path) -> str | None:
    try:
        step = state(checkpoint)["best_global_step"]  # the path beside it may be wrong: run folders may be moved
    except (ValueError, KeyError, TypeError):
        return f"{STATE} is damaged"
    chosen = None if step is None else checkpoint.parent / name(step)
    reason = problem(chosen) if chosen is not None and chosen != checkpoint else None
    return f"the best state before it, {chosen.name}, is damaged: {reason}" if chosen and reason else None


def _move_aside(checkpoint: Path) -> None:
    """Keep it: a person may be able to save something of it."""
    folder = checkpoint.parent / DAMAGED
    folder.mkdir(exist_ok=True)
    names = (f"{checkpoint.name}-{number}" for number in itertools.count(2))
    free = next(name for name in itertools.chain([checkpoint.name], names) if not (folder / name).exists())
    checkpoint.rename(folder / free)


def _remove(checkpoint: Path) -> None:
    """Move it away first, so that a process killed meanwhile leaves no half checkpoint."""
    removed = checkpoint.parent / REMOVED
    removed.mkdir(exist_ok=True)
    shutil.rmtree(removed / checkpoint.name, ignore_errors=True)
    checkpoint.rename(removed / checkpoint.name)
    shutil.rmtree(removed, ignore_errors=True)


def _flush(path: Path) -> int:
    """Write a file or folder to the disk (fsync), to survive a loss of power; return its size in bytes."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        return os.fstat(handle).st_size
    finally:
        os.close(handle)


def _hash(path: Path) -> str:
    """Return the XXH3 of a file's content, which finds flipped bits and costs little beside writing the file."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
