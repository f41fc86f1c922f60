"""The stages of a run: from names with a few overrides to a complete configuration of each.

In an experiment a stage is a name with the overrides that it has beside those of the experiment and the command line:

    stages:
      inject: [objective=pretrain, peft=none]
      sft: [objective=sft]

The last stage is the run itself. The stored configuration has that of every earlier stage inside, so that a run is
resumed and repeated as it was, whatever becomes of the files in conf/.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from mcqa.config import question_sets
from mcqa.config.errors import nearest, quoted
from mcqa.config.hydra_errors import COMPOSITION_ERRORS, first_lines
from mcqa.config.schema import Config, ConfigDict
from mcqa.config.validation import problems_of

OF_ALL_STAGES = {
    "stages": "a stage has no stages",
    "experiment": "it is chosen for all stages, by +experiment=…",
    "sweeps": "a study is one of whole runs",
    "hydra": "it belongs to the command",
    "model": "the base of a stage is the model of the stage before",
    "peft.path": "the base of a stage is the model of the stage before",
    **dict.fromkeys(
        [f"hardware.{key}" for key in ("device", "devices", "nodes", "strategy")],
        "the stages run one after the other in one job",
    ),
    **dict.fromkeys(["name", "outputs", "dry_run", "resume", "from_run", "tracking"], "it is one for the whole run"),
}
"""What a stage cannot change, and why."""


def expand(config_dict: ConfigDict, config_name: str, overrides: Sequence[str] = ()) -> list[str]:
    """Complete what a composed configuration has by name, its stages and question sets, while Hydra is initialized.

    overrides: those of the command line. Returns a line for everything that is wrong with stages and sets.
    """
    problems = _expand_stages(config_dict, config_name, overrides)
    return problems + question_sets.expand(config_dict, config_name, overrides)


def _expand_stages(config_dict: ConfigDict, config_name: str, overrides: Sequence[str]) -> list[str]:
    stages = config_dict.get("stages")
    if not stages:
        config_dict |= {"stages": []} if "stages" in config_dict else {}
        return []
    if not isinstance(stages, Mapping):  # complete already, or wrong, which validation reports
        return []
    problems, composed = list[str](), dict[str, ConfigDict]()
    of_command = [text for text in overrides if not _is_of_hydra(text)]
    search = [text for text in of_command if text.startswith("hydra.searchpath=")]
    for name, own in stages.items():
        wrong = list[str]()
        kept = list(_checked(own, search, wrong))
        try:
            composed[name] = {} if wrong else _compose(config_name, [*of_command, *kept]) | {"stages": []}
        except COMPOSITION_ERRORS as error:
            wrong.append(first_lines(error))
        problems += [f"stages.{name}: {line}" for line in wrong]
    if problems:
        config_dict["stages"] = []
        return problems
    *earlier, last = composed
    of_sets = question_sets.expand(composed[last], config_name, overrides)
    of_run = of_sets + problems_of(_on_trained(composed[last]) if earlier else composed[last])[1]
    for number, name in enumerate(earlier):
        wrong = question_sets.expand(composed[name], config_name, overrides)
        wrong += problems_of(_on_trained(composed[name]) if number else composed[name], Config)[1]
        problems += [f"stages.{name}: {line}" for line in wrong if line not in of_run]
    every = [{"name": name, "overrides": own, "config": composed[name]} for name, own in stages.items()]
    config_dict.clear()
    config_dict.update(composed[last])
    config_dict["stages"] = [] if problems or of_run else [*every[:-1], every[-1] | {"config": None}]
    return problems + of_sets


def _on_trained(config_dict: ConfigDict) -> ConfigDict:
    """Return the configuration of a later stage, whose base is no longer of random weights."""
    model = config_dict.get("model")
    if not isinstance(model, dict) or model.get("architecture") is None:
        return config_dict
    trained = {"architecture": None, "vocabulary_size": None, "path": "embedded:starter"}
    return {**config_dict, "model": model | trained}


def _checked(own: Any, search: list[str], problems: list[str]) -> Iterator[str]:
    """Yield the overrides of a stage as they can be composed, unknown keys too, which validation reports.

    search: the override of hydra.searchpath, if any. What is wrong with the others goes into `problems`.
    """
    if not isinstance(own, list) or not all(isinstance(text, str) for text in own):
        problems.append(f"must be a list of overrides, as [objective=sft], got {quoted(own)}.")
        return
    for text in own:
        try:
            override = OverridesParser.create().parse_override(text)
            value = None if override.is_sweep_override() else override.value()
        except COMPOSITION_ERRORS as error:
            problems.append(f"{quoted(text)} is no override: {first_lines(error)}")
            continue
        key = override.key_or_group
        known = question_sets.options(key, search)
        if reason := _reason_against(key.replace("/", "."), known):
            problems.append(f"{text}: {key} cannot be another one in a stage: {reason}.")
        elif override.is_sweep_override():
            problems.append(f"{text}: a stage has one value of each key.")
        elif known and value not in known and isinstance(value, str):
            problems.append(f"{text}: no such option; known are {', '.join(known)}.{nearest(value, known)}")
        else:
            yield text if known or text.startswith(("+", "~")) else f"++{text}"


def _reason_against(key: str, is_group: Any) -> str | None:
    """Return why a stage cannot change a key, or a group that has such a key."""
    return next(
        (
            why
            for one, why in OF_ALL_STAGES.items()
            if f"{key}.".startswith(f"{one}.") or (is_group and key != "peft" and one.startswith(f"{key}."))
        ),
        None,
    )


def _is_of_hydra(text: str) -> bool:
    """Whether an override is for Hydra itself; where else it finds options, a stage needs to know too."""
    return text.lstrip("+~").startswith(("hydra.", "hydra/")) and not text.startswith("hydra.searchpath=")


def _compose(config_name: str, overrides: list[str]) -> ConfigDict:
    composed = GlobalHydra.instance().config_loader().load_configuration(config_name, overrides, RunMode.RUN)
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    return cast(ConfigDict, OmegaConf.to_container(own, resolve=True))
