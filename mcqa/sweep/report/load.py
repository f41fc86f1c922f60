"""Read a study's folder at any moment of its life, without writing or waiting for anything.

Three sources, which may disagree while the study runs:

- the Optuna storage has the trials' parameters and states;
- result.json of a trial is ahead of the storage until the controller has reported it there;
- the other files in a trial's folder are all there is where the storage cannot be read.

What cannot be read becomes a line in `StudyRecord.problems`, never an error.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import optuna
from optuna.storages import JournalStorage
from sqlalchemy import make_url

from mcqa.config.errors import ConfigError, FileError
from mcqa.runs.files import read_stored
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.options import Direction
from mcqa.sweep.optuna_study.journal import Journal
from mcqa.sweep.optuna_study.storage import without_mask
from mcqa.sweep.optuna_study.study import OVERRIDES, STATUS
from mcqa.sweep.report.study_data import ENDED, Status, Stint, StudyRecord, SweptKey, TrialRecord, is_number, parse_yaml
from mcqa.sweep.space.dimension import is_factor

T = TypeVar("T", dict[str, Any], list[Any])

_REQUIRED = ("name", "space", "base", "overrides")  # in study.yaml

_REPORTED_WITHIN_S = 60.0  # from a trial's end until the storage has it


def read_study(folder: Path, now: float) -> StudyRecord:
    """Read what the folder has of a study at the time `now`, in seconds since 1970.

    Raises:
        ConfigError: there is no study in the folder.
    """
    _check_is_study(folder)
    problems: list[str] = []
    description = load(folder / "study.yaml", {}, problems)
    if not (folder / "study.yaml").exists():
        problems.append("study.yaml is missing.")
    elif description and (missing := [key for key in _REQUIRED if key not in description]):
        problems.append(f"study.yaml lacks {', '.join(missing)}; is it damaged?")
    storage = _storage(folder, description, problems)
    metric, direction = _objective(description, storage, problems)
    space = _mapping(description.get("space"))
    stored = {} if storage is None else {trial.number: trial for trial in storage.get_trials(deepcopy=False)}
    folders = {int(path.name) for path in (folder / "trials").glob("*") if path.name.isdecimal() and path.is_dir()}
    if storage is not None and (unknown := folders - stored.keys()):
        listed = ", ".join(map(str, sorted(unknown)))
        problems.append(f"The study's storage lacks trials {listed}; what their folders say counts. Were they copied?")
    torn: list[int] = []
    names = {str(key).lstrip("+") for key in space}
    factors = {str(key).lstrip("+") for key, text in space.items() if storage is not None and is_factor(text)}
    trials = [
        _trial(folder / "trials" / str(number), stored.get(number), names, factors, now, problems, torn)
        for number in sorted(stored.keys() | folders)
    ]
    if torn:
        listed = f"{', '.join(map(str, torn[:8]))}{f' and {len(torn) - 8} more' if len(torn) > 8 else ''}"
        problems.append(f"Unreadable lines of reports.jsonl were skipped: trials {listed}.")
    return StudyRecord(
        folder=folder,
        name=str(description.get("name") or folder.name),
        now=now,
        metric=metric,
        direction=direction,
        base=_mapping(description.get("base")),
        overrides=tuple(_texts(description.get("overrides"))),
        description=description,
        swept=tuple(_swept(stored, space, factors, trials)),
        trials=tuple(trials),
        problems=tuple(problems),
        storage=storage,
    )


def _check_is_study(folder: Path) -> None:
    if any((folder / name).exists() for name in ("study.yaml", "journal.log", "trials")):
        return
    nearby = sorted(str(path.parent) for path in folder.glob("*/study.yaml"))[:5]
    hint = f" Studies below it: {', '.join(nearby)}." if nearby else " Studies are in outputs/sweeps/<study>."
    raise ConfigError(f"{folder} is not a study folder: it has no study.yaml, journal.log or trials/.{hint}")


def _objective(description: Mapping[str, Any], storage: Any, problems: list[str]) -> tuple[str, Direction]:
    """Return metric and direction. Both are one text or, in older files, a list."""
    directions = _texts(description.get("directions")) or _texts(description.get("direction")) or ["maximize"]
    if storage is not None:
        directions = [direction.name.lower() for direction in storage.directions]
    metric = next(iter(_texts(description.get("metric"))), "value")
    if len(directions) > 1:
        problems.append(f"The study has several objectives; this report shows only the first of them, {metric}.")
    return metric, "minimize" if directions[0] == "minimize" else "maximize"


def load(path: Path, default: T, problems: list[str]) -> T:
    """Return the mapping or list in a YAML or JSON file, or `default` where there is no file or a damaged one."""
    try:
        return read_stored(path, "", type(default), waits_s=())
    except FileError as error:
        shown = f"trials/{path.parent.name}/{path.name}" if path.parent.name.isdecimal() else path.name
        if not isinstance(error.__cause__, FileNotFoundError):
            problems.append(str(error).strip().replace(str(path), shown))
        return default


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    """One text or several."""
    return [value] if isinstance(value, str) and value else list(map(str, value)) if isinstance(value, list) else []


# --- the storage ------------------------------------------------------------------------------------------------------


def _storage(folder: Path, description: Mapping[str, Any], problems: list[str]) -> Any:
    """Return the optuna.Study, or None where there is none that can be read."""
    try:
        url = description.get("storage")
        storage = _open_storage(folder, without_mask(url) if isinstance(url, str) else None)
        names = optuna.get_all_study_names(storage)
        name = str(description.get("name") or folder.name)
        return optuna.load_study(study_name=name if name in names or len(names) != 1 else names[0], storage=storage)
    except Exception as error:  # a storage may raise anything; most of the study is in the trials' folders as well
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        problems.append(f"The study's storage cannot be read ({reason}); the trials' folders are used instead.")
        return None


def _open_storage(folder: Path, url: str | None) -> Any:
    """Open the storage without creating one: Optuna makes an empty SQLite file or journal where there is none."""
    if url:
        file = sqlite_file(url)
        if file is not None and not file.is_file():
            raise FileNotFoundError(f"there is no {file}")
        return optuna.storages.get_storage(url)
    if not (folder / "journal.log").is_file():
        raise FileNotFoundError("there is no journal.log")
    journal = Journal(folder / "journal.log")
    with journal.replaying():
        return JournalStorage(journal)


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL; None of another one, and of a database in memory."""
    parts = make_url(url)
    database = parts.database or ":memory:"
    if parts.get_backend_name() != "sqlite" or database == ":memory:":
        return None
    return Path(unquote(database.removeprefix("file:"))) if parts.query.get("uri") else Path(database)


def _swept(
    stored: Mapping[int, Any], space: Mapping[str, Any], factors: set[str], trials: Sequence[TrialRecord]
) -> Iterator[SweptKey]:
    """The keys of the space in its order, then conditional keys, which only some trials have."""
    distributions: dict[str, Any] = {}
    for trial in stored.values():
        distributions |= trial.distributions
    for key in dict.fromkeys([*space, *(key for trial in trials for key in trial.params)]):
        values = [trial.params[key] for trial in trials if key in trial.params]
        log = bool(getattr(distributions.get(key), "log", "tag(log" in str(space.get(key, "")).replace(" ", "")))
        choices = getattr(distributions.get(key), "choices", None)
        if choices is None and not all(map(is_number, values)):
            choices = {repr(value): value for value in values}.values()  # a choice may be a list, which has no hash
        if values:
            yield SweptKey(key, log, None if choices is None else tuple(choices), key in factors)


# --- a trial ----------------------------------------------------------------------------------------------------------


def _trial(
    folder: Path, stored: Any, space: set[str], factors: set[str], now: float, problems: list[str], torn: list[int]
) -> TrialRecord:
    """stored: Optuna's FrozenTrial, or None; numbers of trials with damaged reports are added to `torn`."""
    result = load(folder / "result.json", {}, problems)
    jobs = [
        job for job in load(folder / "job.json", [], problems) if isinstance(job, dict) and job.get("end") != "refused"
    ]
    status = _status(stored, result, jobs)
    started = _started(None if status == "waiting" else stored, jobs)
    ended = _ended(folder, stored, result) if status in ENDED else None
    last_seen = _last_seen(folder, now) if status in ("running", "paused") else None
    reports = _reports(folder, torn) or (sorted(stored.intermediate_values.items()) if stored else ())
    attributes = stored.user_attrs if stored else {}
    error = attributes.get("error") or result.get("error")
    params = dict(stored.params) if stored else _params(load(folder / "overrides.yaml", [], problems), space)
    own = factors & params.keys()
    overrides = attributes.get(OVERRIDES) if own else []
    overrides = overrides if isinstance(overrides, list) else load(folder / "overrides.yaml", [], [])
    return TrialRecord(
        number=int(folder.name),
        status=status,
        value=_value(stored, result) if status == "complete" else None,
        params=params if stored else {key: value for key, value in params.items() if key not in factors},
        reports=tuple(reports),
        started=started,
        ended=ended,
        last_seen=last_seen,
        seconds=_seconds(result, started, ended or last_seen),
        attempts=len(jobs),
        error=str(error) if error is not None and status not in ("complete", "pruned") else None,
        commit=str(result["commit"]) if result.get("commit") else None,
        slot=next((job["slot"] for job in jobs if isinstance(job.get("slot"), int)), None),
        stints=_stints(folder, jobs, ended or last_seen or now),
        default=attributes.get("default"),
        folder=folder,
        values=dict.fromkeys(own) | _params(overrides, own),
    )


def _status(stored: Any, result: Mapping[str, Any], jobs: Sequence[Any]) -> Status:
    """The storage has the last word on a trial that it knows to have ended; then result.json has."""
    if stored and stored.state in STATUS:
        return STATUS[stored.state]
    written = result.get("status")
    ended = next((status for status in ENDED if status == written), None)
    if not ended and (written == "paused" or (jobs and jobs[-1].get("end") == "paused")):
        return "paused"
    return ended or ("running" if jobs and written != "preempted" else "waiting")


def _value(stored: Any, result: Mapping[str, Any]) -> float | None:
    """The first of several values, which trials of studies with several objectives have."""
    values = stored.values if stored and stored.values is not None else result.get("value")
    value: Any = values[0] if isinstance(values, list) and values else values
    return float(value) if is_number(value) and math.isfinite(value) else None


def _started(stored: Any, jobs: Sequence[Mapping[str, Any]]) -> float | None:
    submitted = [float(job["submitted"]) for job in jobs if is_number(job.get("submitted"))]
    if submitted:
        return submitted[0]
    return float(stored.datetime_start.timestamp()) if stored and stored.datetime_start else None


def _ended(folder: Path, stored: Any, result: Mapping[str, Any]) -> float | None:
    """When the result was written: the storage learns of a trial that ended while no controller ran only later.

    A result that is much newer than the storage's time belongs to a copied folder.
    """
    recorded = float(stored.datetime_complete.timestamp()) if stored and stored.datetime_complete else None
    if not result:
        return recorded
    written = (folder / "result.json").stat().st_mtime
    return written if recorded is None or written < recorded + _REPORTED_WITHIN_S else recorded


def _last_seen(folder: Path, now: float) -> float:
    """A trial of a study that was stopped days ago has not run all those days."""
    for name in ("heartbeat", "reports.jsonl"):
        try:
            return min(now, (folder / name).stat().st_mtime)
        except OSError:
            continue
    return now


def _seconds(result: Mapping[str, Any], started: float | None, until: float | None) -> float | None:
    if is_number(result.get("seconds")):
        return float(result["seconds"])
    return max(0.0, until - started) if started is not None and until is not None else None


def _reports(folder: Path, torn: list[int]) -> list[tuple[int, float]]:
    """The finite values by point. Of a point that was reported again after a resume, the first value counts."""
    try:
        lines = (folder / "reports.jsonl").read_bytes().split(b"\n")[:-1]  # the last line may be half written
    except FileNotFoundError:
        return []
    except OSError:
        torn.append(int(folder.name))
        return []
    reports: dict[int, float] = {}
    damaged = False
    for line in filter(None, lines):
        try:
            row = json.loads(line)
            reports.setdefault(int(row["point"]), float(row["value"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            damaged = True
    torn += [int(folder.name)] * damaged
    return sorted((point, value) for point, value in reports.items() if math.isfinite(value))


def _stints(folder: Path, jobs: Sequence[Mapping[str, Any]], until: float) -> tuple[Stint, ...]:
    """Return when a trial that has paused held a slot, each time until its last report before the pause."""
    if not any(job.get("end") == "paused" for job in jobs):
        return ()
    try:
        times = [report.time for report in Mailbox(folder).reports()]
    except FileError:
        return ()
    starts = [*(float(job["submitted"]) for job in jobs if is_number(job.get("submitted"))), until]
    if len(starts) <= len(jobs):
        return ()
    return tuple(
        Stint(
            int(job.get("slot") or 0),
            start,
            max((time for time in times if start <= time <= end), default=start) if job.get("end") == "paused" else end,
        )
        for job, start, end in zip(jobs, starts, starts[1:], strict=False)
    )


def _params(overrides: Sequence[Any], keys: set[str]) -> dict[str, Any]:
    """The values that a trial's overrides give to these keys."""
    pairs = [str(override).partition("=") for override in overrides]
    return {name: parse_value(value) for key, equals, value in pairs if equals and (name := key.lstrip("+")) in keys}


def parse_value(text: str) -> Any:
    """Return the value of an override as Hydra reads it: YAML alone would leave 1e-05 a text."""
    try:
        return float(text) if not text.lstrip("+-").isdigit() else int(text)
    except ValueError:
        return parse_yaml(text)
