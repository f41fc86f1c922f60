"""What each of two processes does in test_resume.py: a run in which the disk of one of them is full."""

import errno
import os
from pathlib import Path
from typing import Any

import torch

from mcqa import train
from mcqa.config.schema import Config
from mcqa.training.resume import ResumableTrainer


def run(config: Config, folder: Path) -> None:
    """From the second checkpoint on, in the process that the folder's `full` names."""
    if os.environ["RANK"] == (folder / "full").read_text():
        name = "_save" if os.environ["RANK"] == "0" else "_save_rng_state"  # the weights, and what each process has
        setattr(ResumableTrainer, name, _full(getattr(ResumableTrainer, name)))
    torch.set_num_threads(1)
    train.run(config, folder)


def _full(save: Any) -> Any:
    def full(self: ResumableTrainer, output_dir: str, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, output_dir, *args, **kwargs)

    return full
