"""Optimizer, schedule and clipping, under the names of the training loop's arguments."""

from typing import Any

from mcqa.config import OptimizerConfig, SchedulerConfig

OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_bnb_8bit"}
SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


def warmup_steps(config: SchedulerConfig, updates: int) -> int:
    """Updates over which the learning rate rises; at least one where any warm-up is asked for."""
    return max(1, round(config.warmup_ratio * updates)) if config.warmup_ratio else 0


def arguments(optimizer: OptimizerConfig, scheduler: SchedulerConfig, updates: int) -> dict[str, Any]:
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
