"""Measure a model on questions: encode once, score as often as wanted."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcqa import encoding, hardware
from mcqa.config import HardwareConfig, PromptConfig
from mcqa.evaluation.metrics import metrics
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.scoring import score
from mcqa.question import Question

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QuestionSet:
    """The questions of a split, ready to be scored."""

    split: str
    questions: Sequence[Question]
    encoded: Sequence[Sequence[encoding.Encoded]]
    letters: bool


def question_set(split: str, questions: Sequence[Question], prompt: PromptConfig, tokenizer: Any) -> QuestionSet:
    return QuestionSet(split, questions, encoding.encode(tokenizer, prompt, questions), prompt.style == "letters")


def measure(model: Any, questions: QuestionSet, machine: HardwareConfig) -> list[Prediction]:
    """What the model, in eval mode and in the precision that it trains in, says to every question."""
    scored = score(model, questions.encoded, machine.evaluation_tokens, hardware.autocast(machine))
    if scored.truncated:
        log.warning(
            f"{scored.truncated} of {len(questions.questions)} {questions.split} questions are longer than the "
            "model's context and were read without their beginning."
        )
    return predictions(questions, scored.scores)


def predictions(questions: QuestionSet, scores: Sequence[Sequence[float]]) -> list[Prediction]:
    return [
        Prediction(question, tuple(row), tuple(len(choice.continuation) for choice in choices), questions.letters)
        for question, choices, row in zip(questions.questions, questions.encoded, scores, strict=True)
    ]


def measured(model: Any, questions: QuestionSet, machine: HardwareConfig) -> dict[str, float]:
    """The metrics of `measure` under their names, such as dev/acc."""
    found = metrics(measure(model, questions, machine))
    return {f"{questions.split}/{name}": value for name, value in found.items()}
