"""Sets of evaluation.sets, evaluation.dev and data.sets: from `arc_easy` to all keys of its option of data.

On the command line a set is the name of an option, or a mapping with the option as `data` and what is to be different:

    evaluation.sets=[arc_easy,{data: local, path: mine.csv, split: dev, name: mine}]

The stored configuration has every key, so that a run measures the same again wherever it is repeated.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, cast

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from mcqa.config.errors import nearest
from mcqa.config.metric_names import SPLITS
from mcqa.config.schema import DataConfig

MEASURED = {"name": None, "split": "test"}
MIXED = {"name": None, "weight": 1.0}
"""What a set has besides its data, with the values where it does not say; its name is that of the option."""

LONGEST = 80  # letters of a name that is made from a file's


def expand(config_dict: dict[str, Any], config_name: str, overrides: Sequence[str] = ()) -> list[str]:
    """Replace the sets in a composed configuration by complete ones, while Hydra is initialized.

    overrides: those of the command line; hydra.searchpath among them says where else options are. Returns a line for
    everything that is wrong with the sets; a set that is no option of data is then null in the configuration.
    """
    evaluation, data, problems = config_dict.get("evaluation"), config_dict.get("data"), list[str]()
    search = [text for text in overrides if text.startswith("hydra.searchpath=")]
    complete = partial(_complete, config_name=config_name, search=search, problems=problems)
    if isinstance(data, dict) and isinstance(sets := data.get("sets"), list):
        data["sets"] = [complete(one, MIXED, f"data.sets[{n}]") for n, one in enumerate(sets)]
    if not isinstance(evaluation, dict):
        return problems
    if isinstance(sets := evaluation.get("sets"), list):
        evaluation["sets"] = [complete(one, MEASURED, f"evaluation.sets[{n}]") for n, one in enumerate(sets)]
    if evaluation.get("dev") is not None:
        evaluation["dev"] = complete(evaluation["dev"], MEASURED | {"split": "dev"}, "evaluation.dev")
    return problems


def name_of_file(path: str | None, hub: str | None = None) -> str:
    """Return what data=local is called, after its file or folder, or its set on the hub; `local` where there is none.

    With the folder before it where the name alone is that of a split, or of files of a run.
    """
    file = Path(path or hub or "")
    name, folder = (re.sub(r"[^\w.+-]+", "_", part).lstrip("._+-") for part in (file.name, file.absolute().parent.name))
    name = re.sub(r"(\.[A-Za-z]\w*)+$", "", name)[:LONGEST]
    if name in (*SPLITS, "base") or name.startswith("base_"):
        name = f"{folder or 'local'}_{name}"
    return name or "local"


def options(group: str, search: list[str]) -> list[str]:
    """Return the options of a group, while Hydra is initialized; search: the override of hydra.searchpath, if any."""
    return sorted(GlobalHydra.instance().config_loader().get_group_options(group, overrides=search))


def _keys(config_name: str, option: str, search: list[str]) -> dict[str, Any] | None:
    """Return all keys of conf/data/<option>.yaml; None where there is no such option."""
    loader = GlobalHydra.instance().config_loader()
    try:
        composed = loader.load_configuration(config_name, [f"data='{option}'", *search], RunMode.RUN)
    except HydraException:
        return None
    return cast(dict[str, Any], OmegaConf.to_container(composed.data, resolve=True)) if "data" in composed else None


def _complete(
    one: Any, own: Mapping[str, Any], where: str, config_name: str, search: list[str], problems: list[str]
) -> Any:
    """own: what the set has besides its data."""
    given = {"data": one} if isinstance(one, str) else one
    if not isinstance(given, Mapping) or isinstance(given.get("data"), Mapping):
        return one  # complete already, or invalid, which validation reports
    known = [field.name for field in fields(DataConfig)]
    unknown = [key for key in given if key not in (*known, *own, "data")]
    problems += [f"{where}.{key}: unknown key.{nearest(key, [*known, *own])}" for key in unknown]
    option = given.get("data")
    chosen = None if option is None else _keys(config_name, str(option), search)
    if chosen is None:
        names = options("data", search)
        got = "does not say which option of data it is" if option is None else f"{option!r} is no option of data"
        problems.append(f"{where}: {got}; known are {', '.join(names)}.{nearest(str(option), names)}")
        return None
    named_by_file = chosen["name"] == name_of_file(None)
    for key in [key for key in given if key in known and key != "name"]:
        both = isinstance(given[key], Mapping) and isinstance(chosen[key], Mapping)
        chosen[key] = chosen[key] | given[key] if both else given[key]
    if named_by_file:
        chosen["name"] = option = name_of_file(chosen["path"], chosen["hub"])
    if isinstance(sets := chosen.get("sets"), list):  # of a mix that is measured
        nested = partial(_complete, config_name=config_name, search=search, problems=problems)
        chosen["sets"] = [nested(mixed, MIXED, f"{where}.sets[{n}]") for n, mixed in enumerate(sets)]
    return {**own, "name": option, **{key: given[key] for key in own if key in given}, "data": chosen}
