"""What each of two processes does in test_sharding.py: one run after the other, as starting.py would start each."""

import os
import shutil
from pathlib import Path
from typing import Any

from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from mcqa import processes, run_folder, train
from mcqa.config import Config, typed

STRATEGIES = ("ddp", "zero2", "zero3", "fsdp2")
ADAPTED = {"peft": "lora", "peft.dropout": "0"}
CASES: dict[str, dict[str, str]] = {
    name: {**keys, "hardware.strategy": strategy}
    for strategy in STRATEGIES  # ddp before the others, for which accelerate is changed (sharding.py)
    for name, keys in ((strategy, {"peft": "none"}), (f"{strategy} adapter", ADAPTED))
}
"""Overrides of each, beside those of all."""


def run(config: Config, tree: dict[str, Any], folder: Path) -> None:
    """The cases lie in folder, each a run folder with nothing but its config.yaml."""
    for name in CASES:
        _train(folder / name)
        if name in STRATEGIES:
            resumed = folder / f"{name} resumed"
            if processes.is_first():
                _as_stopped_half_way(folder / name, resumed)
            processes.heard(0)
            _train(resumed)


def _train(folder: Path) -> None:
    """Without what accelerate and transformers remember of the strategy before: a run of its own has but one."""
    for key in [key for key in os.environ if key.startswith(("ACCELERATE_", "FSDP_"))]:
        del os.environ[key]
    unset_hf_deepspeed_config()
    tree = run_folder.read_yaml(folder / "config.yaml")
    train.run(typed(tree, Config), tree, folder)


def _as_stopped_half_way(done: Path, folder: Path) -> None:
    shutil.copytree(done, folder)
    shutil.rmtree(folder / "checkpoints" / "checkpoint-4")
    shutil.rmtree(folder / "model")
    for path in (folder / "result.json", folder / "predictions" / "dev.jsonl", folder / "predictions" / "test.jsonl"):
        path.unlink()
