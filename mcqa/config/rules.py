"""The rules of the configuration that hold across groups: combinations that cannot run, and what to do instead.

Each rule yields a line for every way in which it is broken; all of them are reported at once.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Any

from mcqa.config.conversation_rules import conversation_problems, mix_problems, objective_problems, steering_problem
from mcqa.config.delimiters import DELIMITERS
from mcqa.config.errors import nearest, quoted
from mcqa.config.injection_rules import injection_problems
from mcqa.config.metric_names import DEV_METRICS, SPLITS, needed_for
from mcqa.config.preference_rules import preference_problems
from mcqa.config.prompt_styles import Prompt, template_problems, templates, variables
from mcqa.config.schema import GENERATED, Columns, Config, DataConfig, every_data
from mcqa.config.secrets import url_problem
from mcqa.config.trainer_args import trainer_args_problems

LONGEST_NAME = 200  # bytes: a file's name has at most 255, and names become parts of names


def is_name(text: str) -> bool:
    """Whether a text can become the name of a file or folder."""
    return bool(re.fullmatch(r"\w[\w.+-]*", text)) and len(text.encode()) <= LONGEST_NAME


def _length_of_training(config: Config) -> Iterator[str]:
    if config.objective.name != "none" and config.objective.epochs is None and config.objective.max_steps is None:
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
    number, measures = hardware.devices * hardware.nodes, hasattr(config, "splits")  # mcqa.evaluate trains nothing
    if size is not None and size % number and not measures:
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
    if hardware.strategy != "ddp" and config.optimizer.name not in ("adamw", "sgd") and not measures:
        yield (
            f"optimizer.name: the state of {config.optimizer.name} cannot be sharded as {hardware.strategy} does; take "
            "optimizer=adamw or sgd, whose state can be, or hardware.strategy=ddp."
        )
    if hardware.strategy == "ddp" and hardware.cpu_offload:
        yield "hardware.cpu_offload: ddp keeps everything on every device; take zero2, zero3 or fsdp2."


OPTIMIZER_KEYS = {
    "adamw": ("beta1", "beta2", "eps"),
    "adamw_8bit": ("beta1", "beta2", "eps"),
    "paged_adamw_8bit": ("beta1", "beta2", "eps"),
    "adafactor": (),
    "lion": ("beta1", "beta2"),
    "lion_8bit": ("beta1", "beta2"),
    "muon": ("beta1", "beta2", "eps", "momentum"),
    "sgd": ("momentum",),
}
SCHEDULER_KEYS = {
    "constant": (),
    "linear": (),
    "cosine": (),
    "cosine_with_min_lr": ("min_lr_ratio",),
    "cosine_restarts": ("cycles",),
    "step": ("step_ratio", "gamma"),
    "exponential": ("min_lr_ratio",),
    "one_cycle": ("initial_lr_ratio", "min_lr_ratio"),
    "warmup_stable_decay": ("decay_ratio", "min_lr_ratio"),
    "reduce_on_plateau": ("gamma", "patience", "min_lr_ratio"),
}
"""Which keys an option has that others of its group do not have."""


def _own_keys(config: Config) -> Iterator[str]:
    """Keys that belong to some options of a group have a value there and nowhere else."""
    sections = (("optimizer", config.optimizer, OPTIMIZER_KEYS), ("scheduler", config.scheduler, SCHEDULER_KEYS))
    for group, section, table in sections:
        own = table[section.name]
        for key in sorted(set().union(*table.values())):
            if key in own and getattr(section, key) is None:
                yield f"{group}.{key}: {group}={section.name} needs a value."
            if key not in own and getattr(section, key) is not None:
                yield f"{group}.{key}: must be null with {group}={section.name}, which has no such thing."


def _optimizer(config: Config) -> Iterator[str]:
    optimizer, hardware = config.optimizer, config.hardware
    if optimizer.name == "paged_adamw_8bit" and hardware.device == "cpu":
        yield "optimizer.name: paged_adamw_8bit moves its state out of a GPU's memory; on a CPU take adamw_8bit."
    for name, group in optimizer.groups.items():
        if not is_name(str(name)):
            yield f"optimizer.groups: a name has letters, digits and . _ + - only, got {quoted(name)}."
        try:
            re.compile(group.pattern)
        except re.error as error:
            yield f"optimizer.groups.{name}.pattern: not a regular expression ({error}), got {quoted(group.pattern)}."
        own = (group.learning_rate_factor, group.max_grad_norm, group.weight_decay) != (1, None, None)
        if own and "lora_" in group.pattern and config.peft.trainable == "full":
            yield f"optimizer.groups.{name}: peft={config.peft.name} trains no adapter; take peft=lora, or 1 and nulls."
        if group.max_grad_norm is not None and hardware.strategy.startswith("zero"):
            yield (
                f"optimizer.groups.{name}.max_grad_norm: DeepSpeed clips all gradients together, by "
                "optimizer.max_grad_norm; take null, or hardware.strategy=ddp or fsdp2."
            )


def _scheduler(config: Config) -> Iterator[str]:
    scheduler = config.scheduler
    if scheduler.decay_ratio is not None and scheduler.warmup_ratio + scheduler.decay_ratio > 1:
        yield (
            f"scheduler.decay_ratio: {scheduler.decay_ratio:g} of the updates and scheduler.warmup_ratio "
            f"{scheduler.warmup_ratio:g} are more than all; together they are at most 1."
        )
    if scheduler.name == "exponential" and scheduler.min_lr_ratio == 0:
        yield "scheduler.min_lr_ratio: scheduler=exponential reaches it by a constant factor, so it is above 0."


CHOICE_KEYS = ("sft_weight", "unlikelihood_weight", "normalise", "temperature")


def _choice(config: Config) -> Iterator[str]:
    """The keys of objective=choice have values there and nowhere else."""
    objective = config.objective
    for key in CHOICE_KEYS:
        if getattr(objective, key) is None and objective.compares_choices:
            yield f"objective.{key}: objective={objective.name} needs a value."
        if getattr(objective, key) is not None and not objective.compares_choices:
            yield f"objective.{key}: must be null with objective={objective.name}, since only objective=choice has it."
    if objective.compares_choices and objective.loss_on != "answer":
        yield "objective.loss_on: objective=choice compares answers; take loss_on=answer, or objective=sft."


def _objective(config: Config) -> Iterator[str]:
    objective = config.objective
    if config.model.architecture is not None and len(config.stages) < 2:  # the base of a later stage has been trained
        if objective.name != "pretrain":
            yield (
                "model.architecture: a model of random weights cannot answer questions; it goes with "
                "objective=pretrain."
            )
        elif config.peft.name != "none":
            yield f"peft: random weights are trained all of them, got peft={config.peft.name}; take peft=none."
    if objective.name == "pretrain" and objective.loss_on != "all":
        yield "objective.loss_on: a sentence has no answer part; objective=pretrain takes loss_on=all."


def _untrained(config: Config) -> Iterator[str]:
    """What objective=none cannot do: it measures the base, which is whole, and nothing else."""
    if config.objective.trains:
        return
    if not config.evaluation.before:
        yield (
            "evaluation.before: objective=none measures the base and nothing else, and evaluation.before=false leaves "
            "it out; take true."
        )
    if config.peft.path is not None:
        yield (
            f"peft.path: objective=none trains no adapter further, got {config.peft.path}; take null. To measure a "
            "finished run as it is, take model=run model.run=<its folder>."
        )


def _curriculum(config: Config) -> Iterator[str]:
    """A curriculum orders questions by their choices, and the same ones in every epoch."""
    objective, data = config.objective, config.data
    if objective.curriculum is None:
        return
    if not objective.trains:
        yield "objective.curriculum: orders the questions of a training, which objective=none has not; take null."
        return
    if objective.reads_texts or objective.replay_share is not None:
        yield "objective.curriculum: sentences have no choices to be easy or hard to choose among; take null."
    if data.sets or data.has_conversations:
        yield f"objective.curriculum: {data.name} has more than questions of one set; take null."
    if (name := "train_sampling_strategy") in objective.trainer_args:
        yield f"objective.curriculum: objective.trainer_args.{name} orders the questions too; take one of them."
    if not config.evaluation.before:
        yield (
            "objective.curriculum: its order is by what the base answers, and evaluation.before=false does not measure "
            "the base; take evaluation.before=true, or no curriculum."
        )


def _model(config: Config) -> Iterator[str]:
    if config.model.name != "run" and config.model.run is not None:
        yield f"model.run: belongs to model=run; write model=run model.run={config.model.run}."
    if config.model.name == "run" and config.model.run is None:
        yield "model.run: model=run needs model.run=<run folder>, such as outputs/runs/<name>/<id>."
    elif config.model.run is not None and config.model.path is None:
        yield (
            f"model.run={config.model.run}: there is no finished run with a model in this folder (a run of "
            "objective=none has the model that it began with, and saves none)."
        )
    elif config.model.architecture is None and config.model.path is None:
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
    if config.data.splits.train is None and getattr(config, "splits", None) is None:  # which mcqa.evaluate has
        name = config.data.name
        yield (
            f"data.splits.train: is null; data={name} has no questions to train on. Measure it: "
            f"evaluation.sets=[{name}] while training on another set, or `python -m mcqa.evaluate data={name}`."
        )


def _source(data: DataConfig, where: str) -> Iterator[str]:
    if data.reader not in (*GENERATED, "mix") and data.path is None and data.hub is None:
        yield f"{where}.path: data={data.name} needs {where}.path=<file or folder>."
    if data.reader in GENERATED and [data.path, data.hub, data.columns].count(None) < 3:
        yield f"{where}.path: data={data.name} is generated and reads no file; choose data=local, data=arc_easy …"
    if data.harness_task is not None and not is_name(data.harness_task):
        yield (
            f"{where}.harness_task: becomes part of a file's name: letters, digits and . _ + - only, got "
            f"{quoted(data.harness_task)}."
        )
    if data.reader == "local" and data.columns is None:
        yield f"{where}.columns: data=local needs to know which column holds what."


def _texts(config: Config) -> Iterator[str]:
    """Phrasings are generated or in columns, and only those of new_facts are in both orders."""
    data = config.data
    if data.reversed and data.texts != "new_facts":
        yield "data.reversed: belongs to data.texts=new_facts, whose names can be in the other order; take false."
    is_read = data.texts is not None and data.texts not in GENERATED
    if (data.paraphrases or 1) > 1 and data.texts is None:
        yield "data.paraphrases: are phrasings of data.texts, which is null."
    elif (data.paraphrases or 1) > 1 and is_read and data.paraphrase_columns is None:
        yield f"data.paraphrases: data.texts={data.texts} needs data.paraphrase_columns=<where the others are>."
    if data.paraphrase_columns is not None and not is_read:
        yield "data.paraphrase_columns: are those of data.texts=<a file of rows>; take null."


def _files(data: DataConfig, where: str) -> Iterator[str]:
    if data.delimiter is not None and data.delimiter not in DELIMITERS and len(data.delimiter) != 1:
        names = ", ".join(DELIMITERS)
        yield f"{where}.delimiter: is one of {names}, or one character; got {quoted(data.delimiter)}."
    elif data.delimiter in ("\n", "\r", '"', "\0"):
        yield f"{where}.delimiter: a line end or quotation mark cannot stand between cells."
    if data.encoding is not None and not _is_encoding(data.encoding):
        yield f"{where}.encoding: Python has no text encoding {quoted(data.encoding)}; take utf-8, cp1252, …"


def _is_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):  # such as a NUL character
        return False


def _columns(config: Config) -> Iterator[str]:
    for where, data in every_data(config):
        yield from _files(data, where)
        if data.answers is not None and data.path is None:
            yield f"{where}.answers: is a file beside those of {where}.path, which is null."
        if data.answers is not None and (data.columns is None or data.columns.answer is None):
            yield f"{where}.answers: is for rows that {where}.columns describes, with a name for their answer."
        if data.columns is not None:
            yield from _choices(data.columns, f"{where}.columns")


def _choices(columns: Columns, where: str) -> Iterator[str]:
    """The choices come from one place, and the answer is written in a way that these choices have."""
    right_or_wrong = columns.right if columns.right is not None else columns.wrong
    places = {"choices": columns.choices, "fixed_choices": columns.fixed_choices, "right": right_or_wrong}
    given = [key for key, value in places.items() if value is not None]
    if len(given) != 1:
        yield (
            f"{where}: give one of choices, fixed_choices, and right with wrong, and null for the others, as "
            f"{where}.choices=null; got {' and '.join(given) or 'none of them'}."
        )
    if (columns.right is None) != (columns.wrong is None):
        yield f"{where}.{'right' if columns.right is None else 'wrong'}: right and wrong are columns of one question."
    if columns.answer is None and "right" not in given:
        yield f"{where}.answer: may be null only where {where}.right is the column of the right answer."
    for key, fewest in (("fixed_choices", 2), ("wrong", 1)):
        names = getattr(columns, key)
        if isinstance(names, list) and len(names) < fewest:
            yield f"{where}.{key}: must name at least {fewest}, got {quoted(names)}."
        if isinstance(names, list) and len(set(names)) < len(names):
            yield f"{where}.{key}: names one of them twice, got {quoted(names)}."
    if "right" not in given and columns.answer_as == "boolean" and len(columns.fixed_choices or ()) != 2:
        yield f"{where}.answer_as: boolean needs {where}.fixed_choices with two texts, that of false and that of true."
    if columns.answer_as == "label" and (columns.choices is None or isinstance(columns.choices, list)):
        yield f"{where}.answer_as: label needs {where}.choices with one column, which holds labels with texts."
    if columns.strip_labels and columns.choices is None:
        yield f"{where}.strip_labels: is for {where}.choices, the first of which begins with A or 1."


def _sets(config: Config) -> Iterator[str]:
    """Further question sets, and those of a mix, have names of their own, which become names of files and metrics."""
    sets: list[tuple[str, str]] = []
    if config.evaluation.dev is not None:
        yield from _source(config.evaluation.dev.data, "evaluation.dev")
    for number, further in enumerate(config.evaluation.sets):
        yield from _source(further.data, f"evaluation.sets[{number}]")
        for inner, one in enumerate(further.data.sets):
            yield from _source(one.data, f"evaluation.sets[{number}].sets[{inner}]")
        sets.append((f"evaluation.sets[{number}]", further.name))
    for number, mixed in enumerate(config.data.sets):
        yield from _source(mixed.data, f"data.sets[{number}]")
        sets.append((f"data.sets[{number}]", mixed.name))
    for number, (where, name) in enumerate(sets):
        if not is_name(name) or name.startswith("base_") or name in (*SPLITS, "base"):
            yield (
                f"{where}.name: letters, digits and . _ + - only, and not {', '.join(SPLITS)}, base "
                f"or base_…, as a run's own files are called; got {quoted(name)}."
            )
        if name in [other for _, other in sets[:number]]:
            yield f"{where}.name: there are two sets named {name!r}; give one another name."


def _adapter(config: Config) -> Iterator[str]:
    peft = config.peft
    if peft.trainable == "adapter":
        for key in ("rank", "alpha", "dropout", "target_modules"):
            if getattr(peft, key) is None:
                yield f"peft.{key}: peft={peft.name} needs a value."
    if (peft.name == "none") != (peft.trainable == "full"):
        yield f"peft.trainable: peft={peft.name} cannot train {peft.trainable}; choose by peft=none, lora or qlora."
    if peft.trainable == "full":
        for key in ("path", "modules_to_save", "dora", "rslora"):
            if getattr(peft, key):
                yield f"peft.{key}: belongs to an adapter, and peft={peft.name} trains all weights; take peft=lora."
    if peft.path is not None and config.hardware.strategy in ("zero3", "fsdp2"):
        yield (
            f"peft.path: a saved adapter is not sharded as {config.hardware.strategy} needs it; take "
            "hardware.strategy=ddp or zero2."
        )
    if peft.modules_to_save is not None and config.hardware.strategy == "fsdp2":
        yield "peft.modules_to_save: fsdp2 cannot shard modules trained beside a frozen copy; take zero2 or zero3."
    if peft.trainable == "full" and peft.quantization is not None:
        yield "peft.quantization: quantized weights cannot be trained themselves; take peft=qlora."


def _lists(config: Config) -> Iterator[str]:
    """A list of names has at least one, and each of them once."""
    lists: dict[str, Any] = {}
    lists |= {f"{where}.columns.choices": one.columns.choices for where, one in every_data(config) if one.columns}
    lists["peft.target_modules"] = config.peft.target_modules
    lists["peft.modules_to_save"] = config.peft.modules_to_save
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
    if hardware.device == "cpu" and hardware.tf32:
        yield "hardware.tf32: only GPUs have this format; take false."
    if hardware.device == "cpu" and hardware.attention == "flash_attention_2":
        yield "hardware.attention: flash_attention_2 runs only on a GPU; take auto or sdpa."
    if hardware.attention == "flash_attention_2" and hardware.precision == "fp32":
        yield "hardware.attention: flash_attention_2 computes in bf16 or fp16; change hardware.precision."


def _metric_that_steers(config: Config, name: str) -> Iterator[str]:
    metric: str | None = getattr(config.evaluation, name)
    if metric is None:
        return
    if metric.startswith(("test/", "base/", "train/")):
        known = ", ".join(DEV_METRICS)
        yield f"evaluation.{name}: {metric} must not steer a run, only dev may: one of {known}."
    elif metric not in DEV_METRICS:
        yield (
            f"evaluation.{name}: unknown metric {quoted(metric)}, known are {', '.join(DEV_METRICS)}."
            f"{nearest(metric, DEV_METRICS)}"
        )
    elif problem := steering_problem(config, name, metric):
        yield problem
    elif (key := needed_for(metric)) and not getattr(config.evaluation, key):
        value = "cyclic" if key == "permutations" else "true"
        yield f"evaluation.{name}: {metric} is measured only with evaluation.{key}={value}."
    elif key == "permutations" and not _lists_options(_prompt_of_dev(config)):
        yield (
            f"evaluation.{name}: {metric} is about the order of the options, and the prompt of dev does not show them; "
            "take prompt=letters, or another metric."
        )
    elif metric == "dev/acc_debiased" and isinstance(config.evaluation.permutations, int):
        yield (
            f"evaluation.{name}: {metric} needs each choice at each letter equally often: "
            "evaluation.permutations=cyclic or all."
        )


def _stages(config: Config) -> Iterator[str]:
    """Stages have names that become those of folders, and each but the first has the model of another as its base."""
    names = [stage.name for stage in config.stages]
    for number, name in enumerate(names):
        if not is_name(name) or name in names[:number]:
            yield f"stages: a name has letters, digits and . _ + - only, and is that of one stage; got {quoted(name)}."
    for stage in config.stages:
        if stage.config is not None and stage.config.objective.name == "none":
            yield f"stages.{stage.name}: objective=none makes no model for the next stage; it is for the last one."
    if len(config.stages) > 1 and config.peft.path is not None:
        yield "peft.path: a stage begins with the whole model of the stage before; merge the adapter, and take null."


def _evaluation(config: Config) -> Iterator[str]:
    yield from _metric_that_steers(config, "best_metric")
    yield from _metric_that_steers(config, "stop_metric")
    for key, unused in (("stop_metric", None), ("min_delta", 0)):
        if config.evaluation.patience is None and getattr(config.evaluation, key) != unused:
            yield f"evaluation.{key}: is for early stopping, which evaluation.patience=<measurements> turns on."
    every = config.evaluation.every
    if config.evaluation.permutations is not None and not any(map(_lists_options, _prompts(config).values())):
        yield (
            "evaluation.permutations: only prompt=letters and others that show the options have them in an order; "
            f"leave it null for {config.prompt.style}."
        )
    elif config.evaluation.permutations == 1:
        yield "evaluation.permutations: 1 is the given order alone; cyclic, all or a whole number of at least 2."
    if isinstance(task := config.evaluation.harness_task, str) and not is_name(task):
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


def _retrieval(config: Config) -> Iterator[str]:
    """A method has passages to search and a place in every prompt; without one there are none."""
    evaluation = config.evaluation
    if evaluation.context is None:
        if evaluation.passages is not None:
            yield "evaluation.passages: is what evaluation.context=bm25 searches; add it, or take null."
        return
    if evaluation.passages is None:
        yield (
            f"evaluation.passages: evaluation.context={evaluation.context} needs passages to search: facts, or a file "
            "or folder."
        )
    for where, prompt in _prompts(config).items():
        if prompt.style != "template" or any(template_problems(where, prompt.template, prompt.answer_template)):
            continue
        if "context" not in variables(templates(prompt).text):
            yield f"{where}.template: has no {{{{ context }}}}, where the passages of evaluation.context would stand."


def _prompts(config: Config) -> dict[str, Prompt]:
    """The keys of all prompts that questions get: one for all of them, or with prompt=published one of each set."""
    if config.prompt.style != "published":
        return {"prompt": config.prompt}
    measures_sets_alone = getattr(config, "splits", None) == []
    prompts: dict[str, Prompt] = {} if measures_sets_alone else {"data.prompt": config.data.prompt}
    if config.evaluation.dev is not None:
        prompts["evaluation.dev.prompt"] = config.evaluation.dev.data.prompt
    return prompts | {f"evaluation.sets[{n}].prompt": one.data.prompt for n, one in enumerate(config.evaluation.sets)}


def _prompt(config: Config) -> Iterator[str]:
    """Templates are right before anything is loaded, and with prompt=published every set has a prompt."""
    for where, prompt in (_prompts(config) | {"prompt": config.prompt}).items():
        if prompt.style == "template":
            yield from template_problems(where, prompt.template, prompt.answer_template)
            continue
        for key in ("template", "answer_template"):
            if getattr(prompt, key) is not None:
                yield f"{where}.{key}: belongs to {where}.style=template, and {where}.style is {prompt.style}."
        if prompt.style is None:
            yield (
                f"{where}.style: prompt=published needs the prompt that the literature scores this set by, and none is "
                f"given; give {where}.style=cloze or another, or take one prompt for all sets, as prompt=cloze."
            )


def _prompt_of_dev(config: Config) -> Prompt:
    if config.prompt.style != "published":
        return config.prompt
    return (config.data if config.evaluation.dev is None else config.evaluation.dev.data).prompt


def _lists_options(prompt: Prompt) -> bool:
    """Whether the options have an order in a prompt; true too where it is reported for something else."""
    if prompt.style is None:
        return True
    if prompt.style == "template" and any(template_problems("", prompt.template, prompt.answer_template)):
        return True
    return templates(prompt).shows_options


def _tracking(config: Config) -> Iterator[str]:
    if config.tracking.name == "tensorboard" and config.tracking.uri is not None:
        yield "tracking.uri: tracking=tensorboard writes files below outputs/ and knows no server; take null."
    if config.tracking.uri is not None and (problem := url_problem("tracking.uri", config.tracking.uri)):
        yield problem


RULES: tuple[Callable[[Config], Iterator[str]], ...] = (
    _name,
    _model,
    _data,
    _texts,
    _columns,
    _sets,
    _stages,
    _objective,
    _untrained,
    _choice,
    _curriculum,
    preference_problems,
    injection_problems,
    objective_problems,
    conversation_problems,
    mix_problems,
    _length_of_training,
    _size_of_update,
    _own_keys,
    _optimizer,
    _scheduler,
    _processes,
    _adapter,
    _lists,
    _hardware,
    _evaluation,
    _retrieval,
    _prompt,
    _tracking,
    trainer_args_problems,
)
