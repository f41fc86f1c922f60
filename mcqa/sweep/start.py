"""Run the jobs of a study or a product until there are no more: the controller, its loop and a backend meet here."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf
from rich.console import Console

from mcqa.config.errors import ConfigError
from mcqa.config.schema import ConfigDict
from mcqa.runs.files import read_yaml
from mcqa.sweep import dry_run
from mcqa.sweep.backends import Backend
from mcqa.sweep.backends.job import Job
from mcqa.sweep.backends.launcher import make_backend
from mcqa.sweep.compose import HydraSweep
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import Limits, RecoveredTrial
from mcqa.sweep.display import LiveDisplay
from mcqa.sweep.hooks import Observer
from mcqa.sweep.loop import Loop
from mcqa.sweep.messages import SAME_COMMAND
from mcqa.sweep.options import Direction, Options
from mcqa.sweep.trial_source import Study

TIMEOUT_S = 40.0
"""How long a study that resumes waits for a cluster that refuses what it accepted before."""


def run(
    sweep: HydraSweep,
    options: Options,
    study: Study,
    limits: Limits,
    known: Sequence[RecoveredTrial],
    folder: Path,
    observers: Sequence[Observer] = (),
    direction: Direction | None = None,
    resume_command: str = SAME_COMMAND,
) -> tuple[str, Controller]:
    """Run until the controller finishes.

    Args:
        sweep: what Hydra gave us.
        options: hydra.sweeper.
        study: suggests the trials.
        limits: of the controller.
        known: trials that an earlier command left.
        folder: of the study or product.
        observers: hear of what runs and what ended.
        direction: of a study; None: a product, whose jobs need no value.
        resume_command: what resumes it, for the user.

    Returns:
        The controller's reason to end, and the controller as it was then.
    """
    backend = _backend(sweep, options)
    controller = Controller(limits, known, time.monotonic())
    display = LiveDisplay(
        Console(), controller, direction, folder, fixed=sweep.arguments, on_slurm=backend.name == "slurm"
    )
    loop = Loop(
        controller,
        study,
        backend,
        partial(sweep.write_trial, folder),
        folder,
        display,
        observers,
        needs_value=direction is not None,
        resume_command=resume_command,
    )
    for trial in known:
        if trial.outcome is None and trial.job is not None:
            loop.attach(trial.trial)
    try:
        return loop.run(options.poll_s), controller
    finally:
        backend.close()


def _backend(sweep: HydraSweep, options: Options) -> Backend:
    return make_backend(
        cast(ConfigDict, OmegaConf.to_container(sweep.hydra.launcher, resolve=True)),
        partial(Job, task_function=sweep.task, hydra_context=sweep.context),
        lambda folder: dry_run.launcher_of(sweep, read_yaml(folder / "config.yaml")),
        options.n_jobs,
    )


def refuse_what_cannot_run(
    sweep: HydraSweep,
    config_dicts: Callable[[], Iterable[ConfigDict]],
    folder: Path,
    resumes: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Check jobs before anything is submitted.

    A study that resumes is checked again for a while: SLURM or a node may be away at the very moment.

    Raises:
        ConfigError: with what keeps jobs with these configurations from running.
    """
    until = time.monotonic() + (TIMEOUT_S if resumes else 0.0)
    while (problems := dry_run.check(sweep, config_dicts(), folder)) and time.monotonic() < until:
        sleep(TIMEOUT_S / 10)
    refuse(problems)


def write_multirun(sweep: HydraSweep, folder: Path) -> None:
    """Write multirun.yaml, as Hydra's own sweeper does."""
    OmegaConf.save(sweep.config, folder / "multirun.yaml")


def refuse(problems: Collection[str]) -> None:
    """Raise a ConfigError if there are problems."""
    if problems:
        raise ConfigError("The configuration has a problem:\n  " + "\n  ".join(problems))


def say(*lines: str) -> None:
    console = Console()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
