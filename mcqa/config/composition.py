"""Compose a configuration with Hydra, and where its files stand."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any, cast

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcqa.config import question_sets
from mcqa.config.errors import ConfigError, listing
from mcqa.config.schema import ConfigDict

PACKAGE = Path(__file__).parents[1]


ROOT = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent
"""Where conf/ stands: beside the code in an installed wheel, above it in a checkout. conf/sweeps leads to sweeps/."""


def parse_overrides(arguments: list[str]) -> tuple[bool, list[Any]]:
    """Whether --multirun is given, and the overrides; none where one cannot be read, which is told later."""
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser

    known, _ = get_args_parser().parse_known_args(arguments)
    try:
        return known.multirun, OverridesParser.create().parse_overrides(known.overrides)
    except HydraException:
        return known.multirun, []


def sweep_overrides(arguments: list[str]) -> list[str]:
    """The lists of values on a command line without --multirun, which Hydra refuses."""
    multirun, overrides = parse_overrides(arguments)
    return [] if multirun else [one.input_line for one in overrides if one.is_sweep_override()]


def calm_libraries() -> None:
    """Warnings reach the user when they are ours, or when a library reports an error."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("mcqa").setLevel(logging.INFO)
    for library in (
        "accelerate",
        "bitsandbytes",
        "datasets",
        "DeepSpeed",
        "mlflow",
        "peft",
        "torch",
        "transformers",
    ):
        logging.getLogger(library).setLevel(logging.ERROR)
    logging.getLogger("huggingface_hub").propagate = False  # it prints its warnings itself
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine waiting threads would cost threefold
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DS_LOG_LEVEL", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    warnings.simplefilter("ignore", FutureWarning)
    warnings.filterwarnings("ignore", "Could not find a config file in embedded:")  # PEFT, of a base it need not find


def compose(config_name: str, overrides: list[str], config_dir: str | None = None) -> ConfigDict:
    """The resolved tree for these overrides, outside of a command.

    Raises:
        ConfigError: when Hydra refuses one of them, or a further question set cannot be.
    """
    tree, problems = compose_with_problems(config_name, overrides, config_dir)
    if problems:
        raise ConfigError(listing(problems))
    return tree


def compose_with_problems(
    config_name: str, overrides: list[str], config_dir: str | None
) -> tuple[ConfigDict, list[str]]:
    """The tree, and what is wrong with the further question sets in it."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    extra = searchpath_override(config_dir)
    try:
        with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
            cfg = hydra_compose(config_name, overrides + extra)
            tree = cast(ConfigDict, OmegaConf.to_container(cfg, resolve=True))
            return tree, question_sets.expand(tree, config_name, overrides + extra)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(listing([first_lines(error)])) from error


def searchpath_override(config_dir: str | None) -> list[str]:
    return [f"hydra.searchpath=['file://{_quoted(str(Path(config_dir).absolute()))}']"] if config_dir else []


def _quoted(text: str) -> str:
    """For the inside of single quotes in Hydra's grammar."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "full_key:" not in line]
    return " ".join(line for line in lines if not line.startswith(("object_type=", "See https")))
