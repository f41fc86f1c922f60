"""Which arguments of TRL's configuration class objective.trainer_args may set, and which an own key decides."""

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

from mcqa.config.errors import nearest

if TYPE_CHECKING:
    from mcqa.config.schema import Config


GOVERNED = {
    "output_dir": "outputs",
    "run_name": "name",
    "seed": "seed",
    "data_seed": "seed",
    "num_train_epochs": "objective.epochs",
    "max_steps": "objective.max_steps",
    "max_length": "objective.max_length",
    "truncation_mode": "objective.max_length",
    "completion_only_loss": "objective.loss_on",
    "assistant_only_loss": "objective.loss_on",
    "learning_rate": "optimizer.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "max_grad_norm": "optimizer.max_grad_norm",
    "optim": "optimizer.name",
    "adam_beta1": "optimizer.beta1",
    "adam_beta2": "optimizer.beta2",
    "adam_epsilon": "optimizer.eps",
    "gradient_accumulation_steps": "optimizer.gradient_accumulation_steps",
    "per_device_train_batch_size": "hardware.micro_batch_size",
    "per_device_eval_batch_size": "hardware.evaluation_tokens",
    "lr_scheduler_type": "scheduler.name",
    "warmup_steps": "scheduler.warmup_ratio",
    "bf16": "hardware.precision",
    "fp16": "hardware.precision",
    "use_cpu": "hardware.device",
    "gradient_checkpointing": "hardware.gradient_checkpointing",
    "activation_checkpointing": "hardware.gradient_checkpointing",
    "eval_strategy": "evaluation.every",
    "eval_steps": "evaluation.every",
    "save_strategy": "evaluation.every",
    "save_steps": "evaluation.every",
    "save_total_limit": "objective.save_total_limit",
    "load_best_model_at_end": "evaluation.best_metric",
    "metric_for_best_model": "evaluation.best_metric",
    "greater_is_better": "evaluation.best_metric",
    "report_to": "tracking",
    "logging_strategy": "tracking.log_every",
    "logging_steps": "tracking.log_every",
    "trust_remote_code": "model.trust_remote_code",
    "model_init_kwargs": "model",
    "resume_from_checkpoint": "resume",
}
"""Arguments of TRL's configuration class that an own key decides."""

FIXED = {
    "auto_find_batch_size": "a batch size that changes silently would compare different runs",
    "eos_token": "examples come tokenised",
    "eval_packing": "dev is measured question by question",
    "hub_token": "it would end up in files and logs; log in with `hf auth login`",
    "packing": "examples come tokenised, one a row",
    "packing_strategy": "examples come tokenised, one a row",
    "padding_free": "examples come tokenised, one a row",
    "dataset_kwargs": "examples come tokenised, so that what is learned is what is scored",
    "ignore_data_skip": "a resumed run goes on at the same question",
    "save_only_model": "a run could not be resumed",
    "disable_tqdm": "progress is shown by the run itself",
    "logging_nan_inf_filter": "a loss that is not a number must be seen",
    "restore_callback_states_from_checkpoint": "a resumed run goes on with the same state",
}
"""Arguments that the run relies on, and why."""


def trainer_args_problems(config: "Config") -> Iterator[str]:
    if not config.objective.trainer_args:
        return
    from trl import SFTConfig  # seconds, paid only by those who pass arguments on

    known = {field.name for field in fields(SFTConfig)}
    for name in config.objective.trainer_args:
        if name in GOVERNED:
            yield f"objective.trainer_args.{name}: is decided by {GOVERNED[name]}; set that key instead."
        elif name in FIXED:
            yield f"objective.trainer_args.{name}: cannot be changed: {FIXED[name]}."
        elif name not in known:
            yield f"objective.trainer_args.{name}: not an argument of TRL's SFTConfig.{nearest(name, known)}"
