"""The best trial as an experiment file: the experiment of the study, its command line, and what the trial changed.

Hydra finds the file as an option of the group `experiment` when the study's folder is a configuration folder
(`--config-dir <study> +experiment=best`). A study file such as sweeps/core.yaml may fix keys that no override names, so
the file is composed here with the app's own configuration, compared with what the trial ran and given what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from mcqa.runs import run_folder
from mcqa.runs.files import flat
from mcqa.sweep.report.load import number
from mcqa.sweep.report.seed_variance import chosen
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord

EXPERIMENT = "experiment"


_OF_THE_STUDY = (EXPERIMENT, "sweeps", "hydra")


_OF_THE_PLACE = ("outputs", "resume", "from_run", "dry_run", "hydra")


_UNLIKE = object()


_PACKAGE = "# @package _global_"


@dataclass(frozen=True)
class _Ran:
    """What the trial ran: its configuration, and how Hydra composed it; both are empty where the files are gone."""

    config: Mapping[str, Any]
    hydra: Mapping[str, Any]
    base: Mapping[str, Any]

    @property
    def choices(self) -> Mapping[str, Any]:
        """The options that were chosen, by group."""
        found = self.hydra.get("runtime", {}).get("choices")
        if isinstance(found, dict):
            return found
        return {key: value.get("name") for key, value in self.base.items() if isinstance(value, dict)}


def experiment(study: StudyRecord, trial: TrialRecord, value: str) -> str:
    """The text of best.yaml; `value` says in words what the trial reached."""
    ran = _Ran(_mapping(trial.folder / "config.yaml"), _hydra(trial.folder), study.base)
    given = dict(_overrides(study, trial))
    groups = [_group(key, option, text) for key, (option, text) in given.items() if _is_group(key, ran)]
    keys = [key.lstrip("+") for key in given if not _is_group(key, ran)]
    tree = _nested({key: _value(key, ran, given) for key in keys})
    base = chosen(study.overrides, EXPERIMENT)
    defaults: list[Any] = [base] * (base is not None) + groups
    remark, missing = _checked(defaults, tree, ran)
    return _header(study, trial, value, remark) + _dump(defaults, _with(tree, missing))


def _mapping(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _hydra(folder: Path) -> dict[str, Any]:
    found = _mapping(folder / "hydra.yaml")
    inner = found.get("hydra", found)
    return inner if isinstance(inner, dict) else {}


def _overrides(study: StudyRecord, trial: TrialRecord) -> Iterator[tuple[str, tuple[Any, str]]]:
    """By key with its plus signs: the value, and how it was written. The trial's own come last."""
    path = trial.folder / "overrides.yaml"
    try:
        own = yaml.safe_load(path.read_text("utf-8")) or []
    except (OSError, ValueError, yaml.YAMLError):
        own = []
    for text in [*study.overrides, *map(str, own if isinstance(own, list) else [])]:
        key, equals, value = text.partition("=")
        if equals and not key.startswith("~") and key.lstrip("+").split(".")[0].split("/")[0] not in _OF_THE_STUDY:
            yield key, (number(value), text)
    for key, value in trial.params.items():
        yield key, (value, f"{key}={value}")


def _is_group(key: str, ran: _Ran) -> bool:
    return key.lstrip("+") in ran.choices


def _group(key: str, option: Any, text: str) -> dict[str, Any]:
    name = f"/{key.lstrip('+')}"
    return {name if key.startswith("+") else f"override {name}": option}


def _value(key: str, ran: _Ran, given: Mapping[str, tuple[Any, str]]) -> Any:
    """What the trial ran with, which knows what an override meant; else the override."""
    at: Any = ran.config
    for part in key.split("."):
        at = at.get(part, _UNLIKE) if isinstance(at, Mapping) else _UNLIKE
    return next(value for name, (value, _) in given.items() if name.lstrip("+") == key) if at is _UNLIKE else at


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in leaves.items():
        *groups, leaf = key.split(".")
        at = tree
        for group in groups:
            at = at.setdefault(group, {})
        at[leaf] = value
    return tree


# --- composed once more -----------------------------------------------------------------------------------------------


def _checked(defaults: Sequence[Any], tree: Mapping[str, Any], ran: _Ran) -> tuple[str, dict[str, Any]]:
    """What to say about the file, and the keys that it lacks to be what the trial ran."""
    if not ran.config or not ran.hydra:
        return "Not compared with the trial's configuration, for its config.yaml or hydra.yaml is gone.", {}
    try:
        wanted = _leaves(ran.config)
        missing = _differing(wanted, _composed(defaults, tree, ran))
        again = _composed(defaults, _with(tree, missing), ran)
    except Exception as error:  # another app's resolvers, a configuration that has moved: the overrides are still right
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"Not compared with the trial's configuration, for it cannot be composed here: {said}", {}
    if left := {*_differing(wanted, again), *(again.keys() - wanted.keys())}:
        return f"Unlike the trial's configuration in {', '.join(sorted(left))}.", missing
    return "Composed with today's conf it is the trial's configuration, key by key.", missing


def _leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flat(config).items() if key.split(".")[0] not in _OF_THE_PLACE}


def _differing(wanted: Mapping[str, Any], composed: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wanted.items() if composed.get(key, _UNLIKE) != value}


def _with(tree: Mapping[str, Any], missing: Mapping[str, Any]) -> dict[str, Any]:
    return _nested({**flat(tree), **missing}) if missing else dict(tree)


def _composed(defaults: Sequence[Any], tree: Mapping[str, Any], ran: _Ran) -> dict[str, Any]:
    """Of the app's own configuration folders and a folder with this file."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    sources = ran.hydra["runtime"]["config_sources"]
    main = next(one["path"] for one in sources if one["provider"] == "main")
    others = [one for one in sources if one["provider"] not in ("hydra", "main", "schema")]
    with TemporaryDirectory() as folder:
        (Path(folder) / EXPERIMENT).mkdir()
        (Path(folder) / EXPERIMENT / "best.yaml").write_text(f"{_PACKAGE}\n{_dump(defaults, tree)}", "utf-8")
        search = [*(f"'{one['schema']}://{one['path']}'" for one in others), f"'file://{folder}'"]
        with _set_aside(), initialize_config_dir(config_dir=main, version_base=None):
            overrides = [f"hydra.searchpath=[{','.join(search)}]", f"+{EXPERIMENT}=best"]
            composed = compose(ran.hydra["job"]["config_name"], overrides=overrides)
    found: Any = OmegaConf.to_container(composed, resolve=True)
    return _leaves(found)


@contextmanager
def _set_aside() -> Iterator[None]:
    """Hydra composes for one app at a time: the one that runs now, whose sweep this is, goes on afterwards."""
    from hydra.core.global_hydra import GlobalHydra

    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = running


# --- text -------------------------------------------------------------------------------------------------------------


def command(study: StudyRecord) -> str:
    """How the best trial is run again."""
    app = study.description.get("command") or ("python -m mcqa.train" if "objective" in study.base else "<your app>")
    return f"{app} --config-dir {run_folder.shown(study.folder)} +{EXPERIMENT}=best"


def _header(study: StudyRecord, trial: TrialRecord, value: str, remark: str) -> str:
    said = " ".join(remark.split())
    return f"{_PACKAGE}\n#\n# Trial {trial.number} of {study.name}: {value}\n#\n#   {command(study)}\n#\n# {said}\n"


def _dump(defaults: Sequence[Any], tree: Mapping[str, Any]) -> str:
    head = {"defaults": [*defaults, "_self_"]} if defaults else {}
    found = {**head, **tree}
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True) if found else ""
