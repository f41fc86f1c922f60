"""TRL's trainers with evaluation on dev by log-probability, built from a configuration."""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import get_peft_model
from transformers import PrinterCallback, TrainerCallback
from trl import DPOConfig, SFTConfig, SFTTrainer

from mcqa.config.errors import ConfigError, TrainingError
from mcqa.config.schema import Config, batching
from mcqa.config.trainer_args import trainer_arguments
from mcqa.data.tokens import TrainingSet
from mcqa.models import sharding
from mcqa.training.callbacks import (
    CheckpointSchedule,
    EarlyStopping,
    EvaluationPoints,
    ItemCollator,
    Measure,
    MetricsLogger,
    Report,
    not_finite_message,
)
from mcqa.training.forgetting import Cap, StopAtCap
from mcqa.training.measuring import MeasuringTrainer
from mcqa.training.preferences import PreferenceTrainer
from mcqa.training.update_log import UpdateLog
from mcqa.training.updates import evaluation_points, longest_share, total_updates


class AnswerTrainer(MeasuringTrainer, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer with the losses of our objectives, and dev measured by the log-probability of choices."""


def trl_config(config: Config, folder: Path, examples: int) -> SFTConfig | DPOConfig:
    """Return the arguments of the trainer, once per run.

    While the object lives, DeepSpeed's ZeRO-3 shards the weights of every model that transformers loads.

    Raises:
        ConfigError: objective.trainer_args has a value that TRL refuses.
    """
    ours = sharding.strategy_arguments(config)
    ours |= trainer_arguments(config, folder, total_updates(config, examples))
    try:
        return DPOConfig(**ours) if config.objective.prefers else SFTConfig(**ours)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"objective.trainer_args: {error}") from error


def build(
    config: Config,
    arguments: SFTConfig | DPOConfig,
    model: Any,
    adapter: Any,
    tokenizer: Any,
    training: TrainingSet,
    measure: Measure,
    observers: Sequence[Report],
    callbacks: Sequence[TrainerCallback] = (),
    flush: Callable[[], None] = lambda: None,
    first_epoch: Callable[[], Sequence[int]] | None = None,
    update_log: UpdateLog | None = None,
    cap: Cap | None = None,
) -> MeasuringTrainer:
    """Return a trainer that is ready to start, with the model wrapped in the adapter, if any.

    arguments: those of trl_config. measure: must look at trainer.model. flush: writes what was observed to the disk,
    before a checkpoint counts, since a run that resumes from there would not observe it again. first_epoch: returns the
    order of a curriculum. update_log: keeps what every update was like. cap: on forgetting.

    Raises:
        ConfigError: the trainer refuses an argument of objective.trainer_args.
    """
    padding_rows = batching(config).processes > 1
    dataset = Dataset.from_dict({"row": range(len(training.examples) + padding_rows)})
    collator = ItemCollator(tokenizer.pad_token_id)
    update_log = update_log or UpdateLog()
    all_callbacks = [
        EvaluationPoints(evaluation_points(config, len(training.examples)), longest_share(config)),
        update_log,  # before what stops a run whose loss is no number
        MetricsLogger(observers, collator),
        *callbacks,
    ]
    if (patience := config.evaluation.patience) is not None:
        metric = config.evaluation.stop_metric or config.evaluation.best_metric
        all_callbacks.append(EarlyStopping(metric, patience, config.evaluation.min_delta))
    if cap is not None:
        all_callbacks.append(StopAtCap(cap))
    minutes = config.objective.checkpoint_every_min
    model, exact = sharding.materialise_meta_weights(model), []
    if config.peft.quantization is not None:
        model, adapter = (model, None) if adapter is None else (get_peft_model(model, adapter), None)
        exact = [(weight, weight.data) for weight in model.parameters() if weight.requires_grad]
    kind: type[MeasuringTrainer] = AnswerTrainer
    options: dict[str, Any] = {}
    if config.objective.prefers:
        kind = PreferenceTrainer
        options["ref_model"] = deepcopy(model).requires_grad_(False) if config.peft.trainable == "full" else None
    try:
        trainer = kind(
            config=config,
            training=training,
            measure=measure,
            schedule=CheckpointSchedule(None if minutes is None else 60 * minutes),
            flush=flush,
            first_epoch=first_epoch,
            update_log=update_log,
            cap=cap,
            model=model,
            args=arguments,
            processing_class=tokenizer,
            train_dataset=dataset,
            eval_dataset=dataset.select([0]),  # asked for by the training loop; measure knows the questions
            data_collator=collator,
            callbacks=all_callbacks,
            peft_config=adapter,
            **options,
        )
    except ValueError as error:
        if config.objective.trainer_args:
            raise ConfigError(f"objective.trainer_args: {error}") from error
        raise
    trainer.remove_callback(PrinterCallback)
    for weight, data in exact:  # TRL rounds what is trained over 4-bit weights to bfloat16
        weight.data = data
    _trained_in_single_precision(trainer.model)
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


def _trained_in_single_precision(model: Any) -> None:
    """Small updates of weights in 16 bits, as modules copied from such a base have, are rounded to nothing."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
            parameter.data = parameter.data.float()
