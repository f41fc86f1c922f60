"""The door: Hydra composes, mistakes are told, and only plain dataclasses go inside.

Hydra stops at its first complaint. When it refuses to compose, the command line is composed again leniently, so
that every misspelled option and key, and everything wrong with the values, is reported at once.
"""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
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

OmegaConf.register_new_resolver("gpus", lambda device, devices: int(devices) if device == "cuda" else 0, replace=True)
"""For launchers: the GPUs of a node, of which a processor's processes need none."""
OmegaConf.register_new_resolver(
    "unless", lambda value, *others: value if all(other is None for other in others) else None, replace=True
)
"""For launchers: a default that gives way to options which exclude it."""


def open_door(
    config_name: str,
    kind: type[Config],
    story: Story,
    many: bool = False,
    instead_of_jobs: Callable[[list[Tree]], Any] | None = None,
) -> list[Any]:
    """Compose `config_name` from conf/ and the command line and run the story; ends the process on user errors.

    Returns what the story returned: once, or for every job of a --multirun in this process. many: a list of values
    such as data=arc_easy,openbookqa needs no --multirun. instead_of_jobs: takes the configurations of a --multirun,
    which then runs nothing.
    """
    if many and _lists(sys.argv[1:]):
        sys.argv.insert(1, "--multirun")
    if instead_of_jobs is None:
        _refuse_to_run_here(sys.argv[1:])
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

    if problems := _misused_studies(sys.argv[1:]):
        sys.exit(listing(problems))
    task.hooks = Hooks(config_name, kind)  # type: ignore[attr-defined]
    task.instead_of_jobs = instead_of_jobs  # type: ignore[attr-defined]
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


def _parsed(arguments: list[str]) -> tuple[bool, list[Any]]:
    """Whether --multirun is given, and the overrides; none where one cannot be read, which is told later."""
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser

    known, _ = get_args_parser().parse_known_args(arguments)
    try:
        return known.multirun, OverridesParser.create().parse_overrides(known.overrides)
    except HydraException:
        return known.multirun, []


def _lists(arguments: list[str]) -> list[str]:
    """The lists of values on a command line without --multirun, which Hydra refuses."""
    multirun, overrides = _parsed(arguments)
    return [] if multirun else [one.input_line for one in overrides if one.is_sweep_override()]


ONLY_SHOWN = {"-c", "--cfg", "--info", "-h", "--help", "--hydra-help"}
"""Arguments with which Hydra shows something and runs nothing."""


def _misused_studies(arguments: list[str]) -> list[str]:
    """What would silently be no study, or none of the studies asked for."""
    if ONLY_SHOWN & set(arguments):
        return []
    multirun, overrides = _parsed(arguments)
    named = [one for one in overrides if one.key_or_group == "sweeps"]
    return [
        f"{one.input_line}: one study at a time; start each by a command of its own."
        if one.is_sweep_override()
        else f"{one.input_line}: a study of many runs; add --multirun, or leave it out for a single run."
        for one in named
        if one.is_sweep_override() or not multirun
    ]


def _refuse_to_run_here(arguments: list[str]) -> None:
    """Hydra asks a launcher in a --multirun only: without it a run would start on the login node without a word."""
    named = [text for text in arguments if text.startswith("hydra/launcher=")]
    elsewhere = named and named[-1].partition("=")[2] not in ("basic", "local")
    if elsewhere and not (ONLY_SHOWN | {"-m", "--multirun"}) & set(arguments):
        sys.exit(f"{named[-1]} needs --multirun, for a single run too; without it the run would start on this machine.")


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

    extra = _searched(config_dir)
    try:
        with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
            cfg = hydra_compose(config_name, overrides + extra)
            tree = cast(Tree, OmegaConf.to_container(cfg, resolve=True))
            return tree, question_sets.expand(tree, config_name, overrides + extra)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(listing([_first_lines(error)])) from error


def _searched(config_dir: str | None) -> list[str]:
    return [f"hydra.searchpath=['file://{_quoted(str(Path(config_dir).absolute()))}']"] if config_dir else []


def diagnosis(config_name: str, kind: type[Config], arguments: list[str], error: Exception) -> ConfigError:
    """Everything wrong with a command line that Hydra refused with `error`."""
    from hydra._internal.utils import get_args_parser

    GlobalHydra.instance().clear()
    known, _ = get_args_parser().parse_known_args(arguments)
    problems = [
        f"{text}: a list of values needs --multirun, which runs each; one value with a comma in it needs quotes."
        for text in _lists(arguments)
    ]
    if known.config_dir and not Path(known.config_dir).is_dir():
        problems.append(f"--config-dir {known.config_dir}: there is no such folder here.")
        known.config_dir = None
    kept = list(_lenient(known.overrides, known.config_dir, problems))
    kept = list(_known_to_hydra(kept, known.config_name or config_name, known.config_dir, problems))
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


def _known_to_hydra(
    overrides: list[str], config_name: str, config_dir: str | None, problems: list[str]
) -> Iterator[str]:
    """The overrides without keys and options of Hydra's own node that there are none of; those go into `problems`."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    keys = [text for text in overrides if text.startswith("hydra.")]
    chosen = [text for text in overrides if text not in keys]
    with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
        wrong = {text: problem for text in chosen if (problem := _problem_of_option(text, config_dir))}
        kept = [text for text in chosen if text not in wrong]
        try:
            composed = hydra_compose(config_name, kept + _searched(config_dir), return_hydra_config=True)
            node = cast(Tree, OmegaConf.to_container(composed.hydra, resolve=False))
            wrong |= {text: problem for text in keys if (problem := _problem_of_key(text, node))}
        except (HydraException, OmegaConfBaseException):  # told by who composes next
            pass
    problems += wrong.values()
    yield from (text for text in overrides if text not in wrong)


def _problem_of_option(text: str, config_dir: str | None) -> str | None:
    """Of `hydra/group=option`; Hydra and its plugins say what there is."""
    group, _, option = text.partition("=")
    if not group.startswith("hydra/") or not option.isidentifier():
        return None
    options = {*GlobalHydra.instance().config_loader().get_group_options(group)}
    options |= _options(group, [Path(config_dir)]) if config_dir else set()
    if option in options or not options:
        return None
    return f"{text}: no such option; known are {', '.join(sorted(options))}.{nearest(option, options)}"


def _problem_of_key(text: str, node: Tree) -> str | None:
    """Of `hydra.key=value` where hydra's node has no such key."""
    inner, path = node, "hydra"
    for part in text.partition("=")[0].split(".")[1:]:
        if not isinstance(inner, dict):
            return None
        path = f"{path}.{part}"
        if part not in inner:
            return f"{path}: unknown key.{nearest(part, inner) or f' Write +{text} if it is meant to be new.'}"
        inner = inner[part]
    return None


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
