"""The stored configuration of an earlier run, with what a command line changes of it."""

from collections.abc import Collection, Sequence
from copy import deepcopy
from pathlib import Path

from mcqa.config.errors import ConfigError
from mcqa.config.schema import ConfigDict
from mcqa.runs import run_folder
from mcqa.runs.lookup import finished_run, stored_config


def repeated_config(config_dict: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """Return the configuration of the run that from_run names, with the overrides of the command line.

    Raises:
        ConfigError: there is no such run, or an override cannot be applied to it.
    """
    outputs, uri = Path(config_dict["outputs"]).absolute(), config_dict["tracking"]["uri"]
    stored = stored_config(str(config_dict["from_run"]), outputs, uri)
    own = {key: config_dict[key] for key in ("outputs", "dry_run", "resume", "from_run")}
    return with_overrides(stored, config_dict, overrides, leave_out=own) | own


def config_of_evaluated_run(config_dict: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """Return the configuration of the run that `run` names, with the overrides of the command line.

    Raises:
        ConfigError: there is no such run, or an override cannot be applied to it.
    """
    folder = finished_run(str(config_dict["run"]), Path(config_dict["outputs"]).absolute())
    own = {key: config_dict[key] for key in ("name", "splits", "outputs", "dry_run", "resume", "from_run")}
    own |= {"run": run_folder.shown(folder)}
    return with_overrides(run_folder.config_of(folder), config_dict, overrides, leave_out=own) | own


def with_overrides(
    stored: ConfigDict, composed: ConfigDict, overrides: Sequence[str], leave_out: Collection[str]
) -> ConfigDict:
    """Return a stored configuration with overrides applied: groups as a whole, other keys one by one.

    composed: what Hydra composed of the same overrides. leave_out: keys at the root that stay as they are stored.
    """
    changed = deepcopy(stored)
    for override in overrides:
        keys = override.split("=", 1)[0].lstrip("+").split(".")
        if keys[0] in leave_out:
            continue
        target, source = changed, composed
        for key in keys[:-1]:
            target, source = target.setdefault(key, {}), source[key]
        if keys[-1] not in source:
            raise ConfigError(f"{override}: a stored run has its experiment already; change single keys or groups.")
        target[keys[-1]] = deepcopy(source[keys[-1]])
    return changed
