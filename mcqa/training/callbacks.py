"""Callbacks of the Trainer: when to measure dev and to save, and what is logged."""

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from mcqa.config.errors import TrainingError
from mcqa.config.metric_names import greater_is_better
from mcqa.evaluation.scoring.tree import Row
from mcqa.runs import processes, signals
from mcqa.training.losses import Item, padding

log = logging.getLogger(__name__)

Measure = Callable[[], dict[str, float]]
"""Measure the model as it is on dev; return metrics by name."""

Report = Callable[[dict[str, float], int], None]
"""Take metrics by name and the number of updates so far."""

LOGGED_NAMES = {
    "loss": "train/loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    **{f"rewards/{name}": f"train/rewards/{name}" for name in ("chosen", "rejected", "margins", "accuracies")},
}
"""The Trainer's names of what it logs, and ours."""

MEASURED = ("eval_dev/", "eval_general/")
"""What the names of everything begin with that is measured during training."""


class ItemCollator:
    """Turn rows of the dataset into items of the current epoch, and count what an update holds.

    items: of every example, for the epoch that begins. Further rows of the dataset are padding. questions, tokens and
    positions, the latter with padding: what was read so far.
    """

    def __init__(self, padding_token: int) -> None:
        self.items: list[Item] = []
        self.padding = padding(padding_token)
        self.questions = self.tokens = self.positions = 0

    def __call__(self, rows: Sequence[dict[str, int]]) -> dict[str, list[Item]]:
        numbers = [row["row"] for row in rows]
        return {"items": [self.items[number] if number < len(self.items) else self.padding for number in numbers]}

    def count(self, questions: int, rows: Sequence[Row]) -> None:
        """Count what goes through the model in one forward pass."""
        self.questions += questions
        self.tokens += sum(len(row.tokens) for row in rows)
        self.positions += len(rows) * max(len(row.tokens) for row in rows)


SAVING_SHARE = 0.05
"""Largest share of the time that is spent on saving, whatever interval is configured."""


class CheckpointSchedule(TrainerCallback):  # type: ignore[misc]
    """Request a checkpoint every_s seconds after the last one, and one more when the run is asked to stop.

    With every_s None only measurements are followed by one. Where writing is slow the interval is longer.
    """

    def __init__(self, every_s: float | None) -> None:
        self.every_s = every_s
        self.saved, self.took = time.monotonic(), 0.0
        self.stopping = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.stopping, due = processes.any_rank([signals.watch().stopping, self.due()])
        if self.stopping or due:
            control.should_save = True

    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        if self.every_s is None:
            return False
        return time.monotonic() - self.saved >= max(self.every_s, self.took * (1 - SAVING_SHARE) / SAVING_SHARE)


class RunAtStart(TrainerCallback):  # type: ignore[misc]
    """Call a function before the first update, when the weights are where training has them (sharded, on the GPU)."""

    def __init__(self, do: Callable[[], None]) -> None:
        self.do = do

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.do()


class AfterUpdate(TrainerCallback):  # type: ignore[misc]
    """Call a function after every update, with the number of updates so far."""

    def __init__(self, do: Callable[[int], None]) -> None:
        self.do = do

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.do(state.global_step)


UNLIMITED_S = 60.0
"""Seconds for measuring dev that a training may take, whatever share of its time that is."""


class EvaluationPoints(TrainerCallback, ExportableState):  # type: ignore[misc]
    """Request a measurement and a checkpoint after the given updates.

    Where measuring takes more than max_share of the time of training, only every second, third … of them is measured,
    and always the last one. How many are left out until the next one is decided after each measurement, by its first
    process, and kept in the checkpoint that follows it: a resumed run measures where the run before would have.
    """

    def __init__(
        self, points: Collection[int], max_share: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.points, self.max_share, self.clock = set(points), max_share, clock
        self.reached = self.measured = self.left_out = self.to_leave_out = 0
        self.training = self.measuring = 0.0  # seconds
        self.since: float | None = None  # of what is going on, training or a measurement; None before the first update

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.since = self.clock() if self.since is None else self.since

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step not in self.points:
            return
        self.reached += 1
        self.training += self._seconds()
        if self.to_leave_out and state.global_step < max(self.points):
            self.to_leave_out -= 1
            self.left_out += 1
        else:
            control.should_evaluate = control.should_save = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.max_share is None or self.since is None:  # one that an earlier start of the run was stopped in
            return
        self.measured += 1
        self.measuring += self._seconds()
        self.to_leave_out = processes.broadcast(self._next_to_leave_out(self.max_share))
        if self.to_leave_out and not self.left_out and processes.is_first():
            log.warning(
                "Measuring dev takes %.0f %% of the time of training, and evaluation.max_time_share allows %.0f %%: "
                "about one of %d measurements is made from here on, and the last one.",
                100 * self.measuring / (self.measuring + self.training),
                100 * self.max_share,
                self.to_leave_out + 1,
            )

    def state(self) -> dict[str, Any]:
        names = ("reached", "measured", "left_out", "to_leave_out", "training", "measuring")
        args = {"points": sorted(self.points), "max_share": self.max_share}
        return {"args": args, "attributes": {name: getattr(self, name) for name in names}}

    def _seconds(self) -> float:
        """Return how long went on what ends now."""
        now = self.clock()
        seconds = 0.0 if self.since is None else now - self.since
        self.since = now
        return seconds

    def _next_to_leave_out(self, share: float) -> int:
        """Return n so that a measurement takes this share of its own time and that of n + 1 intervals of training."""
        if self.measuring <= UNLIMITED_S:
            return 0
        interval, measurement = self.training / self.reached, self.measuring / self.measured
        wanted = measurement * (1 - share) / share
        return max(0, min(math.ceil(wanted / interval) - 1, len(self.points))) if interval else len(self.points)


class EarlyStopping(TrainerCallback, ExportableState):  # type: ignore[misc]
    """End the training after `patience` measurements in a row in which a metric of dev is no better.

    Better is a value that beats the last one that was better by more than min_delta, so that many small steps count
    together.
    """

    def __init__(self, metric: str, patience: int, min_delta: float = 0.0) -> None:
        self.metric, self.patience, self.min_delta = metric, patience, min_delta
        self.best: float | None = None
        self.no_better = 0

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **kwargs: Any) -> None:
        value = metrics[f"eval_{self.metric}"]
        sign = 1 if greater_is_better(self.metric) else -1
        if not math.isnan(value) and (self.best is None or sign * (value - self.best) > self.min_delta):
            self.best, self.no_better = value, 0
            return
        self.no_better += 1
        if self.no_better >= self.patience and state.global_step < state.max_steps:
            control.should_training_stop = True
            log.info(
                "The training ends after %d of %d updates: %s was no better in %d measurement%s (evaluation.patience).",
                state.global_step,
                state.max_steps,
                self.metric,
                self.no_better,
                "s" * (self.no_better > 1),
            )

    def state(self) -> dict[str, Any]:
        args = {"metric": self.metric, "patience": self.patience, "min_delta": self.min_delta}
        return {"args": args, "attributes": {"best": self.best, "no_better": self.no_better}}


class MetricsLogger(TrainerCallback):  # type: ignore[misc]
    """Pass what is logged to the observers, under our names, with speeds that do not count the time of measurements.

    Raises:
        TrainingError: at the first loss or gradient norm that is not finite.
    """

    def __init__(self, observers: Sequence[Report], collator: ItemCollator) -> None:
        self.observers, self.collator = observers, collator
        self.seconds = self.began = 0.0
        self.seen = (0, 0, 0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds += time.perf_counter() - self.began

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        values = {name.removeprefix("eval_"): value for name, value in logs.items() if name.startswith(MEASURED)}
        values |= {name: value for name, value in logs.items() if name.startswith("grad_norm/")}
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
        counts = (self.collator.questions, self.collator.tokens, self.collator.positions)
        questions, tokens, positions = processes.all_reduce_sum(
            [now - before for now, before in zip(counts, self.seen, strict=True)]
        )
        seconds, self.seconds, self.seen = self.seconds, 0.0, counts
        if not (seconds and positions):
            return {}
        return {
            "questions_per_second": questions / seconds,
            "tokens_per_second": tokens / seconds,
            "padding_fraction": 1 - tokens / positions,
        }


def not_finite_message(name: str, values: dict[str, float], step: int) -> str:
    """Return the message of an error: which metric is not finite, after which update, and the usual causes."""
    return (
        f"{name} is {values[name]} after {step} updates (learning rate {values.get('learning_rate', 0):.3g}): "
        "training cannot recover from that. The usual causes: optimizer.learning_rate too high, "
        "optimizer.max_grad_norm=0, or hardware.precision=fp16 overflowing (take bf16 or fp32)."
    )
