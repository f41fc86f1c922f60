"""The entry of every command: Hydra composes, errors become short messages, and only plain dataclasses go inside."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mcqa.config import stages
from mcqa.config.composition import ROOT, parse_overrides, sweep_overrides, usage_problems
from mcqa.config.diagnosis import diagnosis, with_value_problems
from mcqa.config.errors import ConfigError, McqaError, disk_problem, listing
from mcqa.config.help import keys_text, options_text
from mcqa.config.output import calm_libraries, outlast_readers
from mcqa.config.plain_command import command_line, show_version
from mcqa.config.schema import Config, ConfigDict
from mcqa.config.secrets import redact

Main = Callable[[ConfigDict, list[str]], Any]
"""The main function of a command: takes the composed configuration and the overrides of the command line."""

OmegaConf.register_new_resolver("gpus", lambda device, devices: int(devices) if device == "cuda" else 0, replace=True)
"""For launchers: the GPUs to ask for on each node; processes on a CPU need none."""

OmegaConf.register_new_resolver(
    "unless", lambda value, *others: value if all(other is None for other in others) else None, replace=True
)
"""For launchers: a default that gives way to options which exclude it."""

OmegaConf.register_new_resolver("options_text", options_text, replace=True)
OmegaConf.register_new_resolver("keys_text", keys_text, replace=True)
"""For conf/hydra/help."""


def hydra_command(
    config_name: str,
    kind: type[Config],
    main: Main,
    hooks: object,
    many: bool = False,
    instead_of_jobs: Callable[[list[ConfigDict]], Any] | None = None,
) -> list[Any]:
    """Compose `config_name` from conf/ and the command line and call `main`; an error of the user ends the process.

    Returns what `main` returned: once, or for every job of a --multirun that ran in this process.

    Args:
        hooks: what a --multirun asks about this command's runs (sweep/hooks.py).
        many: a list of values such as data=arc_easy,openbookqa needs no --multirun.
        instead_of_jobs: takes the configurations of a --multirun, which then runs nothing.
    """
    outlast_readers(quietly=bool((ONLY_SHOWN | {"dry_run=true"}) & set(sys.argv)))
    show_version(sys.argv[1:])
    if problems := usage_problems(sys.argv[1:]):
        sys.exit(listing(problems))
    if many and sweep_overrides(sys.argv[1:]):
        sys.argv.insert(1, "--multirun")
    if instead_of_jobs is None:
        _refuse_to_run_here(sys.argv[1:])
    calm_libraries()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing the first one

    entered = False
    results: list[Any] = []

    def task(cfg: DictConfig) -> None:
        nonlocal entered
        calm_libraries()  # again, for a job in another process
        try:
            config_dict = cast(ConfigDict, OmegaConf.to_container(cfg, resolve=True))
        except OmegaConfBaseException as error:
            sys.exit(f"{diagnosis(config_name, kind, sys.argv[1:], error)}")
        entered = True
        try:
            overrides = HydraConfig.get().overrides
            if problems := stages.expand(config_dict, config_name, [*overrides.hydra, *overrides.task]):
                raise ConfigError(listing(with_value_problems(problems, config_dict, kind)))
            results.append(main(config_dict, list(overrides.task)))
        except McqaError as error:  # here and not below, where Hydra has already called it a crash
            sys.exit(f"{error}")
        except Exception as error:
            _exit_if_of_disk(error)
            raise

    if problems := _misused_studies(sys.argv[1:]):
        sys.exit(listing(problems))
    task.hooks = hooks  # type: ignore[attr-defined]
    task.instead_of_jobs = instead_of_jobs  # type: ignore[attr-defined]
    try:
        with _nothing_secret_shown():
            hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name=config_name)(task)()
    except McqaError as error:
        sys.exit(f"{error}")
    except Exception as error:
        _exit_if_of_disk(error)
        composed = getattr(task, "composed", False) and not isinstance(error, (HydraException, OmegaConfBaseException))
        if entered or composed or isinstance(error, ImportError):  # a bug, and not the fault of the command line
            raise
        sys.exit(f"{diagnosis(config_name, kind, sys.argv[1:], error)}")
    except KeyboardInterrupt as stop:
        sys.exit(str(stop) or f"Stopped. Start it again with:\n  {command_line()}")
    return results


def _exit_if_of_disk(error: Exception) -> None:
    if problem := disk_problem(error):
        sys.exit(f"{problem} Then give the same command again.")


ONLY_SHOWN = {"-c", "--cfg", "--info", "-h", "--help", "--hydra-help"}
"""Arguments with which Hydra shows something and runs nothing."""


@contextmanager
def _nothing_secret_shown() -> Iterator[None]:
    """Hide the secrets in what Hydra itself shows, such as the configuration for --cfg."""
    if not ONLY_SHOWN & {text.partition("=")[0] for text in sys.argv}:
        yield
        return
    shown = StringIO()
    try:
        with redirect_stdout(shown):
            yield
    finally:
        print(redact(shown.getvalue()), end="")


def _misused_studies(arguments: list[str]) -> list[str]:
    """Return what would silently be no study, or not the study that was asked for."""
    if ONLY_SHOWN & set(arguments):
        return []
    multirun, overrides = parse_overrides(arguments)
    named = [one for one in overrides if one.key_or_group == "sweeps"]
    return [
        f"{one.input_line}: one study at a time; start each by a command of its own."
        if one.is_sweep_override()
        else f"{one.input_line}: a study of many runs; add --multirun, or leave it out for a single run."
        for one in named
        if one.is_sweep_override() or not multirun
    ]


def _refuse_to_run_here(arguments: list[str]) -> None:
    """End the process where a launcher is named without --multirun, for then Hydra would run here without a word."""
    named = [text for text in arguments if text.startswith("hydra/launcher=")]
    remote = named and named[-1].partition("=")[2] not in ("basic", "local")
    if remote and not (ONLY_SHOWN | {"-m", "--multirun"}) & set(arguments):
        sys.exit(f"{named[-1]} needs --multirun, for a single run too; without it the run would start on this machine.")
