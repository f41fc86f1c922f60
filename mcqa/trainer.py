"""From a Config to TRL's SFTTrainer: its arguments, a collator that counts, callbacks, and measuring on dev."""

import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_callback import EarlyStoppingCallback
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from mcqa import optim, processes, sharding
from mcqa.config import Config, batching
from mcqa.encoding import IGNORED, Example, TrainingSet
from mcqa.errors import ConfigError, ModelError, TrainingError
from mcqa.resumable import Resumable, Saves
from mcqa.rules import greater_is_better

Measure = Callable[[], dict[str, float]]
"""Measures the model as it is on dev and returns metrics under their names."""
Report = Callable[[dict[str, float], int], None]
"""Takes metrics under their names and the number of updates so far."""

CONTRACT = {"loss": "train/loss", "grad_norm": "grad_norm", "learning_rate": "learning_rate"}


def updates_per_epoch(config: Config, examples: int) -> int:
    """The last update of an epoch takes what is left."""
    return math.ceil(examples / batching(config).batch_size)


def updates(config: Config, examples: int) -> int:
    """Updates of the whole training: epochs' worth, or max_steps where that is less."""
    objective = config.objective
    limit = objective.max_steps if objective.max_steps is not None else math.inf
    epochs = objective.epochs if objective.epochs is not None else math.inf
    return int(
        max(
            1,
            min(math.ceil(updates_per_epoch(config, examples) * epochs) if epochs < math.inf else limit, limit),
        )
    )


def questions_seen(config: Config, examples: int, update: int) -> int:
    """Questions read until the end of this update, counted over all epochs."""
    epochs, rest = divmod(update, updates_per_epoch(config, examples))
    return epochs * examples + min(rest * batching(config).batch_size, examples)


def evaluation_points(config: Config, examples: int) -> dict[int, int]:
    """The updates after which dev is measured, the last one always among them, each with its point.

    Points are numbers of questions seen. Those of `k/epoch` depend on no batch size, so runs of different batch sizes
    are compared at equal points: each is measured at the first update at or past a point.
    """
    total, every = updates(config, examples), config.evaluation.every
    last = {total: questions_seen(config, examples, total)}
    if isinstance(every, int):
        return {update: questions_seen(config, examples, update) for update in range(every, total + 1, every)} | last
    times, found = int(every.removesuffix("/epoch")), dict[int, int]()
    for k in range(1, last[total] * times // examples + 1):
        if point := round(k * examples / times):
            epochs, rest = divmod(point - 1, examples)
            update = epochs * updates_per_epoch(config, examples) + rest // batching(config).batch_size + 1
            found[update] = point
    return last | found


def arguments(config: Config, folder: Path, examples: int) -> SFTConfig:
    """The one place where our names become Hugging Face's."""
    total = updates(config, examples)
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
    ours |= optim.arguments(config.optimizer, config.scheduler, total)
    ours |= sharding.arguments(config)
    try:
        return SFTConfig(**ours | config.objective.trainer_args)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"objective.trainer_args: {error}") from error


class MeasuringTrainer(Resumable, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer whose evaluation is ours: accuracy by log-probability instead of token accuracy.

    Best checkpoint, early stopping and resuming then work on our metrics as they do on its own.
    """

    def __init__(
        self, measure: Measure, questions: int, saves: Saves, keep: int, settle: Callable[[], None], **kwargs: Any
    ) -> None:
        """questions: those of train_dataset, which may have a row more, the filler (Filled)."""
        super().__init__(**kwargs)
        self.measure, self.questions = measure, questions
        self.saves, self.keep, self.settle = saves, keep, settle
        self.add_callback(saves)
        bare = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        self.chooses_logits = "logits_to_keep" in inspect.signature(type(bare).forward).parameters

    def measured(self) -> dict[str, float]:
        return {f"eval_{name}": value for name, value in self.measure().items()}

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss, with less work on a CPU: there its LM head scores every position, and most have no label."""
        args = self.args
        plain = args.loss_type == "nll" and not args.label_smoothing_factor and not self.aux_loss_enabled
        short = args.device.type == "cpu" and plain and self.chooses_logits
        if not short or return_outputs or num_items_in_batch is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels_BT = inputs["labels"]
        positions_P = (labels_BT[:, 1:] != IGNORED).any(dim=0).nonzero().squeeze(1)
        read = {name: tensor for name, tensor in inputs.items() if name != "labels"}
        logits_BPV = model(**read, use_cache=False, logits_to_keep=positions_P).logits
        targets_BP = labels_BT[:, positions_P + 1]
        losses = torch.nn.functional.cross_entropy(
            logits_BPV.float().flatten(0, 1), targets_BP.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        return losses * self.accelerator.num_processes / num_items_in_batch

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        sampler, together = super()._get_train_sampler(train_dataset), self.accelerator.num_processes
        if together == 1 or not isinstance(sampler, torch.utils.data.RandomSampler):
            return sampler
        return Filled(self.args.seed, self.questions, self.args.train_batch_size * together)


class Filled(torch.utils.data.Sampler):  # type: ignore[misc]
    """The order of one process alone, for several: behind it the filler, until all have equally many full batches.

    accelerate would repeat questions from the beginning of the epoch instead, which would then count twice.
    """

    def __init__(self, seed: int, questions: int, multiple: int) -> None:
        self.order = SeedableRandomSampler(range(questions), generator=torch.Generator(), data_seed=seed)
        self.filler, self.count = questions, -questions % multiple

    def set_epoch(self, epoch: int) -> None:
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return self.filler + self.count

    def __iter__(self) -> Iterator[int]:
        yield from self.order
        yield from [self.filler] * self.count


class CountingCollator(DataCollatorForLanguageModeling):  # type: ignore[misc]
    """Counts what it puts into batches, for speeds and for the share of padding."""

    questions = tokens = places = 0

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        self.questions += sum(len(example["input_ids"]) > 1 for example in examples)
        self.tokens += sum(len(example["input_ids"]) for example in examples)
        self.places += batch["input_ids"].numel()
        return batch


class AtStart(TrainerCallback):  # type: ignore[misc]
    """Does something once before the first update, when the weights are where the training has them."""

    def __init__(self, do: Callable[[], None]) -> None:
        self.do = do

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.do()


class EvaluationPoints(TrainerCallback):  # type: ignore[misc]
    """Asks for a measurement and a checkpoint after the given updates."""

    def __init__(self, points: set[int]) -> None:
        self.points = points

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step in self.points:
            control.should_evaluate = control.should_save = True


class Reporting(TrainerCallback):  # type: ignore[misc]
    """Hands on what is logged under our names, with speeds that leave measuring on dev out.

    Raises TrainingError at the first loss or gradient that is not a number.
    """

    def __init__(self, observers: Sequence[Report], collator: CountingCollator) -> None:
        self.observers, self.collator = observers, collator
        self.seconds = self.began = 0.0
        self.seen = (0, 0, 0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds += time.perf_counter() - self.began

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        values = {name.removeprefix("eval_"): value for name, value in logs.items() if name.startswith("eval_dev/")}
        values |= {ours: float(logs[theirs]) for theirs, ours in CONTRACT.items() if theirs in logs}
        if "train/loss" in values:
            scaled = getattr(args, "fp16", False)  # the gradient scaler of fp16 skips its first, overflowing updates
            for name in ("train/loss",) if scaled else ("train/loss", "grad_norm"):
                if not math.isfinite(values.get(name, 0.0)):
                    raise TrainingError(_not_a_number(name, values, state.global_step))
            values |= self._speeds()
        for observe in self.observers if values else ():
            observe(values, state.global_step)

    def _speeds(self) -> dict[str, float]:
        counts = (self.collator.questions, self.collator.tokens, self.collator.places)
        questions, tokens, places = processes.summed(
            [now - before for now, before in zip(counts, self.seen, strict=True)]
        )
        seconds, self.seconds, self.seen = self.seconds, 0.0, counts
        if not (seconds and places):
            return {}
        return {
            "questions_per_second": questions / seconds,
            "tokens_per_second": tokens / seconds,
            "padding_fraction": 1 - tokens / places,
        }


def _not_a_number(name: str, values: dict[str, float], step: int) -> str:
    return (
        f"{name} is {values[name]} after {step} updates (learning rate {values.get('learning_rate', 0):.3g}): "
        "nothing can be learned from there. The usual causes: optimizer.learning_rate too high, "
        "optimizer.max_grad_norm=0, or hardware.precision=fp16 overflowing (take bf16 or fp32)."
    )


def build(
    config: Config,
    model: Any,
    adapter: Any,
    tokenizer: Any,
    training: TrainingSet,
    folder: Path,
    measure: Measure,
    observers: Sequence[Report],
    further: Sequence[TrainerCallback] = (),
    settle: Callable[[], None] = lambda: None,
) -> MeasuringTrainer:
    """A trainer ready to start. The model is wrapped in the adapter, if any; `measure` must look at trainer.model.

    settle: puts on the disk for sure what was observed, before a checkpoint counts that would not tell it again.
    """
    args = arguments(config, folder, len(training.examples))
    filler = [Example([tokenizer.pad_token_id], [IGNORED])] if batching(config).processes > 1 else []
    rows = [*training.examples, *filler]
    dataset = Dataset.from_dict({"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]})
    collator = CountingCollator(pad_token_id=tokenizer.pad_token_id, pad_to_multiple_of=args.pad_to_multiple_of)
    callbacks = [
        EvaluationPoints(set(evaluation_points(config, len(training.examples)))),
        Reporting(observers, collator),
        *further,
    ]
    if config.evaluation.patience is not None:
        callbacks.append(EarlyStoppingCallback(config.evaluation.patience))
    minutes = config.objective.checkpoint_every_min
    try:
        trainer = MeasuringTrainer(
            measure=measure,
            questions=len(training.examples),
            saves=Saves(None if minutes is None else 60 * minutes),
            keep=config.objective.save_total_limit,
            settle=settle,
            model=sharding.with_addresses(model),
            args=args,
            processing_class=tokenizer,
            train_dataset=dataset,
            eval_dataset=dataset.select([0]),  # asked for by the training loop; measure knows the questions
            data_collator=collator,
            callbacks=callbacks,
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
        TrainingError: when the loss stops being a number, or the disk takes no checkpoint.
        Preempted: when the run was asked to stop, after saving.
    """
    done = trainer.resume()
    if done is not None and not math.isfinite(done.training_loss):
        raise TrainingError(_not_a_number("train/loss", {"train/loss": done.training_loss}, done.global_step))


def _adapters_in_single_precision(model: Any) -> None:
    """TRL casts adapters over 4-bit weights to bfloat16, where updates of a small learning rate round to nothing."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.float()
