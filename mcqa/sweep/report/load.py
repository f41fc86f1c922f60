"""Read a study's folder as it is, at any moment of its life.

Nothing here writes, and nothing waits: a study may be read while it runs. The study's storage has the trials'
parameters and states; result.json is the truth about a trial that has not been told to it yet. Where the storage
cannot be read, the trials' folders alone have to do. What cannot be read is a problem told, never an error.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mcqa.config.errors import ConfigError
from mcqa.sweep.optuna_study.storage import usable
from mcqa.sweep.report.study_data import ENDED, Direction, Status, StudyRecord, SweptKey, TrialRecord, is_number, plain

_OF_OPTUNA: dict[str, Status] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "WAITING": "waiting"}


_NEEDED = ("name", "space", "base", "overrides")


_HARVESTED_S = 60.0  # a result may be that much newer than the storage's word that the trial ended


def read_study(folder: Path, now: float) -> StudyRecord:
    """
    Raises:
        ConfigError: there is no study in the folder.
    """
    _check_study(folder)
    problems: list[str] = []
    description = _mapping(folder / "study.yaml", problems, missing="study.yaml is missing.")
    if description and (lacking := [key for key in _NEEDED if key not in description]):
        problems.append(f"study.yaml lacks {', '.join(lacking)}; is it damaged?")
    metrics, directions = _objectives(description)
    storage = _storage(folder, description, problems)
    stored = {} if storage is None else {one.number: one for one in storage.get_trials(deepcopy=False)}
    if storage is not None:
        directions = tuple("minimize" if one.name == "MINIMIZE" else "maximize" for one in storage.directions)
        metrics = metrics if len(metrics) == len(directions) else tuple(f"value {i}" for i in range(len(directions)))
    space = description.get("space")
    space = space if isinstance(space, dict) else {}
    folders = {int(one.name): one for one in (folder / "trials").glob("*") if one.name.isdigit()}
    torn: list[int] = []
    trials = [
        _trial(number, folder / "trials" / str(number), stored.get(number), set(space), now, problems, torn)
        for number in sorted(stored.keys() | folders.keys())
    ]
    if torn:
        problems.append(f"Lines of reports.jsonl that cannot be read were left out: trials {_listed(torn)}.")
    base = description.get("base")
    return StudyRecord(
        folder=folder,
        name=str(description.get("name") or folder.name),
        now=now,
        metrics=metrics,
        directions=directions,
        base=base if isinstance(base, dict) else {},
        overrides=tuple(map(str, description.get("overrides") or ())),
        description=description,
        swept=tuple(_swept(stored.values(), space, trials)),
        trials=tuple(trials),
        problems=tuple(problems),
        storage=storage,
    )


def _check_study(folder: Path) -> None:
    if any((folder / name).exists() for name in ("study.yaml", "journal.log", "trials")):
        return
    near = sorted(str(found.parent) for found in folder.glob("*/study.yaml"))[:5] if folder.is_dir() else []
    hint = f" Studies below it: {', '.join(near)}." if near else " Studies lie in outputs/sweeps/<study>."
    raise ConfigError(f"{folder} is no study folder: it has neither study.yaml nor journal.log nor trials/.{hint}")


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return f"{shown} and {len(numbers) - 8} more" if len(numbers) > 8 else shown


def _objectives(description: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[Direction, ...]]:
    given = description.get("directions") or description.get("direction") or "maximize"
    directions = [given] if isinstance(given, str) else list(given)
    metric = description.get("metric")
    metrics = [metric] if isinstance(metric, str) else list(metric or ())
    if len(metrics) != len(directions):
        metrics = ["value"] if len(directions) == 1 else [f"value {i}" for i in range(len(directions))]
    return tuple(map(str, metrics)), tuple("minimize" if one == "minimize" else "maximize" for one in directions)


def _mapping(path: Path, problems: list[str], missing: str | None = None) -> dict[str, Any]:
    """A YAML or JSON file with a mapping; empty, and a problem told, where it is none."""
    if not path.exists():
        problems += [missing] if missing else []
        return {}
    try:
        text = path.read_text("utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.CSafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        problems.append(f"{_short(path)} cannot be read: {str(error).splitlines()[0]}.")
        return {}
    if not isinstance(found, dict):
        problems.append(f"{_short(path)} is damaged: a mapping is expected.")
        return {}
    return found


def _short(path: Path) -> str:
    """The path below the study."""
    return f"trials/{path.parent.name}/{path.name}" if path.parent.name.isdigit() else path.name


# --- the storage ------------------------------------------------------------------------------------------------------


def _storage(folder: Path, description: Mapping[str, Any], problems: list[str]) -> Any:
    """Optuna's Study; None, and a problem told, where there is none that can be read."""
    try:
        import optuna

        url = description.get("storage")
        storage = _opened(folder, usable(url) if isinstance(url, str) else None)
        names = optuna.get_all_study_names(storage)
        wanted = str(description.get("name") or folder.name)
        return optuna.load_study(study_name=wanted if wanted in names or len(names) != 1 else names[0], storage=storage)
    except Exception as error:  # whatever a storage raises: the folders have most of it
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        problems.append(f"The study's storage cannot be read ({said}); this is what the trials' folders say.")
        return None


def _opened(folder: Path, url: str | None) -> Any:
    """Nothing is created where the storage does not exist yet."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    journal = folder / "journal.log"
    if url:
        if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).is_file():
            raise FileNotFoundError(f"there is no {url.removeprefix('sqlite:///')}")
        return optuna.storages.get_storage(url)
    if not journal.is_file():
        raise FileNotFoundError("there is no journal.log")
    return JournalStorage(JournalFileBackend(str(journal)))


def _swept(stored: Iterable[Any], space: Mapping[str, Any], trials: Sequence[TrialRecord]) -> Iterator[SweptKey]:
    """In the order of the space; keys that only a trial has (conditional ones) follow."""
    known = {key: one for trial in stored for key, one in trial.distributions.items()}
    for key in dict.fromkeys([*space, *(key for trial in trials for key in trial.params)]):
        log = bool(getattr(known.get(key), "log", "tag(log" in str(space.get(key, "")).replace(" ", "")))
        values = [trial.params[key] for trial in trials if key in trial.params]
        choices = getattr(known.get(key), "choices", None)
        if choices is None and not all(is_number(value) for value in values):
            choices = list({repr(value): value for value in values}.values())
        if values:
            yield SweptKey(key, log, None if choices is None else tuple(choices))


# --- a trial ----------------------------------------------------------------------------------------------------------


def _trial(
    number: int, folder: Path, stored: Any, space: set[str], now: float, problems: list[str], torn: list[int]
) -> TrialRecord:
    result = _mapping(folder / "result.json", problems)
    jobs = _jobs(folder / "job.json", problems)
    reports = _reports(folder / "reports.jsonl", number, torn)
    status = _status(stored, result, jobs)
    started = _started(None if status == "waiting" else stored, jobs)
    ended = _ended(folder, stored, result) if status in ENDED else None
    alive = _alive(folder, now) if status == "running" else None
    return TrialRecord(
        number=number,
        status=status,
        commit=str(result["commit"]) if result.get("commit") else None,
        values=_values(stored, result) if status == "complete" else (),
        params=_params(folder, space, problems) if stored is None else dict(stored.params),
        reports=reports or (() if stored is None else tuple(sorted(stored.intermediate_values.items()))),
        started=started,
        ended=ended,
        alive=alive,
        seconds=_seconds(result, started, ended or alive),
        attempts=len(jobs),
        error=_error(stored, result) if status in ("failed", "running", "waiting") else None,
        default=None if stored is None else stored.user_attrs.get("default"),
        slot=next((job["slot"] for job in jobs if isinstance(job.get("slot"), int)), None),
        folder=folder,
    )


def _status(stored: Any, result: Mapping[str, Any], jobs: Sequence[Any]) -> Status:
    told = None if stored is None else _OF_OPTUNA.get(stored.state.name)
    if told in ENDED:
        return told
    said = result.get("status")
    ended = next((status for status in ENDED if status == said), None)
    return ended or ("running" if jobs and said != "preempted" else "waiting")


def _values(stored: Any, result: Mapping[str, Any]) -> tuple[float, ...]:
    if stored is not None and stored.values is not None:
        return tuple(map(float, stored.values))
    value = result.get("value")
    values = value if isinstance(value, list) else [value]
    return tuple(map(float, values)) if all(is_number(one) for one in values) else ()


def _error(stored: Any, result: Mapping[str, Any]) -> str | None:
    told = None if stored is None else stored.user_attrs.get("error")
    error = told or result.get("error")
    return None if error is None else str(error)


def _started(stored: Any, jobs: Sequence[Mapping[str, Any]]) -> float | None:
    submitted = [float(job["submitted"]) for job in jobs if is_number(job.get("submitted"))]
    if submitted:
        return submitted[0]
    return None if stored is None or stored.datetime_start is None else float(stored.datetime_start.timestamp())


def _ended(folder: Path, stored: Any, result: Mapping[str, Any]) -> float | None:
    """When the result was written; a trial that ended while nobody looked is told to the storage only later."""
    told = None if stored is None or stored.datetime_complete is None else float(stored.datetime_complete.timestamp())
    if not result:
        return told
    written = (folder / "result.json").stat().st_mtime
    return written if told is None or written < told + _HARVESTED_S else told  # a copied file is newer than its trial


def _alive(folder: Path, now: float) -> float:
    """A trial of a study that stopped days ago has not run all those days."""
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


def _jobs(path: Path, problems: list[str]) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{_short(path)} cannot be read: {error}.")
        return []
    entries = found if isinstance(found, list) else []
    return [one for one in entries if isinstance(one, dict) and one.get("end") != "refused"]


def _reports(path: Path, number: int, torn: list[int]) -> tuple[tuple[int, float], ...]:
    """Of a point that was reported again after a resume, the first value counts."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # the last one is still growing
    except FileNotFoundError:
        return ()
    except OSError:
        torn.append(number)
        return ()
    found: dict[int, float] = {}
    for line in filter(None, lines):
        try:
            row = json.loads(line)
            found.setdefault(int(row["point"]), float(row["value"]))
        except (ValueError, KeyError, TypeError):
            torn += [number] if number not in torn[-1:] else []
    return tuple(sorted((point, value) for point, value in found.items() if math.isfinite(value)))


def _params(folder: Path, space: set[str], problems: list[str]) -> dict[str, Any]:
    """The swept keys among the overrides of the trial, where the storage cannot say."""
    path = folder / "overrides.yaml"
    try:
        given = yaml.safe_load(path.read_text("utf-8")) if path.exists() else []
    except (OSError, ValueError, yaml.YAMLError):
        problems.append(f"{_short(path)} cannot be read.")
        return {}
    pairs = [str(one).partition("=") for one in (given if isinstance(given, list) else [])]
    return {key: number(value) for key, equals, value in pairs if equals and key in space}


def number(text: str) -> Any:
    """What Hydra makes of a plain value: YAML leaves 1e-05 a text."""
    try:
        return float(text) if not text.lstrip("+-").isdigit() else int(text)
    except ValueError:
        return plain(text)
