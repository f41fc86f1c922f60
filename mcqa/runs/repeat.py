"""A stored configuration once more, with what a command line changes of it."""

from collections.abc import Collection, Sequence
from copy import deepcopy
from pathlib import Path

from mcqa.config.errors import ConfigError
from mcqa.config.schema import ConfigDict
from mcqa.runs.lookup import finished_run, stored_config


def repeated_config(tree: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """The stored configuration of the run that from_run names, with what else the command line asks for.

    Raises:
        ConfigError: there is no such run, or an override cannot be applied to it.
    """
    outputs, uri = Path(tree["outputs"]).absolute(), tree["tracking"]["uri"]
    stored = stored_config(str(tree["from_run"]), outputs, uri)
    own = {key: tree[key] for key in ("outputs", "dry_run", "resume", "from_run")}
    return with_overrides(stored, tree, overrides, leave_out=own) | own


def with_overrides(
    stored: ConfigDict, composed: ConfigDict, overrides: Sequence[str], leave_out: Collection[str]
) -> ConfigDict:
    """A stored tree with what the command line asks for: chosen groups whole, other keys one by one."""
    tree = deepcopy(stored)
    for override in overrides:
        keys = override.split("=", 1)[0].lstrip("+").split(".")
        if keys[0] in leave_out:
            continue
        target, source = tree, composed
        for key in keys[:-1]:
            target, source = target.setdefault(key, {}), source[key]
        if keys[-1] not in source:
            raise ConfigError(f"{override}: a stored run has its experiment already; change single keys or groups.")
        target[keys[-1]] = deepcopy(source[keys[-1]])
    return tree


def config_of_evaluated_run(tree: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """The stored configuration of the run that `run` names, with what else the command line asks for.

    Raises:
        ConfigError: there is no such run, or an override cannot be applied to it.
    """
    from mcqa.runs import run_folder
    from mcqa.runs.files import read_yaml
    from mcqa.runs.repeat import with_overrides

    finished = finished_run(str(tree["run"]), Path(tree["outputs"]).absolute())
    stored = read_yaml(finished / "config.yaml")
    asked = {key: tree[key] for key in ("name", "splits", "outputs", "dry_run", "resume", "from_run")}
    asked |= {"run": run_folder.shown(finished)}
    return with_overrides(stored, tree, overrides, leave_out=asked) | asked
