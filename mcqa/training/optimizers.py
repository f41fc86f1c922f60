"""Optimizers: parameter groups with learning rates of their own, Muon, and the norms and clipping of gradients.

optimizer.groups names the groups by patterns. LoRA+ (arXiv 2402.12354) is a learning rate of B that is a multiple of
A's, so it is the factor of the group adapter_b.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from transformers import Trainer

from mcqa.config.errors import ConfigError
from mcqa.config.schema import OptimizerConfig, ParameterGroup, SchedulerConfig
from mcqa.training.schedules import Schedule
from mcqa.training.update_log import UpdateLog

REST = ""
"""Name of the group that holds what no pattern is found in."""

PLAIN = ParameterGroup(pattern="", learning_rate_factor=1.0, max_grad_norm=None, weight_decay=None)
"""A group that is treated as all others."""


def group_of(name: str, groups: Mapping[str, ParameterGroup]) -> str:
    """Return the last group whose pattern is found in the name of a parameter, or REST."""
    return next((key for key in reversed(list(groups)) if re.search(groups[key].pattern, name)), REST)


def parameter_groups(model: Any, config: OptimizerConfig, decayed: Collection[str]) -> list[dict[str, Any]]:
    """Return the groups that the optimizer takes: each of ours in parts with and without weight decay.

    decayed: names of parameters that are decayed unless their group says otherwise. The first group has the learning
    rate itself where any has, since that is what is logged.

    Raises:
        ConfigError: a group that is to be treated in a way of its own has no trained parameter.
    """
    tables = {id(table.weight) for table in (model.get_input_embeddings(), model.get_output_embeddings()) if table}
    # Without groups there are two, however empty, as in checkpoints of earlier versions.
    parts: dict[tuple[str, bool, bool], list[Any]] = (
        {} if config.groups else {(REST, True, False): [], (REST, False, False): []}
    )
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            orthogonalised = config.name == "muon" and parameter.ndim == 2 and id(parameter) not in tables
            part = (group_of(name, config.groups), name in decayed, orthogonalised)
            parts.setdefault(part, []).append(parameter)
    trained = {name for name, *_ in parts}
    for name, group in config.groups.items():
        if name not in trained and replace(group, pattern="") != PLAIN:
            raise ConfigError(
                f"optimizer.groups.{name}: no trained parameter is in this group, so its values would do nothing; "
                f"there are trained ones in {', '.join(sorted(trained))}."
            )
    result = []
    for (name, is_decayed, orthogonalised), parameters in parts.items():
        group = config.groups.get(name, PLAIN)
        decay = config.weight_decay if is_decayed else 0.0
        result.append(
            {
                "params": parameters,
                "name": name,
                "orthogonalised": orthogonalised,
                "lr": config.learning_rate * group.learning_rate_factor,
                "weight_decay": decay if group.weight_decay is None else group.weight_decay,
            }
        )
    return sorted(result, key=lambda group: group["lr"] != config.learning_rate)


class MuonWithAdamW(torch.optim.Optimizer):  # type: ignore[misc]
    """Muon for the groups that are orthogonalised and AdamW for the others, as one optimizer.

    Muon's update is scaled to the size of AdamW's (arXiv 2502.16982, section 2.2), so they share learning rates.
    """

    def __init__(self, params: list[dict[str, Any]], lr: float, momentum: float, **adamw: Any) -> None:
        of_muon = {"lr": lr, "momentum": momentum, "adjust_lr_fn": "match_rms_adamw"}
        kinds = {True: (torch.optim.Muon, of_muon), False: (torch.optim.AdamW, {"lr": lr, **adamw})}
        self.parts: dict[bool, torch.optim.Optimizer] = {}
        for orthogonalised, (kind, options) in kinds.items():
            if groups := [group for group in params if group["orthogonalised"] is orthogonalised]:
                self.parts[orthogonalised] = kind(groups, **options)  # which adds the options to the groups
        super().__init__(params, {"lr": lr})

    def step(self, closure: Any = None) -> None:
        """Update all parameters once."""
        assert closure is None, "gradients are computed before"
        for orthogonalised, part in self.parts.items():
            part.state = self.state  # a checkpoint that is loaded replaces both
            part.param_groups = [group for group in self.param_groups if group["orthogonalised"] is orthogonalised]
            part.step()


class OptimizingTrainer(Trainer):  # type: ignore[misc]
    """Comes before transformers' trainer in the order of base classes."""

    optimizer_config: OptimizerConfig
    scheduler_config: SchedulerConfig
    group_norms: dict[str, torch.Tensor]
    lr_scheduler: Any
    update_log: UpdateLog

    def get_optimizer_cls_and_kwargs(self, args: Any, model: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return the class of the optimizer and its arguments, the parameter groups among them."""
        config = self.optimizer_config
        kind, options = Trainer.get_optimizer_cls_and_kwargs(args, model)
        if config.momentum is not None:
            options |= {"momentum": config.momentum}
        if config.name == "muon":
            kind = MuonWithAdamW
        groups = parameter_groups(model, config, self.get_decay_parameter_names(model))
        return kind, options | {"params": groups}

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Schedule:
        """Set up the schedule; return it."""
        if self.lr_scheduler is None:
            optimizer = optimizer or self.optimizer
            self.lr_scheduler = Schedule(optimizer, self.scheduler_config, num_training_steps, self.args.warmup_steps)
        schedule: Schedule = self.lr_scheduler
        return schedule

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measure dev, which a schedule may follow."""
        metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        if isinstance(self.lr_scheduler, Schedule):
            value = metrics[self.args.metric_for_best_model]
            self.lr_scheduler.measured(value if self.args.greater_is_better else -value)
        return metrics

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log the norm of each group's gradients beside that of all."""
        if "grad_norm" in logs:
            logs = logs | {f"grad_norm/{name}": norm.item() for name, norm in self.group_norms.items() if name != REST}
        super().log(logs, *args, **kwargs)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        if grad_norm is None and not self.is_deepspeed_enabled:
            grad_norm = self._clip_grad_norm(model)
        self.update_log.grad_norm = super()._get_grad_norm(model, grad_norm)
        return self.update_log.grad_norm

    def _clip_grad_norm(self, model: Any) -> Any:
        """Scale gradients down to the limit of each group, then of all; return the norm of all before."""
        if self.is_deepspeed_enabled:
            return super()._clip_grad_norm(model)
        self.accelerator.unscale_gradients()
        parameters: dict[str, list[Any]] = {}
        for group in self.optimizer.param_groups:
            parameters.setdefault(group.get("name", REST), []).extend(group["params"])
        self.group_norms, clipped = {}, []
        for name, members in parameters.items():
            gradients = [each.grad for each in members if each.grad is not None]
            if not gradients:
                continue
            norm = get_total_norm(gradients)
            norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # shards of FSDP
            self.group_norms[name] = norm
            limit = self.optimizer_config.groups[name].max_grad_norm if name in self.optimizer_config.groups else None
            clipped.append(_clip(members, limit, norm))
        norm = torch.linalg.vector_norm(torch.stack(list(self.group_norms.values())))
        limit = self.optimizer_config.max_grad_norm or None
        _clip(list(chain(*parameters.values())), limit, torch.linalg.vector_norm(torch.stack(clipped)))
        return norm


def _clip(parameters: list[Any], limit: float | None, norm: torch.Tensor) -> torch.Tensor:
    """Scale gradients of this norm down to a limit; return their norm then."""
    if limit is None:
        return norm
    clip_grads_with_norm_(parameters, limit, norm)
    return norm * (limit / (norm + 1e-6)).clamp(max=1.0)
