"""The steps of mcqa.train, one after the other: train.run puts them together.

Every process of a run takes all of them; what one alone has to say or to write, its record knows (recording.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mcqa.config.schema import Config
from mcqa.data import pretraining_texts, splits
from mcqa.data.loading import load_for
from mcqa.data.prompts import Shots
from mcqa.data.question import Question
from mcqa.data.tokens import TrainingSet, training_set
from mcqa.evaluation.measure import QuestionSet, measure, measured, only_needed, question_set, question_sets
from mcqa.evaluation.report import run_report
from mcqa.models import loading, memory
from mcqa.models.adapters import adapter_config
from mcqa.runs.record import Record
from mcqa.training import as_trial, trainer
from mcqa.training.arguments import sft_config
from mcqa.training.callbacks import RunAtStart
from mcqa.training.progress import TrainingProgress
from mcqa.training.trainer import MeasuringTrainer
from mcqa.training.updates import total_updates


@dataclass(frozen=True)
class Tokens:
    """All questions as tokens. sets: measured before and after training; steering: the dev questions, during it."""

    tokenizer: Any
    shots: Shots
    training: TrainingSet
    sets: list[QuestionSet]
    steering: QuestionSet


def tokenize_questions(record: Record) -> Tokens:
    """Questions become tokens. A trial leaves test alone."""
    config, trial = record.config, record.trial
    data, sentences = load_for(config.data, config.evaluation), pretraining_texts.load(config.data)
    train, shots = data.splits["train"], Shots(config.prompt, data.splits["train"])
    loading.check_base(config.model)
    tokenizer = loading.load_tokenizer(config.model, sentences)
    fingerprint = loading.fingerprint(tokenizer)
    with as_trial.cached_tokenizer(trial, tokenizer, fingerprint) as reader:
        training = training_set(reader, config.prompt, config.objective, train, sentences, shots)
        sft_config(config, record.folder, len(training.examples))  # tells mistakes before more is read
        names = [name for name in data.splits if name != "train" and (trial is None or name == "dev")]
        sets = question_sets({name: data.splits[name] for name in names}, config, reader, shots)
        steering = _steering(config, data.splits["dev"], reader, shots)
    record.inputs(data, fingerprint)
    run_report.inputs(record, data, training)
    return Tokens(tokenizer, shots, training, sets, steering)


def _steering(config: Config, dev: Sequence[Question], tokenizer: Any, shots: Shots) -> QuestionSet:
    few = splits.subsample(dev, config.data.seed, config.evaluation.limit or len(dev))
    return question_set("dev", few, config.prompt, only_needed(config.evaluation), tokenizer, shots)


def load_base(record: Record, tokens: Tokens) -> Any:
    """The base, where it fits."""
    config = record.config
    if config.hardware.device == "cuda":
        memory.check(config, memory.estimate(config, memory.shape(config.model, config.peft, len(tokens.tokenizer))))
    arguments = sft_config(config, record.folder, len(tokens.training.examples))
    base = loading.load_model(config.model, config.peft, config.hardware, tokens.tokenizer, config.seed)
    del arguments  # as long as they live, weights that ZeRO-3 parts are parted when they are loaded
    return base


def measure_base(record: Record, tree: Mapping[str, Any], tokens: Tokens, parameters: int, base: Any) -> None:
    """The base as it is, on every set; in a study once for all trials. parameters: of the base, without an adapter."""
    for questions in tokens.sets:
        ask = partial(measure, base, questions, record.config.hardware)
        shared = partial(as_trial.base_predictions, record.trial, tree, ask) if record.trial else ask
        record.predictions(f"base/{questions.split}", shared, step=0)
    run_report.base(record, parameters)


def train(
    record: Record, tokens: Tokens, base: Any, measure_at_start: Callable[[Any], None] | None
) -> MeasuringTrainer:
    """Training moves the base, or an adapter on it. What comes back has the best measured state as its model.

    measure_at_start: measures the base once the training has parted its weights; None where that is done.
    """
    config, examples = record.config, len(tokens.training.examples)
    further = as_trial.callbacks(record.trial, config, examples) if record.trial else []
    if measure_at_start is not None:
        further.append(RunAtStart(lambda: measure_at_start(learner.model)))
    updates = total_updates(config, examples)
    with TrainingProgress(record.console, updates, config.evaluation.best_metric) as progress:
        learner = trainer.build(
            config,
            base,
            adapter_config(config.peft),
            tokens.tokenizer,
            tokens.training,
            record.folder,
            measure=lambda: measured(learner.model, tokens.steering, config.hardware),
            observers=[record.log, progress.update],
            further=further,
            settle=record.settle,
        )
        trainer.train(learner)
    return learner


def save_and_evaluate(record: Record, tokens: Tokens, learner: MeasuringTrainer) -> None:
    """The best state is saved, but in a trial, and measured on every set."""
    machine = record.config.hardware
    done = learner.state.global_step
    if record.trial is None:
        loading.save(learner.model, tokens.tokenizer, record.folder / "model", machine)
    for questions in tokens.sets:
        record.predictions(questions.split, partial(measure, learner.model, questions, machine), done)


def write_report(record: Record, tree: Mapping[str, Any], tokens: Tokens, learner: MeasuringTrainer) -> None:
    """What training brought on test: files, tables and pictures."""
    run_report.harness(record, ["test"], learner.model, tokens.tokenizer, tokens.shots)
    run_report.write(record, tree, len(tokens.training.examples), learner.state.log_history)
