"""Where a run happens: package versions, git commits, host, memory and file systems."""

import functools
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

CHECKOUT = Path(__file__).parents[2]
"""Above the package: the git checkout that the code runs from, if it does."""

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

NODE_LOCAL = ("tmpfs", "ramfs", "overlay", "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs")
"""Kinds of file systems that other machines do not see."""


def run_environment(device: str) -> dict[str, Any]:
    """Return what a result depends on besides its configuration, as environment.json has it."""
    from_checkout = (CHECKOUT / ".git").exists()  # an installed package may lie inside somebody else's checkout
    return {
        "git_commit": _git(CHECKOUT, "rev-parse", "HEAD") if from_checkout else None,
        "git_dirty": from_checkout and _is_edited(CHECKOUT),
        "python": platform.python_version(),
        "packages": {name: installed for name in PACKAGES if (installed := _version(name))},
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)),
        "device": device,
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
    }


def peak_memory_bytes(device: str) -> int:
    """Return the most memory used so far: of the GPU where one is used (`cuda`), else of this process."""
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # in kibibytes on Linux


def folder_of(function: Any) -> Path:
    """Return the folder of the module that defines a function; the working folder where it has no file."""
    module = sys.modules.get(getattr(function, "__module__", None) or "__main__")
    return Path(getattr(module, "__file__", None) or Path.cwd() / "-").absolute().parent


@functools.lru_cache
def commit_of(folder: Path) -> str | None:
    """Return the commit of a checkout when this process first asked, about when it loaded its code; None without one.

    `+dirty` after it: files that git knows were edited and not committed.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    return f"{commit}+dirty" if commit and _is_edited(folder) else commit


def node_local_warnings(paths: Mapping[str, Path]) -> list[str]:
    """Return a warning for each path, by what it is, that is on a file system of this machine alone."""
    warnings = []
    partitions = psutil.disk_partitions(all=True)[::-1]  # a later one hides an earlier one at the same place
    for what, path in paths.items():
        above = [each for each in partitions if path.resolve().is_relative_to(each.mountpoint)]
        mounted = max(above, key=lambda each: len(each.mountpoint), default=None)
        if mounted is not None and mounted.fstype in NODE_LOCAL:
            warnings.append(
                f"{what} is on this machine's own disk or memory ({path}: {mounted.fstype} at {mounted.mountpoint}). "
                "The nodes must see it under the same path."
            )
    return warnings


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _is_edited(folder: Path) -> bool:
    return bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints; None where the folder is no checkout or git does not answer within 30 seconds."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
