"""Metrics of a list of predictions, under the names that result.json, MLflow and sweeps share.

Every accuracy has a standard error as if questions were independent (sample deviation over the root of n, as in
lm-evaluation-harness) and a 95 % interval: Wilson's, or the clustered one where questions are related.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from mcqa.config.errors import ModelError
from mcqa.data.question import Question
from mcqa.data.splits import related
from mcqa.evaluation.calibration_error import calibration_metrics
from mcqa.evaluation.decisions import OVER_ORDERS, SCORES, decide, is_measured
from mcqa.evaluation.option_order import order_metrics
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics import (
    accuracy_interval,
    bootstrap_interval,
    clustered_accuracy,
    standard_error,
)

ClusterBy = Literal["auto", "passage", "subject", "none"]


def compute_metrics(
    rows: Sequence[Prediction],
    cluster: ClusterBy = "none",
    resamples: int | None = None,
    temperature: float | None = None,
) -> dict[str, float]:
    """Return all metrics of the predictions by name; what was not measured is absent.

    acc, acc_norm (score divided by characters), acc_bytes, acc_tokens, acc_mutual_info (minus the score without the
    question), acc_choices_only (the question removed) and the accuracies of `order_metrics`, each with
    _stderr_independent, _ci_low and _ci_high. n; ties: questions whose best choices score the same; nan: questions with
    a score that is not a number, counted as wrong; truncated: questions longer than the model's context. too_long:
    questions with a choice longer than it, which are not measured and count as wrong too. loss: nats per token of the
    right choices. `calibration_metrics`; with clusters and resamples those of `_further_of_acc`.

    Raises:
        ModelError: no score is a number.
    """
    scored = [row for row in rows if row.prediction is not None]
    too_long = sum(row.too_long for row in rows)
    if not scored and too_long == len(rows):
        raise ModelError(
            f"each of {len(rows)} questions has a choice longer than the model's context, so nothing can be measured. "
            "Take prompt=letters, whose answers are short, or a model that reads longer texts."
        )
    if not scored:
        raise ModelError(
            f"none of the scores of {len(rows)} questions is a number: the model's weights or its precision are "
            "broken. Try hardware.precision=fp32; after training, look at train/loss and grad_norm."
        )
    names = cluster_names([row.question for row in rows], cluster)
    metrics: dict[str, float] = {}
    for name in (*SCORES, *OVER_ORDERS):
        if is_measured(rows, name):
            metrics |= _accuracy(name, [decision.right for decision in decide(rows, name)], names)
    metrics |= _further_of_acc([row.correct for row in rows], names, resamples)
    answers = [(row.scores[row.question.answer], row.tokens[row.question.answer]) for row in scored]
    return metrics | {
        "n": len(rows),
        "ties": sum(row.scores.count(max(row.scores)) > 1 for row in scored),
        "nan": len(rows) - len(scored) - too_long,
        "truncated": sum(row.truncated for row in rows),
        "too_long": too_long,
        "loss": -sum(score for score, _ in answers) / sum(tokens for _, tokens in answers),
        **calibration_metrics(rows, temperature, names),
        **order_metrics(rows),
    }


def cluster_names(questions: Sequence[Question], cluster: ClusterBy) -> list[str] | None:
    """Return the name of each question's cluster, "" for none; None where no two questions are related.

    auto and passage: the cluster in the data (such as a fact), or else the passage. Subjects are clusters on request
    only: the interval is then for other subjects, as if those of the set were a sample of them, and many times wider.
    """
    if cluster == "none":
        return None
    names = [question.subject if cluster == "subject" else related(question) for question in questions]
    return names if any(count > 1 for name, count in Counter(names).items() if name) else None


def chance_accuracy(questions: Sequence[Question]) -> float:
    """Return the expected accuracy of guessing."""
    return sum(1 / len(question.choices) for question in questions) / len(questions)


def by_subject(rows: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """Return the predictions of each subject, in alphabetical order; empty where the questions have none."""
    subjects = sorted({row.question.subject for row in rows} - {""})
    return {subject: [row for row in rows if row.question.subject == subject] for subject in subjects}


def within_subject(cluster: ClusterBy) -> ClusterBy:
    """Return which questions of one subject are related; the subject itself would be a single cluster."""
    return "none" if cluster == "none" else "passage"


def _accuracy(name: str, correct: Sequence[bool], names: Sequence[str] | None) -> dict[str, float]:
    count, n = sum(correct), len(correct)
    low, high = accuracy_interval(correct, names)
    error = standard_error(count, n)
    return {name: count / n, f"{name}_stderr_independent": error, f"{name}_ci_low": low, f"{name}_ci_high": high}


def _further_of_acc(correct: Sequence[bool], names: Sequence[str] | None, resamples: int | None) -> dict[str, float]:
    """Return what is reported for acc alone: clusters, the standard error that accounts for them, and the bootstrap
    interval."""
    metrics: dict[str, float] = {}
    if names is not None:
        clustered = clustered_accuracy(correct, names)
        metrics = {"clusters": clustered.clusters}
        if not math.isnan(clustered.standard_error):
            metrics["acc_stderr_clustered"] = clustered.standard_error
    if resamples is not None:
        low, high = bootstrap_interval(correct, names, resamples)
        metrics |= {"acc_bootstrap_low": low, "acc_bootstrap_high": high}
    return metrics
