"""Read and write files so that a reader finds each complete or not at all, also where a shared file system stalls."""

import csv
import errno
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mcqa.config.errors import FileError

T = TypeVar("T")

STALLS = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "ETIMEDOUT", "EAGAIN", "EBUSY", "EINTR", "ENOTCONN", "EHOSTDOWN", "EREMOTEIO")
    if hasattr(errno, name)
)
"""What a network file system raises while its server is away, and when a file was replaced from another machine."""

WAITS_S = (0.05, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 120.0)
"""Pauses between two attempts: six minutes in all."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t")
NUMBER = re.compile(r"[+-][0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", re.IGNORECASE)

MAX_DEPTH = 100
"""Of lists and mappings in a YAML file; no configuration comes near it."""


def is_stall(error: OSError) -> bool:
    """Whether another attempt may succeed."""
    return error.errno in STALLS


def retry_stalled_io(do: Callable[[], T], waits_s: Sequence[float] = WAITS_S) -> T:
    """Call `do` and return its result; where the file system stalls, call it again after each pause.

    `do` must be safe to call twice.

    Raises:
        OSError: of the last attempt, or of the first one that is no stall.
    """
    for wait in waits_s:
        try:
            return do()
        except OSError as error:
            if not is_stall(error):
                raise
        time.sleep(wait)
    return do()


def write_yaml(path: Path, value: Any) -> None:
    """Write a value as YAML, in the order of its keys, for the user alone: what is stored as YAML is configuration."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # five times as fast, where libyaml is there
    write_text(path, yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True), private=True)


def read_yaml(path: Path) -> Any:
    """Return the value in a YAML file, of plain types only."""
    return _parse_yaml(path.read_text("utf-8"))


def _parse_yaml(text: str) -> Any:
    """Parse YAML by libyaml where it is there, 80 times as fast; it ends the process where values nest too deeply."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    for event in yaml.parse(text, loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"values are nested more than {MAX_DEPTH} deep")
    return yaml.load(text, loader)


def write_json(path: Path, value: Any, private: bool = False) -> None:
    """Write a value as indented JSON. private: only the user may read it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", private)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as `csv_text` does; the keys of the first row are the header."""
    columns = list(rows[0])
    write_text(path, csv_text(columns, ([row.get(column) for column in columns] for row in rows)))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV under a header.

    A text that a spreadsheet would run as a formula, for instance `=cmd|…` in a question, begins with an apostrophe.
    Numbers, also those that are text, stay as they are, and None is an empty cell.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_no_formula(cell) for cell in row] for row in (columns, *rows))
    return text.getvalue()


def _no_formula(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n")  # the csv module would not quote a carriage return
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not NUMBER.fullmatch(text) else text


def read_json(path: Path) -> Any:
    """Return the value in a JSON file."""
    return json.loads(path.read_text("utf-8"))


def read_stored(path: Path, remedy: str, kind: type[T], waits_s: Sequence[float] = WAITS_S) -> T:
    """Return what a JSON or YAML file of a run or study holds: the reader for whatever a crash may have left behind.

    remedy: a sentence that says what the user can do without the file.

    Raises:
        FileError: it is missing, cannot be read, is no JSON or YAML, or holds another kind of value.
    """
    try:
        text = retry_stalled_io(path.read_bytes, waits_s).decode("utf-8")
        value = json.loads(text) if path.suffix == ".json" else _parse_yaml(text)
    except FileNotFoundError as error:
        raise FileError(f"{path} is missing. {remedy}") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}. {remedy}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise FileError(f"{path} is damaged: {reason}. {remedy}") from error
    if not isinstance(value, kind):
        raise FileError(f"{path} is damaged: it holds {type(value).__name__} and not {kind.__name__}. {remedy}")
    return value


def read_optional(path: Path) -> dict[str, Any]:
    """Return the object in a JSON or YAML file that nothing depends on, empty where it is missing or damaged."""
    try:
        return read_stored(path, "", dict, waits_s=())
    except FileError:
        return {}


def write_text(path: Path, text: str, private: bool = False) -> None:
    """Write a text beside the file, to the disk, and move it into place; several processes may write the same file.

    private: only the user may read it, since it may hold what the user has configured.
    """
    aside = path.with_name(f"{path.name}.{os.getpid()}.partial")

    def write() -> None:
        with open(aside, "w", encoding="utf-8", opener=open_private if private else None) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # else a loss of power may leave the new name with an empty file
        aside.replace(path)

    try:
        retry_stalled_io(write)
    except OSError as error:
        error.filename = error.filename or str(path)  # which writing to an open file leaves out
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def open_private(path: str, flags: int) -> int:
    """Open a file as `open` would, a new one for the user alone; for its `opener`."""
    return os.open(path, flags, 0o600)


def flatten(config_dict: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every leaf of a configuration under its dotted name, such as optimizer.learning_rate."""
    leaves: dict[str, Any] = {}
    for key, value in config_dict.items():
        if key == "stages" and isinstance(value, list) and value:
            value = stage_differences(config_dict)
        if isinstance(value, Mapping) and value:
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


OF_WHOLE_RUN = ("stages", "name", "outputs", "dry_run", "resume", "from_run")
"""Keys that a stage does not have of its own."""


def shortened(config_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration whose stages have only what differs from the run itself, to be shown."""
    stages = config_dict.get("stages")
    return {**config_dict, "stages": stage_differences(config_dict) if isinstance(stages, list) and stages else []}


def stage_differences(config_dict: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return for each stage of a run the keys, by their dotted names, that are other ones than those of the run itself.

    With the run's own keys that is everything that the stages have.
    """
    whole = flatten({key: value for key, value in config_dict.items() if key != "stages"})
    differing = dict[str, dict[str, Any]]()
    for stage in config_dict["stages"]:
        config = stage.get("config") if isinstance(stage, Mapping) else None
        own = flatten(config) if isinstance(config, Mapping) else whole
        keys = [key for key in {**own, **whole} if key not in OF_WHOLE_RUN]
        differing[str(stage.get("name")) if isinstance(stage, Mapping) else str(stage)] = {
            key: own.get(key) for key in keys if own.get(key) != whole.get(key)
        }
    return differing
