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
from mcqa.config.errors import ConfigError
from mcqa.config.schema import ConfigDict, EvaluateConfig
from mcqa.config.validation import typed
from mcqa.runs import run_folder
from mcqa.runs.repeat import config_of_evaluated_run
from mcqa.sweep.adapter import RunHooks

if TYPE_CHECKING:
    from mcqa.data.loading import Data
    from mcqa.data.prompts import Shots
    from mcqa.evaluation.record import Measurements


def main(config_dict: ConfigDict, overrides: list[str]) -> "Measurements | None":
    """Lead from the composed configuration, or that of the run it names, to measured splits; dry_run only shows them.

    Returns None after a dry run, and where other processes measured.
    """
    if config_dict["run"] is not None:
        config_dict = config_of_evaluated_run(config_dict, overrides)
    config = typed(config_dict, EvaluateConfig)
    if config.resume is not None or config_dict["from_run"] is not None:
        raise ConfigError("resume and from_run are for mcqa.train; here run=<run folder> measures a run again.")
    measured = as_measured(config)
    from mcqa.models import devices
    from mcqa.runs import processes, tracking

    if config.dry_run:
        preview(measured, config_dict)
        return None
    devices.check(measured.hardware)
    tracking.check_installed(config.tracking)
    create = partial(run_folder.create, config.outputs, run_folder.name_of(config_dict), config_dict, overrides)
    return run(config, processes.folder_of_first(measured.hardware, create))


def as_measured(config: EvaluateConfig) -> EvaluateConfig:
    """Return the configuration with the model that the run saved, if a run is named, and with hardware for evaluation.

    The run folder keeps the configuration as it was given, so every process of the run calls this.

    Raises:
        ConfigError: the run has saved no model.
    """
    from mcqa.models import sharding
    from mcqa.models.of_run import saved_model

    if config.run is not None:
        folder = Path(config.run).expanduser().absolute() / "model"
        if not folder.is_dir():
            raise ConfigError(f"run={config.run}: {run_folder.why_no_model(folder.parent)}")
        config = replace(
            config,
            model=saved_model(config.model, folder),
            objective=replace(config.objective, name="sft", loss_on="answer"),
        )
    return replace(config, hardware=sharding.evaluation_hardware(config.hardware))


def folder_of_run(config: EvaluateConfig) -> Path | None:
    """Return the folder of the run that trained the model, where it lies in one."""
    folder = Path(config.model.path or "").expanduser().absolute()
    return folder.parent if folder.name == "model" and (folder.parent / "config.yaml").is_file() else None


def inputs(config: EvaluateConfig) -> "tuple[Data, list[str], Shots]":
    """Return the questions, the names of the splits and sets to measure, and the shots, which are drawn from train.

    A single file is test, all of it, unless train is needed of it or the model was trained on it.
    """
    from mcqa.data.loading import as_whole, is_single_file, load_run_data
    from mcqa.data.shots import shots_of

    questions, read = config.data, list[str](config.splits)
    if config.prompt.shots and "train" not in read:
        read.append("train")
    if "test" in read and "train" not in read and is_single_file(questions) and not _trained_on_file(config):
        questions, read = as_whole(questions), ["test", *(["dev"] if config.evaluation.dev is not None else [])]
    data = load_run_data(questions, config.evaluation, read)
    names = [name for name in data.splits if name in config.splits or name != "train"]
    return data, names, shots_of(config, data)


def _trained_on_file(config: EvaluateConfig) -> bool:
    """Whether the run that trained the model had the single file of data, and has cut it into splits."""
    folder = folder_of_run(config)
    trained = run_folder.config_of(folder)["data"]["path"] if folder is not None else None
    if trained is None or config.data.path is None:
        return False
    theirs, own = Path(trained).expanduser(), Path(config.data.path).expanduser()
    return theirs.absolute() == own.absolute() or (not theirs.is_absolute() and theirs.name == own.name)


def preview(config: EvaluateConfig, config_dict: ConfigDict) -> None:
    """Show everything up to the measurements: the questions and their prompts."""
    from rich.console import Console

    from mcqa.models import loading
    from mcqa.training import dry_run

    data, names, shots = inputs(config)
    console = Console()
    dry_run.show_quality(console, config, {name: data.splits[name] for name in names}, trains=False)
    tokenizer = loading.load_tokenizer(config.model, [])
    dry_run.show_questions(console, config, config_dict, data, names, tokenizer, shots)


def run(config: EvaluateConfig, folder: Path) -> "Measurements | None":
    """Measure each split and set in the run folder; return None where other processes did."""
    config = as_measured(config)
    from mcqa.evaluation.conversations import conversation_sets, measure_losses
    from mcqa.evaluation.measure import measure, question_sets
    from mcqa.evaluation.record import Measurements, record_inputs, record_quality
    from mcqa.evaluation.report import run_report
    from mcqa.models import sharding
    from mcqa.models.devices import use_one_gpu
    from mcqa.models.loading import fingerprint, load_model, load_tokenizer
    from mcqa.runs import launch, looks, processes
    from mcqa.runs.failures import raise_first_failure
    from mcqa.runs.record import open_run

    hardware = config.hardware
    if processes.must_start_processes(hardware):
        launch.start("mcqa.evaluate", hardware, folder)
        return None
    processes.join(hardware)
    use_one_gpu()
    with open_run(config, folder) as record, raise_first_failure(hardware):
        data, names, shots = inputs(config)
        measurements = Measurements(record, parts=data.parts)
        record_quality(record, {name: data.splits[name] for name in names}, trains=False)
        tokenizer = load_tokenizer(config.model, [])
        record_inputs(record, data, fingerprint(tokenizer))
        run_report.show_inputs(record, data)
        sets = question_sets({name: data.splits[name] for name in names}, config, tokenizer, shots)
        asked = [name for name in data.conversations if name != "train" or "train" in config.splits]
        held_out = conversation_sets(data, asked, tokenizer)
        trained = folder_of_run(config)
        if processes.is_first() and trained is not None and "test" in data.entries:
            looks.add_evaluation(trained, config.data.name)
        load = partial(load_model, config.model, config.peft, hardware, tokenizer, config.seed)
        scored = sharding.load_sharded(load, hardware) if sharding.shards_weights(hardware) else load()
        for questions in sets:
            score = partial(measure, scored, questions, hardware)
            measurements.add(questions.split, questions.questions, score, step=0)
        for conversations in held_out:
            losses = partial(measure_losses, scored, conversations, hardware)
            measurements.add_losses(conversations, losses, step=0)
        if not processes.is_first():
            return None
        run_report.write_harness_files(measurements, list(measurements.predictions), scored, tokenizer, shots)
        run_report.report_evaluation(measurements)
        if trained is not None and "test" in data.entries:
            run_report.show_looks(record, trained)
    return measurements


def command() -> None:
    """Run every job of the command line, and show one table of several, even if a later job fails."""
    measured: list[Measurements] = []

    def measure(config_dict: ConfigDict, overrides: list[str]) -> None:
        if (measurements := main(config_dict, overrides)) is not None:
            measured.append(measurements)

    complete = False
    try:
        hydra_command("evaluate", EvaluateConfig, measure, hooks=RunHooks("evaluate", EvaluateConfig), many=True)
        complete = True
    finally:
        if len(measured) > 1 or (measured and not complete):
            from mcqa.evaluation.report.run_report import show_summary

            show_summary(measured)


if __name__ == "__main__":
    command()
