"""Which trial is best, and which trials are tied with it: not significantly different on these questions.

Trials answer the same dev questions, so the best one is compared with every other question by question, and the
p-values are adjusted for having chosen it among so many. This needs an accuracy and the trials' predictions: trials of
another app have only values, which say nothing about ties.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from mcqa.config.errors import DataError
from mcqa.evaluation import predictions, statistics
from mcqa.evaluation.decisions import SCORES, is_correct
from mcqa.evaluation.metrics import cluster_names
from mcqa.evaluation.statistics.clusters import ALPHA
from mcqa.runs.files import flatten
from mcqa.sweep.report.optimism import expected_accuracy, measured_states, pruned_candidates
from mcqa.sweep.report.seed_variance import SeedVariance, find_seed_variance
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord


class Estimate(NamedTuple):
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A complete trial against the best one. p and the intervals are of this comparison alone."""

    trial: int
    accuracy: Estimate
    difference: Estimate  # its accuracy minus the best trial's
    newly_right: int
    newly_wrong: int
    p: float
    p_adjusted: float  # for the choice of the best among all

    @property
    def tied(self) -> bool:
        return self.p_adjusted >= ALPHA


@dataclass(frozen=True)
class StudyResult:
    """The best trial, and how the others compare with it."""

    best: TrialRecord | None  # None where no trial is complete
    accuracy: Estimate | None = None  # of the best trial
    questions: int = 0
    clustered: bool = False
    comparisons: tuple[Comparison, ...] = ()  # by value, the best first
    not_compared_because: str | None = None  # where some or all trials could not be compared
    expected: float | None = None  # accuracy of the best on new questions, corrected for its choice
    pruned_candidates: int = 0  # pruned trials that this correction counts as candidates
    measurements: int = 1  # of a trial at most, among which the best was chosen
    seed_variance: SeedVariance | None = None
    problems: tuple[str, ...] = ()

    @property
    def tied(self) -> tuple[int, ...]:
        return tuple(comparison.trial for comparison in self.comparisons if comparison.tied)

    @cached_property
    def by_trial(self) -> Mapping[int, Comparison]:
        return {comparison.trial: comparison for comparison in self.comparisons}


def study_result(study: StudyRecord) -> StudyResult:
    """Find the best trial and compare the others with it, as far as their files allow."""
    problems: list[str] = []
    seeds = find_seed_variance(study, problems)

    def without_ties(best: TrialRecord | None, reason: str) -> StudyResult:
        return StudyResult(best, not_compared_because=reason, seed_variance=seeds, problems=tuple(problems))

    if not study.complete:
        return without_ties(None, "No trial is complete yet.")
    best, (split, metric) = study.complete[0], parse_metric(study.metric)
    if metric is None:
        reason = f"Ties are unknown: {study.metric} is not an accuracy, which could be compared question by question."
        return without_ties(best, reason)
    answers = _read_answers(study.complete, split, metric, problems)
    if best.number not in answers:
        reason = f"Ties are unknown: trial {best.number} has no readable predictions/{split}.jsonl."
        return without_ties(best, reason)
    try:
        clusters = clusters_of(study, best.folder / "predictions" / f"{split}.jsonl")
    except DataError as error:  # what the scan of the lines does not see
        return without_ties(best, f"Ties are unknown: {error}.")
    return _compare(study, answers, clusters, seeds, problems)


def parse_metric(metric: str) -> tuple[str, str | None]:
    """Split `dev/acc` into the name of its file of predictions and that of its accuracy; None for any other metric."""
    split, slash, name = metric.rpartition("/")
    return split.replace("/", "_"), name if slash and name in SCORES else None


# --- answers ----------------------------------------------------------------------------------------------------------

UNREADABLE = (OSError, DataError, AssertionError)
"""What reading a file of predictions may raise; AssertionError: it has not the scores of the metric."""


class Answers(NamedTuple):
    """The questions of a file of predictions, by what identifies them in it, and whether each is answered right."""

    ids: Sequence[bytes] | Sequence[str]
    right: Sequence[bool]


def _read_answers(trials: Sequence[TrialRecord], split: str, metric: str, problems: list[str]) -> dict[int, Answers]:
    answers = {}
    for trial in trials:
        path = trial.folder / "predictions" / f"{split}.jsonl"
        try:
            answers[trial.number] = read_answers(path, metric)
        except FileNotFoundError:
            continue
        except UNREADABLE:
            problems.append(f"trials/{trial.number}/predictions/{split}.jsonl is damaged; the trial is not compared.")
    return answers


def read_answers(path: Path, metric: str) -> Answers:
    """Read which questions a file of predictions answers right by `acc` or another accuracy.

    Raises:
        One of UNREADABLE: the file is missing, empty or damaged, or was written without the metric.
    """
    if metric == "acc":
        return _scan_correct(path)
    rows = predictions.read(path)
    return Answers([row.question.id for row in rows], [is_correct(row, metric) for row in rows])


def _scan_correct(path: Path) -> Answers:
    """Return what each line says under `correct` without decoding its JSON, as a study may have millions of lines.

    Quotes within a JSON text are escaped, so the quoted key cannot be a part of one.
    """
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    correct = [line.partition(b'"correct": ')[2][:4] for line in lines]
    whole = all(line.startswith(b'{"id": ') and line.endswith(b"}") for line in lines)
    if not whole or {*correct} - {b"true", b"fals"}:
        raise DataError(f"{path}: not the lines of a predictions file")
    return Answers([line.partition(b', "question": ')[0] for line in lines], [text == b"true" for text in correct])


def clusters_of(study: StudyRecord, path: Path) -> list[str] | None:
    """Return the cluster of each question in a file of predictions, as evaluation.cluster of the study groups them."""
    kind: Any = flatten(study.base).get("evaluation.cluster", "auto")
    kind = kind if kind in ("passage", "subject", "none") else "auto"
    return cluster_names([row.question for row in predictions.read(path)], kind)


# --- comparison -------------------------------------------------------------------------------------------------------


def _compare(
    study: StudyRecord,
    answers: Mapping[int, Answers],
    clusters: list[str] | None,
    seeds: SeedVariance | None,
    problems: Sequence[str],
) -> StudyResult:
    best = study.complete[0]
    ids, right = answers[best.number]
    others = [
        trial.number for trial in study.complete[1:] if trial.number in answers and answers[trial.number].ids == ids
    ]
    rights = [answers[number].right for number in others]
    adjusted = statistics.p_values_against_best([right, *rights], 0, clusters)[1:]
    comparisons = []
    for number, other, p_adjusted in zip(others, rights, adjusted, strict=True):
        pair = statistics.mcnemar(right, other, clusters)
        comparisons.append(
            Comparison(
                trial=number,
                accuracy=accuracy(other, clusters),
                difference=Estimate(pair.difference, pair.low, pair.high),
                newly_right=pair.newly_right,
                newly_wrong=pair.newly_wrong,
                p=pair.p_decisive,
                p_adjusted=p_adjusted,
            )
        )
    best_accuracy, pruned = accuracy(right, clusters), pruned_candidates(study, len(right))
    states = [measured_states(trial, len(right)) for trial in study.complete if trial.number in {best.number, *others}]
    candidates = [(one, 0.0) for one in (right, *rights, *chain.from_iterable(states))]
    return StudyResult(
        best=best,
        accuracy=best_accuracy,
        questions=len(right),
        clustered=clusters is not None,
        comparisons=tuple(comparisons),
        not_compared_because=_left_out(study, answers, len(others)),
        expected=expected_accuracy([*candidates, *pruned], clusters) if others or pruned else None,
        pruned_candidates=len(pruned),
        measurements=max(map(len, states), default=1) or 1,
        seed_variance=seeds,
        problems=(*problems, *_contradiction(best, best_accuracy.value, study.metric)),
    )


def accuracy(right: Sequence[bool], clusters: Sequence[str] | None) -> Estimate:
    return Estimate(sum(right) / len(right), *statistics.accuracy_interval(right, clusters))


def _contradiction(best: TrialRecord, from_predictions: float, metric: str) -> list[str]:
    if best.value is None or math.isclose(best.value, from_predictions, abs_tol=1e-6):
        return []
    return [
        f"Trial {best.number} returned {metric} = {best.value:.6g}, but its predictions give {from_predictions:.6g}. "
        "They may be of another state of the model, or of other questions."
    ]


def _left_out(study: StudyRecord, answers: Mapping[int, Answers], compared: int) -> str | None:
    without = len(study.complete) - len(answers)
    other = len(answers) - 1 - compared
    parts = [f"{without} without readable predictions"] * (without > 0)
    parts += [f"{other} measured on other questions"] * (other > 0)
    return f"Not compared with the best: {' and '.join(parts)}." if parts else None
