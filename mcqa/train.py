"""Train one model on one question set and measure what it brought.

    python -m mcqa.train +experiment=qlora_mcqa [group=option ...] [key=value ...]

The story: questions become tokens; the base is measured as it is; training moves it, dev choosing the best
state; that state is measured on test, once, beside the base. Everything lands in the run folder.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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
        find = partial(unfinished, config.resume)
        tree = run_folder.read_yaml(run_folder.open_existing(config.resume) / "config.yaml")
        config = typed(tree, Config)
    elif config.dry_run:
        return preview(config, tree)
    else:
        hardware.check(config.hardware)
        find = partial(trial.own_folder, partial(run_folder.create, config.outputs, config.name, tree, overrides))
    folder = processes.folder_of_first(config.hardware, find)
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
    memory.check(config, needed)


def run(config: Config, tree: Tree, folder: Path, trial: "Trial | None" = None) -> None:
    """One run in its folder, from where an earlier start left it if there was one; test is left alone in a trial."""
    with imports.quick(compiled=config.peft.quantization is not None or config.optimizer.name == "adamw_8bit"):
        from mcqa import hardware, processes, recording, sharding, starting, steps

    hardware.check(config.hardware)
    if processes.to_start(config.hardware):
        return starting.start("mcqa.train", config.hardware, tree, folder)
    hardware.use_one_gpu()
    processes.join(config.hardware)
    with recording.open_run(config, tree, folder, trial) as record, processes.together(config.hardware):
        tokens = steps.read(record)
        base = steps.load(record, tokens)
        measure_base = partial(steps.measure_base, record, tree, tokens, sharding.parameters(base))
        parted_later = sharding.parts_weights(config.hardware)
        if not parted_later:
            measure_base(base)
        learner = steps.learn(record, tokens, base, measure_base if parted_later else None)
        steps.keep(record, tokens, learner)
        if trial is None and processes.is_first():
            steps.tell(record, tree, tokens, learner)


if __name__ == "__main__":
    open_door("config", Config, main)
