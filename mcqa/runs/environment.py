"""Where a run happens: package versions, git commits, host, devices and memory."""

import functools
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from mcqa.config.composition import ROOT
from mcqa.config.schema import HardwareConfig


def peak_memory_bytes(config: HardwareConfig) -> int:
    """Of the GPU where one is used, else of this process."""
    if config.device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


PACKAGES = (
    "mcqa",
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "bitsandbytes",
    "datasets",
    "mlflow",
    "flash-attn",
)


def run_environment(device: str) -> dict[str, Any]:
    """What a result depends on besides its configuration."""
    return {
        "git_commit": _own_git("rev-parse", "HEAD"),
        "git_dirty": bool(_own_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)),
        "device": device,
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _own_git(*arguments: str) -> str | None:
    """What git says of the folder that the code stands in; nothing where it is not a checkout."""
    if not (ROOT / ".git").exists():
        return None
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def folder_of(function: Any) -> Path:
    module = sys.modules.get(getattr(function, "__module__", None) or "__main__")
    return Path(getattr(module, "__file__", None) or Path.cwd() / "-").absolute().parent


@functools.lru_cache
def commit_of(folder: Path) -> str | None:
    """The commit of a checkout when this process first asked, about when it loaded its code; None without one.

    `+dirty` after it: files that git knows were edited and not committed.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    edited = commit and _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+dirty" if edited else commit


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
