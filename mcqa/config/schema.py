"""The configuration as dataclasses: types and units. rules.py has the rules across groups, validation.py checks both.

Values live in conf/, and nothing here has a default: a key that is missing from the composed configuration is an
error. This module imports neither torch nor transformers, so that an error is reported in an instant.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

ConfigDict = dict[str, Any]
"""A composed and resolved configuration as nested dictionaries, as config.yaml holds it."""

Positive = Annotated[float, "above 0"]
NotNegative = Annotated[float, "at least 0"]
Share = Annotated[float, "from 0 to below 1"]
Count = Annotated[int, "at least 1"]
NotNegativeCount = Annotated[int, "at least 0"]
Split = Literal["train", "dev", "test"]


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
    """The publisher's name of each of our splits; dev may be null and is then held out from train."""

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
    cluster: str | None  # equal where questions share something else than a passage, such as a fact or a figure
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
    shots: NotNegativeCount  # solved training questions that stand before the question
    shots_draw: Literal["fixed", "per_question"]  # the same ones before every question, or each its own
    shots_seed: int
    chat_template: bool  # the prompt becomes the user's turn in the tokenizer's chat template


@dataclass(frozen=True)
class ObjectiveConfig:
    name: Literal["sft", "pretrain"]
    epochs: Positive | None
    max_steps: Count | None  # updates; ends the training earlier than epochs would
    max_length: Annotated[int, "at least 1"]  # tokens of a training example
    loss_on: Literal["answer", "all"]
    checkpoint_every_min: Positive | None  # minutes between two checkpoints; there is one after every measurement too
    save_total_limit: Count  # checkpoints kept besides the best one
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
    trainable: Literal["full", "adapter"]
    rank: Count | None
    alpha: Positive | None
    dropout: Share | None
    target_modules: str | list[str] | None
    quantization: Literal["nf4", "fp4"] | None
    double_quantization: bool


@dataclass(frozen=True)
class HardwareConfig:
    name: str
    device: Literal["cpu", "cuda"]
    devices: Count  # of each node: GPUs, or processes on a CPU
    nodes: Count
    strategy: Literal["ddp", "zero2", "zero3", "fsdp2"]  # how several devices share weights and optimizer state
    cpu_offload: bool  # optimizer state, and sharded weights, in the CPU's memory
    timeout_s: Positive  # that a process waits for the others before the run ends
    memory_gb: Count | None  # of each GPU; null: what torch finds
    precision: Literal["fp32", "bf16", "fp16"]
    micro_batch_size: Count  # questions per forward pass, at most; the largest divisor of the batch is taken
    evaluation_tokens: Count | None  # padded tokens per forward pass when scoring; null: what the device takes
    gradient_checkpointing: bool
    attention: Literal["auto", "sdpa", "flash_attention_2", "eager"]


@dataclass(frozen=True)
class SetConfig:
    """A further question set to measure: one split of some data, under a name of its own."""

    name: str
    split: Split
    data: DataConfig


@dataclass(frozen=True)
class EvaluationConfig:
    best_metric: str
    every: Count | str  # updates, or `4/epoch`
    limit: Count | None  # dev questions that are measured during training
    patience: Count | None  # measurements without a better best_metric before training stops
    dev: SetConfig | None  # what steers, where it is not the dev of data
    sets: list[SetConfig]  # measured beside dev and test
    cluster: Literal["auto", "passage", "subject", "none"]  # whose questions are not independent, for intervals
    bootstrap: Count | None  # resamples; gives intervals by the bootstrap too
    unconditional: bool  # measure choices without their question too: acc_mutual_info
    choices_only: bool  # measure with the question removed too: how much needs no question
    permutations: Literal["cyclic", "all"] | Count | None  # orders of the options to measure too
    harness_task: str | None  # write results and samples as lm-evaluation-harness does, under this task's name


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
    seed: Annotated[int, "from 0 to 4294967295"]
    outputs: str
    dry_run: bool
    resume: str | None
    from_run: str | None  # a run folder or an MLflow run id
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


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """What `mcqa.evaluate` takes: a run to measure again, or the model and data of the groups."""

    run: str | None
    splits: list[Split]


@dataclass(frozen=True)
class Batching:
    """How one update is made up: micro_batch_size * accumulation * processes = batch_size questions."""

    micro_batch_size: int
    accumulation: int
    processes: int

    @property
    def batch_size(self) -> int:
        return self.micro_batch_size * self.accumulation * self.processes


def batching(config: Config) -> Batching:
    """The largest micro batch that fits and divides the batch, or the fixed one when accumulation is given."""
    micro, size = config.hardware.micro_batch_size, config.optimizer.batch_size
    processes = config.hardware.devices * config.hardware.nodes
    if size is None:
        assert config.optimizer.gradient_accumulation_steps is not None
        return Batching(micro, config.optimizer.gradient_accumulation_steps, processes)
    share = size // processes  # a rule has it divide
    micro = max(part for part in range(1, min(micro, share) + 1) if share % part == 0)
    return Batching(micro, share // micro, processes)
