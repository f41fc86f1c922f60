"""Read and write files so that a reader finds each complete or not at all, also where a shared file system stalls."""

import csv
import errno
import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")

STALLS = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "ETIMEDOUT", "EAGAIN", "EBUSY", "EINTR", "ENOTCONN", "EHOSTDOWN", "EREMOTEIO")
    if hasattr(errno, name)
)
"""What a network file system raises while its server is away, and when a file was replaced from another machine."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a file system raises that has no room; waiting does not help."""

WAITS_S = (0.05, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 120.0)
"""Pauses between two attempts: six minutes in all."""


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
    """Write a value as YAML, in the order of its keys."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # five times as fast, where libyaml is there
    write_text(path, yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True))


def read_yaml(path: Path) -> Any:
    """Return the value in a YAML file, of plain types only."""
    return yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # 80 times as fast


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV; the keys of the first row are the header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_json(path: Path) -> Any:
    """Return the value in a JSON file."""
    return json.loads(path.read_text("utf-8"))


def write_text(path: Path, text: str) -> None:
    """Write a text beside the file and move it into place; several processes may write the same file."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    retry_stalled_io(lambda: (aside.write_text(text, "utf-8"), aside.replace(path)))


def flatten(config_dict: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every leaf of a configuration under its dotted name, such as optimizer.learning_rate."""
    leaves: dict[str, Any] = {}
    for key, value in config_dict.items():
        if isinstance(value, Mapping) and value:
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
