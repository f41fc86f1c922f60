"""Predictions: what a model answered, question by question, and the file that keeps it."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.question import Question


@dataclass(frozen=True)
class OptionOrder:
    """The scores under another order of the options: order[i] is the choice at letter i, scores[i] that letter's."""

    order: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Prediction:
    """One question with the summed log-probability (nats) and the number of scored tokens of each choice.

    letters: the letters were scored and not the choices' texts, so lengths are those of a letter.
    unconditional: the choices' scores without prompt and question, where they were asked for.
    choices_only: their scores with the question removed from the prompt.
    orders: the scores under several orders of the options, the given order first.
    truncated: the question was longer than the model's context and lost its beginning.
    """

    question: Question
    scores: tuple[float, ...]
    tokens: tuple[int, ...]
    letters: bool = False
    unconditional: tuple[float, ...] | None = None
    choices_only: tuple[float, ...] | None = None
    orders: tuple[OptionOrder, ...] = ()
    truncated: bool = False

    @property
    def prediction(self) -> int | None:
        """The choice with the highest score, the first of them where several tie; None where a score is no number."""
        return best_choice(self.scores)

    @property
    def correct(self) -> bool:
        return self.prediction == self.question.answer

    @property
    def texts(self) -> tuple[str, ...]:
        """What was scored, without the space before it."""
        return tuple(ascii_uppercase[: len(self.scores)]) if self.letters else self.question.choices

    def as_row(self) -> dict[str, Any]:
        question = self.question
        row = {
            "id": question.id,
            "question": question.question,
            "choices": list(question.choices),
            "answer": question.answer,
            "prediction": self.prediction,
            "correct": self.correct,
            "scores": _numbers(self.scores),
            "lengths": {
                "characters": [len(text) for text in self.texts],
                "bytes": [len(text.encode()) for text in self.texts],
                "tokens": list(self.tokens),
            },
        }
        extra = {
            "context": question.context,
            "subject": question.subject,
            "cluster": question.cluster,
            "letters": self.letters,
            "unconditional": _numbers(self.unconditional or ()),
            "choices_only": _numbers(self.choices_only or ()),
            "truncated": self.truncated,
            "orders": [{"order": list(one.order), "scores": _numbers(one.scores)} for one in self.orders],
        }
        return row | {key: value for key, value in extra.items() if value}


def best_choice(scores: Sequence[float]) -> int | None:
    """Index of the highest score, the first where several tie; None where one of them is not a number."""
    return None if any(map(math.isnan, scores)) else max(range(len(scores)), key=scores.__getitem__)


def write(path: Path, rows: Sequence[Prediction]) -> None:
    """One JSON line a question, moved into place when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".partial")
    aside.write_text("".join(json.dumps(row.as_row(), ensure_ascii=False) + "\n" for row in rows), "utf-8")
    aside.replace(path)


def read(path: Path) -> list[Prediction]:
    with path.open(encoding="utf-8", newline="\n") as lines:  # str.splitlines would also split at U+2028
        return [_prediction(json.loads(line)) for line in lines]


def _prediction(row: dict[str, Any]) -> Prediction:
    question = Question(
        id=row["id"],
        question=row["question"],
        choices=tuple(row["choices"]),
        answer=row["answer"],
        context=row.get("context", ""),
        subject=row.get("subject", ""),
        cluster=row.get("cluster", ""),
    )
    return Prediction(
        question,
        _scores(row["scores"]),
        tuple(row["lengths"]["tokens"]),
        row.get("letters", False),
        unconditional=_scores(row["unconditional"]) if "unconditional" in row else None,
        choices_only=_scores(row["choices_only"]) if "choices_only" in row else None,
        orders=tuple(OptionOrder(tuple(one["order"]), _scores(one["scores"])) for one in row.get("orders", ())),
        truncated=row.get("truncated", False),
    )


def _numbers(scores: Sequence[float]) -> list[float | None]:
    """JSON has no NaN; null stands for it."""
    return [None if math.isnan(score) else score for score in scores]


def _scores(numbers: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if number is None else number for number in numbers)


NEEDED = ("id", "question", "choices", "answer", "scores", "lengths")


def read_checked(path: Path, run: str) -> list[Prediction]:
    """
    Raises:
        DataError: the file cannot be read or says what no measurement says; run is what to measure again.
    """
    try:
        rows = read(path)
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
