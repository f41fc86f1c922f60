"""Run the jobs of a study or a product until there are no more: the controller, its loop and a backend meet here."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf
from optuna.exceptions import StorageInternalError
from rich.console import Console

from mcqa.config.errors import FULL, ConfigError, SweepError
from mcqa.config.plain_command import command_line
from mcqa.config.schema import ConfigDict
from mcqa.evaluation.report.formatting import count
from mcqa.runs import run_folder
from mcqa.runs.files import STALLS, read_stored, write_text
from mcqa.sweep import dry_run, study_folder
from mcqa.sweep.backends import Backend
from mcqa.sweep.backends.job import Job
from mcqa.sweep.backends.launcher import launcher_class, make_backend
from mcqa.sweep.compose import HydraSweep
from mcqa.sweep.controller import events
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import Limits, RecoveredTrial
from mcqa.sweep.display import LiveDisplay, say
from mcqa.sweep.hooks import Observer
from mcqa.sweep.loop import SAME_COMMAND, Loop
from mcqa.sweep.options import Direction, Options
from mcqa.sweep.report.study_data import short_commit
from mcqa.sweep.trial_source import Study, is_final

TIMEOUT_S = 40.0
"""How long a study that resumes waits for a cluster that refuses what it accepted before."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command asks for."""

    sweep: HydraSweep
    options: Options
    folder: Path  # of the study or product
    needed: tuple[str, ...] = ()  # arguments without which the same command would begin anew

    @property
    def resume_command(self) -> str:
        """What resumes it, for the user."""
        return f"{SAME_COMMAND} with {' '.join(self.needed)}" if self.needed else SAME_COMMAND

    @property
    def command_line(self) -> str:
        """The same, to be pasted into a shell."""
        return command_line(self.needed)


@contextmanager
def checked_folder(request: Request, config_dicts: Callable[[], Iterable[ConfigDict]], file: str) -> Iterator[None]:
    """Check jobs with these configurations, then hold the folder of what `file` (STUDY or PRODUCT) describes.

    Raises:
        ConfigError: with what keeps the jobs from running; another process holds the folder.
        SweepError: the file system, or the database of the study, refuses to be read or written.
    """
    folder = request.folder
    refuse_what_cannot_run(request.sweep, config_dicts, folder, resumes=(folder / file).exists())
    run_folder.make(folder, exist_ok=True)
    try:
        with study_folder.only_controller(folder):
            yield
    except KeyboardInterrupt as stop:  # while a trial ran in this process, or before the first one
        raise KeyboardInterrupt(f"Stopped. Resume with:\n  {request.command_line}") from stop
    except Exception as error:
        if (refused := _refused(error, folder)) is None:
            raise
        raise SweepError(
            f"{refused} What has ended is kept, and jobs that run go on. Once the cause is removed, resume with:\n"
            f"  {request.command_line}"
        ) from error


def _refused(error: Exception, folder: Path) -> str | None:
    """Return what a file system or a database refuses; None for any other error."""
    if isinstance(error, StorageInternalError) or type(error).__module__.startswith("sqlalchemy."):
        return f"hydra.sweeper.storage: {str(error.__cause__ or error).splitlines()[0]}."
    if isinstance(error, OSError) and (error.filename or error.errno in FULL | STALLS):  # else of a network, say
        room = " Make room there, or ask for a higher quota." if error.errno in FULL else ""
        return f"{error.filename or folder}: {error.strerror or error}.{room}"
    return None


def run(
    request: Request,
    study: Study,
    limits: Limits,
    known: Sequence[RecoveredTrial],
    observers: Sequence[Observer] = (),
    direction: Direction | None = None,
) -> tuple[str, Controller]:
    """Run until the controller finishes.

    Args:
        study: suggests the trials.
        known: trials that an earlier command left.
        direction: of a study; None: a product, whose jobs need no value.

    Returns:
        The controller's reason to end, and the controller as it was then.
    """
    sweep, folder = request.sweep, request.folder
    backend = _backend(sweep, request.options, _modules(sweep, limits, known))
    controller = Controller(limits, known, time.monotonic())
    on_slurm = backend.name == "slurm"
    display = LiveDisplay(Console(), controller, direction, folder, fixed=sweep.arguments, on_slurm=on_slurm)
    compose, needs_value = partial(sweep.write_trial, folder), direction is not None
    loop = Loop(controller, study, backend, compose, folder, display, observers, needs_value, request.resume_command)
    for trial in known:
        if trial.outcome is None and trial.job is not None:
            loop.attach(trial.trial)
        elif trial.pause is not None:
            display.set_label(trial.trial, study.overrides(trial.trial))
    try:
        return loop.run(request.options.poll_s), controller
    finally:
        backend.close()


def _modules(sweep: HydraSweep, limits: Limits, known: Sequence[RecoveredTrial]) -> Sequence[str]:
    """Return what one process is to import for all jobs: nothing where each slot has only one job to run.

    Variables that Hydra sets in a job would come too late for what was imported before.
    """
    left = math.inf if limits.n_trials is None else limits.n_trials - sum(trial.outcome is not None for trial in known)
    is_local = launcher_class(sweep.hydra.launcher) == "LocalLauncher"
    if sweep.hooks is None or not is_local or sweep.hydra.job.env_set or left <= limits.n_jobs:
        return ()
    return sweep.hooks.modules()


def _backend(sweep: HydraSweep, options: Options, modules: Sequence[str]) -> Backend:
    return make_backend(
        cast(ConfigDict, OmegaConf.to_container(sweep.hydra.launcher, resolve=True)),
        partial(Job, task_function=sweep.task, hydra_context=sweep.context),
        lambda folder: dry_run.launcher_of(sweep, read_stored(folder / "config.yaml", study_folder.JOB_REMEDY, dict)),
        options.n_jobs,
        modules,
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


def write_description(request: Request, stored: Mapping[str, Any], commit: str | None, file: str) -> None:
    """Write what `study_folder.check_same` returned, and multirun.yaml as Hydra's own sweeper does.

    commit: the one that runs now; a note says so where it began on another one.
    """
    study_folder.write_description(request.folder, stored, file)
    write_text(request.folder / "multirun.yaml", OmegaConf.to_yaml(request.sweep.config), private=True)
    if stored["commit"] != commit:
        what = "the study" if file == study_folder.STUDY else "these jobs"
        say(f"Note: {what} began on commit {short_commit(stored['commit'])} and resumes on {short_commit(commit)}.")


def resumes(ended: int, noun: str, started: int) -> str:
    """Return what a command finds: `2 jobs have ended, 1 was started and goes on`."""
    rest = f"{started} {'was started and goes' if started == 1 else 'were started and go'} on"
    return f"{count(ended, noun)} {'has' if ended == 1 else 'have'} ended" + f", {rest}" * bool(started)


def refuse(problems: Collection[str]) -> None:
    """Raise a ConfigError if there are problems."""
    if problems:
        raise ConfigError("The configuration has a problem:\n  " + "\n  ".join(problems))


def unfinished(request: Request, reason: str, controller: Controller, noun: str) -> str:
    """Return why a study or product is not complete, what failed, and what resumes it.

    Args:
        reason: the controller's reason to end.
        noun: `trial` of a study, `job` of a product.
    """
    wanted, again = controller.limits.n_trials, request.resume_command[0].upper() + request.resume_command[1:]
    ended = [trial for trial in controller.trials if trial.outcome is not None]
    failed = [
        f"{noun} {trial.number}: {((trial.outcome.error or '').strip() or 'failed').splitlines()[-1]}"
        for trial in sorted(ended, key=lambda trial: trial.number)
        if trial.state == "failed" and trial.outcome
    ]
    count, where = f"{len(failed)} of {len(ended)} {noun}s failed", f"see {run_folder.shown(request.folder)}"
    if reason in (events.COMPLETE, events.EXHAUSTED):
        rerun = "" if all(is_final(trial.outcome) for trial in ended) else f"\n{again} runs what failed again."
        return "\n  ".join([f"{count}; {where}:", *failed]) + rerun
    done = f"{len(ended)} of {wanted} {noun}s" if wanted is not None else f"{len(ended)} {noun}s"
    # the failed jobs of a product run again; a study has learned from its failed trials
    more = ", given a higher max_failures" if reason == events.FAILURES and noun == "trial" else ""
    end = f":\n  {request.command_line}" if reason == events.LEFT_RUNNING else f"{more}."
    first = f"{_why_early(reason, controller)} after {done}; {where}. {again} resumes{end}"
    return "\n  ".join([first, *([f"{count}:", *failed] if failed else [])])


def _why_early(reason: str, controller: Controller) -> str:
    limits = controller.limits
    known = {
        events.LEFT_RUNNING: "Stopped by Ctrl-C",
        events.TIMEOUT: f"Timeout (hydra.sweeper.timeout_s={limits.timeout_s})",
        events.IDENTICAL_FAILURES: "The first ones all failed with the same error, so no more were started. Ended",
        events.FAILURES: f"Too many failures (hydra.sweeper.max_failures={limits.max_failures})",
    }
    return known.get(reason, f"The scheduler refuses: {reason.strip()}\n  Ended")
