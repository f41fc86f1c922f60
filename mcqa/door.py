"""The door: Hydra composes, mistakes are told, and only plain dataclasses go inside.

Hydra stops at its first complaint. When it refuses to compose, the command line is composed again leniently, so
that every misspelled option and key, and everything wrong with the values, is reported at once.
"""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcqa import question_sets
from mcqa.config import ROOT, Config, listing, problems_of
from mcqa.errors import ConfigError, McqaError, nearest
from mcqa.hooks import Hooks

Tree = dict[str, Any]
Story = Callable[[Tree, list[str]], Any]
"""What runs behind the door: takes the composed, resolved tree and the command line's overrides."""


def open_door(config_name: str, kind: type[Config], story: Story, many: bool = False) -> list[Any]:
    """Compose `config_name` from conf/ and the command line and run the story; ends the process on user errors.

    Returns what the story returned: once, or for every job of a --multirun in this process. many: a list of values
    such as data=arc_easy,openbookqa needs no --multirun.
    """
    if many and _sweeps(sys.argv[1:]):
        sys.argv.insert(1, "--multirun")
    calm_libraries()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing the first one

    entered = False
    told: list[Any] = []

    def task(cfg: DictConfig) -> None:
        nonlocal entered
        calm_libraries()  # again, for a job in another process
        tree = cast(Tree, OmegaConf.to_container(cfg, resolve=True))
        entered = True
        try:
            overrides = HydraConfig.get().overrides
            if problems := question_sets.expand(tree, config_name, overrides.hydra):
                raise ConfigError(listing(_with_values(problems, tree, kind)))
            told.append(story(tree, list(overrides.task)))
        except McqaError as error:  # here and not below, where Hydra has already called it a crash
            sys.exit(f"{error}")

    task.hooks = Hooks(config_name, kind)  # type: ignore[attr-defined]
    try:
        hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name=config_name)(task)()
    except McqaError as error:
        sys.exit(f"{error}")
    except Exception as error:
        composed = getattr(task, "composed", False) and not isinstance(error, (HydraException, OmegaConfBaseException))
        if entered or composed:  # a bug, and none of the command line's making
            raise
        sys.exit(f"{diagnosis(config_name, kind, sys.argv[1:], error)}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    return told


def _sweeps(arguments: list[str]) -> bool:
    """Whether the command line has a list of values and no --multirun, which Hydra would refuse."""
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser

    known, _ = get_args_parser().parse_known_args(arguments)
    try:
        overrides = OverridesParser.create().parse_overrides(known.overrides)
    except HydraException:
        return False  # told later, with everything else
    return not known.multirun and any(override.is_sweep_override() for override in overrides)


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
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine waiting threads would cost threefold
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DS_LOG_LEVEL", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    warnings.simplefilter("ignore", FutureWarning)
    warnings.filterwarnings("ignore", "Could not find a config file in embedded:")  # PEFT, of a base it need not find


def compose(config_name: str, overrides: list[str], config_dir: str | None = None) -> Tree:
    """The resolved tree for these overrides, outside of a command.

    Raises:
        ConfigError: when Hydra refuses one of them, or a further question set cannot be.
    """
    tree, problems = _composed(config_name, overrides, config_dir)
    if problems:
        raise ConfigError(listing(problems))
    return tree


def _composed(config_name: str, overrides: list[str], config_dir: str | None) -> tuple[Tree, list[str]]:
    """The tree, and what is wrong with the further question sets in it."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    extra = [f"hydra.searchpath=['file://{_quoted(str(Path(config_dir).absolute()))}']"] if config_dir else []
    try:
        with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
            cfg = hydra_compose(config_name, overrides + extra)
            tree = cast(Tree, OmegaConf.to_container(cfg, resolve=True))
            return tree, question_sets.expand(tree, config_name, overrides + extra)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(listing([_first_lines(error)])) from error


def changed(stored: Tree, composed: Tree, overrides: list[str], leave_out: Collection[str]) -> Tree:
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


def diagnosis(config_name: str, kind: type[Config], arguments: list[str], error: Exception) -> ConfigError:
    """Everything wrong with a command line that Hydra refused with `error`."""
    from hydra._internal.utils import get_args_parser

    GlobalHydra.instance().clear()
    known, _ = get_args_parser().parse_known_args(arguments)
    problems: list[str] = []
    if known.config_dir and not Path(known.config_dir).is_dir():
        problems.append(f"--config-dir {known.config_dir}: there is no such folder here.")
        known.config_dir = None
    kept = list(_lenient(known.overrides, known.config_dir, problems))
    try:
        tree, of_sets = _composed(known.config_name or config_name, kept, known.config_dir)
        problems += _with_values(of_sets, tree, kind)
    except ConfigError as second:
        problems += str(second).splitlines()[1:2] if not problems else []
    return ConfigError(listing([problem.strip() for problem in problems] or [_first_lines(error)]))


def _with_values(problems: list[str], tree: Tree, kind: type[Config]) -> list[str]:
    """`problems`, and what is wrong with values that none of them speaks of."""
    told = {problem.split(": ")[0] for problem in problems}
    return problems + [problem for problem in problems_of(tree, kind)[1] if problem.split(": ")[0] not in told]


def _lenient(overrides: list[str], config_dir: str | None, problems: list[str]) -> Iterator[str]:
    """The overrides that can be composed; what is wrong with the others goes into `problems`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    folders = [ROOT / "conf", *([Path(config_dir)] if config_dir else [])]
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException as error:
            problems.append(f"{text}: {str(error).splitlines()[0]}; a value with special characters needs quotes.")
            continue
        key = override.key_or_group
        if key.startswith("hydra"):
            yield text
            continue
        options = _options(key, folders)
        try:
            value = _first_value(override)
        except HydraException:  # an interval or a glob, which the sweeper draws from
            continue
        if options and isinstance(value, str):
            if value not in options:
                problems.append(
                    f"{key}={value}: no such option; known are {', '.join(sorted(options))}.{nearest(value, options)}"
                )
            elif key in ("experiment", "sweeps") and not override.is_add():
                problems.append(f"{text}: not chosen by default, so it needs a plus: +{text}")
            else:
                yield f"{text[: text.index('=')]}={value}"
        elif override.is_delete():
            yield text
        else:
            yield (f"++{key}={text[text.index('=') + 1 :]}" if not override.is_sweep_override() else f"++{key}={value}")


def _options(group: str, folders: list[Path]) -> set[str]:
    found = {path.stem for folder in folders for path in (folder / group).glob("*.yaml")}
    return found if (ROOT / "conf" / group).is_dir() or found else set()


def _first_value(override: Any) -> Any:
    if override.is_sweep_override():
        return next(iter(override.sweep_string_iterator()), None)
    return override.value()


def _quoted(text: str) -> str:
    """For the inside of single quotes in Hydra's grammar."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "full_key:" not in line]
    return " ".join(line for line in lines if not line.startswith(("object_type=", "See https")))
