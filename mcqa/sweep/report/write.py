"""Write what a study has found as files in its folder, at its end and at any time before."""

import csv
import io
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from mcqa.config.errors import ConfigError
from mcqa.evaluation.report.formatting import config_value
from mcqa.sweep.report import best_experiment, seed_variance, sentences
from mcqa.sweep.report import confirmation as confirmed
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.page import ReportData, page
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord, is_number, plain
from mcqa.sweep.report.ties import StudyResult, study_result

log = logging.getLogger(__name__)

COLUMNS = ("number", "status")


AFTER = ("seconds", "started", "ended", "attempts", "error", "last_point", "points_from_best", "p_adjusted", "tied")


Importances = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Summary:
    """What was found and written. best and its values: of several objectives None and empty; tied: with the best;
    importances: by metric and key."""

    verdict: str
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    counts: Mapping[str, int]
    best: int | None
    values: tuple[float, ...]
    tied: tuple[int, ...]
    front: tuple[int, ...]
    importances: Importances
    files: tuple[Path, ...]


def write_report(folder: Path) -> Summary:
    """
    Raises:
        ConfigError: there is no study in the folder, or nothing can be written there.
    """
    study = read_study(folder, time.time())
    found, problems = study_result(study), list(study.problems)
    problems += found.problems
    weights = _importances(study, problems)
    confirmation = confirmed.read_confirmation(study, problems)
    writers: dict[str, Callable[[], str | None]] = {
        "trials.csv": partial(_trials, study, found),
        "importances.csv": partial(_weights, weights),
        "optimization_results.yaml": partial(_results, study),
        "best.yaml": partial(_best, study),
    }
    files = [path for name, text in writers.items() if (path := _written(folder / name, text, problems)) is not None]
    _as_option(folder, problems)
    told = ReportData(study, found, weights, confirmation, tuple(problems))
    page_file = _written(folder / "report.html", lambda: page(told, _plotly()), problems)
    return Summary(
        verdict=sentences.verdict(study, found),
        notes=tuple(sentences.notes(study, found, confirmation)),
        problems=tuple(problems),
        counts={str(status): number for status, number in study.counts.items()},
        best=None if found.best is None else found.best.number,
        values=() if found.best is None else found.best.values,
        tied=found.tied,
        front=tuple(trial.number for trial in study.front),
        importances=weights,
        files=(*files, *([page_file] if page_file else [])),
    )


def _written(path: Path, text: Callable[[], str | None], problems: list[str]) -> Path | None:
    """The file with this text, moved into place as a whole; where one fails, the others are still written."""
    try:
        found = text()
        if found is None:
            return None
        aside = path.with_name(f"{path.name}.partial")
        aside.write_text(found, "utf-8")
        aside.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from error
    except Exception as error:  # a fault in one picture or table must not cost a study its answer
        log.warning("%s could not be made: %s: %s", path.name, type(error).__name__, error, exc_info=True)
        problems.append(f"{path.name} could not be made: {type(error).__name__}: {error}.")
        return None
    return path


def _as_option(folder: Path, problems: list[str]) -> None:
    """experiment/best.yaml leads to best.yaml, for Hydra looks for an option in the folder of its group."""
    option = folder / best_experiment.EXPERIMENT / "best.yaml"
    if not (folder / "best.yaml").exists() or option.exists():
        return
    try:
        option.parent.mkdir(exist_ok=True)
        option.unlink(missing_ok=True)
        option.symlink_to(Path("..") / "best.yaml")
    except OSError as error:
        problems.append(f"{option} cannot be made, so Hydra does not find best.yaml: {error.strerror or error}.")


def _plotly() -> str | None:
    """Its JavaScript; None where it is not installed."""
    try:
        return str(import_module("plotly.offline").get_plotlyjs())
    except ImportError:
        return None


# --- importances ------------------------------------------------------------------------------------------------------


def _importances(study: StudyRecord, problems: list[str]) -> dict[str, dict[str, float]]:
    """By metric, the largest first; nothing where too few trials are complete to say anything."""
    if study.storage is None or len(study.complete) < 4 or len(study.swept) < 2:
        return {}
    try:
        return {metric: _importance(study, i) for i, metric in enumerate(study.metrics)}
    except Exception as error:  # whatever Optuna makes of an odd study
        problems.append(f"Optuna could not tell the importances: {type(error).__name__}: {error}.")
        return {}


def _importance(study: StudyRecord, objective: int) -> dict[str, float]:
    from optuna.importance import get_param_importances

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a target is minimised, which is meant; ties of few trials are said on the page
        found = get_param_importances(study.storage, target=lambda trial: study.loss(trial.values, objective))
    return {key: float(weight) for key, weight in found.items()}


# --- files ------------------------------------------------------------------------------------------------------------


def _csv(columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _trials(study: StudyRecord, found: StudyResult) -> str:
    """The parameters by their keys; times as ISO 8601 with their zone."""
    taken = {*COLUMNS, *AFTER}
    several = [f"values.{metric}" if metric in taken else metric for metric in study.metrics]
    metrics = several if len(several) > 1 else ["value"]
    keys = [one.key for one in study.swept]
    names = [f"params.{key}" if key in {*taken, *metrics} else key for key in keys]
    return _csv([*COLUMNS, *metrics, *names, *AFTER], (_row(trial, study, found, keys) for trial in study.trials))


def _row(trial: TrialRecord, study: StudyRecord, found: StudyResult, keys: Sequence[str]) -> list[Any]:
    against = found.by_trial.get(trial.number)
    compared = ["", "", ""] if against is None else [100 * against.difference.value, against.p_adjusted, against.tied]
    return [
        trial.number,
        trial.status,
        *(trial.values or [""] * len(study.metrics)),
        *(_cell(trial.params[key]) if key in trial.params else "" for key in keys),
        "" if trial.seconds is None else round(trial.seconds, 3),
        _iso(trial.started),
        _iso(trial.ended),
        trial.attempts,
        trial.error or "",
        trial.reports[-1][0] if trial.reports else "",
        *compared,
    ]


def _cell(value: Any) -> Any:
    """null and true as in the configuration; an empty cell says that the trial does not have the key."""
    return value if is_number(value) or isinstance(value, str) else config_value(value)


def _iso(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def _weights(importances: Importances) -> str:
    keys = list(next(iter(importances.values()), {}))
    columns = list(importances) if len(importances) > 1 else ["importance"]
    return _csv(["parameter", *columns], ([key, *(one[key] for one in importances.values())] for key in keys))


def _results(study: StudyRecord) -> str:
    """As hydra-optuna-sweeper leaves it."""
    import yaml

    found: dict[str, Any] = {"name": "optuna"}
    if len(study.metrics) > 1:
        found["solutions"] = [{"params": _params(trial), "values": list(trial.values)} for trial in study.front]
    else:
        top = study.front[0] if study.front else None
        found |= {"best_params": _params(top) if top else {}, "best_value": top.values[0] if top else None}
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True)


def _params(trial: TrialRecord) -> dict[str, Any]:
    return {key: plain(value) if isinstance(value, str) and value[:1] in "[{" else value
            for key, value in trial.params.items()}  # fmt: skip


def _best(study: StudyRecord) -> str | None:
    """Of several objectives the trial that is best in the first of those that none beats. A lucky seed is no best."""
    if not study.front or seed_variance.is_of_seeds(study):
        return None
    trial = min(study.front, key=lambda one: study.loss(one.values))
    reached = ", ".join(f"{m} = {sentences.value(v, m)}" for v, m in zip(trial.values, study.metrics, strict=True))
    return best_experiment.experiment(study, trial, reached)
