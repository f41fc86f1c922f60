"""What makes a study or a product the same one, a folder a trial's own, and that there is one controller at a time."""

import itertools
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf

from mcqa.config.errors import ConfigError
from mcqa.runs.files import flat, read_json, read_yaml, write_json, write_yaml
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.optuna_study import storage

STUDY, PRODUCT = "study.yaml", "product.yaml"  # in its folder: what it is


SAME = ("metric", "direction", "directions", "sampler", "space", "jobs", "base")  # else a result means something else


PLACE = "storage"  # where the trials are; elsewhere there would be none, or those of something else


FIRST = ("name", "created", "commit")  # said once, of the beginning


SHOWN = 12  # changed keys in a message


ASIDE = "set_aside"  # folder of a study, for the folders of trials that it does not have


def check_same(folder: Path, description: Mapping[str, Any], allow_changes: bool, file: str = STUDY) -> dict[str, Any]:
    """What the file is to say from now on: the beginning as it was, what may change freely as it is now.

    Nothing is written before everything else of the study could be opened too: see `write_description`.

    Args:
        description: plain values; metric, direction or directions, sampler, space, jobs, base and storage must stay
            the same. Where the base differs only in what the same interpolation resolves to, such as a time, it is
            the same; `interpolations` has their texts by key.
        allow_changes: take the new ones, but for the jobs, which have their numbers; `changes` then says what they
            were.
        file: STUDY or PRODUCT.

    Raises:
        ConfigError: saying what changed; the folder is of the other kind.
    """
    _check_kind(folder, file)
    path = folder / file
    wanted: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(description), sort_keys=False))  # as it is read back
    if not path.exists():
        return wanted
    stored = _stored(path)
    changed = changes(stored, wanted)
    if changed and (not allow_changes or _has_other_jobs(changed)):
        raise ConfigError(_refusal(folder, changed, file))
    kept = {key: stored[key] for key in FIRST if key in stored}
    history = [*stored.get("changes", []), *changed]
    return wanted | kept | ({"changes": history} if history else {})


def _check_kind(folder: Path, file: str) -> None:
    if (folder / (PRODUCT if file == STUDY else STUDY)).exists():
        there, wanted = ("jobs without a study", "a study") if file == STUDY else ("a study", "jobs without one")
        raise ConfigError(
            f"{folder} has {there}, and this is {wanted} (by hydra.sweeper.n_trials or sampler=grid). "
            "Give another hydra.sweeper.study_name."
        )


def _has_other_jobs(changed: Sequence[str]) -> bool:
    return any(line.startswith("jobs.") for line in changed)


def write_description(folder: Path, description: Mapping[str, Any], file: str = STUDY) -> None:
    path = folder / file
    if not path.exists() or _stored(path) != description:
        write_yaml(path, dict(description))


def _stored(path: Path) -> dict[str, Any]:
    try:
        stored = read_yaml(path)
    except yaml.YAMLError:
        stored = None
    if not isinstance(stored, dict):
        raise ConfigError(f"{path} is damaged: it should say what runs here. Restore it, or take another study_name.")
    return stored


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`key: before -> now` for whatever may not change."""
    old, new = (flat({key: tree[key] for key in SAME if key in tree}) | _place(tree) for tree in (before, now))
    keys = [*old, *(key for key in new if key not in old)]
    return [
        f"{key}: {_text(old, key)} -> {_text(new, key)}"
        for key in keys
        if _text(old, key) != _text(new, key) and not _is_resolved_anew(key, before, now)
    ]


def _place(tree: Mapping[str, Any]) -> dict[str, Any]:
    url = tree.get(PLACE)
    return {} if url is None else {PLACE: storage.without_mask(url)}


def interpolations(config: DictConfig) -> dict[str, Any]:
    """The leaves of an app's configuration that are interpolations, unresolved, by their names."""
    own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    leaves = flat(cast(dict[str, Any], OmegaConf.to_container(own, resolve=False)))
    return {name: value for name, value in leaves.items() if "${" in str(value)}


def _is_resolved_anew(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the key lies at or below one that is the same interpolation in both."""
    group, _, name = key.partition(".")
    if group != "base":
        return False
    old, new = before.get("interpolations") or {}, now.get("interpolations") or {}
    parts = name.split(".")
    above = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return any(one in old and old[one] == new.get(one) for one in above)


def _text(leaves: Mapping[str, Any], key: str) -> str:
    return json.dumps(leaves[key], ensure_ascii=False, sort_keys=True) if key in leaves else "(absent)"


def _refusal(folder: Path, changed: list[str], file: str) -> str:
    what = "is a study of something else; its trials could not be compared with new ones"
    if file == PRODUCT:
        what = "has other jobs" if _has_other_jobs(changed) else "has jobs of another configuration"
    allowed = "" if _has_other_jobs(changed) else ", or take them with hydra.sweeper.allow_changes=true"
    more = [f"… and {len(changed) - SHOWN} more"] if len(changed) > SHOWN else []
    lines = "\n  ".join([*changed[:SHOWN], *more])
    return f"{folder} {what}:\n  {lines}\nRestore these, or give another hydra.sweeper.study_name{allowed}."


def set_aside(folder: Path, drawn: Sequence[str]) -> Path | None:
    """Make way for a trial where its folder is another one's: of an earlier storage, a journal that was cut short.

    Args:
        drawn: the overrides that make the trial this one.

    Returns where the folder lies now; None where there is none or it is the trial's own.

    Raises:
        ConfigError: a job of that other trial may still run and write there.
    """
    if _is_own(folder, drawn):
        return None
    mailbox = Mailbox(folder)
    if mailbox.submissions() and not mailbox.is_finished():
        entry = mailbox.submissions()[-1]
        raise ConfigError(
            f"{folder} has other overrides than the study's trial {folder.name} ({' '.join(drawn)}), and a job that "
            f"has not ended ({entry.backend} {entry.job or entry.token} on {entry.host}). "
            "End that job and move the folder away."
        )
    above = folder.parents[1] / ASIDE
    above.mkdir(exist_ok=True)
    number = next(number for number in itertools.count() if not (above / f"{folder.name}-{number}").exists())
    return folder.rename(above / f"{folder.name}-{number}")


def moved(number: int, aside: Path) -> str:
    return f"Note: the folder of trial {number} was another trial's, with other overrides; that lies in {aside} now."


def _is_own(folder: Path, drawn: Sequence[str]) -> bool:
    path = folder / "overrides.yaml"
    if not path.exists():
        return True
    try:
        found = read_yaml(path)
    except yaml.YAMLError:
        return False
    return isinstance(found, list) and set(drawn) <= set(found)


@contextmanager
def only_controller(folder: Path) -> Iterator[None]:
    """Hold the folder while it is controlled. The lock goes with the process, however that ends.

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
            f"{folder} is already controlled{_holder(folder)}. Stop that one first, "
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
