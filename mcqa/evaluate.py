"""Measure a finished run, a local folder or a hub model with the scorer that training uses.

python -m mcqa.evaluate run=<run folder or MLflow run id> [group=option ...] [key=value ...]
python -m mcqa.evaluate model=local model.path=<folder or hub id> data=arc_challenge
python -m mcqa.evaluate model=qwen3_0_6b,smollm2_135m data=arc_easy,openbookqa
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mcqa.config.command import hydra_command
from mcqa.config.composition import ConfigDict
from mcqa.config.errors import ConfigError
from mcqa.config.schema import EvaluateConfig
from mcqa.config.validation import typed
from mcqa.runs.repeat import config_of_evaluated_run

if TYPE_CHECKING:
    from mcqa.data.loading import Data
    from mcqa.data.prompts import Shots
    from mcqa.runs.record import Record


def main(tree: ConfigDict, overrides: list[str]) -> "Record | None":
    """From the composed tree, or a run's stored one, to measured splits."""
    from mcqa.runs import run_folder

    if tree["run"] is not None:
        tree = config_of_evaluated_run(tree, overrides)
    config = typed(tree, EvaluateConfig)
    if config.resume is not None or tree["from_run"] is not None:
        raise ConfigError("resume and from_run are for mcqa.train; here run=<run folder> measures a run again.")
    measured = as_measured(config)
    from mcqa.models import devices
    from mcqa.runs import processes

    if config.dry_run:
        preview(measured, tree)
        return None
    devices.check(measured.hardware)
    create = partial(run_folder.create, config.outputs, config.name, tree, overrides)
    return run(config, tree, processes.folder_of_first(measured.hardware, create))


def as_measured(config: EvaluateConfig) -> EvaluateConfig:
    """With the model that the run saved, where one is measured, and what is left of the strategy without a training.

    The stored configuration says what was asked for, so every process of the run works this out.

    Raises:
        ConfigError: the run has saved no model.
    """
    if config.run is not None:
        config = _of_saved_model(config, Path(config.run).expanduser().absolute() / "model")
    from mcqa.models import sharding

    return replace(config, hardware=sharding.for_evaluation(config.hardware))


def _of_saved_model(config: EvaluateConfig, folder: Path) -> EvaluateConfig:
    """The run's configuration, with the model that it saved in place of the one that it began with."""
    if not folder.is_dir():
        raise ConfigError(f"run={config.run}: the run has saved no model; its result.json says how it ended.")
    saved = replace(
        config.model, path=str(folder), tokenizer=None, revision=None, architecture=None, vocabulary_size=None
    )
    return replace(config, model=saved, objective=replace(config.objective, name="sft", loss_on="answer"))


def inputs(config: EvaluateConfig) -> "tuple[Data, list[str], Shots]":
    """The questions, the names of the splits and sets to measure, and the shots, for which train is read too."""
    from mcqa.data.loading import load_for
    from mcqa.data.prompts import Shots

    read = [*config.splits, *(["train"] if config.prompt.shots and "train" not in config.splits else [])]
    data = load_for(config.data, config.evaluation, read)
    names = [name for name in data.splits if name in config.splits or name != "train"]
    return data, names, Shots(config.prompt, data.splits.get("train", []))


def preview(config: EvaluateConfig, tree: ConfigDict) -> None:
    """Everything up to the measuring: the questions and how they are asked."""
    from rich.console import Console

    from mcqa.models import loading
    from mcqa.training import dry_run

    data, names, shots = inputs(config)
    tokenizer = loading.load_tokenizer(config.model, [])
    dry_run.show_questions(Console(), config, tree, data, names, tokenizer, shots)


def run(config: EvaluateConfig, tree: ConfigDict, folder: Path) -> "Record | None":
    """Measure each split and set in a folder of its own, with the files of a run; None where other processes did."""
    config = as_measured(config)
    from mcqa.evaluation.measure import measure, question_sets
    from mcqa.evaluation.report import run_report
    from mcqa.models import sharding
    from mcqa.models.devices import use_one_gpu
    from mcqa.models.loading import fingerprint, load_model, load_tokenizer
    from mcqa.runs import launch, processes
    from mcqa.runs.failures import raise_first_failure
    from mcqa.runs.record import open_run

    machine = config.hardware
    if processes.must_start_processes(machine):
        launch.start("mcqa.evaluate", machine, tree, folder)
        return None
    processes.join(machine)
    use_one_gpu()
    with open_run(config, tree, folder) as record, raise_first_failure(machine):
        data, names, shots = inputs(config)
        tokenizer = load_tokenizer(config.model, [])
        record.inputs(data, fingerprint(tokenizer))
        run_report.inputs(record, data)
        sets = question_sets({name: data.splits[name] for name in names}, config, tokenizer, shots)
        load = partial(load_model, config.model, config.peft, machine, tokenizer, config.seed)
        scored = sharding.load_sharded(load, machine) if sharding.shards_weights(machine) else load()
        for questions in sets:
            record.predictions(questions.split, partial(measure, scored, questions, machine), step=0)
        if not processes.is_first():
            return None
        run_report.harness(record, names, scored, tokenizer, shots)
        run_report.measured(record, names)
    return record


def command() -> None:
    """Every job of the command line, and one table of what was measured, also where a later job could not be."""
    measured: list[Record] = []

    def story(tree: ConfigDict, overrides: list[str]) -> None:
        if (record := main(tree, overrides)) is not None:
            measured.append(record)

    complete = False
    try:
        hydra_command("evaluate", EvaluateConfig, story, many=True)
        complete = True
    finally:
        if len(measured) > 1 or (measured and not complete):
            from mcqa.evaluation.report.run_report import summary

            summary(measured)


if __name__ == "__main__":
    command()
