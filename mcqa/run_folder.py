"""The run folder: where one run keeps everything, and the environment that it ran in."""

import csv
import io
import json
import os
import platform
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from mcqa.config import ROOT
from mcqa.errors import ConfigError
from mcqa.patience import patiently

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


def create(outputs: str, name: str, tree: Mapping[str, Any], overrides: Sequence[str]) -> Path:
    """A new folder outputs/runs/<name>/<time>-<random> with the configuration that is going to run.

    Two runs that start in the same second do not meet.
    """
    folder = Path(outputs).absolute() / "runs" / name / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    make(folder)
    write_yaml(folder / "overrides.yaml", list(overrides))
    write_yaml(folder / "config.yaml", dict(tree))
    return folder


def make(folder: Path, exist_ok: bool = False) -> None:
    """
    Raises:
        ConfigError: it cannot be made, or, exist_ok=False, is there already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"{folder}: no folder can be made there: {why}. outputs= says where runs go.") from error


def open_existing(path: str) -> Path:
    """
    Raises:
        ConfigError: when there is no run in it, or none that can be read.
    """
    folder = Path(path).expanduser().absolute()
    try:
        if not (folder / "config.yaml").is_file():
            raise ConfigError(_no_run(path, folder))
        stored = read_yaml(folder / "config.yaml")
    except (yaml.YAMLError, UnicodeDecodeError):
        stored = None
    except OSError as error:
        raise ConfigError(f"{path}: its config.yaml cannot be read: {error.strerror or error}.") from error
    if not isinstance(stored, dict):
        raise ConfigError(f"{path}: its config.yaml is damaged.")
    return folder


def _no_run(path: str, folder: Path) -> str:
    near = sorted(str(found.parent) for found in folder.glob("**/config.yaml"))[:3] if folder.is_dir() else []
    hint = f" Runs below it: {', '.join(near)}." if near else ""
    return f"{path} is no run folder: there is no config.yaml in it.{hint}"


def is_complete(folder: Path) -> bool:
    """A run is complete only if its result.json says so."""
    result = folder / "result.json"
    return result.exists() and read_json(result)["status"] == "complete"


def shown(folder: Path) -> str:
    """The folder as the user would type it from where the command runs."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)


def write_yaml(path: Path, value: Any) -> None:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # five times as fast, where libyaml is there
    _write(path, yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True))


def read_yaml(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # 80 times as fast


def write_json(path: Path, value: Any) -> None:
    _write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The keys of the first row are the header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write(path, text.getvalue())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _write(path: Path, text: str) -> None:
    """Written to the side and moved into place: a file is there complete or not at all."""
    aside = path.with_name(path.name + ".partial")
    patiently(lambda: (aside.write_text(text, "utf-8"), aside.replace(path)))


def environment(device: str) -> dict[str, Any]:
    """What a result depends on besides its configuration."""
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
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


def _git(*arguments: str) -> str | None:
    """What git says of the folder that the code stands in; nothing where it is not a checkout."""
    if not (ROOT / ".git").exists():
        return None
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every leaf of a configuration under its dotted name."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
