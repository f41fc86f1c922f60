"""The checks of mcqa.verify: tiny trainings that must agree, and the tables that show whether they do.

They run in the processes and under the strategy of the configuration, as the run itself would. All processes train,
and the first one compares, since weights and gradients are gathered there.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.table import Table
from transformers import TrainerCallback

from mcqa.config.errors import ConfigError
from mcqa.config.metric_names import length_of
from mcqa.config.schema import Config, batching
from mcqa.data import tokens
from mcqa.data.loading import load_inputs
from mcqa.data.shots import shots_of
from mcqa.evaluation.scoring.forward import Forward
from mcqa.evaluation.scoring.tree import packed_rows
from mcqa.models import loading, sharding
from mcqa.models.loading import adapter_config
from mcqa.runs.trial import Preempted
from mcqa.training import trainer
from mcqa.training.callbacks import RunAtStart
from mcqa.training.losses import item
from mcqa.training.measuring import MeasuringTrainer
from mcqa.training.steering import measure_steering, steering_set
from mcqa.training.trainer import trl_config

UPDATES, UPDATES_PER_EPOCH, STOP = 6, 4, 3  # so that the resumed training also crosses the end of an epoch
DEV_QUESTIONS = 16
MICRO_BATCHES = (16, 8, 1)  # questions of each process in a forward pass, of as many in an update as the first
CHOICE_QUESTIONS = 8  # of each process, in an update
REPEATED_UPDATES = 4

TOLERANCE = 1e-3
"""Of a resumed or repeated training: largest difference of a loss or weight, relative to the value. The order of sums
is not fixed on a GPU, nor over more than two processes; elsewhere no difference is allowed."""

GRADIENT_TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2, "fp16": 1e-2}
"""Of a gradient: largest difference in a tensor, relative to the largest gradient in it. Sums in another order differ
by the rounding of the precision."""

Tensors = Mapping[str, torch.Tensor]


@dataclass
class Trace:
    """What a training did: metrics by update, the weights that it changed, and gradients, on the CPU."""

    metrics: dict[int, dict[str, float]] = field(default_factory=dict)
    weights: Tensors = field(default_factory=dict)
    gradients: Tensors = field(default_factory=dict)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add metrics, as an observer of the trainer."""
        self.metrics.setdefault(step, {}).update(values)


class TinyTraining:
    """A few questions of a configuration as tokens, and its model, loaded anew for each training."""

    def __init__(self, config: Config, questions: int) -> None:
        data, sentences = load_inputs(config)
        shots = shots_of(config, data)
        self.tokenizer = loading.load_tokenizer(config.model, sentences)
        whole = tokens.training_set_of(config, data, self.tokenizer, sentences, shots)
        self.training = whole.first(questions)
        self.dev = steering_set(config, data, self.tokenizer, shots)

    def train(
        self,
        config: Config,
        folder: Path,
        trace: Trace,
        *further: TrainerCallback,
        prepare: Callable[[MeasuringTrainer], None] = lambda built: None,
    ) -> MeasuringTrainer:
        """Train in the folder, from the newest checkpoint there, and add to the trace. prepare: changes the trainer."""
        arguments = trl_config(config, folder, len(self.training.examples))
        built = trainer.build(
            config,
            arguments,
            loading.load_model(config.model, config.peft, config.hardware, self.tokenizer, config.seed),
            adapter_config(config.peft),
            self.tokenizer,
            self.training,
            measure=lambda: measure_steering(built.model, self.dev, config)[0],
            observers=[trace.log],
            callbacks=[*further, _TraceTensors(trace), RunAtStart(lambda: _trace_deepspeed_gradients(built, trace))],
        )
        prepare(built)
        trainer.train(built)
        return built


class _TraceTensors(TrainerCallback):  # type: ignore[misc]
    """Trace the gradients of a training of one update, and the weights after the last update of any."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        if state.max_steps == 1 and not self.trace.gradients:
            self.trace.gradients = _gradients(model, lambda parameter: parameter.grad)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        if state.global_step == state.max_steps:
            weights = sharding.full_state_dict(model, trained_only=True)
            self.trace.weights = {name: tensor.clone() for name, tensor in weights.items()}


def _trace_deepspeed_gradients(built: Any, trace: Trace) -> None:
    """DeepSpeed's engine takes its step at the end of the last backward pass, before any callback is called."""
    engine = built.deepspeed
    if engine is None or built.state.max_steps > 1:
        return
    from deepspeed.utils import safe_get_full_grad

    step = engine.step

    def trace_and_step(*args: Any, **kwargs: Any) -> Any:
        trace.gradients = _gradients(engine.module, safe_get_full_grad)
        return step(*args, **kwargs)

    engine.step = trace_and_step


def _gradients(model: Any, gradient_of: Callable[[Any], Any]) -> Tensors:
    """Return whole gradients on the CPU, gathered where they are sharded."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    own = {name: gradient_of(parameter) for name, parameter in trained.items()}
    whole = {name: g.full_tensor() if hasattr(g, "full_tensor") else g for name, g in own.items() if g is not None}
    return {name: gradient.detach().float().cpu().clone() for name, gradient in whole.items()}


# --- checks -----------------------------------------------------------------------------------------------------------


class _Kill(TrainerCallback):  # type: ignore[misc]
    """Stop as a kill does: nothing is saved at that moment."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == STOP + 1:
            raise Preempted("stopped")


def resume(config: Config, folder: Path, console: Console) -> bool:
    """Whether a training that is stopped in the middle of an epoch and resumed equals one that is not."""
    size = batching(config).batch_size
    config = replace(  # saved after STOP updates only
        _for_check(config, UPDATES, measured_every=STOP), tracking=replace(config.tracking, log_every=1)
    )
    tiny = TinyTraining(config, UPDATES_PER_EPOCH * size)
    straight, resumed = Trace(), Trace()
    console.print(
        f"{UPDATES} updates of {size} questions, {len(tiny.training.examples)} questions an epoch, "
        f"{_processes(config)}: without a stop, and stopped after update {STOP + 1}, resumed from the checkpoint after "
        f"update {STOP}.",
        highlight=False,
    )
    tiny.train(config, folder / "straight", straight)
    try:
        tiny.train(config, folder / "resumed", resumed, _Kill())
    except Preempted:
        tiny.train(config, folder / "resumed", resumed)
    return _compare(straight, resumed, config, console, "resumed", "A resumed training equals one that was not stopped")


def _compare(straight: Trace, other: Trace, config: Config, console: Console, name: str, claim: str) -> bool:
    """Show two trainings, the other one under its name, and say whether the claim holds that they are equal."""
    metric = config.evaluation.best_metric
    table = Table("update", "loss", name, "difference", metric, name, box=None, header_style="bold")
    largest = 0.0
    for step in sorted(straight.metrics):
        ours, theirs = straight.metrics[step], other.metrics.get(step, {})
        difference = max(_difference(ours.get(key), theirs.get(key)) for key in ("train/loss", "grad_norm", metric))
        largest = max(largest, difference)
        cells = [_text(ours.get("train/loss")), _text(theirs.get("train/loss")), f"{difference:.1e}"]
        table.add_row(str(step), *cells, _text(ours.get(metric)), _text(theirs.get(metric)))
    console.print(table)
    weights, where = _largest_difference(straight.weights, other.weights)
    exact = config.hardware.device == "cpu" and batching(config).processes <= 2
    console.print(f"Largest difference of a weight, in {len(straight.weights)} tensors: {weights:.1e}{where}")
    return _verdict(max(largest, weights), 0.0 if exact else TOLERANCE, claim, console)


def accumulation(config: Config, folder: Path, console: Console) -> bool:
    """Whether the gradient of an update is the same in one batch and accumulated over micro batches."""
    size = MICRO_BATCHES[0] * batching(config).processes
    config = _for_one_update(config, size)
    config = replace(config, hardware=replace(config.hardware, training_tokens=1 << 30))  # so that only items are split
    tiny = TinyTraining(config, size)
    gradients = []
    for micro in MICRO_BATCHES:
        trace = Trace()
        hardware = replace(config.hardware, micro_batch_size=micro)
        tiny.train(replace(config, hardware=hardware), folder / str(micro), trace)
        gradients.append(trace.gradients)
    console.print(f"One update of {size} questions, {_processes(config)}.", highlight=False)
    largest, where = max((_largest_difference(gradients[0], tensors) for tensors in gradients[1:]), key=itemgetter(0))
    table = Table("update", "micro batches", "norm of the gradient", box=None, header_style="bold")
    for micro, tensors in zip(MICRO_BATCHES, gradients, strict=True):
        table.add_row(f"{size} questions", f"{MICRO_BATCHES[0] // micro} of {micro}", f"{_norm(tensors):.8g}")
    console.print(table)
    console.print(f"Largest relative difference of a gradient, in {len(gradients[0])} tensors: {largest:.1e}{where}")
    claim = "The gradients of micro batches add up to that of the whole batch"
    return _verdict(largest, GRADIENT_TOLERANCE[config.hardware.precision], claim, console)


def choice(config: Config, folder: Path, console: Console) -> bool:
    """Whether the choices of a question, read as a tree, have the loss and the gradients of a row for each of them."""
    size = CHOICE_QUESTIONS * batching(config).processes
    config = _for_one_update(_with_choice(config), size)
    tiny = TinyTraining(config, size)
    ways = {
        "as a tree": partial(tiny.train, config),
        "in rows": partial(tiny.train, config, prepare=lambda built: setattr(built, "as_trees", False)),
    }
    console.print(f"One update of {size} questions, {_processes(config)}.", highlight=False)
    trees, _, largest = _one_update_each(ways, "choices", folder, console)
    if not trees.as_trees:
        console.print("This model cannot read the choices of a question as a tree; each is a row in any training.")
    claim = "The choices as a tree have the loss and the gradients of plain rows"
    return _verdict(largest, GRADIENT_TOLERANCE[config.hardware.precision], claim, console)


def packing(config: Config, folder: Path, console: Console) -> bool:
    """Whether packed examples have the loss and the gradients of rows of their own, and see no neighbour."""
    size = CHOICE_QUESTIONS * batching(config).processes
    alone = _for_one_update(replace(config, objective=replace(config.objective, packing=False)), size)
    packed = replace(alone, objective=replace(alone.objective, packing=True))
    tiny = TinyTraining(packed, size)
    ways = {"packed": partial(tiny.train, packed), "in rows of their own": partial(tiny.train, alone)}
    console.print(f"One update of {size} questions, {_processes(config)}.", highlight=False)
    built, _, largest = _one_update_each(ways, "examples", folder, console)
    tolerance = GRADIENT_TOLERANCE[config.hardware.precision]
    if built.loss.packing is None:
        console.print("This model cannot read packed examples; each is a row of its own in any training.")
    else:
        seen = _largest_change_by_a_neighbour(built, tiny.training.examples[:2])
        console.print(f"Largest change of a log-probability by another neighbour in front of it: {seen:.1e}")
        largest = max(largest, seen)
    claim = "Packed examples have the loss and the gradients of rows of their own, and none sees another"
    return _verdict(largest, tolerance, claim, console)


def _one_update_each(
    ways: Mapping[str, Callable[..., MeasuringTrainer]], what: str, folder: Path, console: Console
) -> tuple[MeasuringTrainer, MeasuringTrainer, float]:
    """Train one update in two ways, show both, and return the trainers and the largest relative difference.

    ways: take a folder and a trace, by what the table calls them. what: the heading of that column.
    """
    traces, trainers = [Trace(), Trace()], []
    table = Table(what, "tokens read", "loss", "norm of the gradient", box=None, header_style="bold")
    for number, ((name, train), trace) in enumerate(zip(ways.items(), traces, strict=True)):
        trainers.append(train(folder / str(number), trace))
        loss = _text(trace.metrics[1]["train/loss"])
        table.add_row(name, str(trainers[-1].data_collator.tokens), loss, f"{_norm(trace.gradients):.8g}")
    console.print(table)
    loss_difference = _difference(*(trace.metrics[1]["train/loss"] for trace in reversed(traces)))
    gradient, where = _largest_difference(traces[1].gradients, traces[0].gradients)
    console.print(
        f"Largest relative difference of a gradient, in {len(traces[1].gradients)} tensors: {gradient:.1e}{where}"
    )
    return trainers[0], trainers[1], max(loss_difference, gradient)


def _largest_change_by_a_neighbour(built: MeasuringTrainer, examples: Sequence[tokens.Example]) -> float:
    """Return how much the second example's log-probabilities, in nats, change with what stands before it in its row."""
    first, second = (item(example, as_trees=True) for example in examples)
    reversed_first = replace(first, rows=[replace(row, tokens=row.tokens[::-1]) for row in first.rows])
    own = sum(len(row.targets) for row in second.rows)
    built.model.eval()
    with torch.no_grad(), built.compute_loss_context_manager():
        forward = Forward(built.accelerator.unwrap_model(built.model), [])
        scores = [
            forward.targets(packed_rows([*neighbour.rows, *second.rows], 1 << 30)).log_probabilities()[-own:]
            for neighbour in (first, reversed_first)
        ]
    return float((scores[0] - scores[1]).abs().max())


def determinism(config: Config, folder: Path, console: Console) -> bool:
    """Whether two trainings from the same seed are equal."""
    size = batching(config).batch_size
    config = _for_check(config, REPEATED_UPDATES, measured_every=REPEATED_UPDATES)
    config = replace(config, tracking=replace(config.tracking, log_every=1))
    tiny = TinyTraining(config, REPEATED_UPDATES * size)
    first, second = Trace(), Trace()
    tiny.train(config, folder / "first", first)
    tiny.train(config, folder / "second", second)
    console.print(
        f"{REPEATED_UPDATES} updates of {size} questions with seed {config.seed}, {_processes(config)}: twice.",
        highlight=False,
    )
    return _compare(first, second, config, console, "second", "Two trainings from the same seed are equal")


CHECKS: Mapping[str, Callable[[Config, Path, Console], bool]] = {
    "resume": resume,
    "accumulation": accumulation,
    "choice": choice,
    "packing": packing,
    "determinism": determinism,
}


def _with_choice(config: Config) -> Config:
    """Return the configuration with objective choice: as it is configured, or as conf/objective/choice.yaml has it.

    Raises:
        ConfigError: training examples have no choices.
    """
    if config.data.has_conversations:
        raise ConfigError(f"choice: the conversations of data={config.data.name} have no choices; take data=facts.")
    if config.objective.compares_choices:
        return config
    forced = replace(
        config.objective,
        name="choice",
        sft_weight=1.0,
        unlikelihood_weight=0.0,
        normalise=cast(Any, length_of(config.evaluation.best_metric)),
        temperature=1.0,
    )
    return replace(config, objective=forced)


def _for_one_update(config: Config, size: int) -> Config:
    """Return the configuration for an update without clipping, and without dropout and noise, as batches differ in."""
    config = replace(config, objective=replace(config.objective, neftune_alpha=None))
    return replace(
        _for_check(config, updates=1, measured_every=1),
        optimizer=replace(
            config.optimizer, batch_size=size, gradient_accumulation_steps=None, max_grad_norm=0.0, groups={}
        ),
        peft=replace(config.peft, dropout=None if config.peft.dropout is None else 0.0),
    )


def _for_check(config: Config, updates: int, measured_every: int) -> Config:
    """Return the configuration for a few updates; checkpoints are saved after measurements only."""
    return replace(
        config,
        objective=replace(config.objective, max_steps=updates, epochs=None, checkpoint_every_min=None),
        evaluation=replace(
            config.evaluation, every=measured_every, patience=None, limit=DEV_QUESTIONS, max_time_share=None
        ),
    )


def _processes(config: Config) -> str:
    count = batching(config).processes
    return f"in {count} process{'es' if count > 1 else ''} ({config.hardware.strategy})"


def _largest_difference(ours: Tensors, theirs: Tensors) -> tuple[float, str]:
    """Return the largest difference in a tensor, relative to the largest value in it, and the tensor's name."""
    if ours.keys() != theirs.keys() or not ours:
        return math.inf, ", since they are not the same tensors"
    largest, where = 0.0, ""
    for name, tensor in ours.items():
        difference = 0.0
        if tensor.numel():
            difference = float((tensor - theirs[name]).abs().max() / tensor.abs().max().clamp(min=1e-30))
        if not difference <= largest:  # also where it is NaN
            largest, where = difference, f" in {name}"
    return (largest if math.isfinite(largest) else math.inf), where


def _norm(tensors: Tensors) -> float:
    """Return the joint norm of all tensors."""
    return math.sqrt(sum(float(tensor.double().pow(2).sum()) for tensor in tensors.values()))


def _difference(ours: float | None, theirs: float | None) -> float:
    """Return the relative difference; infinite where one of the two is missing."""
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else math.inf
    return abs(ours - theirs) / max(abs(ours), 1e-30) if ours != theirs else 0.0


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _verdict(difference: float, tolerance: float, claim: str, console: Console) -> bool:
    holds = difference <= tolerance
    allowed = "none is allowed" if tolerance == 0 else f"up to {tolerance:.0e} is allowed"
    sentence = claim if holds else f"This does not hold: {claim[0].lower()}{claim[1:]}"
    console.print(f"{sentence} (relative difference {difference:.1e}; {allowed}).", style=None if holds else "bold red")
    return holds
