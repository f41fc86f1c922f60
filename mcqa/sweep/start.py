"""Run the jobs of a study or a product until there are no more: the controller, its loop and a backend meet here."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

from omegaconf import OmegaConf
from rich.console import Console

from mcqa.config.errors import ConfigError
from mcqa.runs.files import read_yaml
from mcqa.sweep import dry_run
from mcqa.sweep.backends import Backend, for_launcher
from mcqa.sweep.backends.job import Job
from mcqa.sweep.compose import HydraSweep
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import Limits, RecoveredTrial
from mcqa.sweep.display import LiveDisplay
from mcqa.sweep.hooks import ConfigDict, Observer
from mcqa.sweep.loop import Loop
from mcqa.sweep.messages import SAME_COMMAND
from mcqa.sweep.options import Direction, Options
from mcqa.sweep.trial_source import Study

TIMEOUT_S = 40.0  # with a cluster that refuses what it took before


def run(
    given: HydraSweep,
    options: Options,
    study: Study,
    limits: Limits,
    known: Sequence[RecoveredTrial],
    folder: Path,
    observers: Sequence[Observer] = (),
    direction: Direction | None = None,
    again: str = SAME_COMMAND,
) -> tuple[str, Controller]:
    """Returns the controller's reason to end, and the controller as it was then.

    direction: of a study; a job of anything else needs no value. again: the command that goes on with it.
    """
    backend = _backend(given, options)
    controller = Controller(limits, known, time.time())
    maximize = None if direction is None else direction == "maximize"
    noun = "job" if direction is None else "trial"
    on_slurm = backend.name == "slurm"
    live = LiveDisplay(Console(), controller, maximize, folder, fixed=given.arguments, noun=noun, on_slurm=on_slurm)
    compose = partial(given.write_trial, folder)
    loop = Loop(controller, study, backend, compose, folder, live, observers, direction is not None, again)
    for trial in known:
        if trial.outcome is None and trial.job is not None:
            loop.attach(trial.trial)
    try:
        return loop.run(options.poll_s), controller
    finally:
        backend.close()


def _backend(given: HydraSweep, options: Options) -> Backend:
    launcher = cast(ConfigDict, OmegaConf.to_container(given.hydra.launcher, resolve=True))

    def make_job(folder: Path, *, token: str) -> Job:
        return Job(folder, given.task, given.context, token)

    def launcher_of(folder: Path) -> ConfigDict:
        return dry_run.launcher_of(given, read_yaml(folder / "config.yaml"))

    return for_launcher(launcher, make_job, options.n_jobs, launcher_of)


def refuse_what_cannot_run(
    given: HydraSweep, trees: Callable[[], Iterable[ConfigDict]], folder: Path, goes_on: bool
) -> None:
    """Of what goes on it is asked again for a while: SLURM may be away, or a node, at the very moment.

    Raises:
        ConfigError: with what keeps jobs with these configurations from running.
    """
    until = time.monotonic() + (TIMEOUT_S if goes_on else 0.0)
    while (problems := dry_run.check(given, trees(), folder)) and time.monotonic() < until:
        time.sleep(TIMEOUT_S / 10)
    refuse(problems)


def write_multirun(given: HydraSweep, folder: Path) -> None:
    """multirun.yaml, as Hydra's own sweeper leaves it."""
    OmegaConf.save(given.config, folder / "multirun.yaml")


def refuse(problems: Collection[str]) -> None:
    if problems:
        raise ConfigError("The configuration has a problem:\n  " + "\n  ".join(problems))


def say(*lines: str) -> None:
    console = Console()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
