"""Real runs, small, as jobs on the cluster: how they are sent, and what they leave behind."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from mcqa.runs.files import read_json
from tests.cluster.machine import Command, Folder

OF_ALL = (
    "hydra/launcher=slurm",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_per_cpu=1500M",
    "hydra.launcher.timeout_min=10",
)
EVERY = 5
"""Updates between two checkpoints."""
LONGER = (
    "objective.epochs=null",
    f"evaluation.every={EVERY}",
    "evaluation.limit=4",
    "tracking.log_every=1",
    "peft.dropout=0",
    "optimizer.learning_rate=1e-3",
)
WHOLE_NODES = "+hydra.launcher.additional_parameters.exclusive=true"


def sent(folder: Path, overrides: Sequence[str]) -> Command:
    return Command(folder, "-m", "mcqa.train", "--multirun", *overrides)


def multirun(folder: Path) -> Folder:
    (study,) = (folder / "outputs" / "sweeps").iterdir()
    return Folder(study)


def trains(command: Command, folder: Path, number: int = 0) -> Path:
    """The run folder of a job, as soon as it has a checkpoint and some updates after it."""

    def run_folder() -> Path | None:
        if not list(folder.glob(f"outputs/sweeps/*/trials/{number}/run_folder")):
            return None
        run = multirun(folder).run(number)
        return run if list(run.glob("checkpoints/checkpoint-*")) and updates(run)[-1] > EVERY + 1 else None

    return command.until(run_folder, f"updates of job {number}")


def events(run: Path) -> list[dict[str, Any]]:
    """Its events, oldest first. A line that is being written does not count."""
    if not (run / "events.jsonl").exists():
        return []
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def logged_updates(run: Path) -> list[dict[str, Any]]:
    """The events of its updates."""
    return [event for event in events(run) if "train/loss" in event.get("values", ())]


def updates(run: Path) -> list[int]:
    return [event["step"] for event in logged_updates(run)]


def losses(run: Path) -> list[float]:
    return [event["values"]["train/loss"] for event in logged_updates(run)]


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "model" / "adapter_model.safetensors")


def result(run: Path) -> dict[str, Any]:
    return read_json(run / "result.json")
