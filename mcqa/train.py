"""Fine-tune one model on one question set and measure what that changed.

    python -m mcqa.train +experiment=qlora_mcqa [group=option ...] [key=value ...]

Questions become tokens; the base model is measured as it is; it is trained, while dev chooses the best state; that
state is measured on test, once, beside the base. Everything is written to the run folder.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mcqa.config.command import hydra_command
from mcqa.config.errors import McqaError
from mcqa.config.help import getting_started
from mcqa.config.schema import Config, ConfigDict
from mcqa.config.validation import typed
from mcqa.models.fast_import import fast_imports
from mcqa.runs.repeat import repeated_config, resumed_config
from mcqa.sweep.adapter import RunHooks

if TYPE_CHECKING:
    from rich.console import Console

    from mcqa.data.loading import Inputs
    from mcqa.runs.trial import Trial


def main(config_dict: ConfigDict, overrides: list[str]) -> None:
    """Lead from the composed configuration to a finished run, or show what it would be (dry_run)."""
    if config_dict["from_run"] is not None:
        config_dict = repeated_config(config_dict, overrides)
    config = typed(config_dict, Config)
    from mcqa.runs import processes, run_folder, tracking, trial
    from mcqa.runs.lookup import unfinished

    if (this_trial := trial.current()) is not None:
        return run(config, this_trial.folder, this_trial)
    inputs = None
    if config.resume is not None:
        find = partial(unfinished, config.resume)
        config = typed(resumed_config(config_dict, overrides), Config)
    else:
        inputs = read_inputs(config)
        if config.dry_run:
            return preview(config, config_dict, inputs)
        from mcqa.models import devices

        devices.check(config.hardware)
        tracking.check_installed(config.tracking)
        create = partial(run_folder.create, config.outputs, run_folder.name_of(config_dict), config_dict, overrides)
        find = partial(trial.persistent_folder, create)
    with ExitStack() as lock:

        def find_and_lock() -> Path:
            folder = find()
            lock.enter_context(run_folder.only_run(folder))
            return folder

        folder = processes.folder_of_first(config.hardware, find_and_lock)
        if not run_folder.is_complete(folder):  # or an earlier start of this job has finished it
            run(config, folder, inputs=inputs)
        if processes.is_first():
            trial.write_result(run_folder.read_result(folder) | {"folder": run_folder.shown(folder)})


def read_inputs(config: Config) -> "Inputs":
    """Read the questions, and look at the files of a local model, before torch is loaded and a run folder made.

    Raises:
        McqaError: they cannot be read, or the run could not use them.
    """
    from mcqa.data.loading import load_inputs
    from mcqa.data.quality.report import refuse_meaningless
    from mcqa.models.model_files import check_local

    prepare_base(config)
    check_local(config.model)
    inputs = load_inputs(config)
    refuse_meaningless(config, inputs[0].splits, config.objective.trains)
    for name, stage in config.earlier_stages:
        with naming_stage(name):
            read_inputs(stage)
    return inputs


@contextmanager
def naming_stage(name: str) -> Iterator[None]:
    """Say in an error which stage it is about."""
    try:
        yield
    except McqaError as error:
        raise type(error)(f"stages.{name}: {error}") from error


def prepare_base(config: Config) -> None:
    """Make the base of model=run, where it is not there yet."""
    if config.model.run is not None:
        from mcqa.models.of_run import make_base

        make_base(config.model)


def preview(config: Config, config_dict: ConfigDict, inputs: "Inputs") -> None:
    """Show everything up to the training: the questions, their tokens and the number of updates; of earlier stages in
    short.
    """
    from rich.console import Console

    from mcqa.data.pairs import training_set_of
    from mcqa.data.shots import shots_of
    from mcqa.models import adapters, loading, memory
    from mcqa.training import dry_run
    from mcqa.training.updates import total_updates

    console = Console()
    for name, stage in config.earlier_stages:
        with naming_stage(name):
            preview_stage(console, name, stage, read_inputs(stage))
    data, sentences = inputs
    dry_run.show_quality(console, config, data.splits, config.objective.trains)
    loading.check_base(config.model)
    adapters.check(config.model, config.peft)
    tokenizer = loading.load_tokenizer(config.model, sentences)
    shots = shots_of(config, data)
    if not config.objective.trains:
        names = [name for name in data.splits if name != "train"]
        return dry_run.show_questions(console, config, config_dict, data, names, tokenizer, shots)
    training = training_set_of(config, data, tokenizer, sentences, shots)
    updates = total_updates(config, len(training.examples))
    config = memory.decide_checkpointing(config, training.longest, len(tokenizer))
    size = memory.model_size(config.model, config.peft, len(tokenizer))
    needed = memory.estimate(config, size, training.longest)
    dry_run.show_training(
        console, config, config_dict, data, training, tokenizer, updates, memory.describe(config, needed)
    )
    memory.check(config, needed)


def preview_stage(console: "Console", name: str, config: Config, inputs: "Inputs") -> None:
    """Show what an earlier stage trains on and for how many updates."""
    from mcqa.data.pairs import training_set_of
    from mcqa.data.shots import shots_of
    from mcqa.models import adapters, loading, memory
    from mcqa.training import dry_run
    from mcqa.training.updates import total_updates

    data, sentences = inputs
    adapters.check(config.model, config.peft)
    tokenizer = loading.load_tokenizer(config.model, sentences)
    training = training_set_of(config, data, tokenizer, sentences, shots_of(config, data))
    config = memory.decide_checkpointing(config, training.longest, len(tokenizer))
    dry_run.show_stage(console, name, config, data, training, total_updates(config, len(training.examples)))


def run(config: Config, folder: Path, trial: "Trial | None" = None, inputs: "Inputs | None" = None) -> None:
    """Run in the folder, from where an earlier start left it if there was one. A trial leaves test alone.

    inputs: of read_inputs; None where they have not been read yet.
    """
    with fast_imports(compiled=config.peft.quantization is not None or config.optimizer.name.endswith("8bit")):
        from mcqa.evaluation.record import Measurements
        from mcqa.models import devices, sharding
        from mcqa.models.of_run import with_base
        from mcqa.runs import launch, processes
        from mcqa.runs.failures import raise_first_failure
        from mcqa.runs.record import open_run
        from mcqa.training import steps, untrained

    devices.check(config.hardware)
    if config.stages:
        run_earlier_stages(config, folder, trial)
    config = with_base(config, folder)
    prepare_base(config)
    if processes.must_start_processes(config.hardware):
        return launch.start("mcqa.train", config.hardware, folder)
    processes.join(config.hardware)
    devices.use_one_gpu()
    with open_run(config, folder, trial) as record, raise_first_failure(config.hardware):
        tokens = steps.tokenize_questions(record, inputs)
        measurements = Measurements(record, parts=tokens.parts)
        if not config.objective.trains:
            return untrained.measure_as_it_is(measurements, tokens)
        base = steps.load_base(record, tokens)
        measure_base = partial(steps.measure_base, measurements, tokens, sharding.parameter_count(base))
        measure_after_sharding = sharding.shards_weights(config.hardware)
        if not measure_after_sharding:
            measure_base(base)
        trained = steps.train(measurements, tokens, base, measure_base if measure_after_sharding else None)
        steps.save_and_evaluate(measurements, tokens, trained)
        if trial is None and processes.is_first():
            steps.write_report(measurements, tokens, trained)


def run_earlier_stages(config: Config, folder: Path, trial: "Trial | None") -> None:
    """Run the stages before the last one that are not complete, each from where an earlier start left it."""
    import gc

    from mcqa.models.of_run import with_base
    from mcqa.runs import chain, processes, run_folder

    if not processes.must_start_processes(config.hardware):
        processes.join(config.hardware)
    complete = [run_folder.is_complete(folder / run_folder.STAGES / name) for name, _ in config.earlier_stages]
    if processes.broadcast(int(all(complete))):
        return
    with chain.underway(config, folder, trial):
        for (name, _), is_complete in zip(config.earlier_stages, complete, strict=True):
            if not processes.broadcast(int(is_complete)):
                stage = chain.stage_folder(folder, name)
                run(chain.config_of_stage(stage), stage, trial)
                gc.collect()  # its model
        with_base(config, folder)


def command() -> None:
    """Run the command line; without arguments, show the commands to begin with."""
    if not sys.argv[1:]:
        return print(getting_started("mcqa"))
    hydra_command("config", Config, main, hooks=RunHooks("config", Config))


if __name__ == "__main__":
    command()
