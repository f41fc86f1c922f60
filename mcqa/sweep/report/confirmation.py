"""Read the study's confirmation: the best few trials and the default, run again with new seeds and measured on test.

confirm.json in the study's folder, written by mcqa.sweep.confirmation:

    {"metric": "test/acc",
     "configurations": [
       {"trial": 12, "default": false, "params": {"optimizer.learning_rate": 0.0006},
        "runs": [{"seed": 101, "value": 0.612, "folder": "confirm/12/101"}, ...]},
       {"trial": 0, "default": true, ...}]}

trial is null for a default configuration that was none of the trials. folder is a run folder, relative to the study's.
A run may lack it, and lacks `value` until it has ended; `error` says why it failed. An app that measures nothing on
test has the metric of its trials here.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mcqa.config.errors import FileError
from mcqa.evaluation.statistics import holm, pooled_accuracy_interval, pooled_difference
from mcqa.evaluation.statistics.clusters import t_quantile
from mcqa.runs import looks, run_folder
from mcqa.runs.files import read_stored
from mcqa.sweep.report.study_data import StudyRecord, is_number
from mcqa.sweep.report.ties import UNREADABLE, Estimate, accuracy, clusters_of, parse_metric, read_answers

FILE = "confirm.json"


@dataclass(frozen=True)
class Confirmed:
    """One configuration with its new seeds.

    The intervals of mean and difference (mean minus the default's) cover questions and seeds where the runs kept their
    predictions, and seeds alone otherwise.
    """

    trial: int | None
    default: bool
    values: tuple[float, ...]
    planned: int  # runs
    mean: Estimate
    folders: tuple[str, ...] = ()  # of its runs that have ended, relative to the study's
    difference: Estimate | None = None
    p_holm: float | None = None

    @property
    def name(self) -> str:
        return "default" if self.default else f"trial {self.trial}"


@dataclass(frozen=True)
class Confirmation:
    metric: str
    configurations: tuple[Confirmed, ...]
    by_questions: bool  # whether the intervals cover the questions as well as the seeds
    looks_at_test: tuple[looks.Look, ...] = ()  # in this study

    @property
    def candidate(self) -> int | None:
        """The trial that was best on dev before test was looked at for the last time; None where nothing says so."""
        named = self.looks_at_test[-1].get("candidate") if self.looks_at_test else None
        return named if isinstance(named, int) else None

    @property
    def sources(self) -> str:
        """What the intervals cover: those of a study confirmed with one seed leave out the seeds."""
        several = any(len(run.values) > 1 for run in self.configurations)
        return ("questions and seeds" if several else "questions alone") if self.by_questions else "seeds alone"


@dataclass(frozen=True)
class _Answers:
    right: Sequence[Sequence[bool]]  # [seeds][questions]
    ids: Sequence[object]
    clusters: Sequence[str] | None


def read_confirmation(study: StudyRecord, problems: list[str]) -> Confirmation | None:
    """Return None where nothing was confirmed, or where the file cannot be read, which is added to `problems`."""
    path = study.folder / FILE
    if not path.exists():
        return None
    try:
        content = read_stored(path, "", dict, waits_s=())
        metric, rows = str(content.get("metric", "test/acc")), [dict(row) for row in content["configurations"]]
        answers = [_answers(study, row, metric, problems) for row in rows]
        confirmed = [_confirmed(row, own) for row, own in zip(rows, answers, strict=True)]
        failures = [
            f"The confirmation of {configuration.name} with seed {run.get('seed')} failed: {_last_line(run['error'])}"
            for configuration, row in zip(confirmed, rows, strict=True)
            for run in row["runs"]
            if run.get("error")
        ]
    except FileError as error:
        problems.append(str(error).strip().replace(str(path), FILE))
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        problems.append(f"{FILE} cannot be read: {type(error).__name__}: {error}.")
        return None
    problems += failures
    known = [own for own in answers if own is not None]
    by_questions = len(known) == len(answers) and all(own.ids == known[0].ids for own in known)
    compared = tuple(_with_differences(confirmed, known if by_questions else None))
    return Confirmation(metric, compared, by_questions, tuple(looks.read(study.folder)))


def _answers(study: StudyRecord, row: Mapping[str, Any], metric: str, problems: list[str]) -> _Answers | None:
    """Return None unless every run that has a value has its predictions, all of the same questions."""
    split, name = parse_metric(metric)
    paths = [study.folder / str(run.get("folder")) / "predictions" / f"{split}.jsonl" for run in _ended(row)]
    if name is None or not paths or not all(path.is_file() for path in paths):
        return None
    runs = []
    for path in paths:
        try:
            runs.append((read_answers(path, name), clusters_of(study, path)))
        except UNREADABLE:
            problems.append(f"{run_folder.shown(path)} is damaged; the confirmation uses the runs' values alone.")
            return None
    (ids, _), clusters = runs[0]
    if any(answers.ids != ids for answers, _ in runs):
        return None
    return _Answers([answers.right for answers, _ in runs], ids, clusters)


def _last_line(error: object) -> str:
    return (str(error).strip() or "failed").splitlines()[-1]


def _ended(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [run for run in row["runs"] if is_number(run.get("value"))]


def _confirmed(row: Mapping[str, Any], answers: _Answers | None) -> Confirmed:
    values = tuple(float(run["value"]) for run in _ended(row))
    return Confirmed(
        trial=row.get("trial"),
        default=bool(row.get("default")),
        values=values,
        planned=len(row["runs"]),
        mean=_mean_over_seeds(values) if answers is None else _mean_accuracy(answers),
        folders=tuple(str(run["folder"]) for run in _ended(row) if run.get("folder")),
    )


def _mean_over_seeds(values: Sequence[float]) -> Estimate:
    """Student's interval over the seeds; NaN below two of them."""
    if len(values) < 2:
        return Estimate(values[0] if values else math.nan, math.nan, math.nan)
    mean = statistics.fmean(values)
    half = t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def _mean_accuracy(answers: _Answers) -> Estimate:
    if len(answers.right) == 1:
        return accuracy(answers.right[0], answers.clusters)
    mean = sum(map(sum, answers.right)) / (len(answers.right) * len(answers.ids))
    return Estimate(mean, *pooled_accuracy_interval(answers.right, answers.clusters))


def _with_differences(confirmed: Sequence[Confirmed], answers: Sequence[_Answers] | None) -> list[Confirmed]:
    """Compare each with the default configuration, by questions where all have answers; p is Holm's."""
    base = next((i for i, configuration in enumerate(confirmed) if configuration.default), None)
    if base is None:
        return list(confirmed)
    tests: dict[int, tuple[Estimate, float]] = {}
    for i, configuration in enumerate(confirmed):
        if i == base:
            continue
        if answers is not None:
            pooled = pooled_difference(answers[base].right, answers[i].right, answers[base].clusters)
            tests[i] = Estimate(pooled.difference, pooled.low, pooled.high), pooled.p
        elif welch := _welch(confirmed[base].values, configuration.values):
            tests[i] = welch
    adjusted = dict(zip(tests, holm([p for _, p in tests.values()]), strict=True))
    return [
        replace(configuration, difference=tests[i][0], p_holm=adjusted[i]) if i in tests else configuration
        for i, configuration in enumerate(confirmed)
    ]


def _welch(before: Sequence[float], after: Sequence[float]) -> tuple[Estimate, float] | None:
    """Return the difference of two means and p by Welch's t-test; None where the seeds show no variance to test by."""
    from scipy.stats import ttest_ind

    if min(len(before), len(after)) < 2 or len({*before}) == len({*after}) == 1:
        return None
    test = ttest_ind(after, before, equal_var=False)
    difference = statistics.fmean(after) - statistics.fmean(before)
    return Estimate(difference, *map(float, test.confidence_interval())), float(test.pvalue)
