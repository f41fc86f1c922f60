"""What the study's confirmation found: the best few trials and the default, run again and measured on test.

confirm.json in the study's folder, written by whoever runs them:

    {"metric": "test/acc",
     "configurations": [
       {"trial": 12, "default": false, "params": {"optimizer.learning_rate": 0.0006},
        "runs": [{"seed": 101, "value": 0.612, "folder": "confirm/12/101"}, ...]},
       {"trial": 0, "default": true, ...}]}

trial: null for a default configuration that was no trial. folder: a run folder, relative to the study's; a run without
one, or without `value` (it has not ended), is allowed; `error` says why it failed. An app that measures nothing on test
has its own metric here, and what it returned.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mcqa.runs import run_folder
from mcqa.sweep.report.study_data import StudyRecord, is_number
from mcqa.sweep.report.ties import DAMAGED, Estimate, clusters_of, interval, right_answers, split_of

FILE = "confirm.json"


@dataclass(frozen=True)
class Confirmed:
    """One configuration over its new seeds: mean and 95 % interval, which knows of questions and seeds where the runs
    kept their predictions and of seeds alone otherwise. difference: mean minus the default's, p by Holm; None where
    nothing can be said of it."""

    trial: int | None
    default: bool
    params: Mapping[str, Any]
    values: tuple[float, ...]
    planned: int
    mean: Estimate
    difference: Estimate | None
    p_holm: float | None

    @property
    def name(self) -> str:
        return "default" if self.default else f"trial {self.trial}"


@dataclass(frozen=True)
class Confirmation:
    metric: str
    configurations: tuple[Confirmed, ...]
    by_questions: bool


@dataclass(frozen=True)
class _Answers:
    """right[s][q]: is question q answered right with seed s; ids and clusters of the questions."""

    right: Sequence[Sequence[bool]]
    ids: Sequence[object]
    clusters: Sequence[str] | None


def read_confirmation(study: StudyRecord, problems: list[str]) -> Confirmation | None:
    """None where nothing was confirmed, or the file cannot be read."""
    path = study.folder / FILE
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
        metric, rows = str(found.get("metric", "test/acc")), [dict(row) for row in found["configurations"]]
        answers = [_answers(study, row, metric, problems) for row in rows]
        told = [_confirmed(row, one) for row, one in zip(rows, answers, strict=True)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problems.append(f"{FILE} cannot be read: {type(error).__name__}: {error}.")
        return None
    problems += [one for row in rows for one in _failures(row)]
    known = [one for one in answers if one is not None]
    by_questions = len(known) == len(answers) and all(one.ids == known[0].ids for one in known)
    return Confirmation(metric, tuple(_against(told, known if by_questions else None)), by_questions)


def _failures(row: Mapping[str, Any]) -> list[str]:
    name = "the default" if row.get("default") else f"trial {row.get('trial')}"
    failed = [run for run in row["runs"] if run.get("error")]
    return [
        f"The confirmation of {name} with seed {run.get('seed')} failed: {run['error'].splitlines()[-1]}"
        for run in failed
    ]


def _answers(study: StudyRecord, row: Mapping[str, Any], metric: str, problems: list[str]) -> _Answers | None:
    """None unless every run that has a value has its predictions, all of the same questions."""
    split, name = split_of(metric)
    paths = [study.folder / str(run.get("folder")) / "predictions" / f"{split}.jsonl" for run in _ended(row)]
    if name is None or not paths or not all(path.is_file() for path in paths):
        return None
    found = []
    for path in paths:
        try:
            found.append((right_answers(path, name), clusters_of(study, path)))
        except DAMAGED:
            problems.append(f"{run_folder.shown(path)} is damaged; the confirmation is told by values.")
            return None
    rows, clusters = found[0]
    if any(other.ids != rows.ids for other, _ in found):
        return None
    return _Answers([one.right for one, _ in found], rows.ids, clusters)


def _ended(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [run for run in row["runs"] if is_number(run.get("value"))]


def _confirmed(row: Mapping[str, Any], answers: _Answers | None) -> Confirmed:
    values = tuple(float(run["value"]) for run in _ended(row))
    mean = _by_seeds(values) if answers is None else _by_questions(answers)
    return Confirmed(
        trial=row.get("trial"),
        default=bool(row.get("default")),
        params=dict(row.get("params") or {}),
        values=values,
        planned=len(row["runs"]),
        mean=mean,
        difference=None,
        p_holm=None,
    )


def _by_seeds(values: Sequence[float]) -> Estimate:
    """Student's t over the seeds; no interval, NaN, for fewer than two."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return Estimate(values[0] if values else math.nan, math.nan, math.nan)
    half = float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return Estimate(mean, mean - half, mean + half)


def _by_questions(answers: _Answers) -> Estimate:
    from mcqa.evaluation import statistics

    if len(answers.right) == 1:
        return interval(answers.right[0], answers.clusters)
    mean = sum(map(sum, answers.right)) / (len(answers.right) * len(answers.ids))
    return Estimate(mean, *statistics.pooled_accuracy_interval(answers.right, answers.clusters))


def _against(told: Sequence[Confirmed], answers: Sequence[_Answers] | None) -> list[Confirmed]:
    """Each beside the default configuration, corrected for their number. answers: None where they are not known."""
    from mcqa.evaluation import statistics

    base = next((i for i, one in enumerate(told) if one.default), None)
    if base is None:
        return list(told)
    others = [i for i in range(len(told)) if i != base]
    if answers is None:
        found = {i: one for i in others if (one := _welch(told[base].values, told[i].values)) is not None}
    else:
        pooled = {
            i: statistics.pooled_difference(answers[base].right, answers[i].right, answers[base].clusters)
            for i in others
        }
        found = {i: (Estimate(one.difference, one.low, one.high), one.p) for i, one in pooled.items()}
    adjusted = dict(zip(found, statistics.holm([p for _, p in found.values()]), strict=True))
    return [
        replace(one, difference=found[i][0], p_holm=adjusted[i]) if i in found else one for i, one in enumerate(told)
    ]


def _welch(before: Sequence[float], after: Sequence[float]) -> tuple[Estimate, float] | None:
    """Difference of two means and p by Welch (1947); None where the seeds do not tell how much they change."""
    from scipy.special import stdtr, stdtrit

    if min(len(before), len(after)) < 2:
        return None
    parts = [(statistics.variance(values) / len(values), len(values) - 1) for values in (before, after)]
    total = sum(part for part, _ in parts)
    if not total:
        return None
    degrees = total**2 / sum(part**2 / freedom for part, freedom in parts)
    difference, error = statistics.fmean(after) - statistics.fmean(before), math.sqrt(total)
    half = float(stdtrit(degrees, 0.975)) * error
    return Estimate(difference, difference - half, difference + half), float(
        2 * stdtr(degrees, -abs(difference) / error)
    )
