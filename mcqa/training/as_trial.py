"""What a run does differently as a trial of a study: it reports dev, can be pruned or paused, and shares work.

Tokens and the predictions of the base model are the same in most trials; they lie in the folder `shared` of the study.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from filelock import FileLock
from transformers import TrainerCallback

from mcqa.config.schema import Config, ConfigDict
from mcqa.config.trainer_args import warmup_steps
from mcqa.data import token_cache
from mcqa.data.question import Question
from mcqa.evaluation.decisions import SCORES, is_correct
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.record import measured_once
from mcqa.runs import processes, signals
from mcqa.runs.files import flatten
from mcqa.runs.trial import Pruned, Trial
from mcqa.training.updates import evaluation_points, questions_seen, total_updates

MODEL_KEYS = (
    "model",
    "peft.path",
    "peft.quantization",
    "peft.double_quantization",
    "hardware.device",
    "hardware.precision",
)
QUESTION_KEYS = ("data", "prompt", "evaluation")
"""What the predictions of the base model depend on: prefixes of keys."""


class TrialReporter(TrainerCallback):  # type: ignore[misc]
    """Report the study's metric at every point, and stop the training when the study prunes or pauses the trial.

    A trial that pauses stops as by a signal, after a checkpoint; one that has made its last update ends instead.

    points: the updates after which dev is measured, each with its point (updates.evaluation_points). seen: how many
    questions were read until the end of an update. answers: the predictions of the latest measurement of dev. warmup:
    updates in which the learning rate rises.

    Raises:
        Pruned: between two updates.
    """

    def __init__(
        self,
        trial: Trial,
        metric: str,
        points: Mapping[int, int],
        seen: Callable[[int], int],
        answers: Sequence[Prediction] = (),
        warmup: int = 0,
    ) -> None:
        self.trial, self.metric, self.points, self.seen = trial, metric, points, seen
        self.answers, self.warmup = answers, warmup

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        if processes.is_first() and (point := self.points.get(state.global_step)) is not None:
            value, seen = metrics[f"eval_{self.metric}"], self.seen(state.global_step)
            share, warm = state.global_step / state.max_steps, state.global_step > self.warmup
            self.trial.report(value, point, seen, right_answers(self.answers, self.metric), share, warm)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        asked = processes.broadcast(2 * self.trial.should_prune() + self.trial.should_pause())
        if asked >= 2:
            raise Pruned
        if asked and state.global_step < state.max_steps:
            signals.watch().pausing = True


def right_answers(rows: Sequence[Prediction], metric: str) -> list[bool] | None:
    """Return which questions are answered right by the metric; None where it is not an accuracy of single questions."""
    name = metric.rpartition("/")[2]
    return [is_correct(row, name) for row in rows] if rows and name in SCORES else None


def cached_tokenizer(trial: Trial | None, tokenizer: Any, fingerprint: str) -> AbstractContextManager[Any]:
    """Return the tokenizer, in a study with a cache that its trials share. fingerprint: of the tokenizer."""
    if trial is None:
        return nullcontext(tokenizer)
    return token_cache.shared_tokenizer(tokenizer, trial.study / "shared" / f"tokens-{fingerprint}.npz")


def base_predictions(
    trial: Trial, config_dict: ConfigDict, questions: Sequence[Question], measure: Callable[[], list[Prediction]]
) -> list[Prediction]:
    """Return the predictions of the base model: the first trial that needs them measures, the others read them."""
    path = trial.study / "shared" / f"base_dev-{_key(config_dict)}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")) if processes.is_first() else nullcontext():
        return measured_once(path, questions, measure)


def _key(config_dict: ConfigDict) -> str:
    leaves = {key: value for key, value in flatten(config_dict).items() if key.startswith(MODEL_KEYS + QUESTION_KEYS)}
    if leaves["model.path"] is None:  # random weights, which the seed draws
        leaves["seed"] = config_dict["seed"]
    return hashlib.sha256(json.dumps(leaves, sort_keys=True, default=str).encode()).hexdigest()[:12]


def measured_at_every_point(config: Config) -> Config:
    """Return the configuration of a trial, which leaves no measurement out: trials are compared at equal points."""
    return replace(config, evaluation=replace(config.evaluation, max_time_share=None))


def callbacks(trial: Trial, config: Config, examples: int, answers: Sequence[Prediction]) -> list[TrainerCallback]:
    """Return the callbacks of a trial.

    examples: the number of training examples. answers: the predictions of the latest measurement of dev.
    """
    points, seen = evaluation_points(config, examples), partial(questions_seen, config, examples)
    warmup = warmup_steps(config.scheduler, total_updates(config, examples))
    return [TrialReporter(trial, config.evaluation.best_metric, points, seen, answers, warmup)]
