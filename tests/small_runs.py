"""Configurations and runs that are small enough for any test."""

from pathlib import Path
from typing import Any

from mcqa.config.composition import compose
from mcqa.config.schema import Config, ConfigDict
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
    config_dict = compose("config", overrides)
    return typed(config_dict, Config), config_dict


def loaded(*overrides: str) -> tuple[Any, Any]:
    """The model, as it is trained, and the tokenizer for these overrides."""
    from mcqa.models import loading

    config, _ = configured(list(overrides))
    tokenizer = loading.load_tokenizer(config.model, [])
    return loading.load_model(config.model, config.peft, config.hardware, tokenizer, config.seed), tokenizer


def trained(overrides: list[str]) -> tuple[Path, dict[str, Any]]:
    """Run it; the folder and its result.json."""
    from mcqa import train
    from mcqa.runs import run_folder
    from mcqa.runs.files import read_json

    config, config_dict = configured(overrides)
    folder = run_folder.create(config.outputs, config.name, config_dict, overrides)
    train.run(config, folder)
    return folder, read_json(folder / "result.json")
