"""How long does training take? Our trainer against TRL's SFTTrainer and a bare PyTorch loop on the same questions.

    python benchmarks/train.py --data FOLDER [--set commonsenseqa|mmlu] [--shape 7m|90m|0.6b|8b]
                               [--weights full|lora|qlora] [--style cloze|letters] [--questions 320] [--rounds 5]
                               [--sides ours,bare,trl,...] [--device cuda] [override of our configuration ...]

FOLDER holds each question set as its publisher has it: commonsenseqa (short questions) and mmlu (long ones).
Models have random weights of Qwen3's shape; the tokenizer is trained on the questions. All sides train one epoch of the
same questions in batches of 32 from the same weights with AdamW at a constant learning rate, in turn, in one process
and on one thread of a CPU (seconds of CPU time) or on a GPU (seconds on the clock). Time counts from the start of
training to the end of the last update; nothing is measured or saved. A training before the first round warms up.

Sides:

    ours           this project's trainer, objective=sft
    ours bf16      with hardware.precision=bf16
    choice         objective=choice, the choices of a question as a tree
    choice naive   objective=choice, a row for every choice
    bare           a loop over the forward passes of `ours`, whose tensors are made before, logits only at labels
    trl            SFTTrainer with its defaults (bfloat16 autocast and gradient checkpointing among them)
    trl fp32       with its defaults, in single precision
    trl plain      in single precision, without gradient checkpointing
    trl grouped    plain, and questions grouped by length
    trl free       plain, and padding-free
    trl packed     plain, and packed, in rows of 256 tokens or the longest question; as many as hold 32 questions

Loss curves are compared with that of `ours` where the sides read the same questions in an update: the largest relative
difference of a loss. The share of trained weights (as tensors) that had a gradient other than zero is printed too.
"""

import argparse
import contextlib
import ctypes
import gc
import logging
import os
import random
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from datasets import Dataset, disable_progress_bars
from evaluate import SHAPES, model_of
from peft import get_peft_model, prepare_model_for_kbit_training
from transformers import PrinterCallback, TrainerCallback
from transformers.utils import logging as progress
from trl import SFTConfig, SFTTrainer

from mcqa.config.composition import compose
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.data import prompts, tokens
from mcqa.data.loading import load
from mcqa.evaluation.scoring import tree
from mcqa.models import devices, loading
from mcqa.models.from_scratch import new_tokenizer
from mcqa.models.loading import adapter_config
from mcqa.training import losses, measuring, trainer

BATCH = 32  # questions an update
PACKED_TOKENS = 256
SPLIT = {"commonsenseqa": "train", "mmlu": "test"}  # MMLU's training questions are those of other sets
GPU_TFLOPS = 989  # of an H100 in bfloat16, without sparsity
TRL = {
    "trl": {},
    "trl fp32": {"bf16": False},
    "trl plain": {"bf16": False, "gradient_checkpointing": False},
    "trl grouped": {"bf16": False, "gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"},
    "trl free": {"bf16": False, "gradient_checkpointing": False, "padding_free": True, "max_length": None},
    "trl packed": {"bf16": False, "gradient_checkpointing": False, "packing": True},
}
OURS = {
    "ours": [],
    "ours bf16": ["hardware.precision=bf16"],
    "choice": ["objective=choice"],
    "choice naive": ["objective=choice"],
}
SAME_BATCHES = ("ours bf16", "bare", "trl", "trl fp32", "trl plain", "trl free")


@dataclass
class Cost:
    """What one training took. positions: tokens that the model read, with padding."""

    seconds: float = 0.0
    tokens: int = 0
    positions: int = 0
    memory: float = 0.0
    losses: list[float] = field(default_factory=list)
    moved: float = 0.0


# --- clocks -----------------------------------------------------------------------------------------------------------


def clock(device):
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def reset_memory(device):
    """Return the MiB in use, and forget the peak so far."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    return peak_memory(device)


def peak_memory(device):
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


class Clock(TrainerCallback):
    """From the start of training to the end of the last update; and which weights had a gradient."""

    def __init__(self, cost, device):
        self.cost, self.device, self.trained, self.with_gradient = cost, device, set(), set()

    def on_train_begin(self, args, state, control, **kwargs):
        self.before, self.began, self.paused = reset_memory(self.device), clock(self.device), 0.0

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        began = clock(self.device)
        self.look(model)
        self.paused += clock(self.device) - began

    def look(self, model):
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.trained |= trained.keys()
        unseen = ((name, parameter) for name, parameter in trained.items() if name not in self.with_gradient)
        self.with_gradient |= {name for name, each in unseen if each.grad is not None and bool(each.grad.any())}
        self.cost.moved = len(self.with_gradient) / len(self.trained)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == state.max_steps:
            self.cost.seconds = clock(self.device) - self.began - self.paused
            self.cost.memory = peak_memory(self.device) - self.before

    def on_log(self, args, state, control, logs, **kwargs):
        if "loss" in logs:
            self.cost.losses.append(logs["loss"])


# --- sides ------------------------------------------------------------------------------------------------------------


class Setting:
    """Model, questions and configuration; nobody pays for making them."""

    def __init__(self, options, folder):
        self.options, self.folder, self.device = options, folder, options.device
        peft = "none" if options.weights == "full" else options.weights
        overrides = [
            f"data={options.set}",
            f"data.path={Path(options.data) / options.set}",
            f"data.splits.train={SPLIT[options.set]}",
            f"prompt={options.style}",
            "data.bad_rows=skip",
            "model=local",
            f"model.path={folder}",
            f"peft={peft}",
            *([] if peft == "none" else ["peft.dropout=0"]),
            f"hardware={'gpu' if options.device == 'cuda' else 'cpu'}",
            f"hardware.micro_batch_size={BATCH}",
            f"optimizer.batch_size={BATCH}",
            f"optimizer.learning_rate={options.learning_rate}",
            "scheduler=constant",
            "scheduler.warmup_ratio=0",
            "hardware.gradient_checkpointing=false",
            "objective.epochs=1",
            "evaluation.every=1000000",
            "tracking=none",
            "tracking.log_every=1",
            *options.overrides,
        ]
        self.configs = {side: typed(compose("config", [*overrides, *more]), Config) for side, more in OURS.items()}
        self.config = self.configs["ours"]
        every = load(self.config.data, ["train"]).splits["train"]
        every = random.Random(0).sample(every, len(every))
        texts = [" ".join([q.context, q.question, *q.choices]) for q in every]
        self.tokenizer = new_tokenizer(min(SHAPES[options.shape][-1], 30000), texts)
        self.tokenizer.save_pretrained(folder)
        model_of(options.shape, options.device).save_pretrained(folder)
        fitting = tokens.training_set(self.tokenizer, self.config.prompt, self.config.objective, every, []).too_long
        self.questions = [question for question in every if question.id not in fitting][: options.questions]
        self.forward_passes = []  # of `ours`, for the bare loop

    def model(self, config):
        model = loading.load_model(config.model, config.peft, config.hardware, self.tokenizer, config.seed)
        return model if config.peft.quantization else model.to(self.device)


def train_ours(setting, side):
    config, cost = setting.configs[side], Cost()
    training = tokens.training_set(setting.tokenizer, config.prompt, config.objective, setting.questions, [])
    with tempfile.TemporaryDirectory() as folder:
        learner = trainer.build(
            config,
            trainer.trl_config(config, Path(folder), len(training.examples)),
            setting.model(config),
            adapter_config(config.peft),
            setting.tokenizer,
            training,
            measure=lambda: {config.evaluation.best_metric: 0.0},
            observers=[],
        )
        learner.add_callback(Clock(cost, setting.device))
        learner.args.save_strategy, learner.args.load_best_model_at_end = "no", False
        if side == "ours":
            setting.forward_passes = kept = []
            split = learner._batches
            learner._batches = lambda items: kept.append(split(items)) or kept[-1]
        naive = row_for_every_choice if side == "choice naive" else measuring.item
        with patch.object(measuring, "item", naive):
            trainer.train(learner)
        cost.tokens, cost.positions = learner.data_collator.tokens, learner.data_collator.positions
    return cost


def row_for_every_choice(example, as_trees):
    """An item whose choices share nothing, as in a batch of questions times choices."""
    item = losses.item(example, as_trees)
    paths = [
        tree.Path([*choice.context, *choice.continuation[:-1]], choice.continuation, number)
        for number, choice in enumerate(example.choices)
    ]
    right = example.choices[example.answer]
    end = tree.Path([*right.context, *right.continuation], example.input_ids[-1:], len(paths))
    rows = [tree.linear_rows([path, end] if path.choice == example.answer else [path])[0] for path in paths]
    return replace(item, rows=rows)


def train_trl(setting, side):
    config, cost = setting.config, Cost()
    pairs = [
        tokens.move_trailing_space(*prompts.requests(setting.tokenizer, config.prompt, question, None)[question.answer])
        for question in setting.questions
    ]
    rows = Dataset.from_list([{"prompt": before, "completion": after} for before, after in pairs])
    lengths = [len(example.input_ids) for example in training_examples(setting)]
    settings = {"per_device_train_batch_size": BATCH, "max_length": config.objective.max_length, **TRL[side]}
    if side == "trl packed":
        settings["max_length"] = max(PACKED_TOKENS, *lengths)
        rows_for_batch = BATCH * statistics.mean(lengths) / settings["max_length"]
        settings["per_device_train_batch_size"] = max(1, round(rows_for_batch))
    if setting.device == "cuda":
        settings.pop("bf16", None)
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder,
            learning_rate=config.optimizer.learning_rate,
            weight_decay=config.optimizer.weight_decay,
            max_grad_norm=config.optimizer.max_grad_norm,
            lr_scheduler_type="constant",
            num_train_epochs=1,
            seed=config.seed,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=setting.device == "cpu",
            dataloader_pin_memory=setting.device != "cpu",
            **settings,
        )
        learner = SFTTrainer(
            setting.model(config),
            args=arguments,
            train_dataset=rows,
            processing_class=setting.tokenizer,
            peft_config=adapter_config(config.peft),
        )
        learner.remove_callback(PrinterCallback)
        learner.add_callback(Clock(cost, setting.device))
        collate = learner.data_collator

        def counting(features):
            batch = collate(features)
            cost.positions += batch["input_ids"].numel()
            mask = batch.get("attention_mask")
            cost.tokens += batch["input_ids"].numel() if mask is None else int(mask.sum())
            return batch

        learner.data_collator = counting
        learner.train()
    return cost


def train_bare(setting, side):
    config, cost = setting.config, Cost()
    model = setting.model(config)
    if (adapter := adapter_config(config.peft)) is not None:
        if config.peft.quantization is not None:
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        model = get_peft_model(model, adapter)
    bare = model.get_base_model() if adapter is not None else model
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=config.optimizer.learning_rate, weight_decay=config.optimizer.weight_decay, fused=True
    )
    updates = [[tensors(batch, setting.device, cost) for batch in update] for update in setting.forward_passes]
    observer = Clock(cost, setting.device)
    model.train()
    observer.on_train_begin(None, None, None)
    for update in updates:
        count, total = sum(len(labels) for *_, labels in update), 0.0
        for ids, positions, labels in update:
            with devices.autocast(config.hardware):
                hidden = bare.model(input_ids=ids, use_cache=False).last_hidden_state
                logits = bare.lm_head(hidden.flatten(0, 1)[positions])
            loss = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum") / count
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(parameters, config.optimizer.max_grad_norm)
        observer.on_pre_optimizer_step(None, None, None, model)
        optimizer.step()
        optimizer.zero_grad()
        cost.losses.append(total)
    cost.seconds = clock(setting.device) - observer.began - observer.paused
    cost.memory = peak_memory(setting.device) - observer.before
    return cost


def tensors(items, device, cost):
    """Token ids of a forward pass, the flat positions that are learned, and what they predict."""
    rows = [row for item in items for row in item.rows]
    length = max(len(row.tokens) for row in rows)
    ids = torch.tensor([[*row.tokens, *[0] * (length - len(row.tokens))] for row in rows])
    targets = [(b * length + at, token) for b, row in enumerate(rows) for at, token, _ in row.targets]
    positions, labels = torch.tensor(targets).T
    cost.tokens += sum(len(row.tokens) for row in rows)
    cost.positions += ids.numel()
    return ids.to(device), positions.to(device), labels.to(device)


def training_examples(setting):
    config = setting.config
    return tokens.training_set(setting.tokenizer, config.prompt, config.objective, setting.questions, []).examples


# --- all sides --------------------------------------------------------------------------------------------------------


def utilisation(options, setting, cost):
    """Share of the GPU's peak that the model's own arithmetic takes, without padding, recomputation and attention.

    Two operations per weight and token in the forward pass, two for the gradient of its inputs, and two for its own
    where it is trained; the head only where there is a label.
    """
    hidden, layers, heads, kv_heads, width, inner, vocabulary = SHAPES[options.shape]
    weights = layers * (hidden * width * (2 * heads + 2 * kv_heads) + 3 * hidden * inner)
    each = 6 if options.weights == "full" else 4
    supervised = sum(example.supervised for example in training_examples(setting))
    operations = each * (weights * cost.tokens + hidden * vocabulary * supervised)
    return operations / cost.seconds / (options.tflops * 1e12)


def difference(ours, theirs):
    return max(abs(a - b) / max(abs(a), 1e-9) for a, b in zip(ours, theirs, strict=True))


def main(options):
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    progress.disable_progress_bar()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(options, folder)
        examples = training_examples(setting)
        supervised = sum(example.supervised for example in examples)
        lengths = sorted(len(example.input_ids) for example in examples)
        print(
            f"{options.shape}, {options.weights}, {options.set} ({options.style}): {len(examples)} questions of "
            f"{lengths[0]} to {lengths[-1]} tokens, {statistics.mean(lengths):.1f} on average; {options.rounds} rounds",
            flush=True,
        )
        sides = [side.strip() for side in options.sides.split(",")]
        costs = defaultdict(list)
        train_ours(setting, "ours")
        for _ in range(options.rounds):
            for side in sides:
                train = train_bare if side == "bare" else train_trl if side in TRL else train_ours
                costs[side].append(train(setting, side))
            if options.loud:
                print({side: round(costs[side][-1].seconds, 2) for side in sides}, flush=True)
    on_gpu = options.device == "cuda"
    print(
        "side           ms/question    ratio  (lowest to highest)   questions/s  supervised/s  padding     MiB", end=""
    )
    print("   loss differs  moved" + ("    MFU" if on_gpu else ""))
    for side in sides:
        seconds = statistics.median(cost.seconds for cost in costs[side])
        ratios = [cost.seconds / ours.seconds for cost, ours in zip(costs[side], costs[sides[0]], strict=True)]
        cost, per_second = costs[side][0], len(examples) / seconds
        same = side in SAME_BATCHES and sides[0] == "ours"
        text = f"{difference(costs['ours'][0].losses, cost.losses):.1e}" if same else "-"
        print(
            f"{side:14} {1000 / per_second:11.2f} {statistics.median(ratios):8.3f}  ({min(ratios):.3f} to "
            f"{max(ratios):.3f})      {per_second:9.2f} {supervised / seconds:13.1f} "
            f"{1 - cost.tokens / cost.positions:8.3f} {statistics.median(c.memory for c in costs[side]):7.0f} "
            f"{text:>14} {cost.moved:6.2f}",
            end="",
        )
        print(f" {utilisation(options, setting, replace(cost, seconds=seconds)):6.3f}" if on_gpu else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="a folder with the folders commonsenseqa and mmlu")
    parser.add_argument("--set", default="commonsenseqa", choices=SPLIT)
    parser.add_argument("--shape", default="7m", choices=SHAPES)
    parser.add_argument("--weights", default="full", choices=["full", "lora", "qlora"])
    parser.add_argument("--style", default="cloze", choices=["cloze", "letters"])
    parser.add_argument("--questions", type=int, default=10 * BATCH)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sides", default="ours,bare,trl,trl fp32,trl plain,trl grouped,trl free,trl packed")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--tflops", type=float, default=GPU_TFLOPS, help="peak of the GPU in bfloat16")
    parser.add_argument("--loud", action="store_true", help="print every round")
    parser.add_argument("overrides", nargs="*", help="of our side's configuration")
    main(parser.parse_args())
