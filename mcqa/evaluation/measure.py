"""Measure a model on question sets: encode once, score as often as wanted."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from mcqa.config.metric_names import needed_for
from mcqa.config.prompt_styles import CHOICE, LETTER, templates
from mcqa.config.schema import Config, EvaluationConfig, HardwareConfig, PromptConfig
from mcqa.data import prompts, tokens
from mcqa.data.prompts import Shots
from mcqa.data.question import Question, reordered
from mcqa.data.tokens import EncodedChoice
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.option_order import orders_to_measure
from mcqa.evaluation.predictions import OptionOrder, Prediction
from mcqa.evaluation.scoring.scorer import ScoredChoices, score
from mcqa.models import devices

log = logging.getLogger(__name__)

Choices = Sequence[Sequence[EncodedChoice]]
"""The encoded choices of every question."""


@dataclass(frozen=True)
class QuestionSet:
    """The questions of a split, encoded once and ready to be scored as often as wanted.

    orders: for each question the orders of the options to measure, the given one first.
    encoded: the choices of each question in all of these orders, one order after the other, so that they share a row.
    measured_texts: of each question those of a Prediction.
    unconditional, choices_only: the choices without prompt and question, or without question; None where not measured.
    """

    split: str
    questions: Sequence[Question]
    orders: Sequence[Sequence[tuple[int, ...]]]
    encoded: Choices
    unconditional: Choices | None
    choices_only: Choices | None
    letters: bool
    measured_texts: Sequence[tuple[str, ...]]
    evaluation: EvaluationConfig


def question_set(
    split: str,
    questions: Sequence[Question],
    prompt: PromptConfig,
    evaluation: EvaluationConfig,
    tokenizer: Any,
    shots: Shots,
) -> QuestionSet:
    """Encode the questions of a split for everything that `evaluation` measures."""
    style = templates(prompt)
    permutations = evaluation.permutations if style.shows_options else None
    orders = [orders_to_measure(len(question.choices), permutations, question.id) for question in questions]
    pairs = zip(questions, orders, strict=True)
    encoded = iter(tokens.encode(tokenizer, prompt, [reordered(q, order) for q, own in pairs for order in own], shots))
    return QuestionSet(
        split,
        questions,
        orders,
        [[choice for _ in own for choice in next(encoded)] for own in orders],
        tokens.encode_unconditional(tokenizer, prompt, questions) if evaluation.unconditional else None,
        tokens.encode(tokenizer, prompt, questions, shots, without_question=True) if evaluation.choices_only else None,
        style.answer == LETTER,
        [_measured_texts(prompt, question) for question in questions],
        replace(evaluation, permutations=permutations),
    )


def _measured_texts(prompt: PromptConfig, question: Question) -> tuple[str, ...]:
    style = templates(prompt)
    is_known = style.answer in (CHOICE, LETTER) and not style.text_names_choice
    return () if is_known else tuple(prompts.texts(prompt, question))


def question_sets(
    splits: Mapping[str, Sequence[Question]], config: Config, tokenizer: Any, shots: Shots
) -> list[QuestionSet]:
    """Encode every split and further set for everything that the configuration measures."""
    return [
        question_set(name, questions, config.prompt_of(name), config.evaluation, tokenizer, shots.of(name))
        for name, questions in splits.items()
    ]


def restrict_to_steering_metrics(evaluation: EvaluationConfig) -> EvaluationConfig:
    """Return the configuration that measures what best_metric and stop_metric need and no more, for dev during
    training."""
    keys = {needed_for(metric) for metric in (evaluation.best_metric, evaluation.stop_metric) if metric}
    return replace(
        evaluation,
        unconditional="unconditional" in keys,
        choices_only="choices_only" in keys,
        permutations=evaluation.permutations if "permutations" in keys else None,
        bootstrap=None,
    )


def measure(model: Any, questions: QuestionSet, hardware: HardwareConfig) -> list[Prediction]:
    """Score all questions with the model, in eval mode and in the precision that it trains in.

    Every process of a run must call it; all of them get all predictions.

    Raises:
        ModelError: one question alone needs more memory than there is.
    """

    def scored(choices: Choices) -> ScoredChoices:
        return score(model, choices, hardware.evaluation_tokens, devices.autocast(hardware))

    given = scored(questions.encoded)
    _log_once(given.method)
    asked = (questions.questions, questions.orders, questions.encoded, questions.measured_texts)
    rows = []
    for question, orders, own, texts, scores, truncated, too_long in zip(
        *asked, given.scores, given.truncated, given.too_long, strict=True
    ):
        n = len(question.choices)  # choices and scores of all orders, one order after the other
        measured = tuple(OptionOrder(order, tuple(scores[i * n : (i + 1) * n])) for i, order in enumerate(orders))
        lengths = tuple(len(choice.continuation) for choice in own[:n])
        row = Prediction(
            question,
            measured[0].scores,
            lengths,
            questions.letters,
            truncated=truncated,
            too_long=too_long,
            measured_texts=texts,
        )
        rows.append(row if questions.evaluation.permutations is None else replace(row, orders=measured))
    for name, choices in (("unconditional", questions.unconditional), ("choices_only", questions.choices_only)):
        if choices is not None:
            further: list[dict[str, Any]] = [{name: tuple(scores)} for scores in scored(choices).scores]
            rows = [replace(row, **fields) for row, fields in zip(rows, further, strict=True)]
    _warn(rows, questions.split)
    return rows


def named_metrics(rows: Sequence[Prediction], questions: QuestionSet) -> dict[str, float]:
    """Return the metrics of predictions for these questions by their names, such as dev/acc."""
    evaluation = questions.evaluation
    metrics = compute_metrics(rows, evaluation.cluster, evaluation.bootstrap)
    return {f"{questions.split}/{name}": value for name, value in metrics.items()}


@cache
def _log_once(text: str) -> None:
    """The same questions are measured many times in a run."""
    log.info(text)


def _warn(rows: Sequence[Prediction], split: str) -> None:
    if count := sum(row.truncated for row in rows):
        log.warning(
            f"{count} of {len(rows)} {split} questions are longer than the model's context and were read without "
            "their beginning."
        )
    if count := sum(row.too_long for row in rows):
        log.warning(
            f"{count} of {len(rows)} {split} questions have a choice longer than the model's context, which cannot be "
            "measured; they count as wrong."
        )
    if count := sum(row.prediction is None and not row.too_long for row in rows):
        log.warning(f"{count} of {len(rows)} {split} questions have a score that is not a number, and count as wrong.")
