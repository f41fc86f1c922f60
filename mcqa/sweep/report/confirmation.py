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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from mcqa.config.errors import FileError
from mcqa.evaluation.statistics import holm, pooled_accuracy_interval, pooled_difference
from mcqa.evaluation.statistics.clusters import t_quantile
from mcqa.runs import looks, run_folder
from mcqa.runs.files import read_optional, read_stored
from mcqa.sweep.report.study_data import StudyRecord, is_number
from mcqa.sweep.report.ties import UNREADABLE, Estimate, accuracy, clusters_of, parse_metric, read_answers

FILE = "confirm.json"


@dataclass(frozen=True)
class Confirmed:
    """One configuration with its new seeds.

    The intervals of mean and difference (mean minus the default's) cover questions and seeds where the runs kept their
    predictions, and seeds alone otherwise. trains: not objective=none, of which one run says all.
    """

    trial: int | None
    default: bool
    values: tuple[float, ...]
    planned: int  # runs
    mean: Estimate
    folders: tuple[str, ...] = ()  # of its runs that have ended, relative to the study's
    difference: Estimate | None = None
    p_holm: float | None = None
    trains: bool = True

    @property
    def name(self) -> str:
        return "default" if self.default else f"trial {self.trial}"


@dataclass(frozen=True)
class Pair:
    """The mean of one configuration minus that of another, which are named by their places."""

    before: int
    after: int
    difference: Estimate
    p_holm: float


@dataclass(frozen=True)
class Confirmation:
    """pairs: every configuration with the default; in a study of arms all pairs. p is Holm's over all of them."""

    metric: str
    configurations: tuple[Confirmed, ...]
    by_questions: bool  # whether the intervals cover the questions as well as the seeds
    looks_at_test: tuple[looks.Look, ...] = ()  # in this study
    pairs: tuple[Pair, ...] = ()

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
        confirmed = [_confirmed(study, row, own) for row, own in zip(rows, answers, strict=True)]
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
    known = {i: own for i, own in enumerate(answers) if own is not None}
    measured = [i for i, configuration in enumerate(confirmed) if configuration.values]
    by_questions = known.keys() == {*measured} and len({tuple(own.ids) for own in known.values()}) == 1
    base = next((i for i in measured if confirmed[i].default), None)
    wanted = list(combinations(sorted(measured, key=lambda i: i != base), 2))
    wanted = wanted if study.description.get("arms") else [(one, other) for one, other in wanted if one == base]
    pairs = _pairs(confirmed, known if by_questions else None, wanted)
    compared = tuple(_with_differences(confirmed, base, pairs))
    return Confirmation(metric, compared, by_questions, tuple(looks.read(study.folder)), tuple(pairs))


def trains(folder: Path) -> bool:
    """Return whether the run in a folder trains something, so that its seed matters."""
    return not trains_nothing(read_optional(folder / "config.yaml"))


def trains_nothing(config_dict: Mapping[str, Any]) -> bool:
    """Return whether a configuration, which may be damaged or of another application, has objective=none."""
    objective = config_dict.get("objective")
    return isinstance(objective, Mapping) and objective.get("name") == "none"


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


def _confirmed(study: StudyRecord, row: Mapping[str, Any], answers: _Answers | None) -> Confirmed:
    folders = tuple(str(run["folder"]) for run in _ended(row) if run.get("folder"))
    values = tuple(float(run["value"]) for run in _ended(row))
    return Confirmed(
        trial=row.get("trial"),
        default=bool(row.get("default")),
        values=values,
        planned=len(row["runs"]),
        mean=_mean_over_seeds(values) if answers is None else _mean_accuracy(answers),
        folders=folders,
        trains=all(trains(study.folder / folder) for folder in folders),
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


def _pairs(
    confirmed: Sequence[Confirmed], answers: Mapping[int, _Answers] | None, wanted: Sequence[tuple[int, int]]
) -> list[Pair]:
    """Compare pairs of configurations, by questions where all have answers; those that nothing says are left out."""
    tests = list[tuple[int, int, Estimate, float]]()
    for before, after in wanted:
        if answers is not None:
            pooled = pooled_difference(
                answers[before].right,
                answers[after].right,
                answers[before].clusters,
                every_side_has_seeds=confirmed[before].trains and confirmed[after].trains,
            )
            tests.append((before, after, Estimate(pooled.difference, pooled.low, pooled.high), pooled.p))
        elif welch := _welch(confirmed[before].values, confirmed[after].values):
            tests.append((before, after, *welch))
    adjusted = holm([p for *_, p in tests])
    return [Pair(*test[:3], p_holm=p) for test, p in zip(tests, adjusted, strict=True)]


def _with_differences(confirmed: Sequence[Confirmed], base: int | None, pairs: Sequence[Pair]) -> Iterator[Confirmed]:
    """Yield each configuration with its difference from the default one, which is the first of its pairs."""
    tests = {pair.after: pair for pair in pairs if pair.before == base}
    for i, one in enumerate(confirmed):
        yield replace(one, difference=tests[i].difference, p_holm=tests[i].p_holm) if i in tests else one


def _welch(before: Sequence[float], after: Sequence[float]) -> tuple[Estimate, float] | None:
    """Return the difference of two means and p by Welch's t-test; None where the seeds show no variance to test by."""
    from scipy.stats import ttest_ind

    if min(len(before), len(after)) < 2 or len({*before}) == len({*after}) == 1:
        return None
    test = ttest_ind(after, before, equal_var=False)
    difference = statistics.fmean(after) - statistics.fmean(before)
    return Estimate(difference, *map(float, test.confidence_interval())), float(test.pvalue)
