"""Write the best trial as an experiment file: the study's experiment, its command line, and what the trial changed.

Hydra finds the file as an option of the group `experiment` when the study's folder is a configuration folder
(`--config-dir <study> +experiment=best`). A study file such as sweeps/core.yaml may fix keys that no override names.
The file is therefore composed here with the app's own configuration and compared with what the trial ran, and the keys
that differ are added to it.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from mcqa.config import stages
from mcqa.runs import run_folder
from mcqa.runs.files import flatten
from mcqa.runs.run_folder import STAGES
from mcqa.sweep.report.load import load, parse_value
from mcqa.sweep.report.seed_variance import chosen_option
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord

EXPERIMENT = "experiment"

_PACKAGE = "# @package _global_"
_STUDY_KEYS = (EXPERIMENT, "sweeps", "hydra")  # of the command line, which make the study and not the trial
_RUN_KEYS = ("outputs", "resume", "from_run", "dry_run", "hydra")  # where and how it ran, which the file leaves open


@dataclass(frozen=True)
class _Ran:
    """What the trial ran. The mappings are empty where the trial's files are gone."""

    config: Mapping[str, Any]
    hydra: Mapping[str, Any]  # how Hydra composed it
    options: Mapping[str, Any]  # the chosen option of each group


def experiment(study: StudyRecord, trial: TrialRecord, reached: str) -> str:
    """Return the text of best.yaml. reached: metric and value of the trial, for the comment at its head."""
    ran = _ran(study, trial)
    overrides = dict(_overrides(study, trial))
    swept = [overrides.pop(key) for key in (EXPERIMENT, f"+{EXPERIMENT}") if key in overrides]
    base = swept[0] if swept else chosen_option(study.overrides, EXPERIMENT)
    defaults: list[Any] = [] if base is None else [base]
    keys: dict[str, Any] = {}
    for override, value in overrides.items():
        key = override.lstrip("+")
        if key in ran.options:
            defaults.append({f"/{key}" if override.startswith("+") else f"override /{key}": value})
        else:
            keys[key] = _at(ran.config, key, value)  # which knows what the override meant
    remark, missing = _missing_keys(defaults, keys, ran)
    head = f"Trial {trial.number} of {study.name}: {reached}\n#\n#   {command(study)}\n#\n# {' '.join(remark.split())}"
    return f"{_PACKAGE}\n#\n# {head}\n{_dump(defaults, keys | missing)}"


def command(study: StudyRecord) -> str:
    """Return the command that runs the best trial again."""
    return f"{app(study)} --config-dir {run_folder.shown(study.folder)} +{EXPERIMENT}=best"


def command_again(study: StudyRecord, *changed: str) -> str:
    """Return the command that began the study, with these overrides in the place of its own."""
    hydra = load(study.folder / "multirun.yaml", {}, []).get("hydra")
    given = (hydra.get("overrides") if isinstance(hydra, Mapping) else None) or {}
    keys = {text.partition("=")[0].lstrip("+") for text in (*changed, "hydra.mode")}
    arguments = [*study.overrides, *map(str, given.get("hydra") or [])]
    kept = [text for text in arguments if text.partition("=")[0].lstrip("+") not in keys]
    return f"{app(study)} --multirun {shlex.join([*kept, *changed])}"


def app(study: StudyRecord) -> str:
    """Return how the study's application is called."""
    known = study.description.get("command")
    return str(known) if known else "python -m mcqa.train" if "objective" in study.base else "<your app>"


def _ran(study: StudyRecord, trial: TrialRecord) -> _Ran:
    content = load(trial.folder / "hydra.yaml", {}, [])
    hydra = content.get("hydra", content)
    options = hydra.get("runtime", {}).get("choices")
    if not isinstance(options, dict):
        options = {group: value.get("name") for group, value in study.base.items() if isinstance(value, dict)}
    return _Ran(load(trial.folder / "config.yaml", {}, []), hydra, options)


def _overrides(study: StudyRecord, trial: TrialRecord) -> Iterator[tuple[str, Any]]:
    """The study's overrides, then the trial's: keys with their plus signs, and values."""
    for text in map(str, [*study.overrides, *load(trial.folder / "overrides.yaml", [], [])]):
        key, equals, value = text.partition("=")
        if equals and not key.startswith("~") and key.lstrip("+").split(".")[0].split("/")[0] not in _STUDY_KEYS:
            yield key, parse_value(value)
    for key in trial.params:
        if key not in trial.values or trial.values[key] is not None:  # else it is a factor of an unknown value
            yield key, trial.value_of(key)


def _at(config: Any, key: str, default: Any) -> Any:
    for part in key.split("."):
        if not isinstance(config, Mapping) or part not in config:
            return default
        config = config[part]
    return config


# --- comparison with what the trial ran -------------------------------------------------------------------------------


def _missing_keys(defaults: Sequence[Any], keys: Mapping[str, Any], ran: _Ran) -> tuple[str, dict[str, Any]]:
    """Return a remark on the file, and the leaves without which it is not the configuration that the trial ran."""
    if not ran.config or not ran.hydra:
        return "Not compared with the trial's configuration: its config.yaml or hydra.yaml is missing.", {}
    try:
        wanted = _leaves(ran.config)
        missing = _differing(wanted, _compose(defaults, keys, ran))
        missing = {key: value for key, value in missing.items() if key.split(".")[0] != STAGES}
        composed = _compose(defaults, {**keys, **missing}, ran)
    except Exception as error:  # another app's resolvers, a configuration that has moved: the overrides are still right
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"Not compared with the trial's configuration, which cannot be composed here: {reason}", {}
    if different := {*_differing(wanted, composed), *(composed.keys() - wanted.keys())}:
        return f"Differs from the trial's configuration in {', '.join(sorted(different))}.", missing
    return "Composed with today's conf it is identical to the trial's configuration, key by key.", missing


def _leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flatten(config).items() if key.split(".")[0] not in _RUN_KEYS}


def _differing(wanted: Mapping[str, Any], composed: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wanted.items() if key not in composed or composed[key] != value}


def _compose(defaults: Sequence[Any], keys: Mapping[str, Any], ran: _Ran) -> dict[str, Any]:
    """Compose from the app's own configuration folders and one that has nothing but this file."""
    sources = ran.hydra["runtime"]["config_sources"]
    main = next(source["path"] for source in sources if source["provider"] == "main")
    others = [source for source in sources if source["provider"] not in ("hydra", "main", "schema")]
    with TemporaryDirectory() as folder:
        (Path(folder) / EXPERIMENT).mkdir()
        (Path(folder) / EXPERIMENT / "best.yaml").write_text(f"{_PACKAGE}\n{_dump(defaults, keys)}", "utf-8")
        search = [*(f"'{source['schema']}://{source['path']}'" for source in others), f"'file://{folder}'"]
        with _no_running_app(), initialize_config_dir(config_dir=main, version_base=None):
            overrides = [f"hydra.searchpath=[{','.join(search)}]", f"+{EXPERIMENT}=best"]
            name = ran.hydra["job"]["config_name"]
            composed: Any = OmegaConf.to_container(compose(name, overrides), resolve=True)
            if composed.get(STAGES):  # names with overrides, of which the trial's configuration has what they make
                stages.expand(composed, name, overrides)
    return _leaves(composed)


@contextmanager
def _no_running_app() -> Iterator[None]:
    """Hydra composes for one app at a time; the one that runs, whose study this may be, is set aside meanwhile."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = running


def _dump(defaults: Sequence[Any], keys: Mapping[str, Any]) -> str:
    """Return YAML with the dotted keys as nested mappings."""
    content: dict[str, Any] = {"defaults": [*defaults, "_self_"]} if defaults else {}
    for key, value in keys.items():
        *groups, leaf = key.split(".")
        group = content
        for name in groups:
            group = group.setdefault(name, {})
        group[leaf] = value
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True) if content else ""
