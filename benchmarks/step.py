"""What does the framework cost? Updates of the main job against a bare PyTorch loop over the same batches.

    python benchmarks/step.py [rounds] [override ...]

Both sides train the same model and adapter on the same batches with the same optimizer, schedule and clipping,
in turn, in one process. Measuring on dev, checkpoints and the tracker are left out on both sides; the callbacks,
the collator and logging are those of the main job.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from peft import get_peft_model
from transformers import get_cosine_schedule_with_warmup

from mcqa.config.composition import compose
from mcqa.config.schema import Config
from mcqa.config.trainer_args import warmup_steps
from mcqa.config.validation import typed
from mcqa.data import tokens
from mcqa.data.loading import load
from mcqa.models import devices, loading
from mcqa.models.loading import adapter_config
from mcqa.training import trainer


class Batches:
    """A collator that keeps what it made, so that the bare loop gets the very same tensors."""

    def __init__(self, collator):
        self.collator, self.made = collator, []

    def __call__(self, examples):
        self.made.append(self.collator(examples))
        return self.made[-1]


def fresh(config, tokenizer):
    return loading.load_model(config.model, config.peft, config.hardware, tokenizer, config.seed)


def framework(config, tokenizer, training):
    """Seconds per update of the main job, and the batches that it saw."""
    with tempfile.TemporaryDirectory() as folder:
        learner = trainer.build(
            config,
            trainer.sft_config(config, Path(folder), len(training.examples)),
            fresh(config, tokenizer),
            adapter_config(config.peft),
            tokenizer,
            training,
            measure=lambda: {config.evaluation.best_metric: 0.0},
            observers=[],
        )
        learner.data_collator = batches = Batches(learner.data_collator)
        clock = Clock()
        learner.add_callback(clock)
        learner.args.save_strategy = "no"
        trainer.train(learner)
        return clock.seconds, batches.made


class Clock(trainer.TrainerCallback):
    """From the first update to the end of the last one, before anything is measured or saved."""

    def on_epoch_begin(self, args, state, control, **kwargs):
        if state.global_step == 0:
            self.began = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        self.seconds = (time.perf_counter() - self.began) / state.global_step


def bare(config, tokenizer, batches, updates):
    """Seconds per update of a loop that does nothing but train."""
    learner = fresh(config, tokenizer)
    if (adapter := adapter_config(config.peft)) is not None:
        learner = get_peft_model(learner, adapter)
    parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    settings = config.optimizer
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    warmup = warmup_steps(config.scheduler, updates)
    schedule = get_cosine_schedule_with_warmup(optimizer, warmup, updates)
    device = devices.device(config.hardware)
    learner.train()
    began = time.perf_counter()
    for batch in batches:
        inputs = {name: tensor.to(device) for name, tensor in batch.items()}
        with devices.autocast(config.hardware):
            loss = learner(**inputs, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / len(batches)


def main(rounds: int, overrides: list[str]) -> None:
    quiet = ["tracking=none", "optimizer.batch_size=32", "hardware.micro_batch_size=32", "evaluation.every=1000000"]
    config = typed(compose("config", ["+experiment=qlora_mcqa", "objective.epochs=2", *quiet, *overrides]), Config)
    tokenizer = loading.load_tokenizer(config.model, [])
    questions = load(config.data, ["train"]).splits["train"]
    training = tokens.training_set(tokenizer, config.prompt, config.objective, questions, [])
    ratios, ours, theirs = [], [], []
    for _ in range(rounds):
        seconds, batches = framework(config, tokenizer, training)
        ours.append(seconds)
        theirs.append(bare(config, tokenizer, batches, len(batches)))
        ratios.append(ours[-1] / theirs[-1])
    print(f"main job   {1000 * statistics.median(ours):.1f} ms per update")
    print(f"bare loop  {1000 * statistics.median(theirs):.1f} ms per update")
    print(f"ratio      {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f}, {rounds} rounds)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:])
