"""What all trainers share: updates in as many forward passes as needed, and dev measured by log-probability."""

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import replace
from typing import Any

import torch

from mcqa.config.errors import TrainingError
from mcqa.config.schema import Config
from mcqa.data.tokens import Example, TrainingSet
from mcqa.evaluation.scoring.forward import Forward
from mcqa.evaluation.scoring.scorer import attention_window, reads_trees
from mcqa.runs import processes
from mcqa.training import micro_batches
from mcqa.training.callbacks import CheckpointSchedule, EvaluationPoints, Measure
from mcqa.training.forgetting import Cap, CappedTrainer
from mcqa.training.losses import Item, Loss, item
from mcqa.training.optimizers import OptimizingTrainer
from mcqa.training.resume import ResumableTrainer
from mcqa.training.update_log import UpdateLog

log = logging.getLogger(__name__)


class MeasuringTrainer(CappedTrainer, OptimizingTrainer, ResumableTrainer):
    """Comes before TRL's trainer in the order of base classes.

    The best checkpoint and early stopping follow what is measured, as they follow its own metrics otherwise. A batch of
    the Trainer is this process's share of a whole update; training_step splits it into forward passes.
    """

    def __init__(
        self,
        config: Config,
        training: TrainingSet,
        measure: Measure,
        schedule: CheckpointSchedule,
        flush: Callable[[], None],
        first_epoch: Callable[[], Sequence[int]] | None,
        update_log: UpdateLog,
        cap: Cap | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.first_epoch, self.update_log = first_epoch, update_log
        self.training, self.questions = training, len(training.examples)
        self.measure, self.schedule, self.flush = measure, schedule, flush
        self.optimizer_config, self.scheduler_config, self.group_norms = config.optimizer, config.scheduler, {}
        self.keep, self.cap = config.objective.save_total_limit, cap
        self.add_callback(schedule)
        self.loss = Loss(config.objective)
        self.as_trees: bool | None = None  # not known before the first update
        vocabulary = self._bare().config.get_text_config().vocab_size
        self.limits = micro_batches.budget(config.hardware, vocabulary, packed=self.loss.packing is not None)

    def measured(self) -> dict[str, float]:
        return {f"eval_{name}": value for name, value in self.measure().items()}

    @property
    def measurements_left_out(self) -> int:
        """How many measurements of dev were left out until the last checkpoint."""
        stored: dict[str, Any] = self.state.stateful_callbacks.get(EvaluationPoints.__name__, {})
        return int(stored.get("attributes", {}).get("left_out", 0))

    def _run_epoch(self, **kwargs: Any) -> None:
        if self.as_trees is None:
            self.as_trees = self._choose_rows()
        examples = self.training.epoch(kwargs["epoch"])
        self.data_collator.items = self.items(examples)
        super()._run_epoch(**kwargs)

    def items(self, examples: Sequence[Example]) -> list[Item]:
        """Return the rows of each example."""
        return [item(example, bool(self.as_trees)) for example in examples]

    def _bare(self) -> Any:
        """Return the model without an adapter's and a strategy's wrappers."""
        model = self.accelerator.unwrap_model(self.model)
        return model.get_base_model() if hasattr(model, "get_base_model") else model

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _choose_rows(self) -> bool:
        """Return whether the choices of a question are read as a tree; turn packing off where the model cannot do it.

        Both are tried on a few examples, since a model that ignores the mask would learn something else in silence.
        """
        packing = self.loss.packing is not None
        if not (self.loss.is_choice or packing):
            return True
        if self._bare().config._attn_implementation not in ("sdpa", "eager"):  # others take no such mask
            self._bare().set_attn_implementation("sdpa")
        model = self.accelerator.unwrap_model(self.model)
        questions = [example.choices for example in self.training.examples]
        as_trees = not self.loss.is_choice or reads_trees(model, questions)
        if not as_trees:
            log.warning(
                "This model cannot read the choices of a question as a tree: on two questions its scores differ from "
                "those of plain rows. Each choice is a row of its own: the same loss, at several times the cost."
            )
        if packing and not self._can_pack(model, as_trees):
            self.loss.packing, self.limits = None, replace(self.limits, packed=False)
            log.warning(
                "objective.packing is left out: with packed examples this model's loss differs from that of the same "
                "examples in rows of their own (its attention may reach over a window only)."
            )
        return as_trees

    def _can_pack(self, model: Any, as_trees: bool) -> bool:
        """Whether three packed examples have the loss that they have in rows of their own, in every process."""
        items = [item(example, as_trees) for example in self.training.examples[:3]]
        packed, forward = self.loss, Forward(model, [])
        alone = copy(packed)
        alone.packing = None
        training = model.training
        model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            losses = [loss(forward, items, loss.counts(items)).item() for loss in (packed, alone)]
        model.train(training)
        longest = max(len(example.input_ids) for example in self.training.examples)
        equal = math.isclose(*losses, rel_tol=forward.relative, abs_tol=forward.absolute)
        return bool(processes.min_over_ranks(int(equal and longest <= attention_window(model))))

    # --- one update ---------------------------------------------------------------------------------------------------

    def training_step(self, model: Any, inputs: dict[str, list[Item]], num_items_in_batch: Any = None) -> torch.Tensor:
        """Add the gradient of an update, in as many forward passes as the device needs; return its loss.

        Raises:
            TrainingError: a single question needs more memory than there is.
        """
        items = inputs["items"]
        counts = processes.all_reduce_sum(self.loss.counts(items))
        real = [each for each in items if each.weight] or items[:1]
        while True:
            loss, batches = torch.zeros((), device=self.args.device), self._batches(real)
            batch = batches[0]
            try:
                for batch in batches:
                    loss += self._forward_and_backward(model, batch, counts, batch is batches[-1])
                self.update_log.loss = loss
                return loss
            except torch.OutOfMemoryError as error:
                self._halve(batch, error)
            model.zero_grad()
            torch.cuda.empty_cache()  # here, where the error no longer holds on to what was computed

    def _batches(self, items: list[Item]) -> list[list[Item]]:
        """Return the items in forward passes. Where weights are sharded every process must take equally many."""
        batches = micro_batches.split(items, self.limits)
        most = -processes.min_over_ranks(-len(batches))
        if len(batches) < most:
            batches = micro_batches.split(items, self.limits, at_least=most)
        return [*([[self.data_collator.padding]] * (most - len(batches))), *batches]

    def _forward_and_backward(self, model: Any, batch: list[Item], counts: list[float], is_last: bool) -> torch.Tensor:
        """Process one batch as the Trainer does; gradients are averaged over the processes after the last one."""
        self.data_collator.count(sum(each.weight > 0 for each in batch), self.loss.rows(batch))
        state = self.accelerator.gradient_state
        state._set_sync_gradients(is_last)
        every = state.plugin_kwargs.get("sync_each_batch", False) or self.is_deepspeed_enabled
        with nullcontext() if is_last or every else self.accelerator.no_sync(model):
            return super().training_step(model, {"items": batch, "counts": counts})

    _forward: Forward | None = None

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return a batch's share of the loss of its update; times the processes, whose gradients are averaged."""
        if self._forward is None or self._forward.wrapped is not model:  # unwrapping looks at every module
            self._forward = Forward(self.accelerator.unwrap_model(model), [], wrapped=model)
        return self.loss(self._forward, inputs["items"], inputs["counts"]) * self.accelerator.num_processes

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: the Trainer's estimate is of batches of another form, and nothing reads it."""
        return 0

    def _halve(self, batch: list[Item], error: torch.OutOfMemoryError) -> None:
        if len(batch) == 1 or processes.world_size() > 1:  # the others wait in a collective
            smaller = "peft=qlora or a smaller model" if len(batch) == 1 else "a smaller hardware.training_tokens"
            raise TrainingError(
                f"The device ran out of memory in a forward pass of {len(batch)} question{'s' * (len(batch) > 1)} of "
                f"up to {batch[0].longest} tokens. Take {smaller}, or hardware.gradient_checkpointing=true, and resume."
            ) from error
        self.limits = self.limits.halved(batch)
        log.warning(
            "The device ran out of memory with %d questions in a forward pass. The update is begun again with half as "
            "many; its result is the same.",
            len(batch),
        )
