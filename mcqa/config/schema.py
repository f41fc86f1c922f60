"""The configuration as dataclasses: types and units. rules.py has the rules across groups, validation.py checks both.

Values live in conf/, and nothing here has a default: a key that is missing from the composed configuration is an
error. This module imports neither torch nor transformers, so that an error is reported in an instant.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from mcqa.config.metric_names import CONVERSATION_READERS
from mcqa.config.prompt_styles import templates

ConfigDict = dict[str, Any]
"""A composed and resolved configuration as nested dictionaries, as config.yaml holds it."""

Seed = Annotated[int, "from 0 to 4294967295"]
Count = Annotated[int, "from 1 to 1000000000"]
BatchSize = Annotated[int, "from 1 to 1000000"]
Epochs = Annotated[float, "above 0 and at most 10000"]
LearningRate = Annotated[float, "above 0 and at most 1e30"]  # a loss that is not a number ends a run by itself
Orders = Annotated[int, "from 1 to 10000"]
Seconds = Annotated[float, "above 0 and at most 31536000"]
Minutes = Annotated[float, "above 0 and at most 525600"]
Weight = Annotated[float, "from 0 to 1000000"]
Share = Annotated[float, "from 0 to below 1"]

PATH = "path"
FilePath = Annotated[str, PATH]  # some may be a hub id too

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True)
class LearningRates:
    """Where to start for a model of this size: all weights move, or only an adapter."""

    full: LearningRate
    adapter: LearningRate


@dataclass(frozen=True)
class ModelConfig:
    name: str
    run: FilePath | None  # a run folder, whose model is the base
    path: FilePath | None  # a hub id, a local folder, or embedded:<name>
    revision: str | None
    tokenizer: FilePath | None  # where it differs from path
    trust_remote_code: bool
    licence: str
    learning_rate: LearningRates
    architecture: dict[str, Any] | None  # random weights of this shape (transformers' configuration keys)
    vocabulary_size: Annotated[int, "from 1 to 10000000"] | None  # tokens of the tokenizer that is trained for them


@dataclass(frozen=True)
class Splits:
    """The publisher's name of each of our splits; dev may be null and is then held out from train."""

    train: str | None
    dev: str | None
    test: str | None


ColumnName = str | Annotated[int, "from 1 to 100000"]
"""The name of a column; with dots that of a value in a nested row (`question.stem`); without a header its number."""


@dataclass(frozen=True)
class Columns:
    """Where data=local, and published sets of such rows, find each part of a question.

    The choices are those of `choices`, the same for all questions (`fixed_choices`), or `right` with `wrong`.
    """

    question: ColumnName
    choices: ColumnName | list[ColumnName] | None  # one column that holds a list, or one column a choice
    fixed_choices: list[str] | None
    right: ColumnName | None  # the text of the right answer
    wrong: ColumnName | list[ColumnName] | None  # as choices, the other ones
    answer: ColumnName | None
    answer_as: Literal["index", "index_from_one", "letter", "text", "boolean", "label", "one_hot"]
    empty_choices: Literal["refuse", "drop_trailing"]  # cells at the end of a row's choices that hold nothing
    strip_labels: bool  # choices begin with their letter or number, as "A) ", which is removed
    context: ColumnName | None
    subject: ColumnName | None
    cluster: ColumnName | None  # equal where questions share something else than a passage, such as a fact or a figure
    id: ColumnName | None


@dataclass(frozen=True)
class Recommended:
    """What suits a set of this size; optimizer and objective take it unless told otherwise."""

    batch_size: BatchSize
    epochs: Epochs


PromptStyle = Literal["cloze", "letters", "letters_with_text", "plain", "continuation", "blank", "template"]


@dataclass(frozen=True)
class SetPrompt:
    """The prompt by which the literature scores a set; prompt=published takes it."""

    style: PromptStyle | None  # null: none is known
    instruction: str
    template: str | None
    answer_template: str | None


@dataclass(frozen=True)
class Conversations:
    """Where data=messages, instructions and pairs find each part of a conversation, and the text that it becomes."""

    form: Literal["chat", "plain", "alpaca"]  # the tokenizer's chat template, `User: … Assistant: …`, or Alpaca's text
    questions: Literal["lettered"] | None  # lettered options and an answer among them: read as a question
    turns: ColumnName | None  # of messages: the list of turns, each with a role and a content
    role: str
    content: str
    prompt: ColumnName | None  # of instructions and pairs: what the user says; text, or of pairs a list of turns
    input: ColumnName | None  # of instructions: what the instruction is about
    answer: ColumnName | None  # of instructions and pairs: what the assistant says
    rejected: ColumnName | None  # of pairs: the worse answer
    system: ColumnName | None  # a turn before all others
    cluster: ColumnName | None  # equal where conversations are related, so that they stay in one split
    id: ColumnName | None


GENERATED = ("facts", "new_facts")
"""The values of data.reader whose questions are generated and in no file."""


@dataclass(frozen=True)
class MixedSet:
    """A set of data=mix. weight: how often its questions are drawn, against those of a set of weight 1."""

    name: str
    weight: Annotated[float, "above 0 and at most 1000000"]
    data: "DataConfig"


@dataclass(frozen=True)
class DataConfig:
    name: str
    reader: Literal[
        "arc", "openbookqa", "commonsenseqa", "mmlu", "bbh", "codah", "hellaswag", "logiqa", "medqa", "pubmedqa",
        "qasc", "race", "truthfulqa", "winogrande", "local", "facts", "new_facts", "messages", "instructions", "pairs",
        "mix",
    ]  # fmt: skip
    path: FilePath | None  # a local file or folder; null: from the hub
    hub: str | None
    hub_config: str | None
    revision: str | None
    splits: Splits
    dev_fraction: Annotated[float, "above 0 and below 1"]
    split_by: Literal["cluster", "question"]  # what a cut keeps in one split: clusters (else passages), or questions
    seed: Seed  # of the dev cut and of limit's draw; not the run's seed, so that seeds compare on the same questions
    limit: Count | None
    bad_rows: Literal["error", "skip"]
    equal_choices: Literal["refuse", "keep_wrong", "keep"]  # questions with two choices that differ in white space only
    shuffle_choices: bool | Literal["auto"]  # show the options of each question in an order that is drawn
    clean: list[Literal["duplicates", "near_duplicates", "conflicts", "overlap", "near_overlap"]]  # leave out of train
    allow_overlap: bool  # dev or test may be a part of train
    licence: str
    source: str
    harness_task: str | None  # what lm-evaluation-harness calls it
    header: bool  # false: the first line of a CSV, TSV or Excel file is a row, and columns are numbers from 1
    delimiter: str | None  # between the cells of a CSV file: a name of DELIMITERS, or one character; null: found
    encoding: str | None  # of text files, as Python calls it; null: found
    sheet: str | None  # of an Excel file; null: its only one with cells
    answers: str | None  # a file beside the rows with one answer a line; {split} in its name is that of the split
    columns: Columns | None
    conversations: Conversations | None
    sets: list[MixedSet]  # of data=mix
    temperature: Annotated[float, "above 0 and at most 1000000"] | None  # of data=mix: shares are size ** (1 / T)
    texts: FilePath | None  # for objective=pretrain: what texts.py reads, as `facts`, a file or hub:owner/name
    text_column: ColumnName  # of texts, where they are rows
    paraphrases: Annotated[int, "from 1 to 1000"] | None  # phrasings of each text; null: all of facts, one of others
    paraphrase_columns: ColumnName | list[ColumnName] | None  # of texts: one that holds a list, or several
    reversed: bool  # of texts=new_facts: as many phrasings again that name the two things in the other order
    general_texts: FilePath | None  # as texts: what is not to be forgotten
    prompt: SetPrompt
    recommended: Recommended

    @property
    def draws_order(self) -> bool:
        """Whether options are shown in an order that is drawn once for each question, in every split. Where the right
        answer has a column of its own, it would else be the first option of every question."""
        has_fixed_position = self.columns is not None and self.columns.right is not None
        return has_fixed_position if self.shuffle_choices == "auto" else self.shuffle_choices

    @property
    def has_questions(self) -> bool:
        """Whether there may be questions with choices, and not conversations alone."""
        if self.sets:
            return any(one.data.has_questions for one in self.sets)
        return self.reader not in CONVERSATION_READERS or bool(self.conversations and self.conversations.questions)

    @property
    def has_conversations(self) -> bool:
        """Whether there may be conversations."""
        return self.reader in CONVERSATION_READERS or any(one.data.has_conversations for one in self.sets)


@dataclass(frozen=True)
class PromptConfig:
    style: Literal[PromptStyle, "published"]  # published: that of data.prompt, and of each set its own
    instruction: str  # stands before every question, with a blank line between
    template: str | None  # of style template: the text before the answer, in Jinja2 (prompt_styles.py)
    answer_template: str | None  # of style template: what is scored of a choice; null: the choice itself
    shots: Annotated[int, "from 0 to 1000"]  # solved training questions that stand before the question
    shots_draw: Literal["fixed", "per_question"]  # the same ones before every question, or each its own
    shots_seed: Seed
    chat_template: bool  # the prompt becomes the user's turn in the tokenizer's chat template

    def of_set(self, data: DataConfig) -> "PromptConfig":
        """Return the prompt for the questions of a set: with style published the one of that set."""
        if self.style != "published":
            return self
        own = data.prompt
        assert own.style is not None, "rules.py"
        return replace(
            self,
            style=own.style,
            instruction=self.instruction or own.instruction,
            template=own.template,
            answer_template=own.answer_template,
        )


@dataclass(frozen=True)
class ObjectiveConfig:
    name: Literal["sft", "pretrain", "mixed", "choice", "choice_only", "dpo", "none"]
    learning_rate_factor: Annotated[float, "above 0 and at most 1000000"]  # of the one that model.learning_rate has
    epochs: Epochs | None
    max_steps: Count | None  # updates; ends the training earlier than epochs would
    curriculum: Literal["easy_first"] | None  # in the first epoch the questions that the base finds easiest come first
    max_length: Count  # tokens of a training example, and of a window of a text
    replay_share: Annotated[float, "above 0 and below 1"] | None  # of an epoch's examples, from data.general_texts
    loss_on: Literal["answer", "assistant", "all"]  # assistant: every turn of it in a conversation
    packing: bool  # several examples in a row of max_length tokens, none of which sees another
    label_smoothing: Share  # of the target: over the vocabulary, or with objective=choice over the choices
    neftune_alpha: Annotated[float, "above 0 and at most 1000000"] | None  # noise on embeddings while training
    sft_weight: Weight | None  # with objective=choice: of the loss of the right answer's tokens
    unlikelihood_weight: Weight | None  # with objective=choice: of making the tokens of wrong choices unlikely
    normalise: Literal["none", "tokens", "characters", "bytes"] | None  # with objective=choice: lengths of scores
    temperature: Annotated[float, "above 0 and at most 1000000"] | None  # with objective=choice: divides scores
    pairs: Literal["hardest", "random", "all"] | None  # with objective=dpo: which wrong choices are compared
    preference_loss: Literal["sigmoid", "sigmoid_norm", "ipo", "hinge", "robust", "apo_zero"] | None  # of objective=dpo
    beta: Annotated[float, "above 0 and at most 1000000"] | None  # with objective=dpo: how closely the start is kept to
    tail_weight: Annotated[float, "from 0 to 1"] | None  # with objective=dpo: of tokens beyond the shorter answer
    checkpoint_every_min: Minutes | None  # between two checkpoints; there is one after every measurement too
    save_total_limit: Count  # checkpoints kept besides the best one
    trainer_args: dict[str, Any]

    @property
    def trains(self) -> bool:
        """Whether there is a training; objective=none measures the model as it is."""
        return self.name != "none"

    @property
    def reads_texts(self) -> bool:
        """Whether data.texts are trained on."""
        return self.name in ("pretrain", "mixed")

    @property
    def compares_choices(self) -> bool:
        """Whether the loss compares a right answer with the wrong choices."""
        return self.name in ("choice", "choice_only")

    @property
    def prefers(self) -> bool:
        """Whether training examples are pairs of a better and a worse answer."""
        return self.name == "dpo"


@dataclass(frozen=True)
class ParameterGroup:
    """The trained parameters in whose names `pattern` is found last, in the order of the groups."""

    pattern: str  # a regular expression
    learning_rate_factor: Weight  # of optimizer.learning_rate
    max_grad_norm: Annotated[float, "above 0 and at most 1e30"] | None  # of this group alone, before that of all
    weight_decay: Annotated[float, "from 0 to 1000"] | None  # null: as all others, biases and norms without


@dataclass(frozen=True)
class OptimizerConfig:
    name: Literal[
        "adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor", "lion", "lion_8bit", "muon", "sgd"
    ]  # fmt: skip
    learning_rate: LearningRate
    weight_decay: Annotated[float, "from 0 to 1000"]
    max_grad_norm: Annotated[float, "from 0 to 1e30"]  # 0: no clipping
    batch_size: BatchSize | None
    gradient_accumulation_steps: BatchSize | None
    beta1: Share | None  # this and the next three: null where the optimizer has no such thing
    beta2: Share | None
    eps: Annotated[float, "above 0 and at most 1"] | None
    momentum: Share | None
    groups: dict[str, ParameterGroup]


@dataclass(frozen=True)
class SchedulerConfig:
    name: Literal[
        "constant", "linear", "cosine", "cosine_with_min_lr", "cosine_restarts", "step", "exponential", "one_cycle",
        "warmup_stable_decay", "reduce_on_plateau",
    ]  # fmt: skip
    warmup_ratio: Share
    min_lr_ratio: Annotated[float, "from 0 to 1"] | None  # of the learning rate; this and the rest: null where unused
    initial_lr_ratio: Annotated[float, "from 0 to 1"] | None  # where warm-up begins
    cycles: Annotated[int, "from 1 to 1000000"] | None
    step_ratio: Annotated[float, "above 0 and at most 1"] | None  # of the updates after warm-up, between two steps
    decay_ratio: Annotated[float, "above 0 and at most 1"] | None  # of all updates
    gamma: Annotated[float, "above 0 and at most 1"] | None  # the factor of each reduction
    patience: Annotated[int, "from 0 to 1000000"] | None  # measurements without a better best_metric


@dataclass(frozen=True)
class PeftConfig:
    name: Literal["none", "lora", "qlora", "dora", "rslora"]
    trainable: Literal["full", "adapter"]
    path: FilePath | None  # a saved adapter that is trained further
    rank: Annotated[int, "from 1 to 65536"] | None
    alpha: Annotated[float, "above 0 and at most 1000000"] | None
    dropout: Share | None
    target_modules: str | list[str] | None
    modules_to_save: list[str] | None  # trained whole, and saved with the adapter
    dora: bool
    rslora: bool
    quantization: Literal["nf4", "fp4"] | None
    double_quantization: bool


@dataclass(frozen=True)
class HardwareConfig:
    name: str
    device: Literal["cpu", "cuda"]
    devices: Annotated[int, "from 1 to 1024"]  # of each node: GPUs, or processes on a CPU
    nodes: Annotated[int, "from 1 to 10000"]
    strategy: Literal["ddp", "zero2", "zero3", "fsdp2"]  # how several devices share weights and optimizer state
    cpu_offload: bool  # optimizer state, and sharded weights, in the CPU's memory
    timeout_s: Seconds  # that a process waits for the others before the run ends
    memory_gb: Annotated[int, "from 1 to 10000"] | None  # of each GPU; null: what torch finds
    precision: Literal["fp32", "bf16", "fp16"]
    micro_batch_size: (
        BatchSize | Literal["auto"]
    )  # questions per forward pass, at most; auto: what training_tokens allow
    training_tokens: Count | None  # padded tokens per forward pass when training; null: what suits the device
    evaluation_tokens: Count | None  # padded tokens per forward pass when scoring; null: what the device takes
    gradient_checkpointing: bool | Literal["auto"]  # auto: where the memory estimate asks for it
    attention: Literal["auto", "sdpa", "flash_attention_2", "eager"]
    compile: bool  # the model, by torch.compile
    tf32: bool  # products of single-precision matrices with 10 bits of mantissa


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
    patience: Count | None  # measurements without a better stop_metric before training stops
    stop_metric: str | None  # null: best_metric
    min_delta: Annotated[float, "from 0 to 1000000"]  # a smaller change of stop_metric makes it no better
    max_time_share: Annotated[float, "above 0 and at most 1"] | None  # of training's time, for measuring dev
    before: bool  # measure the base model before training
    max_forgetting: Annotated[float, "above 0 and at most 1000000"] | None  # rise of data.general_texts' perplexity
    test_limit: Count | None  # test questions that are measured, for a first look
    dev: SetConfig | None  # what steers, where it is not the dev of data
    sets: list[SetConfig]  # measured beside dev and test
    context: Literal["bm25"] | None  # puts the best of these passages before each question that is measured
    passages: FilePath | None  # as data.texts, of rows the column `text`
    context_k: Annotated[int, "from 1 to 1000"]  # passages before a question
    cluster: Literal["auto", "passage", "subject", "none"]  # whose questions are not independent, for intervals
    bootstrap: Annotated[int, "from 1 to 1000000"] | None  # resamples; gives intervals by the bootstrap too
    unconditional: bool  # measure choices without their question too: acc_mutual_info
    choices_only: bool  # measure with the question removed too: how much needs no question
    permutations: Literal["cyclic", "all"] | Orders | None  # orders of the options to measure too
    harness_task: str | bool | None  # write results and samples as lm-evaluation-harness does, under this task's name


@dataclass(frozen=True)
class TrackingConfig:
    name: Literal["mlflow", "none", "tensorboard", "wandb"]
    uri: str | None
    experiment: str
    log_every: Count  # updates between two points of a curve
    system_metrics_every_s: Annotated[float, "from 0 to 86400"]
    log_model: bool


SEEDS = ("seed", "order_seed", "data.seed")
"""Keys of chance alone: of initialisation and dropout, of the order of questions, and of the data that are drawn."""


@dataclass(frozen=True)
class Config:
    """One run, complete: this and the code decide what is learned."""

    name: str
    seed: Seed  # of initial adapter weights and dropout
    order_seed: Seed | None  # of the order of questions and of shuffled options; null: seed
    outputs: FilePath
    dry_run: bool
    resume: FilePath | None
    from_run: FilePath | None  # a run folder or an MLflow run id
    stages: list["StageConfig"]  # trainings one after the other, the last of which is this one; of a single one none
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

    @property
    def earlier_stages(self) -> list[tuple[str, "Config"]]:
        """The name and configuration of each stage before the last."""
        return [(stage.name, stage.config) for stage in self.stages if stage.config is not None]

    @property
    def further_sets(self) -> list[SetConfig]:
        """The question sets beside dev and test: those of evaluation.sets, and of a mix the tests of its sets."""
        return [*self.evaluation.sets, *(SetConfig(one.name, "test", one.data) for one in self.data.sets)]

    def prompt_of(self, name: str) -> PromptConfig:
        """Return the prompt for a split of data, or for a further question set of this name."""
        further = {one.name: one.data for one in self.evaluation.sets}
        if self.evaluation.dev is not None:
            further["dev"] = self.evaluation.dev.data
        return self.prompt.of_set(further.get(name, self.data))

    @property
    def question_order_seed(self) -> int:
        """What draws the order of questions in each epoch."""
        return self.seed if self.order_seed is None else self.order_seed

    @property
    def lists_options(self) -> bool:
        """Whether the prompt of training questions shows their options."""
        return templates(self.prompt_of("train")).shows_options

    @property
    def shuffle_seed(self) -> int | None:
        """What draws the order of options in each epoch; None where it stays. Cloze prompts do not show the options."""
        shuffles = self.data.shuffle_choices
        shuffles = self.lists_options if shuffles == "auto" else shuffles
        return self.question_order_seed if shuffles else None


@dataclass(frozen=True)
class StageConfig:
    """A training whose model is the base of the next stage. config: null of the last one, which is the run itself."""

    name: str
    overrides: list[str]
    config: Config | None


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """What `mcqa.evaluate` takes: a run to measure again, or the model and data of the groups."""

    run: FilePath | None
    splits: list[Split]


def every_data(config: Config) -> Iterator[tuple[str, DataConfig]]:
    """Yield the keys of all question sets of a run, and their data; a mix comes before its sets."""
    every = [("data", config.data)]
    if config.evaluation.dev is not None:
        every.append(("evaluation.dev", config.evaluation.dev.data))
    every += [(f"evaluation.sets[{number}]", one.data) for number, one in enumerate(config.evaluation.sets)]
    for where, data in every:
        yield where, data
        yield from ((f"{where}.sets[{number}]", one.data) for number, one in enumerate(data.sets))


@dataclass(frozen=True)
class Batching:
    """How one update is made up: each process takes an equal share of its questions, in one or more forward passes."""

    batch_size: int  # questions per update, over all processes
    processes: int
    most: int  # questions per forward pass, at most

    @property
    def share(self) -> int:
        """Questions per update and process."""
        return self.batch_size // self.processes


def batching(config: Config) -> Batching:
    """Return the batch that is configured, or what so many full micro batches hold when accumulation is given."""
    micro, size = config.hardware.micro_batch_size, config.optimizer.batch_size
    processes = config.hardware.devices * config.hardware.nodes
    if size is None:
        accumulation = config.optimizer.gradient_accumulation_steps
        assert accumulation is not None and isinstance(micro, int), "rules.py"
        size = micro * accumulation * processes
    share = size // processes  # a rule has it divide
    return Batching(size, processes, min(micro, share) if isinstance(micro, int) else share)
