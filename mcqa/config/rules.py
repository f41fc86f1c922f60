"""The rules of the configuration that hold across groups: combinations that cannot run, and what to do instead.

Each rule yields a line for every way in which it is broken; all of them are reported at once.
"""

import re
from collections.abc import Callable, Iterator

from mcqa.config.errors import nearest, quoted
from mcqa.config.metric_names import DEV_METRICS, SPLITS, needed_for
from mcqa.config.schema import Config, DataConfig
from mcqa.config.secrets import url_problem
from mcqa.config.trainer_args import trainer_args_problems

LONGEST_NAME = 200  # bytes: a file's name has at most 255, and names become parts of names


def is_name(text: str) -> bool:
    """Whether a text can become the name of a file or folder."""
    return bool(re.fullmatch(r"\w[\w.+-]*", text)) and len(text.encode()) <= LONGEST_NAME


def _length_of_training(config: Config) -> Iterator[str]:
    if config.objective.epochs is None and config.objective.max_steps is None:
        yield "objective.epochs: give epochs or objective.max_steps; with both null the training has no end."


def _size_of_update(config: Config) -> Iterator[str]:
    given = [config.optimizer.batch_size, config.optimizer.gradient_accumulation_steps]
    if given.count(None) != 1:
        yield (
            f"optimizer.batch_size, optimizer.gradient_accumulation_steps: give one of the two and null for the other "
            f"(got {given[0]} and {given[1]}); the other follows from hardware.micro_batch_size."
        )
    if given[0] is None and config.hardware.micro_batch_size == "auto":
        yield (
            "optimizer.gradient_accumulation_steps: counts micro batches of hardware.micro_batch_size questions, which "
            "must then be a number; or set optimizer.batch_size in its place."
        )


def _processes(config: Config) -> Iterator[str]:
    """Every process takes an equal share of every batch, and a strategy must be able to shard what there is."""
    hardware, size = config.hardware, config.optimizer.batch_size
    number = hardware.devices * hardware.nodes
    if size is not None and size % number:
        near = sorted({max(number, size // number * number), (size // number + 1) * number})
        yield (
            f"optimizer.batch_size: {size} questions cannot be shared equally by hardware.devices x hardware.nodes = "
            f"{number} processes; take {' or '.join(map(str, near))}, or another number of devices."
        )
    if hardware.strategy in ("zero3", "fsdp2") and config.peft.quantization is not None:
        yield (
            f"hardware.strategy: {hardware.strategy} shards the weights over the devices, which is impossible with "
            "packed 4-bit weights; they are small, so take ddp or zero2 with peft=qlora, or peft=lora."
        )
    if hardware.strategy != "ddp" and config.optimizer.name == "adamw_8bit":
        yield (
            f"optimizer.name: the 8-bit state of adamw_8bit cannot be sharded as {hardware.strategy} does; take "
            "optimizer=adamw, whose state can be, or hardware.strategy=ddp."
        )
    if hardware.strategy == "ddp" and hardware.cpu_offload:
        yield "hardware.cpu_offload: ddp keeps everything on every device; take zero2, zero3 or fsdp2."


CHOICE_KEYS = ("sft_weight", "unlikelihood_weight", "normalise", "temperature")


def _choice(config: Config) -> Iterator[str]:
    """The keys of objective=choice have values there and nowhere else."""
    objective, name = config.objective, config.objective.name
    for key in CHOICE_KEYS:
        if getattr(objective, key) is None and name == "choice":
            yield f"objective.{key}: objective=choice needs a value."
        if getattr(objective, key) is not None and name != "choice":
            yield f"objective.{key}: must be null with objective={name}, since only objective=choice has it."
    if name == "choice" and objective.loss_on != "answer":
        yield "objective.loss_on: objective=choice compares answers; take loss_on=answer, or objective=sft."


def _objective(config: Config) -> Iterator[str]:
    if config.objective.name != "pretrain" and config.model.architecture is not None:
        yield "model.architecture: a model of random weights cannot answer questions; it goes with objective=pretrain."
    if config.objective.name == "pretrain":
        if config.data.texts is None:
            yield f"data.texts: objective=pretrain reads sentences and data={config.data.name} has none; name a file."
        if config.peft.name != "none":
            yield f"peft: objective=pretrain trains all weights, got peft={config.peft.name}; take peft=none."
        if config.objective.loss_on != "all":
            yield "objective.loss_on: a sentence has no answer part; objective=pretrain takes loss_on=all."


def _model(config: Config) -> Iterator[str]:
    if config.model.architecture is None and config.model.path is None:
        yield f"model.path: model={config.model.name} needs model.path=<local folder or hub id>."
    if [config.model.architecture, config.model.vocabulary_size].count(None) == 1:
        yield "model.vocabulary_size: belongs to model.architecture; give both or neither."


def _name(config: Config) -> Iterator[str]:
    if not is_name(config.name):
        yield (
            f"name: becomes a folder's name, so letters, digits and . _ + - only and at most {LONGEST_NAME} bytes, got "
            f"{quoted(config.name)}."
        )


def _data(config: Config) -> Iterator[str]:
    yield from _source(config.data, "data")
    if config.data.splits.train is None:
        yield "data.splits.train: must name the publisher's split to train on."


def _source(data: DataConfig, where: str) -> Iterator[str]:
    if data.reader != "facts" and data.path is None and data.hub is None:
        yield f"{where}.path: data={data.name} needs {where}.path=<file or folder>."
    if data.reader == "facts" and [data.path, data.hub, data.columns].count(None) < 3:
        yield f"{where}.path: data={data.name} is generated and reads no file; choose data=local, data=arc_easy …"
    if data.reader == "local" and data.columns is None:
        yield f"{where}.columns: data=local needs to know which column holds what."


def _sets(config: Config) -> Iterator[str]:
    """Further question sets have names of their own, which become names of files and metrics."""
    sets = config.evaluation.sets
    if config.evaluation.dev is not None:
        yield from _source(config.evaluation.dev.data, "evaluation.dev")
    for number, one in enumerate(sets):
        yield from _source(one.data, f"evaluation.sets[{number}]")
        if not is_name(one.name) or one.name.startswith("base_") or one.name in (*SPLITS, "base"):
            yield (
                f"evaluation.sets[{number}].name: letters, digits and . _ + - only, and not {', '.join(SPLITS)}, base "
                f"or base_…, as a run's own files are called; got {quoted(one.name)}."
            )
        if one.name in [other.name for other in sets[:number]]:
            yield f"evaluation.sets[{number}].name: there are two sets named {one.name!r}; give one another name."


def _adapter(config: Config) -> Iterator[str]:
    peft = config.peft
    if peft.trainable == "adapter":
        for key in ("rank", "alpha", "dropout", "target_modules"):
            if getattr(peft, key) is None:
                yield f"peft.{key}: peft={peft.name} needs a value."
    if (peft.name == "none") != (peft.trainable == "full"):
        yield f"peft.trainable: peft={peft.name} cannot train {peft.trainable}; choose by peft=none, lora or qlora."
    if peft.trainable == "full" and peft.quantization is not None:
        yield "peft.quantization: quantized weights cannot be trained themselves; take peft=qlora."


def _lists(config: Config) -> Iterator[str]:
    """A list of names has at least one, and each of them once."""
    data = {"data": config.data} | {f"evaluation.sets[{n}]": one.data for n, one in enumerate(config.evaluation.sets)}
    if config.evaluation.dev is not None:
        data["evaluation.dev"] = config.evaluation.dev.data
    lists: dict[str, str | list[str] | None] = {}
    lists |= {f"{where}.columns.choices": one.columns.choices for where, one in data.items() if one.columns}
    lists["peft.target_modules"] = config.peft.target_modules
    for key, names in lists.items():
        if names is not None and not names:
            yield f"{key}: must name at least one, got {quoted(names)}."
    for key, names in (lists | {"splits": getattr(config, "splits", None)}).items():
        if isinstance(names, list) and len(set(names)) < len(names):
            yield f"{key}: names one of them twice, got {quoted(names)}."


def _hardware(config: Config) -> Iterator[str]:
    hardware = config.hardware
    if hardware.device == "cpu" and hardware.precision == "fp16":
        yield "hardware.precision: fp16 trains only on a GPU; on a CPU take fp32 or bf16."
    if hardware.device == "cpu" and hardware.attention == "flash_attention_2":
        yield "hardware.attention: flash_attention_2 runs only on a GPU; take auto or sdpa."
    if hardware.attention == "flash_attention_2" and hardware.precision == "fp32":
        yield "hardware.attention: flash_attention_2 computes in bf16 or fp16; change hardware.precision."


def _evaluation(config: Config) -> Iterator[str]:
    metric, every = config.evaluation.best_metric, config.evaluation.every
    if metric.startswith(("test/", "base/", "train/")):
        known = ", ".join(DEV_METRICS)
        yield f"evaluation.best_metric: {metric} must not steer a run, only dev may: one of {known}."
    elif metric not in DEV_METRICS:
        yield (
            f"evaluation.best_metric: unknown metric {quoted(metric)}, known are {', '.join(DEV_METRICS)}."
            f"{nearest(metric, DEV_METRICS)}"
        )
    elif (key := needed_for(metric)) and not getattr(config.evaluation, key):
        value = "cyclic" if key == "permutations" else "true"
        yield f"evaluation.best_metric: {metric} is measured only with evaluation.{key}={value}."
    if config.evaluation.permutations is not None and config.prompt.style != "letters":
        yield "evaluation.permutations: only prompt=letters shows the options in an order; leave it null for cloze."
    elif config.evaluation.permutations == 1:
        yield "evaluation.permutations: 1 is the given order alone; cyclic, all or a whole number of at least 2."
    if (task := config.evaluation.harness_task) is not None and not is_name(task):
        yield (
            "evaluation.harness_task: becomes part of a file's name: letters, digits and . _ + - only, got "
            f"{quoted(task)}."
        )
    if getattr(config, "splits", None) == [] and not config.evaluation.sets:
        yield "splits: nothing would be measured; give some of train, dev and test, or evaluation.sets."
    if isinstance(every, str) and not re.fullmatch(r"[1-9][0-9]{0,2}/epoch", every):
        yield (
            "evaluation.every: a number of updates, or times per epoch such as '4/epoch' and at most '999/epoch', got "
            f"{quoted(every)}."
        )


def _tracking(config: Config) -> Iterator[str]:
    if config.tracking.uri is not None and (problem := url_problem("tracking.uri", config.tracking.uri)):
        yield problem


RULES: tuple[Callable[[Config], Iterator[str]], ...] = (
    _name,
    _model,
    _data,
    _sets,
    _objective,
    _choice,
    _length_of_training,
    _size_of_update,
    _processes,
    _adapter,
    _lists,
    _hardware,
    _evaluation,
    _tracking,
    trainer_args_problems,
)
