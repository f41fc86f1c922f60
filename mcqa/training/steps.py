"""The steps of mcqa.train, which train.run calls one after the other.

Every process of a run takes all of them; only the first one shows and writes anything (runs/record.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from trl import SFTConfig

from mcqa.config.schema import Config
from mcqa.data import splits
from mcqa.data.loading import load_run_data, load_texts
from mcqa.data.prompts import Shots
from mcqa.data.question import Question
from mcqa.data.shots import shots_of
from mcqa.data.tokens import TrainingSet, training_set
from mcqa.evaluation.measure import (
    QuestionSet,
    measure,
    named_metrics,
    question_set,
    question_sets,
    restrict_to_steering_metrics,
)
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.record import Measurements, record_inputs
from mcqa.evaluation.report import run_report
from mcqa.models import adapters, loading, memory
from mcqa.models.loading import adapter_config
from mcqa.runs import looks, processes
from mcqa.runs.record import Record
from mcqa.training import as_trial, trainer
from mcqa.training.callbacks import RunAtStart
from mcqa.training.progress import TrainingProgress
from mcqa.training.trainer import MeasuringTrainer, sft_config
from mcqa.training.updates import notes, total_updates


@dataclass(frozen=True)
class Tokens:
    """All questions as tokens. sets: measured before and after training; steering: dev questions measured during it.

    arguments: of the trainer; making them reports errors of the configuration before the base model is loaded.
    """

    tokenizer: Any
    shots: Shots
    training: TrainingSet
    sets: list[QuestionSet]
    steering: QuestionSet
    arguments: SFTConfig


def tokenize_questions(record: Record) -> Tokens:
    """Read the questions and encode them. A trial does not measure test."""
    config, trial = record.config, record.trial
    data, sentences = load_run_data(config.data, config.evaluation), load_texts(config.data)
    train, shots = data.splits["train"], shots_of(config, data)
    loading.check_base(config.model)
    adapters.check(config.model, config.peft)
    tokenizer = loading.load_tokenizer(config.model, sentences)
    fingerprint = loading.fingerprint(tokenizer)
    with as_trial.cached_tokenizer(trial, tokenizer, fingerprint) as reader:
        training = training_set(
            reader, config.prompt_of("train"), config.objective, train, sentences, shots, config.shuffle_seed
        )
        config = memory.decide_checkpointing(config, training.longest, len(tokenizer))
        arguments = sft_config(config, record.folder, len(training.examples))  # reports errors before more is read
        names = [name for name in data.splits if name != "train" and (trial is None or name == "dev")]
        sets = question_sets({name: data.splits[name] for name in names}, config, reader, shots)
        steering = steering_questions(config, data.splits["dev"], reader, shots)
    record_inputs(record, data, fingerprint)
    run_report.show_inputs(record, data, training)
    record.say(*notes(config, len(training.examples)))
    if record.config.hardware.gradient_checkpointing == "auto" and config.hardware.device == "cuda":
        record.say(
            f"Gradient checkpointing: {'on' if arguments.gradient_checkpointing else 'off'}, by the memory estimate"
        )
        record.log({"gradient_checkpointing": float(arguments.gradient_checkpointing)}, step=0, of="memory estimate")
    return Tokens(tokenizer, shots, training, sets, steering, arguments)


def steering_questions(config: Config, dev: Sequence[Question], tokenizer: Any, shots: Shots) -> QuestionSet:
    """Return evaluation.limit dev questions, measured only for the metric that chooses the best state."""
    few = splits.subsample(dev, config.data.seed, config.evaluation.limit or len(dev))
    prompt, evaluation = config.prompt_of("dev"), restrict_to_steering_metrics(config.evaluation)
    return question_set("dev", few, prompt, evaluation, tokenizer, shots.of("dev"))


def load_base(record: Record, tokens: Tokens) -> Any:
    """Load the base model.

    Raises:
        ConfigError: the GPU has too little memory for the training.
        ModelError: there is no such model, or the tokenizer is not its own.
    """
    config = record.config
    if config.hardware.device == "cuda":
        memory.check(
            config, memory.estimate(config, memory.model_size(config.model, config.peft, len(tokens.tokenizer)))
        )
    return loading.load_model(config.model, config.peft, config.hardware, tokens.tokenizer, config.seed)


def measure_base(measurements: Measurements, tokens: Tokens, parameters: int, base: Any) -> None:
    """Measure the base model as it is, on every set; in a study once for all trials.

    parameters: number of weights of the base, without an adapter.
    """
    record = measurements.record
    for questions in tokens.sets:
        score = partial(measure, base, questions, record.config.hardware)
        if record.trial is not None:
            score = partial(as_trial.base_predictions, record.trial, record.config_dict, questions.questions, score)
        measurements.add(f"base/{questions.split}", questions.questions, score, step=0)
    run_report.show_base(record, parameters)


def train(
    record: Record, tokens: Tokens, base: Any, measure_at_start: Callable[[Any], None] | None
) -> MeasuringTrainer:
    """Train the base, or an adapter on it, and return the trainer, whose model then has the best measured state.

    measure_at_start: measures the base once the trainer has sharded its weights; None where it has been measured.
    """
    config, examples = record.config, len(tokens.training.examples)
    config = as_trial.measured_at_every_point(config) if record.trial else config
    answers: list[Prediction] = []  # of the latest measurement of dev
    callbacks = as_trial.callbacks(record.trial, config, examples, answers) if record.trial else []
    if measure_at_start is not None:
        callbacks.append(RunAtStart(lambda: measure_at_start(built.model)))

    def measure_dev() -> dict[str, float]:
        answers[:] = measure(built.model, tokens.steering, config.hardware)
        return named_metrics(answers, tokens.steering)

    updates = total_updates(config, examples)
    with TrainingProgress(record.console, updates, config.evaluation.best_metric) as progress:
        built = trainer.build(
            config,
            tokens.arguments,
            base,
            adapter_config(config.peft),
            tokens.tokenizer,
            tokens.training,
            measure=measure_dev,
            observers=[record.log, progress.update],
            callbacks=callbacks,
            flush=record.flush,
        )
        trainer.train(built)
    record.measurements_left_out = built.measurements_left_out
    return built


def save_and_evaluate(measurements: Measurements, tokens: Tokens, trained: MeasuringTrainer) -> None:
    """Save the best state, except in a trial, and measure it on every set."""
    record, hardware = measurements.record, measurements.record.config.hardware
    if record.trial is None:
        loading.save(trained.model, tokens.tokenizer, record.folder / "model", hardware)
        _note_look_at_test(record)
    for questions in tokens.sets:
        score = partial(measure, trained.model, questions, hardware)
        measurements.add(questions.split, questions.questions, score, trained.state.global_step)


def _note_look_at_test(record: Record) -> None:
    """A run that is resumed while it measures looks at the same state again, which counts once."""
    if processes.is_first() and not any(look["by"] == "mcqa.train" for look in looks.read(record.folder)):
        looks.add(record.folder, "mcqa.train", record.config.data.name)


def write_report(measurements: Measurements, tokens: Tokens, trained: MeasuringTrainer) -> None:
    """Show and write what training changed on test: tables, files and charts."""
    names = ["test", *(further.name for further in measurements.record.config.evaluation.sets)]
    run_report.write_harness_files(measurements, names, trained.model, tokens.tokenizer, tokens.shots)
    run_report.report_training(measurements, len(tokens.training.examples), trained.state.log_history)
