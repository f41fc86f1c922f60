"""Checkpoints on disk: a folder each, which is there complete or not at all.

A checkpoint is written aside, flushed to the disk file by file, listed with all sizes in complete.json and then moved
into place. One that lacks the list, or a file of it, or a byte of a file, is damaged and never read.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcqa.runs.run_folder import shown

log = logging.getLogger(__name__)

LIST, STATE = "complete.json", "trainer_state.json"
ASIDE, REMOVED = ".writing", ".removed"


def aside(folder: Path) -> Path:
    """Where checkpoints are written before they are complete."""
    return folder / ASIDE


def name(step: int) -> str:
    return f"checkpoint-{step}"


def commit(folder: Path, step: int) -> Path:
    """Move the checkpoint after `step` updates from aside to its place, where it is then complete for sure.

    Raises:
        OSError: when the disk does not take it; what was there before is untouched.
    """
    written, place = aside(folder) / name(step), folder / name(step)
    sizes = {path.relative_to(written).as_posix(): _flushed(path) for path in _files(written)}
    (written / LIST).write_text(json.dumps({"step": step, "files": sizes}, indent=2))
    _flushed(written / LIST)
    for path in [*_folders(written), written]:
        _flushed(path)
    if place.exists():  # written once more, before a measurement and after it, or damaged
        _remove(place)
    written.rename(place)
    _flushed(folder)
    return place


def problem(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None where nothing is."""
    try:
        sizes = json.loads((checkpoint / LIST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"it was not written to its end ({LIST} is not there or damaged)"
    for file, size in sizes.items():
        path = checkpoint / file
        if not path.is_file():
            return f"{file} is missing"
        if path.stat().st_size != size:
            return f"{file} has {path.stat().st_size} bytes instead of {size}"
    return None


def state(checkpoint: Path) -> dict[str, Any]:
    """The trainer's state as it was saved."""
    found: dict[str, Any] = json.loads((checkpoint / STATE).read_text("utf-8"))
    return found


def best(checkpoint: Path) -> Path | None:
    """The checkpoint of the best state until then. Paths that were saved are not trusted: the folder may have moved."""
    step = state(checkpoint)["best_global_step"]
    return None if step is None else checkpoint.parent / name(step)


def newest(folder: Path) -> Path | None:
    """The newest checkpoint to go on from; warns of newer ones that are damaged, and removes them.

    One whose best state is damaged is of no use either, for that state is what remains of a run.
    """
    shutil.rmtree(aside(folder), ignore_errors=True)
    shutil.rmtree(folder / REMOVED, ignore_errors=True)
    damaged: list[tuple[Path, str]] = []
    found = None
    for checkpoint in reversed(steps(folder)):
        wrong = problem(checkpoint) or _problem_of_best(checkpoint)
        if wrong is None:
            found = checkpoint
            break
        damaged.append((checkpoint, wrong))
    if damaged:
        _warn(damaged, found)
        for checkpoint, _ in damaged:
            _remove(checkpoint)
    return found


def rotate(folder: Path, keep: int, best_step: int | None) -> None:
    """Remove all but the newest `keep` and the best."""
    for checkpoint in steps(folder)[:-keep]:
        if best_step is None or checkpoint.name != name(best_step):
            _remove(checkpoint)


def steps(folder: Path) -> list[Path]:
    """All checkpoints by their number of updates."""
    found = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def _problem_of_best(checkpoint: Path) -> str | None:
    chosen = best(checkpoint)
    wrong = problem(chosen) if chosen is not None and chosen != checkpoint else None
    return f"the best state before it, {chosen.name}, is damaged: {wrong}" if chosen and wrong else None


def _warn(damaged: list[tuple[Path, str]], found: Path | None) -> None:
    told = "; ".join(f"{checkpoint.name}: {wrong}" for checkpoint, wrong in damaged)
    log.warning(
        "Damaged checkpoints in %s are left out (%s). The run goes on from %s.",
        *(shown(damaged[0][0].parent), told, found.name if found else "its beginning"),
    )


def _remove(checkpoint: Path) -> None:
    """Moved away first: killed on the way, half a checkpoint must not look like a damaged one."""
    grave = checkpoint.parent / REMOVED
    grave.mkdir(exist_ok=True)
    shutil.rmtree(grave / checkpoint.name, ignore_errors=True)
    checkpoint.rename(grave / checkpoint.name)
    shutil.rmtree(grave, ignore_errors=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / LIST)


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*"), reverse=True) if path.is_dir())


def _flushed(path: Path) -> int:
    """On the disk for sure, also when the machine loses its power; the size in bytes."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        return os.fstat(handle).st_size
    finally:
        os.close(handle)
