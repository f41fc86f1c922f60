"""The steps of mcqa.train, one after the other: train.run puts them together.

Every process of a run takes all of them; what one alone has to say or to write, its record knows (recording.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mcqa import encoding, memory, model, report, studied, trainer
from mcqa.config import Config
from mcqa.data import draws, texts
from mcqa.data.loading import load_for
from mcqa.encoding import TrainingSet
from mcqa.evaluation.measure import QuestionSet, measure, measured, only_needed, question_set, question_sets
from mcqa.progress import TrainingProgress
from mcqa.prompting import Shots
from mcqa.question import Question
from mcqa.recording import Record
from mcqa.trainer import MeasuringTrainer


@dataclass(frozen=True)
class Tokens:
    """All questions as tokens. sets: measured before and after training; steering: the dev questions, during it."""

    tokenizer: Any
    shots: Shots
    training: TrainingSet
    sets: list[QuestionSet]
    steering: QuestionSet


def read(record: Record) -> Tokens:
    """Questions become tokens. A trial leaves test alone."""
    config, trial = record.config, record.trial
    data, sentences = load_for(config.data, config.evaluation), texts.load(config.data)
    train, shots = data.splits["train"], Shots(config.prompt, data.splits["train"])
    model.check_base(config.model)
    tokenizer = model.load_tokenizer(config.model, sentences)
    fingerprint = model.fingerprint(tokenizer)
    with studied.reading(trial, tokenizer, fingerprint) as reader:
        training = encoding.training_set(reader, config.prompt, config.objective, train, sentences, shots)
        trainer.arguments(config, record.folder, len(training.examples))  # tells mistakes before more is read
        names = [name for name in data.splits if name != "train" and (trial is None or name == "dev")]
        sets = question_sets({name: data.splits[name] for name in names}, config, reader, shots)
        steering = _steering(config, data.splits["dev"], reader, shots)
    record.inputs(data, fingerprint)
    report.inputs(record, data, training)
    return Tokens(tokenizer, shots, training, sets, steering)


def _steering(config: Config, dev: Sequence[Question], tokenizer: Any, shots: Shots) -> QuestionSet:
    few = draws.limited(dev, config.data.seed, config.evaluation.limit or len(dev))
    return question_set("dev", few, config.prompt, only_needed(config.evaluation), tokenizer, shots)


def load(record: Record, tokens: Tokens) -> Any:
    """The base, where it fits."""
    config = record.config
    if config.hardware.device == "cuda":
        memory.check(config, memory.estimate(config, memory.shape(config.model, config.peft, len(tokens.tokenizer))))
    arguments = trainer.arguments(config, record.folder, len(tokens.training.examples))
    base = model.load_model(config.model, config.peft, config.hardware, tokens.tokenizer, config.seed)
    del arguments  # as long as they live, weights that ZeRO-3 parts are parted when they are loaded
    return base


def measure_base(record: Record, tree: Mapping[str, Any], tokens: Tokens, parameters: int, base: Any) -> None:
    """The base as it is, on every set; in a study once for all trials. parameters: of the base, without an adapter."""
    for questions in tokens.sets:
        ask = partial(measure, base, questions, record.config.hardware)
        shared = partial(studied.base_predictions, record.trial, tree, ask) if record.trial else ask
        record.predictions(f"base/{questions.split}", shared, step=0)
    report.base(record, parameters)


def learn(
    record: Record, tokens: Tokens, base: Any, measure_at_start: Callable[[Any], None] | None
) -> MeasuringTrainer:
    """Training moves the base, or an adapter on it. What comes back has the best measured state as its model.

    measure_at_start: measures the base once the training has parted its weights; None where that is done.
    """
    config, examples = record.config, len(tokens.training.examples)
    further = studied.callbacks(record.trial, config, examples) if record.trial else []
    if measure_at_start is not None:
        further.append(trainer.AtStart(lambda: measure_at_start(learner.model)))
    updates = trainer.updates(config, examples)
    with TrainingProgress(record.console, updates, config.evaluation.best_metric) as progress:
        learner = trainer.build(
            config,
            base,
            model.adapter_config(config.peft),
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


def keep(record: Record, tokens: Tokens, learner: MeasuringTrainer) -> None:
    """The best state is saved, but in a trial, and measured on every set."""
    machine = record.config.hardware
    done = learner.state.global_step
    if record.trial is None:
        model.save(learner.model, tokens.tokenizer, record.folder / "model", machine)
    for questions in tokens.sets:
        record.predictions(questions.split, partial(measure, learner.model, questions, machine), done)


def tell(record: Record, tree: Mapping[str, Any], tokens: Tokens, learner: MeasuringTrainer) -> None:
    """What training brought on test: files, tables and pictures."""
    report.harness(record, ["test"], learner.model, tokens.tokenizer, tokens.shots)
    report.write(record, tree, len(tokens.training.examples), learner.state.log_history)
