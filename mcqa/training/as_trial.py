"""What a run does otherwise as a trial of a study: it tells dev at points common to all, and stops where it is told."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from filelock import FileLock
from transformers import TrainerCallback

from mcqa.config.schema import Config
from mcqa.data import token_cache
from mcqa.evaluation import predictions
from mcqa.evaluation.predictions import Prediction
from mcqa.runs import processes
from mcqa.runs.files import flatten
from mcqa.runs.trial import Pruned, Trial
from mcqa.training.updates import evaluation_points, questions_seen

BASE = ("model", "data", "prompt", "peft.quantization", "peft.double_quantization", "hardware.device")

BASE_TOO = ("hardware.precision", "evaluation")
"""What the answers of the base depend on."""


class TrialReporter(TrainerCallback):  # type: ignore[misc]
    """Tells the study the metric that steers at every point, and ends the training where the study has seen enough.

    points: the updates after which dev is measured, each with its point (trainer.evaluation_points).
    Raises Pruned between two updates.
    """

    def __init__(self, trial: Trial, metric: str, points: Mapping[int, int], seen: Callable[[int], int]) -> None:
        self.trial, self.metric, self.points, self.seen = trial, metric, points, seen

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        if processes.is_first() and (point := self.points.get(state.global_step)) is not None:
            self.trial.report(metrics[f"eval_{self.metric}"], point, self.seen(state.global_step))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if processes.broadcast(self.trial.should_prune()):
            raise Pruned


def cached_tokenizer(trial: Trial | None, tokenizer: Any, fingerprint: str) -> AbstractContextManager[Any]:
    """The tokenizer to take tokens from: in a study none reads what an earlier trial has read."""
    if trial is None:
        return nullcontext(tokenizer)
    return token_cache.shared_tokenizer(tokenizer, trial.study / "shared" / f"tokens-{fingerprint}.npz")


def base_predictions(
    trial: Trial, tree: Mapping[str, Any], measure: Callable[[], list[Prediction]]
) -> list[Prediction]:
    """The answers of the base: measured by the first trial of the study that needs them, and read by the others."""
    path = trial.study / "shared" / f"base_dev-{_key(tree)}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")) if processes.is_first() else nullcontext():
        if processes.broadcast(path.exists()):
            return predictions.read(path)
        rows = measure()
        if processes.is_first():
            predictions.write(path, rows)
    return rows


def _key(tree: Mapping[str, Any]) -> str:
    leaves = {key: value for key, value in flatten(tree).items() if key.startswith((*BASE, *BASE_TOO))}
    if leaves["model.path"] is None:  # random weights, which the seed draws
        leaves["seed"] = tree["seed"]
    return hashlib.sha256(json.dumps(leaves, sort_keys=True, default=str).encode()).hexdigest()[:12]


def callbacks(trial: Trial, config: Config, examples: int) -> list[TrainerCallback]:
    points = evaluation_points(config, examples)
    return [TrialReporter(trial, config.evaluation.best_metric, points, partial(questions_seen, config, examples))]
