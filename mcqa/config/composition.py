"""Compose a configuration with Hydra, and where its files stand."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcqa.config import question_sets
from mcqa.config.errors import ConfigError, listing
from mcqa.config.schema import ConfigDict
from mcqa.config.secrets import RedactedRecord

PACKAGE = Path(__file__).parents[1]

ROOT = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent
"""Where conf/ stands: beside the code in an installed wheel, above it in a checkout. conf/sweeps leads to sweeps/."""


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


def calm_libraries() -> None:
    """Show warnings of our own, and of the libraries only errors."""
    logging.setLogRecordFactory(RedactedRecord)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("mcqa").setLevel(logging.INFO)
    for library in ("accelerate", "bitsandbytes", "datasets", "DeepSpeed", "mlflow", "peft", "torch", "transformers"):
        logging.getLogger(library).setLevel(logging.ERROR)
    logging.getLogger("huggingface_hub").propagate = False  # it prints its warnings itself
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine waiting threads would cost threefold
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DS_LOG_LEVEL", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    warnings.simplefilter("ignore", FutureWarning)
    warnings.filterwarnings("ignore", "Could not find a config file in embedded:")  # PEFT, of a base it need not find


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
    """Return the configuration, and a line for everything wrong with the further question sets in it."""
    extra = searchpath_override(config_dir)
    try:
        with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
            cfg = hydra_compose(config_name, overrides + extra)
            config_dict = cast(ConfigDict, OmegaConf.to_container(cfg, resolve=True))
            return config_dict, question_sets.expand(config_dict, config_name, overrides + extra)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(listing([first_lines(error)])) from error


def searchpath_override(config_dir: str | None) -> list[str]:
    """Return the override that makes Hydra look for options in a folder of the user's too."""
    if not config_dir:
        return []
    return [f"hydra.searchpath=[{QuotedString(f'file://{Path(config_dir).absolute()}', Quote.single).with_quotes()}]"]


def first_lines(error: Exception) -> str:
    """Return the message of an error of Hydra or OmegaConf in one line, without what only its developers need."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "full_key:" not in line]
    return " ".join(line for line in lines if not line.startswith(("object_type=", "See https")))
