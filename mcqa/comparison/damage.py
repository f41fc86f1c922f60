"""Predictions from a file that anybody may have changed: read, or refused with the place of the damage."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mcqa.errors import DataError
from mcqa.evaluation import predictions
from mcqa.evaluation.predictions import Prediction
from mcqa.question import Question

NEEDED = ("id", "question", "choices", "answer", "scores", "lengths")


def read(path: Path, run: str) -> list[Prediction]:
    """
    Raises:
        DataError: the file cannot be read or says what no measurement says; run is what to measure again.
    """
    try:
        rows = predictions.read(path)
        faults = [f"line {number}: {fault}" for number, row in enumerate(rows, 1) for fault in _faults(row)]
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        faults = [_damage(path)]
    if not faults and not rows:
        faults = ["it is empty"]
    if not faults and len({row.question.id for row in rows}) < len(rows):
        faults = ["two lines have the same question id"]
    if faults:
        raise DataError(
            f"{path}: {faults[0]}. The file is damaged or was changed; measure again: python -m mcqa.evaluate run={run}"
        )
    return rows


# --- a line that cannot be read ---------------------------------------------------------------------------------------


def _damage(path: Path) -> str:
    try:
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    found = (f"line {number} {problem}" for number, line in enumerate(lines, 1) if (problem := _unreadable(line)))
    return next(found, f"a line has the wrong kind of value for one of {', '.join(NEEDED)}")


def _unreadable(line: bytes) -> str | None:
    if not line.strip():
        return "is blank"
    try:
        row = json.loads(line)
    except ValueError:
        return "is no JSON object"
    if not isinstance(row, dict):
        return "is no JSON object"
    missing = [name for name in NEEDED if name not in row]
    return f"lacks {', '.join(missing)}" if missing else None


# --- a line that says what cannot be ----------------------------------------------------------------------------------


def _faults(row: Prediction) -> Iterator[str]:
    yield from _question_faults(row.question)
    choices = len(row.question.choices)
    yield from _score_faults("scores", row.scores, choices)
    if len(row.tokens) != choices or not all(_is_whole(tokens) and tokens >= 0 for tokens in row.tokens):
        yield f"lengths.tokens must be {choices} whole numbers, one for each choice"
    for name, scores in (("unconditional", row.unconditional), ("choices_only", row.choices_only)):
        if scores is not None:
            yield from _score_faults(name, scores, choices)
    for one in row.orders:
        if not all(map(_is_whole, one.order)) or sorted(one.order) != list(range(choices)):
            yield f"the order {list(one.order)} does not name each of {choices} choices once"
        yield from _score_faults("scores of an order", one.scores, choices)


def _question_faults(question: Question) -> Iterator[str]:
    texts = (question.id, question.question, question.context, question.subject, question.cluster)
    if not all(isinstance(text, str) for text in texts):
        yield "id, question, context, subject and cluster must be texts"
    if not all(isinstance(choice, str) for choice in question.choices):
        yield "choices must be texts"
    if len(question.choices) < 2:
        yield f"{len(question.choices)} choices; at least two are needed"
    if not _is_whole(question.answer) or not 0 <= question.answer < len(question.choices):
        yield f"answer {question.answer!r} is none of its {len(question.choices)} choices"


def _score_faults(name: str, scores: Sequence[Any], choices: int) -> Iterator[str]:
    if len(scores) != choices:
        yield f"{len(scores)} {name} for {choices} choices"
    if strange := [score for score in scores if not isinstance(score, float) and not _is_whole(score)]:
        yield f"{name} must be numbers, not {strange[0]!r}"


def _is_whole(value: Any) -> bool:
    """Truth values are whole numbers to Python."""
    return isinstance(value, int) and not isinstance(value, bool)
