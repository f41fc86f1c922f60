"""The job of a trial: what is submitted, and runs the app on the configuration in the trial's folder.

Nothing is composed again: config.yaml and hydra.yaml of the folder are what runs, however long the job waited and
however often it starts. However it ends, result.json says so, unless the process itself dies or the scheduler stops it
so that it may resume; then there is no result, and the controller submits the trial again.
"""

import bdb
import math
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

from hydra import version
from hydra.conf import HydraConf
from hydra.core.utils import JobRuntime, env_override, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import OmegaConf, open_dict
from omegaconf.basecontainer import BaseContainer
from packaging.version import Version

from mcqa.config.errors import FileError
from mcqa.runs.environment import commit_of, folder_of
from mcqa.runs.files import read_stored
from mcqa.runs.mailbox import HEARTBEAT_S, Mailbox, result_problem
from mcqa.runs.trial import VARIABLE, Paused, Preempted, Pruned, Trial

Result = dict[str, Any]


class _App(NamedTuple):
    """What the job needs from the controller's process besides the two YAML files."""

    task_function: TaskFunction
    callbacks: Any
    resolvers: dict[str, Callable[..., Any]]  # those that the app registered itself
    version_base: Any  # of hydra.main


class _Process(NamedTuple):
    """Which process of the job this is."""

    job: str  # the scheduler's id
    rank: int = 0
    node: int = 0
    local_rank: int = 0


class Job:
    """Called in the job's process, once per start; in each process of a job that has several.

    The app travels as a pickle inside the pickle: it is unpacked only when the import path is the controller's and the
    job can report a failure, such as a module that is missing on the node.
    """

    def __init__(self, folder: Path, task_function: TaskFunction, hydra_context: HydraContext, token: str = "") -> None:
        self.folder = folder
        self.token = token
        self.import_path = list(sys.path)
        self.code = folder_of(task_function)
        self.commit = commit_of(self.code)
        self._app: _App | None = _App(task_function, hydra_context.callbacks, _app_resolvers(), _version_base())
        self._pickled = b""
        self._interrupted = False

    def __getstate__(self) -> dict[str, Any]:
        import cloudpickle

        pickled = self._pickled or cloudpickle.dumps(self._app)
        return self.__dict__ | {"_app": None, "_pickled": pickled, "_interrupted": False}

    def checkpoint(self) -> Any:
        """Return the job to requeue, this one. submitit calls it when the scheduler stops the job."""
        from submitit.helpers import DelayedSubmission

        self._interrupted = True  # what is raised in the app from now on is not the app's failure
        return DelayedSubmission(self)

    def __call__(self, in_process: bool = False) -> None:
        """Run the trial, unless it is finished or was submitted again since.

        in_process: within the controller, for debugging: without the heartbeat's thread and the app's logging, and
            Ctrl-C or quitting the debugger ends the sweep instead of the trial.
        """
        mailbox = Mailbox(self.folder)
        if mailbox.is_finished() or self._is_superseded(mailbox):
            return
        process = _Process("debug") if in_process else _this_process()
        if process.rank:
            with nullcontext() if process.local_rank else _heartbeat(Mailbox(self.folder, process.node)):
                self._run(process.job, in_process)
            return
        mailbox.clear_preemption()
        started = time.monotonic()
        with nullcontext() if in_process else _heartbeat(mailbox):
            result = self._result(process.job, in_process)
        result |= {"seconds": round(time.monotonic() - started, 3), **self._code()}
        own = (mailbox.app_result() or {}) | result
        mailbox.write_result(_with_finite_value(_merged(mailbox.result(), own)))

    def _is_superseded(self, mailbox: Mailbox) -> bool:
        """Whether the trial was submitted again since: this job was taken to be lost and started late."""
        try:
            last = mailbox.last_submission() if self.token else None
        except FileError:  # nobody submits it again before a user has looked
            return False
        return last is not None and last.token != self.token

    def _result(self, job_id: str, in_process: bool) -> Result:
        """Run the app and describe how it ended."""
        try:
            returned = self._run(job_id, in_process)
        except Pruned:
            return _ended("pruned", value=Trial(self.folder).last_reported())
        except BaseException as error:
            if self._interrupted or (in_process and isinstance(error, KeyboardInterrupt | bdb.BdbQuit)):
                raise
            if isinstance(preempted := _preemption(error), Paused):
                return _ended("paused", value=Trial(self.folder).last_reported())
            if preempted:
                if in_process:
                    raise KeyboardInterrupt from error  # the signal was to the controller
                return _ended("preempted", error=str(preempted))
            if isinstance(error, SystemExit) and error.code in (None, 0):
                return _ended("complete")
            if isinstance(error, SystemExit) and isinstance(error.code, str):  # the app's own message to its user
                print(error, file=sys.stderr)
                return _ended("failed", error=error.code if error.code.strip() else f"SystemExit: {error.code!r}")
            traceback.print_exc()
            return _ended("failed", error=f"{type(error).__name__}: {error}".strip(": "))
        return _complete(returned)

    def _run(self, job_id: str, in_process: bool) -> Any:
        """What the app returned. Callbacks, logging, environment and working directory are as in any job of Hydra."""
        app = self._unpacked()
        config = _config(self.folder, job_id)
        JobRuntime.instance().set("name", config.hydra.job.name)
        with env_override({VARIABLE: str(self.folder.absolute())}):
            done = run_job(
                task_function=app.task_function,
                config=config,
                job_dir_key="hydra.runtime.output_dir",
                job_subdir_key=None,
                hydra_context=HydraContext(config_loader=None, callbacks=app.callbacks),
                configure_logging=not in_process,
            )
        return done.return_value

    def _unpacked(self) -> _App:
        if self._app is not None:
            return self._app
        sys.path += [entry for entry in self.import_path if entry not in sys.path]
        app: _App = pickle.loads(self._pickled)
        setup_globals()
        BaseContainer._resolvers.update(app.resolvers)
        if app.version_base is not None:
            version.VersionBase.instance().setbase(app.version_base)
        return app

    def _code(self) -> Result:
        """The commit that ran, and whether it differs from the one that was submitted."""
        commit = commit_of(self.code)
        changed = self.commit and commit and self.commit != commit
        return {"commit": commit} | ({"code_changed": f"{self.commit} -> {commit}"} if changed else {})


# ---- what a result says


def _ended(status: str, value: float | list[float] | None = None, error: str | None = None) -> Result:
    return {"status": status, "value": value, "metrics": {}, "seconds": 0.0, "error": error}


def _preemption(error: BaseException) -> Preempted | None:
    """The preemption where the app saved and can resume, though it may have left by sys.exit with a message."""
    cause = error if isinstance(error, Preempted) else error.__context__
    return cause if isinstance(cause, Preempted) else None


def _complete(returned: Any) -> Result:
    """A number or a sequence of numbers is the trial's value. An app may return anything else, which is none."""
    try:
        if isinstance(returned, Sequence) and not isinstance(returned, str | bytes):
            return _ended("complete", [float(each) for each in returned])
        if not isinstance(returned, str | bytes | None):
            return _ended("complete", float(returned))
    except (TypeError, ValueError):
        pass
    return _ended("complete") | ({} if returned is None else {"returned": type(returned).__name__})


def _merged(written: Result | None, result: Result) -> Result:
    """What the app wrote itself takes precedence, and gets what it left out. What cannot be read is a failure."""
    if written is None:
        return result
    if problem := result_problem(written):
        return written | result | {"status": "failed", "value": None, "error": result["error"] or problem}
    if written["status"] != result["status"]:  # raised after it had written its result, or wrote `pruned` and returned
        result = result | {"value": None, "error": None}
    return result | written


def _with_finite_value(result: Result) -> Result:
    value = result["value"]
    values = value if isinstance(value, list) else [] if value is None else [value]
    if result["status"] == "failed" or all(math.isfinite(each) for each in values):
        return result
    if result["status"] in ("pruned", "paused"):
        return result | {"value": None}
    return result | {"status": "failed", "value": None, "error": f"value is {value}"}


# ---- where it runs


def _this_process() -> _Process:
    from submitit import JobEnvironment

    environment = JobEnvironment()
    return _Process(environment.job_id, environment.global_rank, environment.node, environment.local_rank)


def _config(folder: Path, job_id: str) -> Any:
    """The configuration in the folder, as Hydra would pass it to the app."""
    config = OmegaConf.create(read_stored(folder / "config.yaml", "", dict))
    stored, schema = read_stored(folder / "hydra.yaml", "", dict), OmegaConf.structured(HydraConf)
    with open_dict(schema):
        hydra = OmegaConf.merge(schema, stored.get("hydra", stored))
        hydra.runtime.output_dir = str(folder.absolute())
        hydra.job.id = job_id
        if OmegaConf.is_missing(hydra.job, "num") and folder.name.isdecimal():
            hydra.job.num = int(folder.name)
    config["hydra"] = hydra
    OmegaConf.set_struct(config, True)
    return config


def _version_base() -> Any:
    base = version.getbase()
    return base if isinstance(base, Version) else None


def _app_resolvers() -> dict[str, Callable[..., Any]]:
    """OmegaConf's resolvers that neither OmegaConf nor Hydra registered."""
    return {
        name: resolver
        for name, resolver in BaseContainer._resolvers.items()
        if name not in ("hydra", "now", "python_version") and not name.startswith("oc.")
    }


@contextmanager
def _heartbeat(mailbox: Mailbox) -> Iterator[None]:
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_S):
            with suppress(OSError):  # a file system that is away for a moment must not end the heartbeat
                mailbox.heartbeat()

    with suppress(OSError):
        mailbox.heartbeat()
    threading.Thread(target=beat, daemon=True, name="heartbeat").start()
    try:
        yield
    finally:
        over.set()
