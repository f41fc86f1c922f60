"""Optimizer, schedule and clipping, under the names of the training loop's arguments."""

from pathlib import Path
from typing import Any

from trl import SFTConfig

from mcqa.config.errors import ConfigError
from mcqa.config.metric_names import greater_is_better
from mcqa.config.schema import Config, OptimizerConfig, SchedulerConfig, batching
from mcqa.models import sharding
from mcqa.training.updates import total_updates

OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit"}


SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


def warmup_steps(config: SchedulerConfig, updates: int) -> int:
    """Updates over which the learning rate rises; at least one where any warm-up is asked for."""
    return max(1, round(config.warmup_ratio * updates)) if config.warmup_ratio else 0


def optimizer_arguments(optimizer: OptimizerConfig, scheduler: SchedulerConfig, updates: int) -> dict[str, Any]:
    """Biases and norms are left out of weight decay by the training loop itself."""
    return {
        "optim": OPTIMIZERS[optimizer.name],
        "learning_rate": optimizer.learning_rate,
        "weight_decay": optimizer.weight_decay,
        "max_grad_norm": optimizer.max_grad_norm,
        "adam_beta1": optimizer.beta1,
        "adam_beta2": optimizer.beta2,
        "adam_epsilon": optimizer.eps,
        "lr_scheduler_type": SCHEDULES[scheduler.name],
        "warmup_steps": warmup_steps(scheduler, updates),
    }


def sft_config(config: Config, folder: Path, examples: int) -> SFTConfig:
    """The one place where our names become Hugging Face's."""
    total = total_updates(config, examples)
    machine, metric = config.hardware, config.evaluation.best_metric
    batch = batching(config)
    ours: dict[str, Any] = {
        "output_dir": str(folder / "checkpoints"),
        "seed": config.seed,
        "max_steps": total,
        "max_length": config.objective.max_length,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "per_device_train_batch_size": batch.micro_batch_size,
        "gradient_accumulation_steps": batch.accumulation,
        "use_cpu": machine.device == "cpu" and machine.strategy == "ddp",
        "bf16": machine.precision == "bf16",
        "fp16": machine.precision == "fp16",
        "gradient_checkpointing": machine.gradient_checkpointing,
        "eval_strategy": "steps",  # only the last update; EvaluationPoints adds the others
        "eval_steps": total,
        "save_strategy": "steps",
        "save_steps": total,
        "load_best_model_at_end": True,
        "metric_for_best_model": f"eval_{metric}",
        "greater_is_better": greater_is_better(metric),
        "restore_callback_states_from_checkpoint": True,
        "logging_steps": config.tracking.log_every,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # a loss that is not a number must be seen
        "disable_tqdm": True,
        "report_to": "none",
        "dataloader_pin_memory": machine.device != "cpu",
    }
    ours |= optimizer_arguments(config.optimizer, config.scheduler, total)
    ours |= sharding.strategy_arguments(config)
    try:
        return SFTConfig(**ours | config.objective.trainer_args)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"objective.trainer_args: {error}") from error
