"""Measure a model on questions: encode once, score as often as wanted."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from mcqa.config.metric_names import needed_for
from mcqa.config.schema import Config, EvaluationConfig, HardwareConfig, PromptConfig
from mcqa.data import tokens
from mcqa.data.prompts import Shots
from mcqa.data.question import Question, reordered
from mcqa.data.tokens import EncodedChoice
from mcqa.evaluation import option_order
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.predictions import OptionOrder, Prediction
from mcqa.evaluation.scoring.scorer import score
from mcqa.models import devices

log = logging.getLogger(__name__)

Choices = Sequence[Sequence[EncodedChoice]]
"""The choices of every question."""


@dataclass(frozen=True)
class QuestionSet:
    """The questions of a split, ready to be scored.

    orders: the orders of the options to measure for each question, the given one first. encoded has the choices of all
    of them, one order after the other, so that they share a row. unconditional and choices_only are None unless
    they were asked for.
    """

    split: str
    questions: Sequence[Question]
    orders: Sequence[Sequence[tuple[int, ...]]]
    encoded: Choices
    unconditional: Choices | None
    choices_only: Choices | None
    letters: bool
    evaluation: EvaluationConfig


def question_set(
    split: str,
    questions: Sequence[Question],
    prompt: PromptConfig,
    evaluation: EvaluationConfig,
    tokenizer: Any,
    shots: Shots,
) -> QuestionSet:
    planned = [_planned(question, evaluation) for question in questions]
    asked = [
        reordered(question, order) for question, chosen in zip(questions, planned, strict=True) for order in chosen
    ]
    encoded = iter(tokens.encode(tokenizer, prompt, asked, shots))
    return QuestionSet(
        split,
        questions,
        planned,
        [[choice for _ in chosen for choice in next(encoded)] for chosen in planned],
        tokens.encode_unconditional(tokenizer, prompt, questions) if evaluation.unconditional else None,
        tokens.encode(tokenizer, prompt, questions, shots, without_question=True) if evaluation.choices_only else None,
        prompt.style == "letters",
        evaluation,
    )


def question_sets(
    splits: Mapping[str, Sequence[Question]], config: Config, tokenizer: Any, shots: Shots
) -> list[QuestionSet]:
    """Of every split and further set, with everything that is to be measured."""
    return [
        question_set(name, questions, config.prompt, config.evaluation, tokenizer, shots)
        for name, questions in splits.items()
    ]


def restrict_to_best_metric(evaluation: EvaluationConfig) -> EvaluationConfig:
    """What best_metric needs to be measured, and nothing else: for the measurements during training."""
    key = needed_for(evaluation.best_metric)
    return replace(
        evaluation,
        unconditional=key == "unconditional",
        choices_only=key == "choices_only",
        permutations=evaluation.permutations if key == "permutations" else None,
        bootstrap=None,
    )


def measure(model: Any, questions: QuestionSet, machine: HardwareConfig) -> list[Prediction]:
    """What the model, in eval mode and in the precision that it trains in, says to every question."""

    def scored(choices: Choices) -> Any:
        return score(model, choices, machine.evaluation_tokens, devices.autocast(machine))

    main = scored(questions.encoded)
    _say(f"Scoring: {main.way}.")
    rows = _predictions(questions, main.scores, main.truncated)
    if questions.unconditional is not None:
        rows = [
            replace(row, unconditional=tuple(found))
            for row, found in zip(rows, scored(questions.unconditional).scores, strict=True)
        ]
    if questions.choices_only is not None:
        rows = [
            replace(row, choices_only=tuple(found))
            for row, found in zip(rows, scored(questions.choices_only).scores, strict=True)
        ]
    _warn(rows, questions.split)
    return rows


def measure_metrics(model: Any, questions: QuestionSet, machine: HardwareConfig) -> dict[str, float]:
    """The metrics of `measure` under their names, such as dev/acc."""
    found = compute_metrics(
        measure(model, questions, machine), questions.evaluation.cluster, questions.evaluation.bootstrap
    )
    return {f"{questions.split}/{name}": value for name, value in found.items()}


def _planned(question: Question, evaluation: EvaluationConfig) -> list[tuple[int, ...]]:
    if evaluation.permutations is None:
        return [tuple(range(len(question.choices)))]
    return option_order.orders_to_measure(len(question.choices), evaluation.permutations, question.id)


def _predictions(
    questions: QuestionSet, scores: Sequence[Sequence[float]], truncated: Sequence[bool]
) -> list[Prediction]:
    return [
        _prediction(question, planned, choices, row, cut, questions)
        for question, planned, choices, row, cut in zip(
            questions.questions, questions.orders, questions.encoded, scores, truncated, strict=True
        )
    ]


def _prediction(
    question: Question,
    planned: Sequence[tuple[int, ...]],
    choices: Sequence[EncodedChoice],
    scores: Sequence[float],
    truncated: bool,
    of: QuestionSet,
) -> Prediction:
    n = len(question.choices)
    found = [OptionOrder(order, tuple(scores[i * n : (i + 1) * n])) for i, order in enumerate(planned)]
    return Prediction(
        question,
        found[0].scores,
        tuple(len(choice.continuation) for choice in choices[:n]),
        of.letters,
        orders=tuple(found) if of.evaluation.permutations is not None else (),
        truncated=truncated,
    )


@cache
def _say(what: str) -> None:
    """Once a process, however often the same is measured."""
    log.info(what)


def _warn(rows: Sequence[Prediction], split: str) -> None:
    if count := sum(row.truncated for row in rows):
        log.warning(
            f"{count} of {len(rows)} {split} questions are longer than the model's context and were read without "
            "their beginning."
        )
    if count := sum(row.prediction is None for row in rows):
        log.warning(f"{count} of {len(rows)} {split} questions have a score that is not a number, and count as wrong.")
