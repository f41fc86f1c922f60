"""Train one model on one question set and measure what it brought.

    python -m mcqa.train +experiment=qlora_mcqa [group=option ...] [key=value ...]

The story: questions become tokens; the base is measured as it is; training moves it, dev choosing the best
state; that state is measured on test, once, beside the base. Everything lands in the run folder.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mcqa.config.command import hydra_command
from mcqa.config.composition import ConfigDict
from mcqa.config.errors import ConfigError
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.models import fast_import
from mcqa.runs.lookup import unfinished

if TYPE_CHECKING:
    from mcqa.runs.trial import Trial


def main(tree: ConfigDict, overrides: list[str]) -> None:
    """From the composed tree to a finished run, or to a look at what it would be (dry_run)."""
    if tree["from_run"] is not None:
        from mcqa.runs.repeat import repeated_config

        tree = repeated_config(tree, overrides)
    config = typed(tree, Config)
    from mcqa.models import devices
    from mcqa.runs import processes, run_folder, trial
    from mcqa.runs.files import read_json, read_yaml

    if (asked := trial.current()) is not None:
        return run(config, tree, asked.folder, asked)
    if config.resume is not None:
        if len(overrides) > 1:
            raise ConfigError("resume continues a run as it was configured; leave the other overrides out.")
        find = partial(unfinished, config.resume)
        tree = read_yaml(run_folder.open_existing(config.resume) / "config.yaml")
        config = typed(tree, Config)
    elif config.dry_run:
        return preview(config, tree)
    else:
        devices.check(config.hardware)
        find = partial(trial.own_folder, partial(run_folder.create, config.outputs, config.name, tree, overrides))
    folder = processes.folder_of_first(config.hardware, find)
    if not run_folder.is_complete(folder):  # or a start of this job before had come to its end
        run(config, tree, folder)
    if processes.is_first():
        trial.hand_in(read_json(folder / "result.json") | {"folder": run_folder.shown(folder)})


def preview(config: Config, tree: ConfigDict) -> None:
    """Everything up to the training: the questions, their tokens and the number of updates."""
    from rich.console import Console

    from mcqa.data import pretraining_texts
    from mcqa.data.loading import load_for
    from mcqa.data.prompts import Shots
    from mcqa.data.tokens import training_set
    from mcqa.models import loading, memory
    from mcqa.training import dry_run
    from mcqa.training.updates import total_updates

    data, sentences = load_for(config.data, config.evaluation), pretraining_texts.load(config.data)
    tokenizer = loading.load_tokenizer(config.model, sentences)
    train, shots = data.splits["train"], Shots(config.prompt, data.splits["train"])
    training = training_set(tokenizer, config.prompt, config.objective, train, sentences, shots)
    updates = total_updates(config, len(training.examples))
    longest = max(len(example.input_ids) for example in training.examples)
    needed = memory.estimate(config, memory.shape(config.model, config.peft, len(tokenizer)), longest)
    dry_run.show(Console(), config, tree, data, training, tokenizer, updates, memory.described(config, needed))
    memory.check(config, needed)


def run(config: Config, tree: ConfigDict, folder: Path, trial: "Trial | None" = None) -> None:
    """One run in its folder, from where an earlier start left it if there was one; test is left alone in a trial."""
    with fast_import.fast_imports(
        compiled=config.peft.quantization is not None or config.optimizer.name == "adamw_8bit"
    ):
        from mcqa.models import sharding
        from mcqa.models.devices import check, use_one_gpu
        from mcqa.runs import launch, processes
        from mcqa.runs.failures import raise_first_failure
        from mcqa.runs.record import open_run
        from mcqa.training import steps

    check(config.hardware)
    if processes.must_start_processes(config.hardware):
        return launch.start("mcqa.train", config.hardware, tree, folder)
    processes.join(config.hardware)
    use_one_gpu()
    with open_run(config, tree, folder, trial) as record, raise_first_failure(config.hardware):
        tokens = steps.tokenize_questions(record)
        base = steps.load_base(record, tokens)
        measure_base = partial(steps.measure_base, record, tree, tokens, sharding.parameter_count(base))
        parted_later = sharding.shards_weights(config.hardware)
        if not parted_later:
            measure_base(base)
        learner = steps.train(record, tokens, base, measure_base if parted_later else None)
        steps.save_and_evaluate(record, tokens, learner)
        if trial is None and processes.is_first():
            steps.write_report(record, tree, tokens, learner)


if __name__ == "__main__":
    hydra_command("config", Config, main)
