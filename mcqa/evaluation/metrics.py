"""Metrics of a list of predictions, under the names that result.json, MLflow and sweeps share.

Every accuracy has a standard error (sample deviation over the root of n, as lm-evaluation-harness gives it) and a 95 %
interval: Wilson's, or where questions go together the one that knows it.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from mcqa.config.errors import ModelError
from mcqa.data.question import Question
from mcqa.evaluation.calibration import calibration_metrics
from mcqa.evaluation.option_order import correct_over_orders, order_metrics
from mcqa.evaluation.predictions import Prediction, best_choice
from mcqa.evaluation.statistics import (
    bootstrap_interval,
    clustered_accuracy,
    minimum_detectable_difference,
    standard_error,
    wilson_interval,
)

ClusterBy = Literal["auto", "passage", "subject", "none"]


SEED = 0  # of the bootstrap


FEWEST_SUBJECTS = 10  # below, what subjects say of other subjects is next to nothing


def choice_scores(row: Prediction, metric: str) -> Sequence[float]:
    """What a metric compares the choices by, in nats; 0 characters count as one.

    Raises KeyError for a metric that is none, and AssertionError where it was not measured.
    """
    return SCORES[metric](row)


def is_correct(row: Prediction, metric: str) -> bool:
    """Whether the question is answered right, as `acc`, `acc_norm`, … count it."""
    return best_choice(choice_scores(row, metric)) == row.question.answer


def compute_metrics(
    rows: Sequence[Prediction],
    cluster: ClusterBy = "none",
    resamples: int | None = None,
    temperature: float | None = None,
) -> dict[str, float]:
    """Everything that the rows say; what was not measured is absent.

    acc, acc_norm (by characters), acc_bytes, acc_tokens, acc_mutual_info (by probability without the question),
    acc_choices_only (the question removed) and the accuracies of orders.py, each with _stderr, _ci_low and _ci_high;
    n, ties (questions whose best choices score the same), nan (questions with a score that is no number, counted as
    wrong), truncated (longer than the model's context); loss in nats per token of the right answers; calibration.

    Raises:
        ModelError: when no score is a number.
    """
    numbers = [row for row in rows if row.prediction is not None]
    if not numbers:
        raise ModelError(
            f"none of the scores of {len(rows)} questions is a number: the model's weights or its precision are "
            "broken. Try hardware.precision=fp32; after training, look at train/loss and grad_norm."
        )
    names = cluster_names([row.question for row in rows], cluster)
    found: dict[str, float] = {}
    for name, answers in _answers(rows).items():
        found |= _accuracy(name, answers, names)
    found |= _proof([row.correct for row in rows], names, resamples)
    answered = [(row.scores[row.question.answer], row.tokens[row.question.answer]) for row in numbers]
    return found | {
        "n": len(rows),
        "ties": sum(_ties(row) for row in rows),
        "nan": len(rows) - len(numbers),
        "truncated": sum(row.truncated for row in rows),
        "loss": -sum(score for score, _ in answered) / sum(tokens for _, tokens in answered),
        **calibration_metrics(rows, temperature),
        **order_metrics(rows),
    }


def cluster_names(questions: Sequence[Question], cluster: ClusterBy) -> list[str] | None:
    """For every question the name of those that it goes with, "" where it stands alone; None where all do.

    auto: what the data says belongs together (a fact) or a passage that questions share, else the subject where there
    are at least 10 of them: with few the interval is of other subjects, of which they hardly say anything.
    """
    together = [question.cluster or question.context for question in questions]
    subjects = [question.subject for question in questions]
    many = [subjects] if len({*subjects} - {""}) >= FEWEST_SUBJECTS else []
    for names in {"auto": (together, *many), "passage": (together,), "subject": (subjects,), "none": ()}[cluster]:
        if any(count > 1 for name, count in Counter(names).items() if name):
            return names
    return None


def chance_accuracy(questions: Sequence[Question]) -> float:
    """Expected accuracy of guessing."""
    return sum(1 / len(question.choices) for question in questions) / len(questions)


def by_subject(rows: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """The predictions of each subject, in alphabetical order; empty where the questions have none."""
    subjects = sorted({row.question.subject for row in rows} - {""})
    return {subject: [row for row in rows if row.question.subject == subject] for subject in subjects}


# --- parts ------------------------------------------------------------------------------------------------------------


def _divided(row: Prediction, lengths: Sequence[int]) -> Sequence[float]:
    return [score / max(1, length) for score, length in zip(row.scores, lengths, strict=True)]


def _mutual(row: Prediction) -> Sequence[float]:
    assert row.unconditional is not None, "measured with evaluation.unconditional"
    return [given - alone for given, alone in zip(row.scores, row.unconditional, strict=True)]


def _choices_only(row: Prediction) -> Sequence[float]:
    assert row.choices_only is not None, "measured with evaluation.choices_only"
    return row.choices_only


SCORES: dict[str, Callable[[Prediction], Sequence[float]]] = {
    "acc": lambda row: row.scores,
    "acc_norm": lambda row: _divided(row, [len(text) for text in row.texts]),
    "acc_bytes": lambda row: _divided(row, [len(text.encode()) for text in row.texts]),
    "acc_tokens": lambda row: _divided(row, row.tokens),
    "acc_mutual_info": _mutual,
    "acc_choices_only": _choices_only,
}
"""The scores whose highest is the answer, by the name of the accuracy."""


def _answers(rows: Sequence[Prediction]) -> dict[str, list[bool]]:
    """For each accuracy that was measured whether each question is right."""
    absent = {"acc_mutual_info"} if any(row.unconditional is None for row in rows) else set()
    absent |= {"acc_choices_only"} if any(row.choices_only is None for row in rows) else set()
    plain = {name: [is_correct(row, name) for row in rows] for name in SCORES if name not in absent}
    return plain | correct_over_orders(rows)


def _accuracy(name: str, answers: Sequence[bool], names: Sequence[str] | None) -> dict[str, float]:
    count, n = sum(answers), len(answers)
    low, high = wilson_interval(count, n)
    if names is not None:
        together = clustered_accuracy(answers, names)
        low, high = together.low, together.high
    error = standard_error(count, n)
    return {name: count / n, f"{name}_stderr": error, f"{name}_ci_low": low, f"{name}_ci_high": high}


def _proof(answers: Sequence[bool], names: Sequence[str] | None, resamples: int | None) -> dict[str, float]:
    """What else is said of acc alone: clusters, the bootstrap, and the difference that these questions could show.

    The latter is between two models of this accuracy that disagree on half as many questions as independent ones
    would, which is typical of models that come from one base.
    """
    share, n, effect = sum(answers) / len(answers), len(answers), 1.0
    found: dict[str, float] = {}
    if names is not None:
        together = clustered_accuracy(answers, names)
        effect, found = together.design_effect, {"clusters": together.clusters}
        if not math.isnan(effect):
            found["acc_stderr_clustered"] = together.standard_error
    if resamples is not None:
        low, high = bootstrap_interval(answers, names, resamples, SEED)
        found |= {"acc_bootstrap_low": low, "acc_bootstrap_high": high}
    return found | {"minimum_detectable_difference": minimum_detectable_difference(n, share * (1 - share), effect)}


def _ties(row: Prediction) -> bool:
    return row.prediction is not None and row.scores.count(max(row.scores)) > 1
