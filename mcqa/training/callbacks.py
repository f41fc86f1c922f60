"""What happens around the updates: counting, measuring dev, logging."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from transformers import TrainerCallback
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from mcqa.config.errors import TrainingError
from mcqa.runs import processes, signals

Measure = Callable[[], dict[str, float]]
"""Measures the model as it is on dev and returns metrics under their names."""

Report = Callable[[dict[str, float], int], None]
"""Takes metrics under their names and the number of updates so far."""

LOGGED_NAMES = {"loss": "train/loss", "grad_norm": "grad_norm", "learning_rate": "learning_rate"}


class CountingCollator(DataCollatorForLanguageModeling):  # type: ignore[misc]
    """Counts what it puts into batches, for speeds and for the share of padding."""

    questions = tokens = places = 0

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        self.questions += sum(len(example["input_ids"]) > 1 for example in examples)
        self.tokens += sum(len(example["input_ids"]) for example in examples)
        self.places += batch["input_ids"].numel()
        return batch


SHARE = 0.05
"""Of the time that saving may take, whatever interval is asked for."""


class CheckpointSchedule(TrainerCallback):  # type: ignore[misc]
    """Asks for a checkpoint `every_s` after the last one, and once more when the run is asked to stop.

    every_s: seconds; None: only after measurements. Slow writing stretches it, so that saving takes SHARE at most.
    """

    def __init__(self, every_s: float | None) -> None:
        self.every_s = every_s
        self.saved, self.took = time.monotonic(), 0.0
        self.stopping = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.stopping, due = processes.any_rank([signals.watch().asked is not None, self.due()])
        if self.stopping or due:
            control.should_save = True

    def due(self) -> bool:
        if self.every_s is None:
            return False
        return time.monotonic() - self.saved >= max(self.every_s, self.took * (1 - SHARE) / SHARE)


class RunAtStart(TrainerCallback):  # type: ignore[misc]
    """Does something once before the first update, when the weights are where the training has them."""

    def __init__(self, do: Callable[[], None]) -> None:
        self.do = do

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.do()


class EvaluationPoints(TrainerCallback):  # type: ignore[misc]
    """Asks for a measurement and a checkpoint after the given updates."""

    def __init__(self, points: set[int]) -> None:
        self.points = points

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step in self.points:
            control.should_evaluate = control.should_save = True


class MetricsLogger(TrainerCallback):  # type: ignore[misc]
    """Hands on what is logged under our names, with speeds that leave measuring on dev out.

    Raises TrainingError at the first loss or gradient that is not a number.
    """

    def __init__(self, observers: Sequence[Report], collator: CountingCollator) -> None:
        self.observers, self.collator = observers, collator
        self.seconds = self.began = 0.0
        self.seen = (0, 0, 0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds += time.perf_counter() - self.began

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        values = {name.removeprefix("eval_"): value for name, value in logs.items() if name.startswith("eval_dev/")}
        values |= {ours: float(logs[theirs]) for theirs, ours in LOGGED_NAMES.items() if theirs in logs}
        if "train/loss" in values:
            scaled = getattr(args, "fp16", False)  # the gradient scaler of fp16 skips its first, overflowing updates
            for name in ("train/loss",) if scaled else ("train/loss", "grad_norm"):
                if not math.isfinite(values.get(name, 0.0)):
                    raise TrainingError(not_finite_message(name, values, state.global_step))
            values |= self._speeds()
        for observe in self.observers if values else ():
            observe(values, state.global_step)

    def _speeds(self) -> dict[str, float]:
        counts = (self.collator.questions, self.collator.tokens, self.collator.places)
        questions, tokens, places = processes.all_reduce_sum(
            [now - before for now, before in zip(counts, self.seen, strict=True)]
        )
        seconds, self.seconds, self.seen = self.seconds, 0.0, counts
        if not (seconds and places):
            return {}
        return {
            "questions_per_second": questions / seconds,
            "tokens_per_second": tokens / seconds,
            "padding_fraction": 1 - tokens / places,
        }


def not_finite_message(name: str, values: dict[str, float], step: int) -> str:
    return (
        f"{name} is {values[name]} after {step} updates (learning rate {values.get('learning_rate', 0):.3g}): "
        "nothing can be learned from there. The usual causes: optimizer.learning_rate too high, "
        "optimizer.max_grad_norm=0, or hardware.precision=fp16 overflowing (take bf16 or fp32)."
    )
