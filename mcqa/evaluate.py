"""Measure a finished run, a local folder or a hub model with the scorer that training uses.

python -m mcqa.evaluate run=<run folder> [group=option ...] [key=value ...]
python -m mcqa.evaluate model=local model.path=<folder or hub id> data=arc_challenge
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from mcqa.config import EvaluateConfig, typed
from mcqa.door import Tree, changed, open_door
from mcqa.errors import ConfigError


def main(tree: Tree, overrides: list[str]) -> None:
    """From the composed tree, or a run's stored one, to measured splits."""
    from mcqa import run_folder

    if tree["run"] is not None:
        finished = run_folder.open_existing(str(tree["run"]))
        stored = run_folder.read_yaml(finished / "config.yaml")
        asked = {key: tree[key] for key in ("name", "run", "splits", "outputs", "dry_run")}
        tree = changed(stored, tree, overrides, leave_out=asked) | asked
    config = typed(tree, EvaluateConfig)
    if config.dry_run or config.resume is not None:
        raise ConfigError("dry_run and resume are for mcqa.train; measuring takes moments and starts anew.")
    if config.run is not None:
        config = of_saved_model(config, finished / "model")
    from mcqa import hardware

    hardware.check(config.hardware)
    run(config, tree, run_folder.create(config.outputs, config.name, tree, overrides))


def of_saved_model(config: EvaluateConfig, folder: Path) -> EvaluateConfig:
    """The run's configuration, with the model that it saved in place of the one that it began with."""
    if not folder.is_dir():
        raise ConfigError(f"run={config.run}: the run has saved no model; its result.json says how it ended.")
    saved = replace(
        config.model, path=str(folder), tokenizer=None, revision=None, architecture=None, vocabulary_size=None
    )
    return replace(config, model=saved, objective=replace(config.objective, name="sft", loss_on="answer"))


def run(config: EvaluateConfig, tree: Tree, folder: Path) -> None:
    """Measure each split in a folder of its own, with the files of a run."""
    from mcqa import hardware, model, recording, report
    from mcqa.data.loading import load
    from mcqa.evaluation.measure import measure, question_set

    hardware.use_one_gpu()
    with recording.open_run(config, tree, folder) as record:
        data = load(config.data, config.splits)
        tokenizer = model.load_tokenizer(config.model, [])
        record.inputs(data, model.fingerprint(tokenizer))
        report.inputs(record, data)
        scored = model.load_model(config.model, config.peft, config.hardware, tokenizer, config.seed)
        for split in config.splits:
            questions = question_set(split, data.splits[split], config.prompt, tokenizer)
            record.predictions(split, partial(measure, scored, questions, config.hardware), step=0)
        report.measured(record, config.splits)


if __name__ == "__main__":
    open_door("evaluate", EvaluateConfig, main)
