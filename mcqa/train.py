"""Train one model on one question set and measure what it brought.

    python -m mcqa.train +experiment=qlora_mcqa [group=option ...] [key=value ...]

The story: questions become tokens; the base is measured as it is; training moves it, dev choosing the best
state; that state is measured on test, once, beside the base. Everything lands in the run folder.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcqa import imports
from mcqa.config import Config, typed
from mcqa.door import Tree, open_door
from mcqa.errors import ConfigError

if TYPE_CHECKING:
    from mcqa.sweep.trial import Trial


def main(tree: Tree, overrides: list[str]) -> None:
    """From the composed tree to a finished run, or to a look at what it would be (dry_run)."""
    if tree["from_run"] is not None:
        from mcqa.repeating import repeated

        tree = repeated(tree, overrides)
    config = typed(tree, Config)
    from mcqa import hardware, processes, run_folder
    from mcqa.sweep import trial

    if (asked := trial.current()) is not None:
        return run(config, tree, asked.folder, asked)
    if config.resume is not None:
        if len(overrides) > 1:
            raise ConfigError("resume continues a run as it was configured; leave the other overrides out.")
        tree = run_folder.read_yaml(run_folder.open_existing(config.resume) / "config.yaml")
        stored = typed(tree, Config)
        return run(stored, tree, processes.folder_of_first(stored.hardware, partial(unfinished, config.resume)))
    if config.dry_run:
        return preview(config, tree)
    hardware.check(config.hardware)
    create = partial(trial.own_folder, partial(run_folder.create, config.outputs, config.name, tree, overrides))
    folder = processes.folder_of_first(config.hardware, create)
    if not run_folder.is_complete(folder):  # or a start of this job before had come to its end
        run(config, tree, folder)
    if processes.is_first():
        trial.hand_in(run_folder.read_json(folder / "result.json") | {"folder": run_folder.shown(folder)})


def unfinished(path: str) -> Path:
    """The folder of a run that can be resumed.

    Raises:
        ConfigError: it is running or complete.
    """
    from mcqa import run_folder, tracking

    folder = run_folder.open_existing(path)
    if tracking.is_running(folder):
        raise ConfigError(f"{path} is still running on this machine; stop it first.")
    if run_folder.is_complete(folder):
        raise ConfigError(f"{path} is complete, so there is nothing to resume; mcqa.evaluate measures it again.")
    return folder


def preview(config: Config, tree: Tree) -> None:
    """Everything up to the training: the questions, their tokens and the number of updates."""
    from rich.console import Console

    from mcqa import encoding, memory, model, preview, trainer
    from mcqa.data import texts
    from mcqa.data.loading import load_for
    from mcqa.prompting import Shots

    data, sentences = load_for(config.data, config.evaluation), texts.load(config.data)
    tokenizer = model.load_tokenizer(config.model, sentences)
    train, shots = data.splits["train"], Shots(config.prompt, data.splits["train"])
    training = encoding.training_set(tokenizer, config.prompt, config.objective, train, sentences, shots)
    updates = trainer.updates(config, len(training.examples))
    longest = max(len(example.input_ids) for example in training.examples)
    needed = memory.estimate(config, memory.shape(config.model, config.peft, len(tokenizer)), longest)
    preview.show(Console(), config, tree, data, training, tokenizer, updates, memory.described(config, needed))


def run(config: Config, tree: Tree, folder: Path, trial: "Trial | None" = None) -> None:
    """One run in its folder, from where an earlier start left it if there was one; test is left alone in a trial."""
    with imports.quick(compiled=config.peft.quantization is not None or config.optimizer.name == "adamw_8bit"):
        from mcqa import (
            encoding,
            hardware,
            memory,
            model,
            processes,
            recording,
            report,
            sharding,
            starting,
            studied,
            trainer,
        )
        from mcqa.data import draws, texts
        from mcqa.data.loading import load_for
        from mcqa.evaluation.measure import measure, measured, only_needed, question_set
        from mcqa.progress import TrainingProgress
        from mcqa.prompting import Shots

    hardware.check(config.hardware)
    if processes.to_start(config.hardware):
        return starting.start("mcqa.train", config.hardware, tree, folder)
    hardware.use_one_gpu()
    processes.join(config.hardware)
    with recording.open_run(config, tree, folder, trial) as record, processes.together(config.hardware):
        data, sentences = load_for(config.data, config.evaluation), texts.load(config.data)
        train, dev, shots = data.splits["train"], data.splits["dev"], Shots(config.prompt, data.splits["train"])
        model.check_base(config.model)
        tokenizer = model.load_tokenizer(config.model, sentences)
        fingerprint = model.fingerprint(tokenizer)
        with studied.reading(trial, tokenizer, fingerprint) as reader:
            training = encoding.training_set(reader, config.prompt, config.objective, train, sentences, shots)
            arguments = trainer.arguments(config, folder, len(training.examples))  # tells mistakes before a model loads
            sets = [
                question_set(name, questions, config.prompt, config.evaluation, reader, shots)
                for name, questions in data.splits.items()
                if name != "train" and (trial is None or name == "dev")
            ]
            few = draws.limited(dev, config.data.seed, config.evaluation.limit or len(dev))
            steering = question_set("dev", few, config.prompt, only_needed(config.evaluation), reader, shots)
        record.inputs(data, fingerprint)
        report.inputs(record, data, training)

        if config.hardware.device == "cuda":
            memory.check(config, memory.estimate(config, memory.shape(config.model, config.peft, len(tokenizer))))
        base = sharding.with_addresses(
            model.load_model(config.model, config.peft, config.hardware, tokenizer, config.seed)
        )
        del arguments  # as long as they live, weights that ZeRO-3 parts are parted when they are loaded
        parameters, spread_later = sharding.parameters(base), sharding.parts_weights(config.hardware)

        def measure_base(loaded: Any) -> None:
            for questions in sets:
                ask = partial(measure, loaded, questions, config.hardware)
                shared = partial(studied.base_predictions, trial, tree, ask) if trial else ask
                record.predictions(f"base/{questions.split}", shared, step=0)
            report.base(record, parameters)

        if not spread_later:
            measure_base(base)
        updates = trainer.updates(config, len(training.examples))
        with TrainingProgress(record.console, updates, config.evaluation.best_metric) as progress:
            learner = trainer.build(
                config,
                base,
                model.adapter_config(config.peft),
                tokenizer,
                training,
                folder,
                measure=lambda: measured(learner.model, steering, config.hardware),
                observers=[record.log, progress.update],
                further=[
                    *(studied.callbacks(trial, config, len(training.examples)) if trial else []),
                    *([trainer.AtStart(lambda: measure_base(learner.model))] if spread_later else []),
                ],
                settle=record.settle,
            )
            trainer.train(learner)

        done = learner.state.global_step
        if trial is None:
            model.save(learner.model, tokenizer, folder / "model", config.hardware)
        for questions in sets:
            record.predictions(questions.split, partial(measure, learner.model, questions, config.hardware), done)
        if trial is not None or not processes.is_first():
            return
        report.harness(record, ["test"], learner.model, tokenizer, shots)
        report.write(record, tree, len(training.examples), learner.state.log_history)


if __name__ == "__main__":
    open_door("config", Config, main)
