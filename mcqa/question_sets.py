"""Further question sets of evaluation.sets and evaluation.dev: from `arc_easy` to all keys of its option of data.

On the command line a set is the name of an option, or a mapping with the option as `data` and what is to be different:

    evaluation.sets=[arc_easy,{data: local, path: mine.csv, split: dev, name: mine}]

The stored configuration has every key, so that a run measures the same again wherever it is repeated.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from mcqa.config import ROOT, DataConfig, listing
from mcqa.errors import ConfigError, nearest

OWN = ("name", "split")


def expand(tree: dict[str, Any], config_name: str) -> None:
    """Replaces the sets in a composed tree by complete ones; for use while Hydra is initialised.

    Raises:
        ConfigError: with everything that is wrong with them.
    """
    evaluation = tree.get("evaluation")
    if not isinstance(evaluation, dict):
        return
    problems: list[str] = []
    if isinstance(sets := evaluation.get("sets"), list):
        evaluation["sets"] = [
            _complete(one, "test", f"evaluation.sets[{number}]", config_name, problems)
            for number, one in enumerate(sets)
        ]
    if evaluation.get("dev") is not None:
        evaluation["dev"] = _complete(evaluation["dev"], "dev", "evaluation.dev", config_name, problems)
    if problems:
        raise ConfigError(listing(problems))


def _complete(one: Any, split: str, where: str, config_name: str, problems: list[str]) -> Any:
    given = {"data": one} if isinstance(one, str) else one
    if not isinstance(given, Mapping) or isinstance(given.get("data"), Mapping):
        return one  # complete already, or nothing that can be: then the types say so
    known = [field.name for field in fields(DataConfig)]
    unknown = [key for key in given if key not in (*known, *OWN, "data")]
    problems += [f"{where}.{key}: unknown key.{nearest(key, [*known, *OWN])}" for key in unknown]
    option = str(given.get("data"))
    chosen = _option(option, config_name)
    if chosen is None:
        options = {path.stem for path in (ROOT / "conf" / "data").glob("*.yaml")}
        listed = ", ".join(sorted(options))
        problems.append(f"{where}: {option!r} is no option of data; known are {listed}.{nearest(option, options)}")
        return one
    for key in [key for key in given if key in known and key != "name"]:
        value = given[key]
        chosen[key] = chosen[key] | value if isinstance(value, Mapping) and chosen[key] else value
    return {"name": given.get("name", option), "split": given.get("split", split), "data": chosen}


def _option(name: str, config_name: str) -> dict[str, Any] | None:
    """All keys of conf/data/<name>.yaml, also of a folder of the user's; None where there is none."""
    loader = GlobalHydra.instance().config_loader()
    try:
        composed = loader.load_configuration(config_name, [f"data={name}"], RunMode.RUN)
    except HydraException:
        return None
    return cast(dict[str, Any], OmegaConf.to_container(composed.data, resolve=True))
