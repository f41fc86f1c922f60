"""The stored configuration of an earlier run, with what a command line changes of it."""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser

from mcqa.config.errors import ConfigError, FileError, quoted
from mcqa.config.schema import Config, ConfigDict, EvaluateConfig
from mcqa.config.validation import problems_of
from mcqa.runs import run_folder
from mcqa.runs.lookup import finished_run, stored_config

NEED_CONSENT = {
    "model.trust_remote_code": "it lets code that comes with the model run here",
    "objective.trainer_args.push_to_hub": "it publishes the model under your name",
}
"""What a run folder, which may be somebody else's, cannot ask for: this command line has to say it too."""

KEYS_OF_THE_MODEL = ("model", "objective", "optimizer", "scheduler")
"""Groups that made the model of a finished run, so that nobody can change them when it is measured again."""


def repeated_config(config_dict: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """Return the configuration of the run that from_run names, with the overrides of the command line.

    Raises:
        ConfigError: there is no such run, or an override cannot be applied to it.
    """
    own = _own_values(config_dict, Config, ("outputs", "dry_run", "resume", "from_run"))
    outputs, uri = Path(config_dict["outputs"]).absolute(), config_dict["tracking"]["uri"]
    stored = stored_config(str(config_dict["from_run"]), outputs, uri)
    _check_whole(stored, f"from_run={config_dict['from_run']}")
    _refuse_without_consent(stored, _keys(overrides), f"from_run={config_dict['from_run']}")
    return _with_overrides_of_stages(stored, config_dict, overrides, own) | own


def config_of_evaluated_run(config_dict: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """Return the configuration of the run that `run` names, with the overrides of the command line.

    Raises:
        ConfigError: there is no such run, or an override cannot be applied to it.
    """
    own = _own_values(
        config_dict, EvaluateConfig, ("name", "splits", "outputs", "dry_run", "resume", "from_run", "run")
    )
    keys = _keys(overrides)
    if wrong := [key for key in keys if key.split(".")[0] in KEYS_OF_THE_MODEL and key not in NEED_CONSENT]:
        raise ConfigError(
            f"{', '.join(wrong)}: run= measures the model that the run saved, which no such key changes; another "
            "model is measured without run=, by model=local model.path=<folder or hub id>."
        )
    folder = finished_run(str(config_dict["run"]), Path(config_dict["outputs"]).absolute())
    stored = run_folder.config_of(folder)
    _check_whole(stored, f"run={config_dict['run']}")
    _refuse_without_consent(stored, [*keys, "objective"], f"run={config_dict['run']}")
    own |= {"run": run_folder.shown(folder)}
    return with_overrides(stored, config_dict, overrides, leave_out=own) | own


def _with_overrides_of_stages(
    stored: ConfigDict, config_dict: ConfigDict, overrides: Sequence[str], own: Collection[str]
) -> ConfigDict:
    """Return a stored configuration with overrides, which all of its stages get; what a stage has of its own it keeps.

    Raises:
        ConfigError: one of the overrides cannot be applied.
    """
    if wrong := [key for key in _keys(overrides) if key.split(".")[0] == "stages"]:
        raise ConfigError(f"{wrong[0]}: a stored run has its stages already; change single keys or groups.")
    changed = with_overrides(stored, config_dict, overrides, leave_out=own)
    stages = [stage for stage in stored.get("stages", []) if isinstance(stage, dict)]
    for stage in stages:
        of_stage = _keys(stage["overrides"])
        kept = [text for text, key in zip(overrides, _keys(overrides), strict=True) if key not in of_stage]
        before = stored if stage["config"] is None else stage["config"]
        after = with_overrides(before, config_dict, kept, leave_out=own)
        for key in of_stage:
            *groups, leaf = key.split(".")
            section = _value(before, ".".join(groups)) if groups else before
            if groups and isinstance(section, Mapping) and leaf in section:
                _value(after, ".".join(groups))[leaf] = deepcopy(section[leaf])
        if stage["config"] is None:
            changed = after
        else:
            stage["config"] = after
    return changed | ({"stages": stages} if stages else {})


def resumed_config(config_dict: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """Return the configuration of the run that `resume` names, which nothing changes.

    Raises:
        ConfigError: there is no such run, or there are other overrides than those that consent to what it asks for.
    """
    keys = [key for key in _keys(overrides) if key != "resume"]
    if any(key not in NEED_CONSENT or not _value(config_dict, key) for key in keys):
        raise ConfigError("resume continues a run as it was configured; leave the other overrides out.")
    stored = run_folder.config_of(run_folder.open_existing(config_dict["resume"]))
    _check_whole(stored, f"resume={config_dict['resume']}")
    _refuse_without_consent(stored, keys, f"resume={config_dict['resume']}")
    return stored


def _own_values(config_dict: ConfigDict, kind: type[Config], names: Sequence[str]) -> dict[str, Any]:
    """Return what the command line alone decides; the stored run has no part in these keys of the root.

    Raises:
        ConfigError: one of them, or of tracking, has a wrong value.
    """
    own = [
        text for text in problems_of(config_dict, kind)[1] if text.split(": ")[0].split(".")[0] in (*names, "tracking")
    ]
    if own:
        raise ConfigError("\n".join(own))
    return {name: config_dict[name] for name in names}


def _keys(overrides: Sequence[str]) -> list[str]:
    return [override.key_or_group for override in OverridesParser.create().parse_overrides(list(overrides))]


def _value(config_dict: Any, key: str) -> Any:
    """Return the value of a dotted key; None where there is none."""
    for part in key.split("."):
        config_dict = config_dict.get(part) if isinstance(config_dict, Mapping) else None
    return config_dict


def _check_whole(stored: ConfigDict, run: str) -> None:
    """Raise a FileError where a stored configuration lacks groups, as a file that was cut short does."""
    groups = (name for name, kind in get_type_hints(Config).items() if is_dataclass(kind))
    if lacking := [name for name in groups if not isinstance(stored.get(name), dict)]:
        raise FileError(
            f"{run}: its config.yaml is damaged: it has no keys of {', '.join(lacking)}. Nothing else says how the run "
            "is configured."
        )


def _refuse_without_consent(stored: ConfigDict, keys: Collection[str], run: str) -> None:
    """Raise a ConfigError where a stored run asks for what none of the command line's keys or groups decides."""
    stages = found if isinstance(found := stored.get("stages"), list) else []
    every = [stored, *(stage.get("config") for stage in stages if isinstance(stage, Mapping))]
    asked = {key: next(filter(None, (_value(one, key) for one in every)), None) for key in NEED_CONSENT}
    decided = [key for key in asked if any(key == given or key.startswith(f"{given}.") for given in keys)]
    problems = [
        f"{key}: {run} has {quoted(value)} stored, which counts only if this command says so too, since "
        f"{NEED_CONSENT[key]}. If you trust whoever made the run, add ++{key}=true."
        for key, value in asked.items()
        if value and key not in decided
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def with_overrides(
    stored: ConfigDict, composed: ConfigDict, overrides: Sequence[str], leave_out: Collection[str]
) -> ConfigDict:
    """Return a stored configuration with overrides applied: groups as a whole, other keys one by one.

    composed: what Hydra composed of the same overrides. leave_out: keys at the root that stay as they are stored.

    Raises:
        ConfigError: one of them cannot be applied to a configuration that is stored.
    """
    changed = deepcopy(stored)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        text, keys = override.input_line, override.key_or_group.split(".")
        if override.is_delete() or override.package is not None:
            raise ConfigError(f"{text}: a stored run has all its keys already; change single keys or groups.")
        if keys[0] in leave_out:
            continue
        target: Any = changed
        source: Any = composed
        for key in keys[:-1]:
            target, source = target.setdefault(key, {}), source.get(key)
            if not isinstance(target, dict) or not isinstance(source, dict):
                raise ConfigError(f"{text}: the stored run has no such key; give the whole group {keys[0]}.")
        if keys[-1] not in source:
            raise ConfigError(f"{text}: a stored run has its experiment already; change single keys or groups.")
        target[keys[-1]] = deepcopy(source[keys[-1]])
    return changed
