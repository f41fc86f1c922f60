"""Which trial is best, and which cannot be told apart from it.

Trials answer the same dev questions, so the best one is compared with every other question by question, and the
p-values are corrected for having chosen it among so many. Only an accuracy can be compared so, and only where the
trials kept their predictions: trials of another app have values and nothing to tell ties by.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mcqa.evaluation.statistics.clusters import ALPHA
from mcqa.runs.files import flat
from mcqa.sweep.report.seed_variance import SeedVariance, floor, highest_of
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord


class Estimate(NamedTuple):
    """With its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A complete trial against the best. difference: its accuracy minus the best's; its interval and p are of this
    comparison alone, p_adjusted knows that the best was chosen."""

    trial: int
    accuracy: Estimate
    difference: Estimate
    newly_right: int
    newly_wrong: int
    p: float
    p_adjusted: float

    @property
    def tied(self) -> bool:
        return self.p_adjusted >= ALPHA


@dataclass(frozen=True)
class StudyResult:
    """best: None where no trial is complete, and where there are several objectives. others: what could be compared,
    in the order of the values; `untold` says why not more. luck: how far the best of as many equally good trials is
    expected above its true accuracy. noise: what the seed alone changes, where a study of seeds stands beside."""

    best: TrialRecord | None
    accuracy: Estimate | None
    questions: int
    clustered: bool
    others: tuple[Comparison, ...]
    untold: str | None
    luck: float | None
    noise: SeedVariance | None
    problems: tuple[str, ...]

    @property
    def tied(self) -> tuple[int, ...]:
        return tuple(one.trial for one in self.others if one.tied)

    @cached_property
    def by_trial(self) -> Mapping[int, Comparison]:
        return {one.trial: one for one in self.others}


def study_result(study: StudyRecord) -> StudyResult:
    problems: list[str] = []
    noise = floor(study, problems) if len(study.metrics) == 1 else None
    if not study.complete:
        return _untold(None, "No trial is complete yet.", noise, problems)
    if len(study.metrics) > 1:
        return _untold(None, "With several objectives there is no one best trial.", noise, problems)
    best, (split, metric) = study.complete[0], split_of(study.metrics[0])
    if metric is None:
        reason = f"Ties cannot be told: {study.metrics[0]} is not an accuracy that is counted question by question."
        return _untold(best, reason, noise, problems)
    rows = _all_right(study.complete, split, metric, problems)
    if best.number not in rows:
        reason = f"Ties cannot be told: trial {best.number} has no readable predictions/{split}.jsonl."
        return _untold(best, reason, noise, problems)
    names = clusters_of(study, best.folder / "predictions" / f"{split}.jsonl")
    return _compared(study, best, rows, names, noise, problems)


def _untold(best: TrialRecord | None, reason: str, noise: SeedVariance | None, problems: Sequence[str]) -> StudyResult:
    return StudyResult(best, None, 0, False, (), reason, None, noise, tuple(problems))


def split_of(metric: str) -> tuple[str, str | None]:
    """`dev/acc` as the file of predictions, dev, and acc; None for what is not counted question by question."""
    from mcqa.evaluation.metrics import SCORES

    split, slash, name = metric.rpartition("/")
    return split.replace("/", "_"), name if slash and name in SCORES else None


# --- answers ----------------------------------------------------------------------------------------------------------


DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError)
"""What reading a file of predictions may raise that was not written to its end."""


class Rows(NamedTuple):
    """The questions of a trial, by what identifies them in its file, and whether each is answered right."""

    ids: Sequence[bytes] | Sequence[str]
    right: Sequence[bool]


def _all_right(trials: Sequence[TrialRecord], split: str, metric: str, problems: list[str]) -> dict[int, Rows]:
    found = {}
    for trial in trials:
        path = trial.folder / "predictions" / f"{split}.jsonl"
        if not path.is_file():
            continue
        try:
            found[trial.number] = right_answers(path, metric)
        except DAMAGED:
            problems.append(f"trials/{trial.number}/predictions/{split}.jsonl is damaged; the trial is not compared.")
    return found


def right_answers(path: Path, metric: str) -> Rows:
    """Of a file of predictions. Raises one of DAMAGED where it is that, or empty."""
    found = _plain_right(path) if metric == "acc" else _right(path, metric)
    if not found.right:
        raise ValueError("there are no predictions")
    return found


def _right(path: Path, metric: str) -> Rows:
    from mcqa.evaluation import predictions
    from mcqa.evaluation.metrics import is_correct

    rows = predictions.read(path)
    return Rows([row.question.id for row in rows], [is_correct(row, metric) for row in rows])


def _plain_right(path: Path) -> Rows:
    """What each line says under `correct`, without decoding it: a study may have millions of lines.

    Quotes within a JSON text are escaped, so a quoted key cannot be part of one.
    """
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    after = [line.partition(b'"correct": ')[2][:4] for line in lines]
    if not all(line.startswith(b'{"id": ') and line.endswith(b"}") for line in lines) or {*after} - {b"true", b"fals"}:
        raise ValueError("not the lines of a predictions file")
    return Rows([line.partition(b', "question": ')[0] for line in lines], [one == b"true" for one in after])


def clusters_of(study: StudyRecord, path: Path) -> list[str] | None:
    """Of a file's questions, as the runs' own intervals have them: evaluation.cluster."""
    from mcqa.evaluation import predictions
    from mcqa.evaluation.metrics import cluster_names

    kind: Any = flat(study.base).get("evaluation.cluster", "auto")
    kind = kind if kind in ("passage", "subject", "none") else "auto"
    return cluster_names([row.question for row in predictions.read(path)], kind)


# --- comparison -------------------------------------------------------------------------------------------------------


def _compared(
    study: StudyRecord,
    best: TrialRecord,
    rows: Mapping[int, Rows],
    names: list[str] | None,
    noise: SeedVariance | None,
    problems: Sequence[str],
) -> StudyResult:
    from mcqa.evaluation import statistics

    first = rows[best.number]
    alike = [one.number for one in study.complete if one.number in rows and rows[one.number].ids == first.ids]
    others = [number for number in alike if number != best.number]
    pairs = [statistics.mcnemar(first.right, rows[number].right, names) for number in others]
    adjusted = statistics.p_values_against_best([first.right, *(rows[number].right for number in others)], 0, names)[1:]
    against = tuple(
        Comparison(
            trial=number,
            accuracy=interval(rows[number].right, names),
            difference=Estimate(pair.difference, pair.low, pair.high),
            newly_right=pair.newly_right,
            newly_wrong=pair.newly_wrong,
            p=pair.p if pair.p_clustered is None else pair.p_clustered,
            p_adjusted=p,
        )
        for number, pair, p in zip(others, pairs, adjusted, strict=True)
    )
    accuracy = interval(first.right, names)
    return StudyResult(
        best=best,
        accuracy=accuracy,
        questions=len(first.ids),
        clustered=names is not None,
        others=against,
        untold=_left_out(study, rows, alike),
        luck=_luck(against, len(first.ids)),
        noise=noise,
        problems=(*problems, *_doubts(best, accuracy.value, study.metrics[0])),
    )


def interval(right: Sequence[bool], names: Sequence[str] | None) -> Estimate:
    """The accuracy."""
    from mcqa.evaluation import statistics

    accuracy = sum(right) / len(right)
    if names is None:
        return Estimate(accuracy, *statistics.wilson_interval(sum(right), len(right)))
    found = statistics.clustered_accuracy(right, names)
    return Estimate(accuracy, found.low, found.high)


def _doubts(best: TrialRecord, accuracy: float, metric: str) -> list[str]:
    if math.isclose(best.values[0], accuracy, abs_tol=1e-6):
        return []
    return [
        f"Trial {best.number} told {metric} = {best.values[0]:.6g}, but its predictions give {accuracy:.6g}. They may "
        "be of another state of the model, or of another choice of questions."
    ]


def _left_out(study: StudyRecord, rows: Mapping[int, Rows], alike: Sequence[int]) -> str | None:
    without = sum(one.number not in rows for one in study.complete)
    other = len(study.complete) - without - len(alike)
    parts = [f"{without} without readable predictions"] * (without > 0)
    parts += [f"{other} measured on other questions"] * (other > 0)
    return f"Not compared with the best: {' and '.join(parts)}." if parts else None


def _luck(against: Sequence[Comparison], questions: int) -> float | None:
    """Two equally good trials differ on a share d of n questions by chance, so each has a variance of d / 2n of its
    own beside what the questions do to both. d is that of the trials that cannot be told apart."""
    tied = [one.newly_right + one.newly_wrong for one in against if one.tied]
    if not tied:
        return None
    disagreement = sum(tied) / (len(tied) * questions)
    return highest_of(len(against) + 1) * math.sqrt(disagreement / (2 * questions))
