"""The steps of mcqa.train, which train.run calls one after the other.

Every process of a run takes all of them; only the first one shows and writes anything (runs/record.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from trl import DPOConfig, SFTConfig

from mcqa.config.errors import ModelError, TrainingError
from mcqa.config.schema import Config
from mcqa.data.loading import Inputs, load_inputs
from mcqa.data.pairs import PairSet, training_set_of
from mcqa.data.prompts import Shots
from mcqa.data.question import Question
from mcqa.data.shots import shots_of
from mcqa.data.tokens import TrainingSet
from mcqa.evaluation.conversations import ConversationSet, conversation_sets, measure_losses
from mcqa.evaluation.doctor import report as doctor
from mcqa.evaluation.doctor.history import Setup
from mcqa.evaluation.forgetting import NAME, PERPLEXITY, general_metrics, general_sets
from mcqa.evaluation.measure import QuestionSet, measure, question_set, question_sets
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.record import Measurements, record_inputs, record_quality
from mcqa.evaluation.report import run_report
from mcqa.models import adapters, loading, memory, model_files
from mcqa.models.loading import adapter_config
from mcqa.runs import chain, looks, processes
from mcqa.runs.record import Record, measures_base
from mcqa.training import as_trial, trainer
from mcqa.training.callbacks import AfterUpdate, RunAtStart
from mcqa.training.curriculum import easy_first
from mcqa.training.forgetting import Cap
from mcqa.training.hardest import show_pairs, with_hardest
from mcqa.training.measuring import MeasuringTrainer
from mcqa.training.progress import TrainingProgress
from mcqa.training.steering import Steering, measure_steering, steering_set
from mcqa.training.trainer import trl_config
from mcqa.training.update_log import UpdateLog
from mcqa.training.updates import notes, total_updates


@dataclass(frozen=True)
class Tokens:
    """All questions as tokens. sets and conversations: measured before and after training; steering: during it;
    curriculum: those of train, measured before it for their order or their hardest choices, or None. parts: of a mix,
    as in Data.

    arguments: of the trainer; making them reports errors of the configuration before the base model is loaded. None
    where nothing is trained.
    """

    tokenizer: Any
    shots: Shots
    training: TrainingSet
    sets: list[QuestionSet]
    curriculum: QuestionSet | None
    conversations: list[ConversationSet]
    steering: Steering
    arguments: SFTConfig | DPOConfig | None
    parts: Mapping[str, Mapping[str, Mapping[str, Question]]]

    @property
    def general(self) -> ConversationSet | None:
        """The held-out general text, one of `conversations`."""
        return next((one for one in self.conversations if one.split == NAME), None)


def tokenize_questions(record: Record, inputs: Inputs | None = None) -> Tokens:
    """Encode the questions, and read them where that has not been done. A trial does not measure test."""
    config = record.config
    data, sentences = inputs or load_inputs(config)
    train, shots = data.train, shots_of(config, data)
    record_quality(record, data.splits, config.objective.trains)
    loading.check_base(config.model)
    adapters.check(config.model, config.peft)
    tokenizer = loading.load_tokenizer(config.model, sentences)
    fingerprint = loading.fingerprint(tokenizer)
    with as_trial.cached_tokenizer(record.trial, tokenizer, fingerprint) as reader:
        training = training_set_of(config, data, reader, sentences, shots)
        config = memory.decide_checkpointing(config, training.longest, len(tokenizer))
        arguments = None
        if config.objective.trains:
            arguments = trl_config(config, record.folder, len(training.examples))  # reports errors before more is read
        names = [name for name in data.entries if name != "train" and (not record.is_in_study or name == "dev")]
        curriculum = curriculum_questions(config, training, train, reader, shots)
        questions = {name: data.splits[name] for name in names if name in data.splits}
        sets = question_sets(questions, config, reader, shots)
        held_out = [*conversation_sets(data, names, reader), *general_sets(data.general, reader)]
        steering = steering_set(config, data, reader, shots)
    record_inputs(record, data, fingerprint)
    run_report.show_inputs(record, data, training)
    if arguments is None:
        return Tokens(tokenizer, shots, training, sets, curriculum, held_out, steering, arguments, data.parts)
    record.say(*notes(config, len(training.examples)))
    if record.config.hardware.gradient_checkpointing == "auto" and config.hardware.device == "cuda":
        record.say(
            f"Gradient checkpointing: {'on' if arguments.gradient_checkpointing else 'off'}, by the memory estimate"
        )
        record.log({"gradient_checkpointing": float(arguments.gradient_checkpointing)}, step=0, of="memory estimate")
    return Tokens(tokenizer, shots, training, sets, curriculum, held_out, steering, arguments, data.parts)


def curriculum_questions(
    config: Config, training: TrainingSet, train: Sequence[Question], tokenizer: Any, shots: Shots
) -> QuestionSet | None:
    """Return the training questions as the base is to answer them, for the order of a curriculum or the hardest wrong
    choices; None without either."""
    if not train or (config.objective.curriculum is None and config.objective.pairs != "hardest"):
        return None
    read = [question for question in train if question.id not in training.too_long]
    scores = replace(config.evaluation, unconditional=False, choices_only=False, permutations=None, bootstrap=None)
    return question_set("train", read, config.prompt_of("train"), scores, tokenizer, shots)


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
    """Measure the base model as it is, on every set; in a study once for all trials. With evaluation.before=false only
    say what it is, except in a study.

    parameters: number of weights of the base, without an adapter.
    """
    record = measurements.record
    if not measures_base(record.config, record.trial):
        return run_report.show_base(record, parameters)
    for questions in [*tokens.sets, *([tokens.curriculum] if tokens.curriculum else [])]:
        score = partial(measure, base, questions, record.config.hardware)
        if record.trial is not None and questions.split == "dev" and not record.config.stages:
            score = partial(as_trial.base_predictions, record.trial, record.config_dict, questions.questions, score)
        measurements.add(f"base/{questions.split}", questions.questions, score, step=0)
    for held_out in tokens.conversations:
        losses = partial(measure_losses, base, held_out, record.config.hardware)
        measurements.add_losses(held_out, losses, step=0, of="base/")
    run_report.show_base(record, parameters)


def first_epoch(measurements: Measurements) -> list[int]:
    """Return the order of the curriculum, from what the base answers before it is trained."""
    return easy_first(measurements.predictions["base/train"])


def train(
    measurements: Measurements, tokens: Tokens, base: Any, measure_at_start: Callable[[Any], None] | None
) -> MeasuringTrainer:
    """Train the base, or an adapter on it, and return the trainer, whose model then has the best measured state.

    measure_at_start: measures the base once the trainer has sharded its weights; None where it has been measured.
    """
    assert tokens.arguments is not None, "of a training"
    record = measurements.record
    config, examples, training = record.config, len(tokens.training.examples), tokens.training
    config = as_trial.measured_at_every_point(config) if record.trial else config
    answers: list[Prediction] = []  # of the latest measurement of dev
    callbacks = as_trial.callbacks(record.trial, config, examples, answers) if record.trial else []
    if measure_at_start is not None:
        callbacks.append(RunAtStart(lambda: measure_at_start(built.model)))

    if isinstance(training, PairSet):
        if tokens.curriculum:
            training = with_hardest(training, config, lambda: measurements.predictions["base/train"])
        show_pairs(record, training)

    def measure_dev() -> dict[str, float]:
        metrics, answers[:] = measure_steering(built.model, tokens.steering, config)
        if tokens.general is not None:
            metrics |= general_metrics(built.model, tokens.general, config.hardware)
        return metrics

    def base_perplexity() -> float:
        return record.metrics[f"base/{PERPLEXITY}"]

    updates, rise = total_updates(config, examples), config.evaluation.max_forgetting
    update_log = UpdateLog(record.folder, Setup.of(record.config_dict, examples), answers)
    with TrainingProgress(record.console, updates, config.evaluation.best_metric) as progress:
        callbacks.append(AfterUpdate(lambda step: progress.advance(step, update_log.loss)))
        built = trainer.build(
            config,
            tokens.arguments,
            base,
            adapter_config(config.peft),
            tokens.tokenizer,
            training,
            measure=measure_dev,
            observers=[record.log, progress.update],
            callbacks=callbacks,
            flush=record.flush,
            first_epoch=partial(first_epoch, measurements) if config.objective.curriculum else None,
            update_log=update_log,
            cap=None if rise is None else Cap(rise, base_perplexity),
        )
        try:
            trainer.train(built)
        except (TrainingError, ModelError):
            if record.trial is None and processes.is_first():
                doctor.keep_findings(record, ended=False)
            raise
    record.measurements_left_out = built.measurements_left_out
    return built


def save_and_evaluate(measurements: Measurements, tokens: Tokens, trained: MeasuringTrainer) -> None:
    """Save the best state, except in a trial, and measure it on every set."""
    record, hardware = measurements.record, measurements.record.config.hardware
    if record.trial is None:
        loading.save(trained.model, tokens.tokenizer, record.folder / "model", hardware)
        if chain.stage_before(record.folder) is not None and processes.is_first():
            model_files.name_base_from_here(record.folder / "model")
        if not record.is_in_study:
            note_look_at_test(record)
    for questions in tokens.sets:
        score = partial(measure, trained.model, questions, hardware)
        measurements.add(questions.split, questions.questions, score, trained.state.global_step)
    for held_out in tokens.conversations:
        losses = partial(measure_losses, trained.model, held_out, hardware)
        measurements.add_losses(held_out, losses, trained.state.global_step)


def note_look_at_test(record: Record) -> None:
    """Note that test is looked at. A run that is resumed while it measures looks at the same state again, which counts
    once."""
    if processes.is_first() and not any(look["by"] == "mcqa.train" for look in looks.read(record.folder)):
        looks.add(record.folder, "mcqa.train", record.config.data.name)


def write_report(measurements: Measurements, tokens: Tokens, trained: MeasuringTrainer) -> None:
    """Show and write what training changed on test: tables, files and charts."""
    every = ["test", *(further.name for further in measurements.record.config.further_sets)]
    names = [name for name in every if name in measurements.predictions]
    run_report.write_harness_files(measurements, names, trained.model, tokens.tokenizer, tokens.shots)
    findings = doctor.keep_findings(measurements.record)
    run_report.report_training(measurements, len(tokens.training.examples), trained.state.log_history)
    doctor.say_findings(measurements.record, findings)
