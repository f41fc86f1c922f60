"""Write the report of a study as files in its folder, at its end and at any time before."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from mcqa.config.errors import ConfigError
from mcqa.evaluation.report.formatting import config_value
from mcqa.runs.files import csv_text, write_text
from mcqa.sweep.report import arms, best_experiment, markdown, sentences
from mcqa.sweep.report.confirmation import read_confirmation
from mcqa.sweep.report.importances import Importances
from mcqa.sweep.report.importances import importances as compute_importances
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.next_step import NextStep
from mcqa.sweep.report.page import ReportData, page
from mcqa.sweep.report.seed_variance import varies_only_seed
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord, is_number, parse_yaml
from mcqa.sweep.report.ties import StudyResult, study_result

log = logging.getLogger(__name__)

COLUMNS_BEFORE = ("number", "status", "value")  # of trials.csv, before the parameters and after them
COLUMNS_AFTER = (
    "seconds",
    "started",
    "ended",
    "attempts",
    "error",
    "last_point",
    "points_from_best",  # percentage points
    "p_adjusted",
    "tied",
)


@dataclass(frozen=True)
class Summary:
    """What the report says, for the terminal and the tracker."""

    verdict: str
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    counts: Mapping[str, int]  # of trials by status
    best: int | None  # the best trial; None where no trial is complete
    value: float | None  # of the best trial
    tied: tuple[int, ...]  # trials that are tied with the best
    importances: Mapping[str, float]  # by key, the largest first
    next_step: NextStep | None
    files: tuple[Path, ...]

    @property
    def lines(self) -> list[str]:
        """All that it says, for the terminal."""
        after = [] if self.next_step is None else [f"Next: {self.next_step.text}"]
        command = [] if self.next_step is None or self.next_step.command is None else [f"  {self.next_step.command}"]
        return [self.verdict, *self.notes, *(f"Note: {problem}" for problem in self.problems), *after, *command]


def write_report(folder: Path) -> Summary:
    """Write the report's files into a study's folder.

    Raises:
        ConfigError: there is no study in the folder, or nothing can be written there.
    """
    study = read_study(folder, time.time())
    result, problems = study_result(study), list(study.problems)
    problems += result.problems
    importances = compute_importances(study, problems)
    confirmation = read_confirmation(study, problems)
    compared = arms.compare_arms(study, result)
    texts: dict[str, Callable[[], str | None]] = {
        "trials.csv": partial(_trials_csv, study, result),
        "importances.csv": partial(_importances_csv, importances),
        "arms.csv": lambda: csv_text(arms.COLUMNS, arms.rows(compared)) if compared else None,
        "optimization_results.yaml": partial(_results_yaml, study),
        "best.yaml": partial(_best_yaml, study, result),
    }
    files = [path for name, text in texts.items() if (path := _write(folder / name, text, problems))]
    _link_as_option(folder, problems)
    report = ReportData(study, result, importances, confirmation, tuple(problems))
    if (confirmed := report.confirmed_arms) is not None:
        files += filter(None, [_write(folder / "report.md", lambda: markdown.markdown(confirmed), problems)])
    page_file = _write(folder / "report.html", lambda: page(report, _plotly()), problems)
    return Summary(
        verdict=report.verdict,
        notes=tuple(report.remarks),
        problems=tuple(problems),
        counts={str(status): number for status, number in study.counts.items()},
        best=result.best.number if result.best else None,
        value=result.best.value if result.best else None,
        tied=result.tied,
        importances={key: estimate.value for key, estimate in importances.of.items()},
        next_step=report.next_step,
        files=(*files, *([page_file] if page_file else [])),
    )


def _write(path: Path, text: Callable[[], str | None], problems: list[str]) -> Path | None:
    """Write one file; a fault in its text, such as a chart of an odd study, must not cost the study its other files."""
    try:
        content = text()
        if content is None:
            return None
        write_text(path, content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from error
    except Exception as error:
        log.warning("%s could not be made: %s: %s", path.name, type(error).__name__, error, exc_info=True)
        problems.append(f"{path.name} could not be made: {type(error).__name__}: {error}.")
        return None
    return path


def _link_as_option(folder: Path, problems: list[str]) -> None:
    """Hydra looks for an option in the folder of its group: experiment/best.yaml leads to best.yaml."""
    option = folder / best_experiment.EXPERIMENT / "best.yaml"
    if not (folder / "best.yaml").exists() or option.exists():
        return
    try:
        option.parent.mkdir(exist_ok=True)
        option.unlink(missing_ok=True)  # a link to nowhere
        option.symlink_to(Path("..") / "best.yaml")
    except OSError as error:
        problems.append(f"{option} cannot be made, so Hydra does not find best.yaml: {error.strerror or error}.")


def _plotly() -> str | None:
    """Return plotly's JavaScript; None where it is not installed."""
    try:
        return str(import_module("plotly.offline").get_plotlyjs())
    except ImportError:
        return None


# --- files ------------------------------------------------------------------------------------------------------------


def _importances_csv(found: Importances) -> str:
    columns = ["parameter", "importance", "low", "high", "shown_to_matter", "trials", "point"]
    rows = [[key, *estimate, key in found.matter, found.trials, found.point] for key, estimate in found.of.items()]
    return csv_text(columns, rows)


def _trials_csv(study: StudyRecord, result: StudyResult) -> str:
    """A line a trial. A parameter is under its key, `params.<key>` where that is the name of another column.

    Of a factor the key has the value that it came to.
    """
    keys = [swept.key for swept in study.swept]
    names = [f"params.{key}" if key in COLUMNS_BEFORE + COLUMNS_AFTER else key for key in keys]
    factors = [swept.key for swept in study.swept if swept.is_factor]
    columns = [*COLUMNS_BEFORE, *names, *(f"{key} (factor)" for key in factors), *COLUMNS_AFTER]
    return csv_text(columns, [_row(trial, result, keys, factors) for trial in study.trials])


def _row(trial: TrialRecord, result: StudyResult, keys: Sequence[str], factors: Sequence[str]) -> list[Any]:
    comparison = result.by_trial.get(trial.number)
    return [
        trial.number,
        trial.status,
        trial.value,  # None is an empty cell
        *(_cell(trial, key) for key in keys),
        *(trial.params.get(key) for key in factors),
        None if trial.seconds is None else round(trial.seconds, 3),
        _iso(trial.started),
        _iso(trial.ended),
        trial.attempts,
        trial.error,
        trial.reports[-1][0] if trial.reports else None,
        *([100 * comparison.difference.value, comparison.p_adjusted, comparison.tied] if comparison else [None] * 3),
    ]


def _cell(trial: TrialRecord, key: str) -> Any:
    """null and true as in the configuration: an empty cell says that the trial does not have the key."""
    if key not in trial.params or trial.values.get(key, key) is None:  # of a factor the value may be unknown
        return None
    value = trial.value_of(key)
    return value if is_number(value) or isinstance(value, str) else config_value(value)


def _iso(seconds: float | None) -> str | None:
    """Return the local time as ISO 8601 with its zone."""
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def _results_yaml(study: StudyRecord) -> str:
    """The best parameters and value under the names that hydra-optuna-sweeper gives them."""
    best = study.complete[0] if study.complete else None
    results = {
        "name": "optuna",
        "best_params": {key: _plain(best.value_of(key)) for key in best.params} if best else {},
        "best_value": best and best.value,
    }
    return yaml.safe_dump(results, sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    """A choice that is a list or mapping, which Optuna stores as text."""
    return parse_yaml(value) if isinstance(value, str) and value[:1] in ("[", "{") else value


def _best_yaml(study: StudyRecord, result: StudyResult) -> str | None:
    """None where no trial is complete, and of a study of seeds: a lucky seed is no better configuration."""
    if not study.complete or varies_only_seed(study):
        return None
    best = study.complete[0]
    value = f"{study.metric} = {sentences.value(best.value or 0.0, study.metric)}"
    if (corrected := sentences.expected(study, result)) is not None:
        value += f"\n# Corrected for its choice as the best it is worth about {corrected} on new questions."
    return best_experiment.experiment(study, best, value)
