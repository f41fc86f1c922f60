"""Predictions: what a model answered, question by question, and the file that keeps it."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from mcqa.question import Question


@dataclass(frozen=True)
class Order:
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
    orders: tuple[Order, ...] = ()
    truncated: bool = False

    @property
    def prediction(self) -> int | None:
        """The choice with the highest score, the first of them where several tie; None where a score is no number."""
        return best(self.scores)

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


def best(scores: Sequence[float]) -> int | None:
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
        orders=tuple(Order(tuple(one["order"]), _scores(one["scores"])) for one in row.get("orders", ())),
        truncated=row.get("truncated", False),
    )


def _numbers(scores: Sequence[float]) -> list[float | None]:
    """JSON has no NaN; null stands for it."""
    return [None if math.isnan(score) else score for score in scores]


def _scores(numbers: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if number is None else number for number in numbers)
