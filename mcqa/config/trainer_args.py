"""Which key decides each argument of TRL's configuration class, and how its value follows from that key.

This table is the one place where our names become those of Hugging Face. An argument that is neither in DECIDED nor in
FIXED is free: objective.trainer_args passes it on as it is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from mcqa.config.errors import nearest
from mcqa.config.metric_names import greater_is_better
from mcqa.config.schema import Config, SchedulerConfig, batching

OPTIMIZERS = {
    "adamw": "adamw_torch_fused",
    "adamw_8bit": "adamw_bnb_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
    "lion": "lion_32bit",
    "lion_8bit": "lion_8bit",
    "muon": "adamw_torch_fused",  # which it is for parameters other than matrices: training/optimizers.py
    "sgd": "sgd",
}
"""optimizer.name by the names that transformers has."""


@dataclass(frozen=True)
class Decided:
    """An argument that `key` decides.

    value: None where trainer_arguments sets it, or where it keeps its default, because the trainer gets what it stands
    for in another way (examples come tokenized and already cut to length, for instance).
    """

    key: str
    value: Callable[[Config], Any] | None = None


DECIDED: Mapping[str, Decided] = {
    "output_dir": Decided("outputs"),
    "run_name": Decided("name"),
    "seed": Decided("seed", lambda config: config.seed),
    "data_seed": Decided("order_seed", lambda config: config.question_order_seed),
    "num_train_epochs": Decided("objective.epochs"),  # max_steps counts them too
    "max_steps": Decided("objective.max_steps"),
    "max_length": Decided("objective.max_length", lambda config: config.objective.max_length),
    "truncation_mode": Decided("objective.max_length"),
    "completion_only_loss": Decided("objective.loss_on"),  # the labels of the examples say it
    "assistant_only_loss": Decided("objective.loss_on"),
    "learning_rate": Decided("optimizer.learning_rate", lambda config: config.optimizer.learning_rate),
    "weight_decay": Decided("optimizer.weight_decay", lambda config: config.optimizer.weight_decay),
    "max_grad_norm": Decided("optimizer.max_grad_norm", lambda config: config.optimizer.max_grad_norm),
    "optim": Decided("optimizer.name", lambda config: OPTIMIZERS[config.optimizer.name]),
    "adam_beta1": Decided("optimizer.beta1", lambda config: config.optimizer.beta1),
    "adam_beta2": Decided("optimizer.beta2", lambda config: config.optimizer.beta2),
    "adam_epsilon": Decided("optimizer.eps", lambda config: config.optimizer.eps),
    "gradient_accumulation_steps": Decided("optimizer.gradient_accumulation_steps"),  # micro_batches.py splits updates
    "per_device_train_batch_size": Decided("optimizer.batch_size", lambda config: batching(config).share),
    "neftune_noise_alpha": Decided("objective.neftune_alpha", lambda config: config.objective.neftune_alpha),
    "label_smoothing_factor": Decided("objective.label_smoothing"),  # losses.py has it
    "per_device_eval_batch_size": Decided("hardware.evaluation_tokens"),
    "lr_scheduler_type": Decided("scheduler.name"),  # training/schedules.py has all of them
    "lr_scheduler_kwargs": Decided("scheduler.name"),
    "warmup_steps": Decided("scheduler.warmup_ratio"),
    "bf16": Decided("hardware.precision", lambda config: config.hardware.precision == "bf16"),
    "fp16": Decided("hardware.precision", lambda config: config.hardware.precision == "fp16"),
    "tf32": Decided("hardware.tf32", lambda config: config.hardware.tf32 or None),
    "torch_compile": Decided("hardware.compile", lambda config: config.hardware.compile),
    "use_cpu": Decided(  # DeepSpeed and FSDP are ignored where it is set: models/sharding.py
        "hardware.device",
        lambda config: config.hardware.device == "cpu" and config.hardware.strategy == "ddp",
    ),
    "gradient_checkpointing": Decided(
        "hardware.gradient_checkpointing", lambda config: config.hardware.gradient_checkpointing is True
    ),
    "activation_checkpointing": Decided("hardware.gradient_checkpointing"),
    "eval_strategy": Decided("evaluation.every", lambda config: "steps"),
    "eval_steps": Decided("evaluation.every"),  # callbacks.EvaluationPoints adds the others
    "save_strategy": Decided("evaluation.every", lambda config: "steps"),
    "save_steps": Decided("evaluation.every"),
    "save_total_limit": Decided("objective.save_total_limit"),  # training/resume.py keeps to it
    "load_best_model_at_end": Decided("evaluation.best_metric", lambda config: True),
    "metric_for_best_model": Decided("evaluation.best_metric", lambda config: f"eval_{config.evaluation.best_metric}"),
    "greater_is_better": Decided(
        "evaluation.best_metric", lambda config: greater_is_better(config.evaluation.best_metric)
    ),
    "report_to": Decided("tracking", lambda config: "none"),  # callbacks.MetricsLogger reports
    "logging_strategy": Decided("tracking.log_every"),
    "logging_steps": Decided("tracking.log_every", lambda config: config.tracking.log_every),
    "trust_remote_code": Decided("model.trust_remote_code"),
    "model_init_kwargs": Decided("model"),
    "resume_from_checkpoint": Decided("resume"),
}
"""Arguments that a key of the configuration decides."""

PREFERENCE: Mapping[str, Decided] = {
    "beta": Decided("objective.beta", lambda config: config.objective.beta),
    "loss_type": Decided("objective.preference_loss", lambda config: [config.objective.preference_loss]),
    "loss_weights": Decided("objective.preference_loss"),
    "ld_alpha": Decided("objective.tail_weight", lambda config: config.objective.tail_weight),
    "label_smoothing": Decided("objective.label_smoothing", lambda config: config.objective.label_smoothing),
}
"""Further ones with objective=dpo, of TRL's DPOConfig."""

FIXED: Mapping[str, str] = {
    "auto_find_batch_size": "a batch size that changes silently would compare different runs",
    "eos_token": "examples come tokenized",
    "eval_packing": "dev is measured question by question",
    "hub_token": "it would end up in files and logs; log in with `hf auth login`",
    "packing": "examples come tokenized, one per row",
    "packing_strategy": "examples come tokenized, one per row",
    "padding_free": "examples come tokenized, one per row",
    "dataset_kwargs": "examples come tokenized, so that what is learned is what is scored",
    "log_level": "what a run says is its own",
    "log_level_replica": "what a run says is its own",
    "loss_type": "the loss is that of the objective",
    "remove_unused_columns": "examples come tokenized, in a form of their own",
    "local_rank": "the processes of a run know their own",
    "ignore_data_skip": "a resumed run continues at the same question",
    "save_only_model": "a run could not be resumed",
    "disable_tqdm": "progress is shown by the run itself",
    "logging_nan_inf_filter": "a loss that is not a number must be seen",
    "restore_callback_states_from_checkpoint": "a resumed run continues with the same state",
}
"""Arguments that no user may change, and why."""

PREFERENCE_FIXED: Mapping[str, str] = {
    "precompute_ref_log_probs": "pairs may be others in each epoch",
    "sync_ref_model": "what a run is compared with is the model that it begins from",
    "padding_free": "examples come tokenized, one per row",
}
"""Further ones with objective=dpo."""

NUMBERS = "from 0 to 2147483647"
"""The bound of all arguments of TRL that are free and numbers."""

FIXED_VALUES = {
    "dataset_kwargs": {"skip_prepare_dataset": True},
    "disable_tqdm": True,
    "logging_nan_inf_filter": False,
    "remove_unused_columns": False,
    "restore_callback_states_from_checkpoint": True,
}
"""Their values, where these are not TRL's defaults."""


def trainer_arguments(config: Config, folder: Path, updates: int) -> dict[str, Any]:
    """Return the arguments of a training by their names in TRL's configuration class.

    folder: of the run. updates: optimizer steps of the whole training.
    """
    # Curves begin at the first update. objective.trainer_args may replace both of these defaults.
    defaults = {"logging_first_step": True, "dataloader_pin_memory": config.hardware.device != "cpu"}
    prefers = config.objective.prefers
    table = {**DECIDED, **PREFERENCE} if prefers else DECIDED
    decided = {name: argument.value(config) for name, argument in table.items() if argument.value}
    decided = {name: value for name, value in decided.items() if value is not None}
    decided |= dict.fromkeys(("max_steps", "eval_steps", "save_steps"), updates)
    decided |= {"output_dir": str(folder / "checkpoints"), "warmup_steps": warmup_steps(config.scheduler, updates)}
    fixed = {name: value for name, value in FIXED_VALUES.items() if not (prefers and name == "dataset_kwargs")}
    return defaults | config.objective.trainer_args | decided | fixed


def warmup_steps(config: SchedulerConfig, updates: int) -> int:
    """Return the updates over which the learning rate rises; at least one where any warm-up is asked for."""
    return max(1, round(config.warmup_ratio * updates)) if config.warmup_ratio else 0


def trainer_args_problems(config: Config) -> Iterator[str]:
    """Yield a line for every argument in objective.trainer_args that TRL does not know or that is not free."""
    if not config.objective.trainer_args:
        return
    prefers = config.objective.prefers
    known = argument_types(prefers)
    decided = {**DECIDED, **PREFERENCE} if prefers else DECIDED
    fixed = {**FIXED, **PREFERENCE_FIXED} if prefers else FIXED
    for name in config.objective.trainer_args:
        if name in decided:
            yield f"objective.trainer_args.{name}: is decided by {decided[name].key}; set that key instead."
        elif name in fixed:
            yield f"objective.trainer_args.{name}: cannot be changed: {fixed[name]}."
        elif name not in known:
            of = "DPOConfig" if prefers else "SFTConfig"
            yield f"objective.trainer_args.{name}: not an argument of TRL's {of}.{nearest(name, known)}"


@cache
def argument_types(prefers: bool = False) -> dict[str, Any]:
    """Return the type of each argument of TRL. prefers: of its DPOConfig, not of its SFTConfig."""
    from trl import DPOConfig, SFTConfig  # takes seconds, which only those pay who pass arguments on

    kind = DPOConfig if prefers else SFTConfig
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
