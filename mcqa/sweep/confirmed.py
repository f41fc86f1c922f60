"""What the study's confirmation found: the best few trials and the default, run again and measured on test.

confirm.json in the study's folder, written by whoever runs them:

    {"metric": "test/acc",
     "configurations": [
       {"trial": 12, "default": false, "params": {"optimizer.learning_rate": 0.0006},
        "runs": [{"seed": 101, "value": 0.612, "folder": "confirm/12/101"}, ...]},
       {"trial": 0, "default": true, ...}]}

trial: null for a default configuration that was no trial. folder: a run folder, relative to the study's; a run without
one, or without `value` (it has not ended), is allowed.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mcqa.sweep.answer import Estimate, clusters_of, interval, right_answers
from mcqa.sweep.recorded import Recorded, is_number

FILE = "confirm.json"


@dataclass(frozen=True)
class Confirmed:
    """One configuration over its new seeds: mean and 95 % interval, which knows of questions and seeds where the runs
    kept their predictions and of seeds alone otherwise. difference: mean minus the default's, p by Holm."""

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


def read(study: Recorded, problems: list[str]) -> Confirmation | None:
    """None where nothing was confirmed, or the file cannot be read."""
    path = study.folder / FILE
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
        metric, rows = str(found.get("metric", "test/acc")), [dict(row) for row in found["configurations"]]
        answers = [_answers(study, row, metric) for row in rows]
        told = [_confirmed(row, one) for row, one in zip(rows, answers, strict=True)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problems.append(f"{FILE} cannot be read: {type(error).__name__}: {error}.")
        return None
    known = [one for one in answers if one is not None]
    by_questions = len(known) == len(answers) and all(one.ids == known[0].ids for one in known)
    return Confirmation(metric, tuple(_against(told, known) if by_questions else told), by_questions)


def _answers(study: Recorded, row: Mapping[str, Any], metric: str) -> _Answers | None:
    """None unless every run that has a value has its predictions, all of the same questions."""
    split, _, name = metric.rpartition("/")
    paths = [study.folder / str(run.get("folder")) / "predictions" / f"{split}.jsonl" for run in _ended(row)]
    if not paths or not all(path.is_file() for path in paths):
        return None
    found = [right_answers(path, name) for path in paths]
    if any(rows.ids != found[0].ids for rows in found):
        return None
    return _Answers([rows.right for rows in found], found[0].ids, clusters_of(study, paths[0]))


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
    """Of one seed the interval of its share, of several the pooled one against a model that is never right."""
    from mcqa.evaluation import clusters, statistics

    if len(answers.right) == 1:
        return interval(answers.right[0], answers.clusters)
    found = statistics.pooled([[False] * len(answers.ids)], answers.right, answers.clusters)
    if math.isnan(found.standard_error):  # one cluster says nothing about others
        return Estimate(found.difference, 0.0, 1.0)
    half = clusters.quantile(found.degrees_of_freedom) * found.standard_error
    return Estimate(found.difference, max(0.0, found.difference - half), min(1.0, found.difference + half))


def _against(told: Sequence[Confirmed], answers: Sequence[_Answers]) -> list[Confirmed]:
    """Each beside the default configuration, corrected for their number."""
    from mcqa.evaluation import statistics

    base = next((i for i, one in enumerate(told) if one.default), None)
    if base is None:
        return list(told)
    others = [i for i in range(len(told)) if i != base]
    found = {i: statistics.pooled(answers[base].right, answers[i].right, answers[base].clusters) for i in others}
    adjusted = dict(zip(others, statistics.holm([found[i].p for i in others]), strict=True))
    return [
        one if i == base else replace(one, difference=_estimate(found[i]), p_holm=adjusted[i])
        for i, one in enumerate(told)
    ]


def _estimate(found: Any) -> Estimate:
    return Estimate(found.difference, found.low, found.high)
