"""Compose a configuration with Hydra, and where its files stand."""

import re
from argparse import ArgumentError
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcqa.config import question_sets, stages
from mcqa.config.base_run import of_run, trained_model
from mcqa.config.errors import ConfigError, listing, nearest, quoted
from mcqa.config.hydra_errors import COMPOSITION_ERRORS, MAX_DEPTH, MAX_DIGITS, first_lines
from mcqa.config.metric_names import length_of, recommended_rate, steering_metric
from mcqa.config.schema import ConfigDict

PACKAGE = Path(__file__).parents[1]

ROOT = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent
"""Where conf/ stands: beside the code in an installed wheel, above it in a checkout. conf/sweeps leads to sweeps/."""


OmegaConf.register_new_resolver("length_of", lambda metric: length_of(str(metric)), replace=True)
"""For objective=choice: scores are divided as the metric that steers divides them."""

OmegaConf.register_new_resolver("recommended_rate", recommended_rate, replace=True)
"""Where to start with the learning rate: what the model has, times what the objective asks for."""

OmegaConf.register_new_resolver("steering_metric", lambda data, dev: steering_metric(data, dev), replace=True)
"""The metric of dev that chooses the best state, unless a run names another."""

OmegaConf.register_new_resolver("name_of_file", question_sets.name_of_file, replace=True)
"""For data=local: a set of the user's own is called as its file."""

OmegaConf.register_new_resolver("trained_model", trained_model, replace=True)
OmegaConf.register_new_resolver("of_run", of_run, replace=True)
"""For model=run."""

NOT_OURS = {
    "--config-name": "each command has its own configuration; --config-dir=<folder> adds groups and options of yours",
    "--config-path": "each command has its own configuration; --config-dir=<folder> adds groups and options of yours",
    "--experimental-rerun": "it would run code from a file; from_run=<run folder> repeats a run",
}
"""Options of Hydra that no command takes, and why."""


def usage_problems(arguments: list[str]) -> list[str]:
    """Return what is wrong with a command line before Hydra looks at it, which would say so in argparse's words."""
    if deep := [text for text in arguments if _is_beyond_reason(text)]:
        return [
            f"{quoted(text)}: nests more than {MAX_DEPTH} deep or has a number of {MAX_DIGITS} digits." for text in deep
        ]
    parser = get_args_parser()
    parser.exit_on_error, parser.allow_abbrev = False, False
    try:
        known, unknown = parser.parse_known_args(arguments)
    except ArgumentError as error:
        return [f"{error.argument_name or quoted(arguments)}: {error.message}."]
    options = [option for action in parser._actions for option in action.option_strings if len(option) > 2]
    given = {option: getattr(known, option[2:].replace("-", "_")) for option in NOT_OURS}
    problems = [
        f"{option}: no option here: {NOT_OURS[option]}." for option, value in given.items() if value is not None
    ]
    for text in unknown:
        if re.match(r"--?\w+(\.\w+)+", text):
            following = "" if "=" in text else "=" + "".join(arguments[arguments.index(text) + 1 :][:1])
            problems.append(f"{quoted(text)[1:-1]}: keys have no dashes: {text.lstrip('-')}{following}")
        elif text.startswith("-"):
            problems.append(f"{quoted(text)[1:-1]}: unknown option.{nearest(text, options)} --help says more.")
        else:
            problems.append(
                f"{quoted(text)[1:-1]}: keep all keys together, before or after the options that begin with -."
            )
    return problems


def _is_beyond_reason(text: str) -> bool:
    """Whether a parser would end in a RecursionError or refuse the digits."""
    depth = deepest = text.partition("=")[0].count(".")
    for sign in text:
        depth += (sign in "[{(") - (sign in "]})")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH or bool(re.search(rf"\d{{{MAX_DIGITS}}}", text))


def parse_overrides(arguments: list[str]) -> tuple[bool, list[Any]]:
    """Return whether --multirun is given, and the overrides; no overrides where one of them cannot be parsed."""
    known, _ = get_args_parser().parse_known_args(arguments)
    try:
        return known.multirun, OverridesParser.create().parse_overrides(known.overrides)
    except HydraException:
        return known.multirun, []


def sweep_overrides(arguments: list[str]) -> list[str]:
    """Return the lists of values on a command line without --multirun, which Hydra refuses."""
    multirun, overrides = parse_overrides(arguments)
    return [] if multirun else [one.input_line for one in overrides if one.is_sweep_override()]


def compose(config_name: str, overrides: list[str], config_dir: str | None = None) -> ConfigDict:
    """Return the resolved configuration for these overrides, outside of a command.

    Raises:
        ConfigError: when Hydra refuses one of them, or a further question set cannot be.
    """
    config_dict, problems = compose_with_problems(config_name, overrides, config_dir)
    if problems:
        raise ConfigError(listing(problems))
    return config_dict


def compose_with_problems(
    config_name: str, overrides: list[str], config_dir: str | None
) -> tuple[ConfigDict, list[str]]:
    """Return the configuration, and a line for every value that refers to none and every wrong further question set."""
    extra = searchpath_override(config_dir)
    try:
        with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
            cfg = hydra_compose(config_name, overrides + extra)
            problems: list[str] = []
            config_dict = _resolved(cfg, "", problems)
            return config_dict, problems + stages.expand(config_dict, config_name, overrides + extra)
    except COMPOSITION_ERRORS as error:
        raise ConfigError(listing([first_lines(error)])) from error


def defaults(config_name: str) -> ConfigDict:
    """Return the resolved configuration of a command without options, also within a command."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        return compose(config_name, [])
    finally:
        GlobalHydra.instance().hydra = running  # of another instance: compose leaves a copy


def _resolved(cfg: Any, path: str, problems: list[str]) -> ConfigDict:
    """Return a section with its values; one that refers to a key that is not there stays as it is written."""
    values: ConfigDict = {}
    for key, written in OmegaConf.to_container(cfg, resolve=False).items():
        try:
            value = cfg[key]
            if isinstance(value, DictConfig):
                value = _resolved(value, f"{path}{key}.", problems)
            values[key] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        except OmegaConfBaseException as error:
            problems.append(f"{path}{key}: {quoted(written)} has no value: {first_lines(error)}.")
            values[key] = written
    return values


def searchpath_override(config_dir: str | None) -> list[str]:
    """Return the override that makes Hydra look for options in a folder of the user's too."""
    if not config_dir:
        return []
    return [f"hydra.searchpath=[{QuotedString(f'file://{Path(config_dir).absolute()}', Quote.single).with_quotes()}]"]
