"""What makes a study the same study, and that it has one controller at a time."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from mcqa.errors import ConfigError
from mcqa.run_folder import flat, read_json, read_yaml, write_json, write_yaml

SAME = ("metric", "direction", "directions", "sampler", "space", "base")  # a result means something else without them
FIRST = ("name", "created", "commit")  # said once, of the beginning
SHOWN = 12  # changed keys in a message


def check_same(folder: Path, description: Mapping[str, Any], allow_changes: bool) -> None:
    """Write study.yaml the first time; later compare, and bring what may change freely up to date.

    Args:
        description: plain values; metric, direction or directions, sampler, space and base must stay the same.
        allow_changes: take the new ones; `changes` in study.yaml then says what they were.

    Raises:
        ConfigError: saying what changed.
    """
    path = folder / "study.yaml"
    wanted = yaml.safe_load(yaml.safe_dump(dict(description), sort_keys=False))  # as it will be read back
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_yaml(path, wanted)
        return
    stored = _stored(path)
    changed = changes(stored, wanted)
    if changed and not allow_changes:
        raise ConfigError(_refusal(folder, changed))
    kept = {key: stored[key] for key in FIRST if key in stored}
    history = [*stored.get("changes", []), *changed]
    current = wanted | kept | ({"changes": history} if history else {})
    if current != stored:
        write_yaml(path, current)


def _stored(path: Path) -> dict[str, Any]:
    try:
        stored = read_yaml(path)
    except yaml.YAMLError:
        stored = None
    if not isinstance(stored, dict):
        raise ConfigError(
            f"{path} is damaged: it should say what the study searches. Restore it, or take another study_name."
        )
    return stored


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`key: before -> now` for whatever may not change."""
    old, new = (flat({key: tree[key] for key in SAME if key in tree}) for tree in (before, now))
    keys = [*old, *(key for key in new if key not in old)]
    return [f"{key}: {_text(old, key)} -> {_text(new, key)}" for key in keys if _text(old, key) != _text(new, key)]


def _text(leaves: Mapping[str, Any], key: str) -> str:
    return json.dumps(leaves[key], ensure_ascii=False, sort_keys=True) if key in leaves else "(absent)"


def _refusal(folder: Path, changed: list[str]) -> str:
    more = [f"… and {len(changed) - SHOWN} more"] if len(changed) > SHOWN else []
    lines = "\n  ".join([*changed[:SHOWN], *more])
    return (
        f"{folder} is a study of something else; its trials could not be compared with new ones:\n  {lines}\n"
        "Restore these, give another hydra.sweeper.study_name, or take them with hydra.sweeper.allow_changes=true."
    )


@contextmanager
def only_controller(folder: Path) -> Iterator[None]:
    """Hold the study while it is controlled. The lock goes with the process, however that ends.

    Raises:
        ConfigError: when another process controls it, with its host and pid.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "controller.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(
            f"{folder}: this study is already controlled{_holder(folder)}. Stop that one first, "
            "or give another hydra.sweeper.study_name."
        ) from error
    try:
        write_json(folder / "controller.json", {"host": platform.node(), "pid": os.getpid()})
        yield
    finally:
        lock.release()


def _holder(folder: Path) -> str:
    try:
        who = read_json(folder / "controller.json")
        return f" by process {who['pid']} on {who['host']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has only just begun
        return ""
