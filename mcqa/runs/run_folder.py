"""The run folder: where one run keeps everything, and the environment that it ran in."""

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mcqa.config.errors import ConfigError
from mcqa.config.renamed_keys import with_current_names
from mcqa.config.schema import ConfigDict
from mcqa.runs.files import read_json, read_yaml, write_yaml


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


def config_of(folder: Path) -> ConfigDict:
    """Return the configuration that a run folder holds, under the names that keys have now."""
    return with_current_names(read_yaml(folder / "config.yaml"))


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
