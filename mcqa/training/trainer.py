"""TRL's SFTTrainer with evaluation on dev by log-probability, built from a configuration."""

import inspect
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_callback import EarlyStoppingCallback
from trl import SFTConfig, SFTTrainer

from mcqa.config.errors import ConfigError, ModelError, TrainingError
from mcqa.config.schema import Config, batching
from mcqa.config.trainer_args import trainer_arguments
from mcqa.data.tokens import IGNORE_INDEX, Example, TrainingSet
from mcqa.models import sharding
from mcqa.training.callbacks import (
    CheckpointSchedule,
    CountingCollator,
    EvaluationPoints,
    Measure,
    MetricsLogger,
    Report,
    not_finite_message,
)
from mcqa.training.resume import ResumableTrainer
from mcqa.training.updates import evaluation_points, total_updates


class MeasuringTrainer(ResumableTrainer, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that is evaluated by the log-probability of choices instead of token accuracy.

    The best checkpoint and early stopping then follow that, as they follow its own metrics otherwise.
    """

    def __init__(
        self,
        measure: Measure,
        questions: int,
        schedule: CheckpointSchedule,
        keep: int,
        flush: Callable[[], None],
        **kwargs: Any,
    ) -> None:
        """questions: those of train_dataset, which may have one row more, the padding (PaddedSampler)."""
        super().__init__(**kwargs)
        self.measure, self.questions = measure, questions
        self.schedule, self.keep, self.flush = schedule, keep, flush
        self.add_callback(schedule)
        bare = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        self.chooses_logits = "logits_to_keep" in inspect.signature(type(bare).forward).parameters

    def measured(self) -> dict[str, float]:
        return {f"eval_{name}": value for name, value in self.measure().items()}

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return TRL's loss. On a CPU, logits are computed only where there is a label; TRL computes all of them.

        Shapes: B rows, T tokens, P positions with a label in any row, V vocabulary.
        """
        args = self.args
        plain = args.loss_type == "nll" and not args.label_smoothing_factor and not self.aux_loss_enabled
        short = args.device.type == "cpu" and plain and self.chooses_logits
        if not short or return_outputs or num_items_in_batch is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels_BT = inputs["labels"]
        positions_P = (labels_BT[:, 1:] != IGNORE_INDEX).any(dim=0).nonzero().squeeze(1)
        read = {name: tensor for name, tensor in inputs.items() if name != "labels"}
        logits_BPV = model(**read, use_cache=False, logits_to_keep=positions_P).logits
        targets_BP = labels_BT[:, positions_P + 1]
        losses = torch.nn.functional.cross_entropy(
            logits_BPV.float().flatten(0, 1), targets_BP.flatten(), ignore_index=IGNORE_INDEX, reduction="sum"
        )
        return losses * self.accelerator.num_processes / num_items_in_batch


def sft_config(config: Config, folder: Path, examples: int) -> SFTConfig:
    """Return the arguments of the trainer, once per run.

    While the object lives, DeepSpeed's ZeRO-3 shards the weights of every model that transformers loads.

    Raises:
        ConfigError: objective.trainer_args has a value that TRL refuses.
    """
    ours = sharding.strategy_arguments(config)
    ours |= trainer_arguments(config, folder, total_updates(config, examples))
    try:
        return SFTConfig(**ours)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"objective.trainer_args: {error}") from error


def build(
    config: Config,
    arguments: SFTConfig,
    model: Any,
    adapter: Any,
    tokenizer: Any,
    training: TrainingSet,
    measure: Measure,
    observers: Sequence[Report],
    callbacks: Sequence[TrainerCallback] = (),
    flush: Callable[[], None] = lambda: None,
) -> MeasuringTrainer:
    """Return a trainer that is ready to start, with the model wrapped in the adapter, if any.

    arguments: those of sft_config. measure: must look at trainer.model. flush: writes what was observed to the disk,
    before a checkpoint counts, since a run that resumes from there would not observe it again.

    Raises:
        ModelError: peft.target_modules names no layer of the model.
        ConfigError: the trainer refuses an argument of objective.trainer_args.
    """
    padding = [Example([tokenizer.pad_token_id], [IGNORE_INDEX])] if batching(config).processes > 1 else []
    rows = [*training.examples, *padding]
    dataset = Dataset.from_dict({"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]})
    collator = CountingCollator(pad_token_id=tokenizer.pad_token_id, pad_to_multiple_of=arguments.pad_to_multiple_of)
    all_callbacks = [
        EvaluationPoints(set(evaluation_points(config, len(training.examples)))),
        MetricsLogger(observers, collator),
        *callbacks,
    ]
    if config.evaluation.patience is not None:
        all_callbacks.append(EarlyStoppingCallback(config.evaluation.patience))
    minutes = config.objective.checkpoint_every_min
    try:
        trainer = MeasuringTrainer(
            measure=measure,
            questions=len(training.examples),
            schedule=CheckpointSchedule(None if minutes is None else 60 * minutes),
            keep=config.objective.save_total_limit,
            flush=flush,
            model=sharding.materialise_meta_weights(model),
            args=arguments,
            processing_class=tokenizer,
            train_dataset=dataset,
            eval_dataset=dataset.select([0]),  # asked for by the training loop; measure knows the questions
            data_collator=collator,
            callbacks=all_callbacks,
            peft_config=adapter,
        )
    except ValueError as error:
        if "arget modules" in str(error):
            raise ModelError(f"peft.target_modules={config.peft.target_modules}: {error}") from error
        if config.objective.trainer_args:
            raise ConfigError(f"objective.trainer_args: {error}") from error
        raise
    trainer.remove_callback(PrinterCallback)
    _adapters_in_single_precision(trainer.model)
    return trainer


def train(trainer: MeasuringTrainer) -> None:
    """Train to the end, from the newest checkpoint if there is one; trainer.model is then the best measured state.

    Raises:
        TrainingError: the loss is not finite, or the disk takes no checkpoint.
        Preempted: a signal asked the run to stop; a checkpoint is saved.
    """
    output = trainer.resume()
    if output is not None and not math.isfinite(output.training_loss):
        raise TrainingError(not_finite_message("train/loss", {"train/loss": output.training_loss}, output.global_step))


def _adapters_in_single_precision(model: Any) -> None:
    """Undo TRL's cast of adapters over 4-bit weights to bfloat16, in which small updates are rounded to nothing."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.float()
