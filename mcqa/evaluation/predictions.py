"""Predictions: what a model answered, question by question, and the file that keeps it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from mcqa.encoding import Encoded
from mcqa.question import Question


@dataclass(frozen=True)
class Prediction:
    """One question with the summed log-probability (nats) and the number of scored tokens of each choice.

    letters: the letters were scored and not the choices' texts, so lengths are those of a letter.
    """

    question: Question
    scores: tuple[float, ...]
    tokens: tuple[int, ...]
    letters: bool = False

    @property
    def prediction(self) -> int:
        """The choice with the highest score, the first of them where several tie."""
        return self.scores.index(max(self.scores))

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
            "scores": list(self.scores),
            "lengths": {
                "characters": [len(text) for text in self.texts],
                "bytes": [len(text.encode()) for text in self.texts],
                "tokens": list(self.tokens),
            },
        }
        extra = {"context": question.context, "subject": question.subject, "letters": self.letters}
        return row | {key: value for key, value in extra.items() if value}


def predictions(
    questions: Sequence[Question],
    encoded: Sequence[Sequence[Encoded]],
    scores: Sequence[Sequence[float]],
    letters: bool = False,
) -> list[Prediction]:
    return [
        Prediction(question, tuple(row), tuple(len(choice.continuation) for choice in choices), letters)
        for question, choices, row in zip(questions, encoded, scores, strict=True)
    ]


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
    )
    return Prediction(question, tuple(row["scores"]), tuple(row["lengths"]["tokens"]), row.get("letters", False))
