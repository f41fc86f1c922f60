"""The folder of a study or product: whether it is the same one, which trial a folder belongs to, one controller."""

import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf

from mcqa.config.errors import ConfigError, FileError
from mcqa.config.validation import RENAMED, with_current_names
from mcqa.runs.files import flatten, read_stored, write_yaml
from mcqa.runs.lock import only_process
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.optuna_study import storage
from mcqa.sweep.space.dimension import is_factor

STUDY, PRODUCT = "study.yaml", "product.yaml"  # in its folder: what it is

COMPARED = ("metric", "direction", "directions", "sampler", "space", "jobs", "base")  # else results mean another thing
STORAGE = "storage"  # where the trials are; elsewhere there would be none, or those of another study
KEPT = ("name", "created", "commit")  # of the beginning

KINDS: Mapping[str, type] = {"name": str, "changes": list, "space": dict, "base": dict, "jobs": dict}

REMEDY = (
    "Restore the file, or, if the command is the one that began it, move the file away: then it is written again, and "
    "all that has ended is kept. Another hydra.sweeper.study_name begins anew."
)

MAX_LINES = 12  # changed keys in a message

OVERRIDES = "overrides.yaml"  # in a trial's folder

JOB_REMEDY = "Delete the trial's config.yaml: then its configuration is composed again."

ASIDE = "set_aside"  # folder of a study, for the folders of trials that it does not have


def check_same(folder: Path, description: Mapping[str, Any], allow_changes: bool, file: str = STUDY) -> dict[str, Any]:
    """Return what the file is to say from now on: its beginning as it was, what may change freely as it is now.

    It is written later, by `write_description`, once everything else of the study could be opened.

    Args:
        description: metric, directions, sampler, space, jobs, base and storage must stay the same. A base that differs
            only in what the same interpolation resolves to, such as a time, is the same; `interpolations` has their
            texts by key.
        allow_changes: accept the new ones, except for the jobs, which have their numbers; `changes` then says what
            they were.
        file: STUDY or PRODUCT.

    Raises:
        ConfigError: what changed; the folder is of the other kind.
    """
    _check_kind(folder, file)
    path = folder / file
    wanted: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(description), sort_keys=False))  # as it is read back
    if not os.path.lexists(path):
        return wanted
    stored = _stored(path)
    changed = changes(stored, wanted)
    if changed and (not allow_changes or _has_other_jobs(changed)):
        raise ConfigError(_refusal(folder, changed, file))
    if keys := _changed_kinds(stored, wanted):
        raise ConfigError(
            f"{folder}: its trials have {', '.join(keys)} as a factor of the recommended value, and the new ones would "
            "have the value itself, or the other way round. Give another hydra.sweeper.study_name."
        )
    kept = {key: stored[key] for key in KEPT if key in stored}
    history = [*stored.get("changes", []), *changed]
    return wanted | kept | ({"changes": history} if history else {})


def _check_kind(folder: Path, file: str) -> None:
    if (folder / (PRODUCT if file == STUDY else STUDY)).exists():
        stored, wanted = ("jobs without a study", "a study") if file == STUDY else ("a study", "jobs without one")
        raise ConfigError(
            f"{folder} has {stored}, and this is {wanted} (by hydra.sweeper.n_trials or sampler=grid). "
            "Give another hydra.sweeper.study_name."
        )


def _changed_kinds(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values in Optuna would mean another thing."""
    old, new = ({key.lstrip("+"): text for key, text in (each.get("space") or {}).items()} for each in (before, now))
    return [key for key in old.keys() & new.keys() if is_factor(old[key]) != is_factor(new[key])]


def _has_other_jobs(changed: Sequence[str]) -> bool:
    return any(line.startswith("jobs.") for line in changed)


def write_description(folder: Path, description: Mapping[str, Any], file: str = STUDY) -> None:
    path = folder / file
    if not os.path.lexists(path) or _stored(path) != description:
        write_yaml(path, dict(description))


def _stored(path: Path) -> dict[str, Any]:
    stored = read_stored(path, REMEDY, dict)
    wrong = [key for key, kind in KINDS.items() if key in stored and not isinstance(stored[key], kind)]
    if wrong or not stored:
        what = f"{', '.join(wrong)}: of another type than it was written" if wrong else "it is empty"
        raise FileError(f"{path} is damaged: {what}. {REMEDY}")
    if isinstance(base := stored.get("base"), dict):
        stored["base"] = with_current_names(base)
    if isinstance(space := stored.get("space"), dict):
        stored["space"] = {RENAMED.get(key, key): values for key, values in space.items()}
    return stored


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return `key: before -> now` for whatever may not change."""
    old, new = _compared(before), _compared(now)
    keys = [*old, *(key for key in new if key not in old)]
    return [
        f"{key}: {_text(old, key)} -> {_text(new, key)}"
        for key in keys
        if _text(old, key) != _text(new, key) and not _is_resolved_anew(key, before, now)
    ]


def _compared(description: Mapping[str, Any]) -> dict[str, Any]:
    leaves = flatten({key: description[key] for key in COMPARED if key in description})
    url = description.get(STORAGE)
    return leaves if url is None else leaves | {STORAGE: storage.without_mask(url)}


def interpolations(config: DictConfig) -> dict[str, Any]:
    """Return the leaves of an app's configuration that are interpolations, unresolved, by their names."""
    own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    leaves = flatten(cast(dict[str, Any], OmegaConf.to_container(own, resolve=False)))
    return {name: value for name, value in leaves.items() if "${" in str(value)}


def _is_resolved_anew(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the key lies at or below one that is the same interpolation in both."""
    group, _, name = key.partition(".")
    if group != "base":
        return False
    old, new = before.get("interpolations") or {}, now.get("interpolations") or {}
    parts = name.split(".")
    names = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return any(name in old and old[name] == new.get(name) for name in names)


def _text(leaves: Mapping[str, Any], key: str) -> str:
    return json.dumps(leaves[key], ensure_ascii=False, sort_keys=True) if key in leaves else "(absent)"


def _refusal(folder: Path, changed: list[str], file: str) -> str:
    what = "is a study of another kind; its trials could not be compared with new ones"
    if file == PRODUCT:
        what = "has other jobs" if _has_other_jobs(changed) else "has jobs of another configuration"
    allowed = "" if _has_other_jobs(changed) else ", or accept them by hydra.sweeper.allow_changes=true"
    more = [f"… and {len(changed) - MAX_LINES} more"] if len(changed) > MAX_LINES else []
    lines = "\n  ".join([*changed[:MAX_LINES], *more])
    return f"{folder} {what}:\n  {lines}\nRestore these, or give another hydra.sweeper.study_name{allowed}."


def set_aside(folder: Path, own_overrides: Sequence[str]) -> Path | None:
    """Move a trial's folder away if it is another trial's: of an earlier storage, of a journal that was cut short.

    Return where it lies now; None where there was none or it has `own_overrides`, those that make the trial this one.

    Raises:
        ConfigError: a job of that other trial may still run and write there.
    """
    if _is_own(folder, own_overrides):
        return None
    mailbox = Mailbox(folder)
    if mailbox.submissions() and not mailbox.is_finished():
        last = mailbox.submissions()[-1]
        raise ConfigError(
            f"{folder} has other overrides than the study's trial {folder.name} ({' '.join(own_overrides)}), and a job "
            f"that has not ended ({last.backend} {last.job or last.token} on {last.host}). "
            "End that job and move the folder away."
        )
    parent = folder.parents[1] / ASIDE
    parent.mkdir(exist_ok=True)
    free = next(path for n in itertools.count() if not (path := parent / f"{folder.name}-{n}").exists())
    return folder.rename(free)


def describe_moved_folder(number: int, aside: Path) -> str:
    return f"Note: the folder of trial {number} was another trial's, with other overrides; it is in {aside} now."


def _is_own(folder: Path, own_overrides: Sequence[str]) -> bool:
    overrides = stored_overrides(folder)
    return not (folder / OVERRIDES).exists() or (overrides is not None and set(own_overrides) <= set(overrides))


def stored_overrides(folder: Path) -> list[str] | None:
    """Return a trial's overrides from either of the two files that have them; None where both are damaged."""
    with suppress(FileError):
        overrides = read_stored(folder / OVERRIDES, "", list)
        if all(isinstance(text, str) for text in overrides):
            return overrides
    with suppress(FileError):
        hydra = OmegaConf.create(read_stored(folder / "hydra.yaml", "", dict))
        task = OmegaConf.select(hydra, "hydra.overrides.task")
        return list(map(str, task)) if OmegaConf.is_list(task) else None
    return None


def check_unfinished(folder: Path, numbers: Iterable[int]) -> None:
    """Check that what unfinished trials need can be read, before any of them is submitted.

    Raises:
        FileError: with everything that is damaged.
    """
    problems = [problem for number in numbers for problem in _damaged(folder / "trials" / str(number))]
    if problems:
        raise FileError("\n".join(problems))


def _damaged(folder: Path) -> Iterator[str]:
    mailbox = Mailbox(folder)
    checks: list[Callable[[], object]] = [mailbox.submissions, mailbox.result, mailbox.reports]
    if os.path.lexists(folder / "config.yaml"):
        checks += [partial(read_stored, folder / name, JOB_REMEDY, dict) for name in ("config.yaml", "hydra.yaml")]
    for check in checks:
        try:
            check()
        except FileError as error:
            yield str(error)


@contextmanager
def only_controller(folder: Path) -> Iterator[None]:
    """Lock the folder while it is controlled.

    Raises:
        ConfigError: another process controls it, with its host and pid.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remedy = "Stop that one first, or give another hydra.sweeper.study_name."
    with only_process(folder, "controller", "is already controlled", remedy):
        yield
