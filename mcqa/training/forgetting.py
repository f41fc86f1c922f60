"""The cap on forgetting: no state is kept whose perplexity of general text has risen by more (max_forgetting)."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import Trainer, TrainerCallback

from mcqa.evaluation.forgetting import PERPLEXITY

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cap:
    """rise: share by which the perplexity may be above that of the base, which is known before the first update."""

    rise: float
    base: Callable[[], float]

    def allows(self, metrics: Mapping[str, float]) -> bool:
        """Whether a state with these metrics of the Trainer is within the cap; one that is no number is not."""
        return metrics[f"eval_{PERPLEXITY}"] <= self.base() * (1 + self.rise)


class StopAtCap(TrainerCallback):  # type: ignore[misc]
    """End the training at the first measurement that is beyond the cap, and say so."""

    def __init__(self, cap: Cap) -> None:
        self.cap = cap

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **kwargs: Any) -> None:
        if self.cap.allows(metrics):
            return
        control.should_training_stop = True
        base, now = self.cap.base(), metrics[f"eval_{PERPLEXITY}"]
        log.warning(
            "The training ends after %d of %d updates: the perplexity of general text rose from %.4g to %.4g, by %.2g "
            "%%, and evaluation.max_forgetting allows %.3g %%. %s",
            state.global_step,
            state.max_steps,
            base,
            now,
            100 * (now / base - 1),
            100 * self.cap.rise,
            "The best state before it is kept."
            if state.best_global_step
            else "No state before it was measured, so the run ends with the weights that it began with.",
        )


class CappedTrainer(Trainer):  # type: ignore[misc]
    """Comes before ResumableTrainer. With a cap the state before the first update is saved, and is the best one as long
    as no other within the cap is measured."""

    cap: Cap | None = None

    def _run_epoch(self, **kwargs: Any) -> None:
        if self.cap is not None and self.state.best_global_step is None:
            self.state.best_metric = -math.inf if self.args.greater_is_better else math.inf
            self.state.best_global_step = self.state.global_step
            self._save_checkpoint(self.model_wrapped, None)
        super()._run_epoch(**kwargs)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        if self.cap is not None and not self.cap.allows(metrics):
            return False
        return bool(super()._determine_best_metric(metrics, trial))
