"""The small trainings behind mcqa.verify, and the tables of what they showed.

They run in the processes and under the strategy that the configuration asks for, as the run itself would. All of them
train; the first one alone compares, since weights and gradients are made whole there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import TrainerCallback

from mcqa.config.schema import Config, batching
from mcqa.data import tokens
from mcqa.data.loading import load_run_data, load_texts
from mcqa.data.prompts import Shots
from mcqa.data.splits import subsample
from mcqa.evaluation.measure import measure_metrics, question_set, restrict_to_best_metric
from mcqa.models import loading, sharding
from mcqa.models.adapters import adapter_config
from mcqa.runs.trial import Preempted
from mcqa.training import trainer
from mcqa.training.callbacks import RunAtStart
from mcqa.training.trainer import sft_config

UPDATES, PER_EPOCH, STOP = 6, 4, 3
DEV_QUESTIONS = 16

TOLERANCE = 1e-3
"""Of a resumed training: the largest difference of a loss or weight, relative to the largest of them. The order of sums
is not fixed on a GPU, nor over more than two processes; where it is, the same bits are asked for."""

GRADIENT_TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2, "fp16": 1e-2}
"""Of a gradient: the largest difference in a tensor, relative to the largest gradient in it. Sums in another order
differ by the rounding of the precision."""


@dataclass
class Training:
    """What a training left: everything by update, and the weights that it moves, on the CPU."""

    logged: dict[int, dict[str, float]] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)

    def observe(self, values: Mapping[str, float], step: int) -> None:
        self.logged.setdefault(step, {}).update(values)


class TinyTraining:
    """The data of a configuration, as many questions as `config` trains on here, and its model, fresh each time."""

    def __init__(self, config: Config, questions: int) -> None:
        data, sentences = load_run_data(config.data, config.evaluation), load_texts(config.data)
        self.config, shots = config, Shots(config.prompt, data.splits["train"])
        self.tokenizer = loading.load_tokenizer(config.model, sentences)
        train = data.splits["train"]
        whole = tokens.training_set(self.tokenizer, config.prompt, config.objective, train, sentences, shots)
        self.training = replace(whole, examples=whole.examples[:questions])
        few = subsample(data.splits["dev"], config.data.seed, DEV_QUESTIONS)
        evaluation = restrict_to_best_metric(config.evaluation)
        self.dev = question_set("dev", few, config.prompt, evaluation, self.tokenizer, shots)

    def train(self, config: Config, folder: Path, left: Training, *further: TrainerCallback) -> None:
        arguments = sft_config(config, folder, len(self.training.examples))
        built = trainer.build(
            config,
            arguments,
            loading.load_model(config.model, config.peft, config.hardware, self.tokenizer, config.seed),
            adapter_config(config.peft),
            self.tokenizer,
            self.training,
            measure=lambda: measure_metrics(built.model, self.dev, config.hardware),
            observers=[left.observe],
            callbacks=[*further, _Ends(left), RunAtStart(lambda: _before_step(built, left))],
        )
        trainer.train(built)


class _Ends(TrainerCallback):  # type: ignore[misc]
    """Keeps the gradients of a single update and the weights after the last one."""

    def __init__(self, left: Training) -> None:
        self.left = left

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        if state.max_steps == 1 and not self.left.gradients:
            self.left.gradients = _gradients(model, lambda parameter: parameter.grad)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        if state.global_step == state.max_steps:
            whole = sharding.full_state_dict(model, trained_only=True)
            self.left.weights = {name: tensor.clone() for name, tensor in whole.items()}


def _before_step(learner: Any, left: Training) -> None:
    """DeepSpeed's engine steps at the end of the last backward pass, before any callback is asked."""
    engine = learner.deepspeed
    if engine is None or learner.state.max_steps > 1:
        return
    from deepspeed.utils import safe_get_full_grad

    step = engine.step

    def keep_and_step(*args: Any, **kwargs: Any) -> Any:
        left.gradients = _gradients(engine.module, safe_get_full_grad)
        return step(*args, **kwargs)

    engine.step = keep_and_step


def _gradients(model: Any, of: Callable[[Any], Any]) -> dict[str, torch.Tensor]:
    """Whole, on the CPU."""
    found = {name: of(p) for name, p in model.named_parameters() if p.requires_grad}
    whole = {name: g.full_tensor() if hasattr(g, "full_tensor") else g for name, g in found.items() if g is not None}
    return {name: gradient.detach().float().cpu().clone() for name, gradient in whole.items()}


class _Stop(TrainerCallback):  # type: ignore[misc]
    """Stops as a kill does: nothing is saved at that moment."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == STOP + 1:
            raise Preempted("stopped")


def resume(config: Config, folder: Path, console: Console) -> bool:
    """UPDATES updates in one go against as many that were stopped in the middle of an epoch and resumed."""
    size = batching(config).batch_size
    config = _for_resume(config)
    small = TinyTraining(config, PER_EPOCH * size)
    straight, resumed = Training(), Training()
    console.print(
        f"{UPDATES} updates of {size} questions, {len(small.training.examples)} questions an epoch, "
        f"{_processes(config)}: in one go, and stopped after update {STOP + 1}, resumed from the checkpoint after "
        f"update {STOP}.",
        highlight=False,
    )
    small.train(config, folder / "straight", straight)
    try:
        small.train(config, folder / "resumed", resumed, _Stop())
    except Preempted:
        small.train(config, folder / "resumed", resumed)
    return _compared(straight, resumed, config, console)


def _for_resume(config: Config) -> Config:
    """Short, measured and saved after STOP updates, logged at every update."""
    return replace(
        config,
        objective=replace(config.objective, max_steps=UPDATES, epochs=None, checkpoint_every_min=None),
        evaluation=replace(config.evaluation, every=STOP, patience=None, limit=DEV_QUESTIONS),
        tracking=replace(config.tracking, log_every=1),
    )


def _processes(config: Config) -> str:
    number = batching(config).processes
    return f"in {number} process{'es' if number > 1 else ''} ({config.hardware.strategy})"


def _compared(straight: Training, resumed: Training, config: Config, console: Console) -> bool:
    metric = config.evaluation.best_metric
    table = Table("update", "loss", "resumed", "difference", metric, "resumed", box=None, header_style="bold")
    largest = 0.0
    for step in sorted(straight.logged):
        ours, theirs = straight.logged[step], resumed.logged.get(step, {})
        difference = max(_apart(ours.get(key), theirs.get(key)) for key in ("train/loss", "grad_norm", metric))
        largest = max(largest, difference)
        cells = [_shown(ours.get("train/loss")), _shown(theirs.get("train/loss")), f"{difference:.1e}"]
        table.add_row(str(step), *cells, _shown(ours.get(metric)), _shown(theirs.get(metric)))
    console.print(table)
    weights, where = _furthest(straight.weights, resumed.weights)
    exact = config.hardware.device == "cpu" and batching(config).processes <= 2
    tolerance = 0.0 if exact else TOLERANCE
    console.print(f"Largest difference of a weight, of {len(straight.weights)} tensors: {weights:.1e}{where}")
    return _verdict(max(largest, weights), tolerance, "A resumed training equals one that was not stopped", console)


def accumulation(config: Config, folder: Path, console: Console) -> bool:
    """The gradient of one update in one piece against the same questions in micro batches."""
    whole = max(2, batching(config).micro_batch_size)
    part = max(size for size in range(1, max(1, whole // 4) + 1) if whole % size == 0)
    size = whole * batching(config).processes
    config = _for_accumulation(config, whole, size)
    small = TinyTraining(config, size)
    gradients = []
    for micro in (whole, part):
        left = Training()
        pieces = replace(config, hardware=replace(config.hardware, micro_batch_size=micro))
        small.train(pieces, folder / str(micro), left)
        gradients.append(left.gradients)
    console.print(f"One update of {size} questions, {_processes(config)}.", highlight=False)
    largest, where = _furthest(*gradients)
    table = Table("update", "pieces", "norm of the gradient", box=None, header_style="bold")
    for micro, found in zip((whole, part), gradients, strict=True):
        norm = math.sqrt(sum(float(gradient.double().pow(2).sum()) for gradient in found.values()))
        table.add_row(f"{size} questions", f"{size // micro} of {micro}", f"{norm:.8g}")
    console.print(table)
    tolerance = GRADIENT_TOLERANCE[config.hardware.precision]
    console.print(f"Largest relative difference of a gradient, of {len(gradients[0])} tensors: {largest:.1e}{where}")
    return _verdict(largest, tolerance, "Micro batches add up to the gradient of the whole batch", console)


def _for_accumulation(config: Config, whole: int, size: int) -> Config:
    """One update without clipping, and without dropout, which draws anew for every piece."""
    dropout = None if config.peft.dropout is None else 0.0
    return replace(
        config,
        objective=replace(config.objective, max_steps=1, epochs=None, checkpoint_every_min=None),
        optimizer=replace(config.optimizer, batch_size=size, gradient_accumulation_steps=None, max_grad_norm=0.0),
        hardware=replace(config.hardware, micro_batch_size=whole),
        peft=replace(config.peft, dropout=dropout),
        evaluation=replace(config.evaluation, every=1, patience=None, limit=DEV_QUESTIONS),
    )


SHOW: Mapping[str, Callable[[Config, Path, Console], bool]] = {"resume": resume, "accumulation": accumulation}


def _furthest(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> tuple[float, str]:
    """The largest difference in a tensor, relative to the largest value in it, and where it is."""
    if ours.keys() != theirs.keys() or not ours:
        return math.inf, ", for they are not the same tensors"
    largest, where = 0.0, ""
    for name, one in ours.items():
        other = theirs[name]
        difference = float((one - other).abs().max() / one.abs().max().clamp(min=1e-30)) if one.numel() else 0.0
        if not difference <= largest:
            largest, where = difference, f" in {name}"
    return (largest if math.isfinite(largest) else math.inf), where


def _apart(one: float | None, other: float | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return abs(one - other) / max(abs(one), 1e-30) if one != other else 0.0


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _verdict(difference: float, tolerance: float, claim: str, console: Console) -> bool:
    held = difference <= tolerance
    allowed = "none is allowed" if tolerance == 0 else f"allowed is {tolerance:.0e}"
    words = claim if held else f"It does not hold: {claim[0].lower()}{claim[1:]}"
    console.print(f"{words} (relative difference {difference:.1e}; {allowed}).", style=None if held else "bold red")
    return held
