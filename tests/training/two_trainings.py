"""What each of two processes does in test_sharding.py: one run after the other, as launch.py starts each."""

import os
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

from accelerate.state import AcceleratorState
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from mcqa import evaluate, train
from mcqa.config.schema import Config, EvaluateConfig
from mcqa.config.validation import typed
from mcqa.evaluation import measure
from mcqa.models import loading as model
from mcqa.runs import processes
from mcqa.runs.files import read_yaml, write_json

STRATEGIES = ("ddp", "zero2", "zero3", "fsdp2")
ADAPTED = {"peft": "lora", "peft.dropout": "0", "optimizer.groups.adapter_b.learning_rate_factor": "4"}
CASES: dict[str, dict[str, str]] = {
    name: {**keys, "hardware.strategy": strategy}
    for strategy in STRATEGIES  # ddp before the others, for which accelerate is changed (sharding.py)
    for name, keys in ((strategy, {"peft": "none"}), (f"{strategy} adapter", ADAPTED))
}
"""Overrides of each, beside those of all."""
RESUMED = [name for name in CASES if name != "ddp adapter"]  # as in one process, which test_resume.py resumes
MEASURED = {"zero2 measures": "alone adapter", "zero3 measures": "alone full", "fsdp2 measures": "alone adapter"}
"""What mcqa.evaluate does, and the finished run whose model it measures."""


def run(config: Config, folder: Path) -> None:
    """The cases lie in folder, each a run folder with nothing but its config.yaml."""
    for name in CASES:
        _train(folder / name)
        if name in RESUMED:
            resumed = folder / f"{name} resumed"
            if processes.is_first():
                _as_stopped_half_way(folder / name, resumed)
            processes.broadcast(0)
            _train(resumed)
    for name in MEASURED:
        _measure(folder / name)


def _train(folder: Path) -> None:
    _forget()
    train.run(typed(read_yaml(folder / "config.yaml"), Config), folder)


def _measure(folder: Path) -> None:
    """Also writes how many numbers of the model's weights this process had when they were read, and while measuring."""
    _forget()
    load, score, numbers = model.load_model, measure.score, {}

    def loading(*args: Any) -> Any:
        loaded = load(*args)
        numbers["read"] = _numbers_here(loaded)
        return loaded

    def scoring(loaded: Any, *args: Any) -> Any:
        numbers["whole"], numbers["measuring"] = loaded.num_parameters(), _numbers_here(loaded)
        return score(loaded, *args)

    with mock.patch.object(model, "load_model", loading), mock.patch.object(measure, "score", scoring):
        evaluate.run(typed(read_yaml(folder / "config.yaml"), EvaluateConfig), folder)
    write_json(folder / f"numbers{processes.rank()}.json", numbers)


def _numbers_here(loaded: Any) -> int:
    own = [getattr(weight, "_local_tensor", weight) for weight in loaded.parameters()]
    return sum(weight.numel() for weight in own if not weight.is_meta)


def _forget() -> None:
    """What accelerate and transformers remember of the strategy before: a run of its own has but one."""
    for key in [key for key in os.environ if key.startswith(("ACCELERATE_", "FSDP_"))]:
        del os.environ[key]
    unset_hf_deepspeed_config()
    AcceleratorState._reset_state(reset_partial_state=True)


def _as_stopped_half_way(done: Path, folder: Path) -> None:
    shutil.copytree(done, folder)
    shutil.rmtree(folder / "checkpoints" / "checkpoint-4")
    shutil.rmtree(folder / "model")
    for path in (folder / "result.json", folder / "predictions" / "dev.jsonl", folder / "predictions" / "test.jsonl"):
        path.unlink()
