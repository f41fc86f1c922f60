"""Checkpoints on disk: a folder each, complete or not there.

A checkpoint is written in another folder, flushed to the disk file by file, listed with all sizes in complete.json and
then moved into place. One without the list, or with a file missing or of another size, is damaged and never read.
"""

import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

from mcqa.runs.run_folder import shown

log = logging.getLogger(__name__)

LIST, STATE = "complete.json", "trainer_state.json"
ASIDE, REMOVED = ".writing", ".removed"


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
    sizes = {path.relative_to(written).as_posix(): _flush(path) for path in paths if path.is_file()}
    (written / LIST).write_text(json.dumps({"step": step, "files": sizes}, indent=2))
    for path in [written / LIST, *(path for path in paths if path.is_dir()), written]:
        _flush(path)
    if place.exists():  # it was written before a measurement, and now after it; or it is damaged
        _remove(place)
    written.rename(place)
    _flush(folder)
    return place


def problem(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint, if anything."""
    try:
        sizes = json.loads((checkpoint / LIST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"it is incomplete ({LIST} is missing or damaged)"
    for file, size in sizes.items():
        path = checkpoint / file
        if not path.is_file():
            return f"{file} is missing"
        if path.stat().st_size != size:
            return f"{file} has {path.stat().st_size} bytes instead of {size}"
    return None


def state(checkpoint: Path) -> dict[str, Any]:
    """Return the Trainer's state as it was saved."""
    saved: dict[str, Any] = json.loads((checkpoint / STATE).read_text("utf-8"))
    return saved


def newest(folder: Path) -> Path | None:
    """Return the newest checkpoint to resume from; warn of newer ones that are damaged, and remove them.

    A checkpoint whose best state is damaged does not count either, since that state is the result of the run.
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
            "Damaged checkpoints in %s are removed (%s). The run resumes from %s.",
            shown(folder),
            "; ".join(f"{checkpoint.name}: {reason}" for checkpoint, reason in damaged.items()),
            usable.name if usable else "its beginning",
        )
    for checkpoint in damaged:
        _remove(checkpoint)
    return usable


def rotate(folder: Path, keep: int, best_step: int | None) -> None:
    """Remove all but the newest `keep` and the best."""
    for checkpoint in steps(folder)[:-keep]:
        if best_step is None or checkpoint.name != name(best_step):
            _remove(checkpoint)


def steps(folder: Path) -> list[Path]:
    """Return all checkpoints by their number of updates."""
    paths = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(paths, key=lambda path: int(path.name.split("-")[1]))


def _problem_of_best(checkpoint: Path) -> str | None:
    step = state(checkpoint)["best_global_step"]  # the path beside it may be wrong: run folders may be moved
    chosen = None if step is None else checkpoint.parent / name(step)
    reason = problem(chosen) if chosen is not None and chosen != checkpoint else None
    return f"the best state before it, {chosen.name}, is damaged: {reason}" if chosen and reason else None


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
