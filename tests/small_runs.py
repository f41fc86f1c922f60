"""Configurations and runs that are small enough for any test."""

from pathlib import Path
from typing import Any

from mcqa.config.composition import ConfigDict, compose
from mcqa.config.schema import Config
from mcqa.config.validation import typed


def smaller(questions_folder: Path, folder: Path) -> list[str]:
    return [
        "data=local",
        f"data.path={questions_folder}",
        "data.columns.subject=subject",
        "data.columns.id=id",
        "optimizer.batch_size=8",
        "objective.max_steps=2",
        "evaluation.every=1",
        "tracking=none",
        f"outputs={folder}/outputs",
    ]


def configured(overrides: list[str]) -> tuple[Config, ConfigDict]:
    """The typed and the plain configuration for these overrides."""
    tree = compose("config", overrides)
    return typed(tree, Config), tree


def trained(overrides: list[str]) -> tuple[Path, dict[str, Any]]:
    """Run it; the folder and its result.json."""
    from mcqa import train
    from mcqa.runs import run_folder
    from mcqa.runs.files import read_json

    config, tree = configured(overrides)
    folder = run_folder.create(config.outputs, config.name, tree, overrides)
    train.run(config, tree, folder)
    return folder, read_json(folder / "result.json")
