"""Metrics of a list of predictions, under the names that result.json, MLflow and sweeps share."""

from collections.abc import Callable, Sequence

from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics import standard_error, wilson
from mcqa.question import Question


def accuracy(rows: Sequence[Prediction], length: Callable[[str], int] | None = None) -> float:
    """Share of questions whose right choice scores highest, each score divided by the choice's length if given."""
    return sum(_right(row, length) for row in rows) / len(rows)


def _right(row: Prediction, length: Callable[[str], int] | None) -> bool:
    if length is None:
        return row.correct
    scores = [score / max(1, length(text)) for score, text in zip(row.scores, row.texts, strict=True)]
    return scores.index(max(scores)) == row.question.answer


def metrics(rows: Sequence[Prediction]) -> dict[str, float]:
    """acc, acc_norm (by characters), acc_bytes, acc_stderr, 95 % interval, n, and loss in nats per answer token."""
    right = sum(row.correct for row in rows)
    low, high = wilson(right, len(rows))
    answers = [(row.scores[row.question.answer], row.tokens[row.question.answer]) for row in rows]
    return {
        "acc": right / len(rows),
        "acc_norm": accuracy(rows, len),
        "acc_bytes": accuracy(rows, lambda text: len(text.encode())),
        "acc_stderr": standard_error(right, len(rows)),
        "acc_ci_low": low,
        "acc_ci_high": high,
        "n": len(rows),
        "loss": -sum(score for score, _ in answers) / sum(tokens for _, tokens in answers),
    }


def chance(questions: Sequence[Question]) -> float:
    """Expected accuracy of guessing."""
    return sum(1 / len(question.choices) for question in questions) / len(questions)


def by_subject(rows: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """The predictions of each subject, in alphabetical order; empty where the questions have none."""
    subjects = sorted({row.question.subject for row in rows} - {""})
    return {subject: [row for row in rows if row.question.subject == subject] for subject in subjects}
