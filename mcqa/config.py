"""The configuration as dataclasses: types, units, and the rules that hold across groups.

Values live in conf/, and nothing here has a default: a key that is missing from the composed tree is an error.
`typed` turns the tree into a Config and reports everything wrong with it at once. This module imports neither
torch nor transformers, so that a mistake is told in an instant.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, TypeVar, cast

from mcqa.errors import ConfigError, nearest
from mcqa.typed import members

PACKAGE = Path(__file__).parent
ROOT = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent
"""Where conf/ stands: beside the code in an installed wheel, above it in a checkout. conf/sweeps leads to sweeps/."""

Positive = Annotated[float, "above 0"]
NotNegative = Annotated[float, "at least 0"]
Share = Annotated[float, "from 0 to below 1"]
Count = Annotated[int, "at least 1"]


@dataclass(frozen=True)
class LearningRate:
    """Where to start for a model of this size: all weights move, or only an adapter."""

    full: Positive
    adapter: Positive


@dataclass(frozen=True)
class ModelConfig:
    name: str
    path: str | None  # a hub id, a local folder, or embedded:<name>
    revision: str | None
    tokenizer: str | None  # where it differs from path
    trust_remote_code: bool
    licence: str
    learning_rate: LearningRate
    architecture: dict[str, Any] | None  # random weights of this shape (transformers' configuration keys)
    vocabulary_size: Count | None  # tokens of the tokenizer that is trained for them


@dataclass(frozen=True)
class Splits:
    """The publisher's name of each of our splits; dev may be null and is then cut from train."""

    train: str | None
    dev: str | None
    test: str | None


@dataclass(frozen=True)
class Columns:
    """Where data=local finds each part of a question in a row."""

    question: str
    choices: str | list[str]  # one column that holds a list, or one column a choice
    answer: str
    answer_as: Literal["index", "index_from_one", "letter", "text"]
    context: str | None
    subject: str | None
    id: str | None


@dataclass(frozen=True)
class Recommended:
    """What suits a set of this size; optimizer and objective take it unless told otherwise."""

    batch_size: Count
    epochs: Positive


@dataclass(frozen=True)
class DataConfig:
    name: str
    reader: Literal["arc", "openbookqa", "commonsenseqa", "mmlu", "local", "facts"]
    path: str | None  # a local file or folder; null: from the hub
    hub: str | None
    hub_config: str | None
    revision: str | None
    splits: Splits
    dev_fraction: Annotated[float, "above 0 and below 1"]
    seed: int  # of the dev cut and of limit's draw; not the run's seed, so that seeds compare on the same questions
    limit: Count | None
    bad_rows: Literal["error", "skip"]
    licence: str
    source: str
    columns: Columns | None
    texts: str | None  # sentences for objective=pretrain: `facts`, or a text file with one text a line
    recommended: Recommended


@dataclass(frozen=True)
class PromptConfig:
    style: Literal["cloze", "letters"]
    instruction: str  # stands before every question, with a blank line between


@dataclass(frozen=True)
class ObjectiveConfig:
    name: Literal["sft", "pretrain"]
    epochs: Positive | None
    max_steps: Count | None  # updates; ends the training earlier than epochs would
    max_length: Annotated[int, "at least 1"]  # tokens of a training example
    loss_on: Literal["answer", "all"]
    trainer_args: dict[str, Any]


@dataclass(frozen=True)
class OptimizerConfig:
    name: Literal["adamw", "adamw_8bit"]
    learning_rate: Positive
    weight_decay: NotNegative
    max_grad_norm: NotNegative  # 0: no clipping
    batch_size: Count | None
    gradient_accumulation_steps: Count | None
    beta1: Share
    beta2: Share
    eps: Positive


@dataclass(frozen=True)
class SchedulerConfig:
    name: Literal["constant", "linear", "cosine"]
    warmup_ratio: Share


@dataclass(frozen=True)
class PeftConfig:
    name: Literal["none", "lora", "qlora"]
    trains: Literal["full", "adapter"]
    r: Count | None
    alpha: Positive | None
    dropout: Share | None
    target_modules: str | list[str] | None
    quantization: Literal["nf4", "fp4"] | None
    double_quantization: bool


@dataclass(frozen=True)
class HardwareConfig:
    name: str
    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16", "fp16"]
    micro_batch_size: Count  # questions per forward pass, at most; the largest divisor of the batch is taken
    evaluation_tokens: Count  # padded tokens per forward pass when scoring
    gradient_checkpointing: bool
    attention: Literal["auto", "sdpa", "flash_attention_2", "eager"]


@dataclass(frozen=True)
class EvaluationConfig:
    best_metric: str
    every: Count | str  # updates, or `4/epoch`
    limit: Count | None  # dev questions that are measured during training
    patience: Count | None  # measurements without a better best_metric before training stops


@dataclass(frozen=True)
class TrackingConfig:
    name: Literal["mlflow", "none"]
    uri: str | None
    experiment: str
    log_every: Count  # updates between two points of a curve
    system_metrics_every_s: NotNegative
    log_model: bool


@dataclass(frozen=True)
class Config:
    """One run, complete: this and the code decide what is learned."""

    name: str
    seed: Annotated[int, "at least 0"]
    outputs: str
    dry_run: bool
    resume: str | None
    model: ModelConfig
    data: DataConfig
    prompt: PromptConfig
    objective: ObjectiveConfig
    optimizer: OptimizerConfig
    scheduler: SchedulerConfig
    peft: PeftConfig
    hardware: HardwareConfig
    evaluation: EvaluationConfig
    tracking: TrackingConfig

    def __post_init__(self) -> None:
        if problems := list(broken_rules(self)):
            raise ConfigError(listing(problems))


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """What `mcqa.evaluate` takes: a run to measure again, or the model and data of the groups."""

    run: str | None
    splits: list[Literal["train", "dev", "test"]]


@dataclass(frozen=True)
class Batching:
    """How one update is made up: micro_batch_size * accumulation = batch_size questions, on one device."""

    micro_batch_size: int
    accumulation: int

    @property
    def batch_size(self) -> int:
        return self.micro_batch_size * self.accumulation


def batching(config: Config) -> Batching:
    """The largest micro batch that fits and divides the batch, or the fixed one when accumulation is given."""
    micro, size = config.hardware.micro_batch_size, config.optimizer.batch_size
    if size is None:
        assert config.optimizer.gradient_accumulation_steps is not None
        return Batching(micro, config.optimizer.gradient_accumulation_steps)
    micro = max(part for part in range(1, min(micro, size) + 1) if size % part == 0)
    return Batching(micro, size // micro)


# --- rules across groups ---------------------------------------------------------------------------------------------

DEV_METRICS = ("dev/acc", "dev/acc_norm", "dev/acc_bytes", "dev/loss")

GOVERNED = {
    "output_dir": "outputs",
    "run_name": "name",
    "seed": "seed",
    "data_seed": "seed",
    "num_train_epochs": "objective.epochs",
    "max_steps": "objective.max_steps",
    "max_length": "objective.max_length",
    "truncation_mode": "objective.max_length",
    "completion_only_loss": "objective.loss_on",
    "assistant_only_loss": "objective.loss_on",
    "learning_rate": "optimizer.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "max_grad_norm": "optimizer.max_grad_norm",
    "optim": "optimizer.name",
    "adam_beta1": "optimizer.beta1",
    "adam_beta2": "optimizer.beta2",
    "adam_epsilon": "optimizer.eps",
    "gradient_accumulation_steps": "optimizer.gradient_accumulation_steps",
    "per_device_train_batch_size": "hardware.micro_batch_size",
    "per_device_eval_batch_size": "hardware.evaluation_tokens",
    "lr_scheduler_type": "scheduler.name",
    "warmup_steps": "scheduler.warmup_ratio",
    "bf16": "hardware.precision",
    "fp16": "hardware.precision",
    "use_cpu": "hardware.device",
    "gradient_checkpointing": "hardware.gradient_checkpointing",
    "activation_checkpointing": "hardware.gradient_checkpointing",
    "eval_strategy": "evaluation.every",
    "eval_steps": "evaluation.every",
    "save_strategy": "evaluation.every",
    "save_steps": "evaluation.every",
    "load_best_model_at_end": "evaluation.best_metric",
    "metric_for_best_model": "evaluation.best_metric",
    "greater_is_better": "evaluation.best_metric",
    "report_to": "tracking",
    "logging_strategy": "tracking.log_every",
    "logging_steps": "tracking.log_every",
    "trust_remote_code": "model.trust_remote_code",
    "model_init_kwargs": "model",
    "resume_from_checkpoint": "resume",
}
"""Arguments of TRL's configuration class that an own key decides."""

FIXED = {
    "dataset_kwargs": "examples come tokenised, so that what is learned is what is scored",
    "disable_tqdm": "progress is shown by the run itself",
    "logging_nan_inf_filter": "a loss that is not a number must be seen",
    "restore_callback_states_from_checkpoint": "a resumed run goes on with the same state",
}
"""Arguments that the run relies on, and why."""


def _trainer_args(config: Config) -> Iterator[str]:
    if not config.objective.trainer_args:
        return
    from trl import SFTConfig  # seconds, paid only by those who pass arguments on

    known = {field.name for field in fields(SFTConfig)}
    for name in config.objective.trainer_args:
        if name in GOVERNED:
            yield f"objective.trainer_args.{name}: is decided by {GOVERNED[name]}; set that key instead."
        elif name in FIXED:
            yield f"objective.trainer_args.{name}: cannot be changed: {FIXED[name]}."
        elif name not in known:
            yield f"objective.trainer_args.{name}: not an argument of TRL's SFTConfig.{nearest(name, known)}"


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


def _objective(config: Config) -> Iterator[str]:
    if config.objective.name == "sft" and config.model.architecture is not None:
        yield "model.architecture: random weights know nothing to answer from; they go with objective=pretrain."
    if config.objective.name == "pretrain":
        if config.data.texts is None:
            yield f"data.texts: objective=pretrain reads sentences and data={config.data.name} has none; name a file."
        if config.peft.name != "none":
            yield f"peft: objective=pretrain moves all weights, got peft={config.peft.name}; take peft=none."
        if config.objective.loss_on != "all":
            yield "objective.loss_on: a sentence has no answer to single out; objective=pretrain takes loss_on=all."


def _model(config: Config) -> Iterator[str]:
    if config.model.architecture is None and config.model.path is None:
        yield f"model.path: model={config.model.name} needs model.path=<local folder or hub id>."
    if [config.model.architecture, config.model.vocabulary_size].count(None) == 1:
        yield "model.vocabulary_size: goes together with model.architecture; give both or neither."


def _name(config: Config) -> Iterator[str]:
    if not re.fullmatch(r"\w[\w.+-]*", config.name):
        yield f"name: becomes a folder's name, so letters, digits and . _ + - only, got {config.name!r}."


def _data(config: Config) -> Iterator[str]:
    data = config.data
    if data.reader != "facts" and data.path is None and data.hub is None:
        yield f"data.path: data={data.name} needs data.path=<file or folder>."
    if data.reader == "local" and data.columns is None:
        yield "data.columns: data=local needs to know which column is what."
    if data.splits.train is None:
        yield "data.splits.train: must name the publisher's split to train on."


def _adapter(config: Config) -> Iterator[str]:
    peft = config.peft
    if peft.trains == "adapter":
        for key in ("r", "alpha", "dropout", "target_modules"):
            if getattr(peft, key) is None:
                yield f"peft.{key}: peft={peft.name} needs a value."
    if peft.trains == "full" and peft.quantization is not None:
        yield "peft.quantization: quantised weights cannot be trained themselves; take peft=qlora."


def _hardware(config: Config) -> Iterator[str]:
    hardware = config.hardware
    if hardware.device == "cpu" and hardware.precision == "fp16":
        yield "hardware.precision: fp16 trains only on a GPU; on a CPU take fp32 or bf16."
    if hardware.device == "cpu" and hardware.attention == "flash_attention_2":
        yield "hardware.attention: flash_attention_2 runs only on a GPU; take auto or sdpa."
    if hardware.attention == "flash_attention_2" and hardware.precision == "fp32":
        yield "hardware.attention: flash_attention_2 computes in bf16 or fp16; change hardware.precision."
    if hardware.device == "cpu" and config.optimizer.name == "adamw_8bit":
        yield "optimizer.name: the 8-bit states of adamw_8bit need a GPU; take optimizer=adamw."


def _evaluation(config: Config) -> Iterator[str]:
    metric, every = config.evaluation.best_metric, config.evaluation.every
    if metric.startswith(("test/", "base/", "train/")):
        yield f"evaluation.best_metric: {metric} must not steer a run, only dev may: one of {', '.join(DEV_METRICS)}."
    elif metric not in DEV_METRICS:
        yield (
            f"evaluation.best_metric: unknown metric {metric!r}, known are {', '.join(DEV_METRICS)}."
            f"{nearest(metric, DEV_METRICS)}"
        )
    if isinstance(every, str) and not re.fullmatch(r"[1-9]\d*/epoch", every):
        yield f"evaluation.every: a number of updates, or times per epoch such as '4/epoch', got {every!r}."


def _tracking(config: Config) -> Iterator[str]:
    if config.tracking.uri is not None and re.search(r"://[^/@]*:[^/@]*@", config.tracking.uri):
        yield (
            "tracking.uri: holds a password, which would end up in files and logs; "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead."
        )


RULES: tuple[Callable[[Config], Iterator[str]], ...] = (
    _name,
    _model,
    _data,
    _objective,
    _length_of_training,
    _size_of_update,
    _adapter,
    _hardware,
    _evaluation,
    _tracking,
    _trainer_args,
)


def broken_rules(config: Config) -> Iterator[str]:
    for rule in RULES:
        yield from rule(config)


# --- from the composed tree to a Config -------------------------------------------------------------------------------

C = TypeVar("C", bound=Config)


def listing(problems: list[str]) -> str:
    head = (
        "The configuration has a problem:" if len(problems) == 1 else f"The configuration has {len(problems)} problems:"
    )
    return "\n".join([head, *(f"  {problem}" for problem in problems)])


def problems_of(tree: Mapping[str, Any], kind: type[Config] = Config) -> tuple[dict[str, Any], list[str]]:
    """The values of a composed tree by field of `kind`, and everything that is wrong with them."""
    problems: list[str] = []
    values = members(kind, tree, "", problems)
    for rule in RULES:
        try:
            problems += rule(cast(Config, SimpleNamespace(**values)))
        except AttributeError:
            if not problems:  # otherwise the rule asked for one of the values that were reported already
                raise
    return values, problems


def typed(tree: Mapping[str, Any], kind: type[C]) -> C:
    """The composed, resolved tree as a Config.

    Raises:
        ConfigError: with every unknown key, missing key, wrong type, impossible value and broken rule at once.
    """
    values, problems = problems_of(tree, kind)
    if problems:
        raise ConfigError(listing(problems))
    return kind(**values)
