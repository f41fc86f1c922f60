"""The job of a trial: what is submitted, and runs the app on the configuration in the trial's folder.

Nothing is composed again: config.yaml and hydra.yaml of the folder are what runs, however long the job waited and
however often it starts. However it ends, result.json says so, unless the process itself dies or the scheduler stops it
so that it may go on; then there is no result, and the controller submits the trial again.
"""

import bdb
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

from hydra.types import HydraContext, TaskFunction

from mcqa.runs.environment import commit_of, folder_of
from mcqa.runs.mailbox import HEARTBEAT_S, Mailbox, result_problem
from mcqa.runs.trial import VARIABLE, Preempted, Pruned, Trial

Record = dict[str, Any]


class _App(NamedTuple):
    """What of the controller's process the job needs besides the two YAML files."""

    task_function: TaskFunction
    callbacks: Any
    resolvers: dict[str, Callable[..., Any]]  # those that the app registered itself
    version_base: Any  # whose defaults hold, as hydra.main was told


class Job:
    """Called in the job's process, once per start; in each process of a job that has several.

    The app travels as a pickle inside the pickle: it is unpacked only when the import path is the controller's and the
    job can tell of a failure, such as a module that is missing on the node.
    """

    def __init__(self, folder: Path, task_function: TaskFunction, hydra_context: HydraContext, token: str = "") -> None:
        self.folder = folder
        self.token = token
        self.import_path = list(sys.path)
        self.code = folder_of(task_function)
        self.commit = commit_of(self.code)
        self._app: _App | None = _App(task_function, hydra_context.callbacks, _own_resolvers(), _version_base())
        self._pickled = b""
        self._interrupted = False

    def __getstate__(self) -> dict[str, Any]:
        import cloudpickle

        pickled = self._pickled or cloudpickle.dumps(self._app)
        return self.__dict__ | {"_app": None, "_pickled": pickled, "_interrupted": False}

    def checkpoint(self) -> Any:
        """Called by submitit when the scheduler stops the job: the same job again, which resumes from its folder."""
        from submitit.helpers import DelayedSubmission

        self._interrupted = True  # what is raised in the app from now on is not the app's failure
        return DelayedSubmission(self)

    def __call__(self, in_process: bool = False) -> None:
        """
        in_process: run for the controller itself, for debugging: without the thread of the heartbeat and the app's
            logging, and Ctrl-C or quitting the debugger ends the sweep instead of the trial.
        """
        mailbox = Mailbox(self.folder)
        if mailbox.is_finished() or self._is_superseded(mailbox):
            return
        job_id, rank = ("debug", 0) if in_process else _place()
        if rank:
            with _heartbeat(Mailbox(self.folder, _node())) if _is_first_of_node() else nullcontext():
                self._run(job_id, in_process)
            return
        mailbox.clear_preemption()
        started = time.monotonic()
        with nullcontext() if in_process else _heartbeat(mailbox):
            record = self._record(job_id, in_process)
        record |= {"seconds": round(time.monotonic() - started, 3), **self._code()}
        own = (mailbox.app_result() or {}) | record
        mailbox.write_result(_with_finite_value(_merged(mailbox.result(), own)))

    def _is_superseded(self, mailbox: Mailbox) -> bool:
        """Whether the trial was submitted again since: this job was taken for lost and came late."""
        entries = mailbox.submissions()
        return bool(self.token and entries and entries[-1].token != self.token)

    def _record(self, job_id: str, in_process: bool) -> Record:
        try:
            returned = self._run(job_id, in_process)
        except Pruned:
            return _ended("pruned", value=Trial(self.folder).last_reported())
        except BaseException as error:
            if self._interrupted or (in_process and isinstance(error, KeyboardInterrupt | bdb.BdbQuit)):
                raise
            if preempted := _preemption(error):
                if in_process:
                    raise KeyboardInterrupt from error  # the signal was to the controller
                return _ended("preempted", error=str(preempted))
            if isinstance(error, SystemExit) and error.code in (None, 0):
                return _ended("complete")
            if isinstance(error, SystemExit) and isinstance(error.code, str):  # an app's own words to its user
                print(error, file=sys.stderr)
                return _ended("failed", error=error.code if error.code.strip() else f"SystemExit: {error.code!r}")
            traceback.print_exc()
            return _ended("failed", error=f"{type(error).__name__}: {error}".strip(": "))
        return _returned(returned)

    def _run(self, job_id: str, in_process: bool) -> Any:
        """What the app returned. Callbacks, logging, environment and working directory are as in any job of Hydra."""
        from hydra.core.utils import JobRuntime, run_job

        app = self._unpacked()
        config = _config(self.folder, job_id)
        JobRuntime.instance().set("name", config.hydra.job.name)
        with _variable(VARIABLE, str(self.folder.absolute())):
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
        import pickle

        from hydra.core.utils import setup_globals
        from hydra.version import VersionBase
        from omegaconf.basecontainer import BaseContainer

        sys.path += [entry for entry in self.import_path if entry not in sys.path]
        app: _App = pickle.loads(self._pickled)
        setup_globals()
        BaseContainer._resolvers.update(app.resolvers)
        if app.version_base is not None:
            VersionBase.instance().setbase(app.version_base)
        return app

    def _code(self) -> Record:
        """The commit that ran, and whether it is another one than was submitted."""
        commit = commit_of(self.code)
        changed = self.commit and commit and self.commit != commit
        return {"commit": commit} | ({"code_changed": f"{self.commit} -> {commit}"} if changed else {})


# ---- what a result says


def _ended(status: str, value: float | list[float] | None = None, error: str | None = None) -> Record:
    return {"status": status, "value": value, "metrics": {}, "seconds": 0.0, "error": error}


def _preemption(error: BaseException) -> Preempted | None:
    """Whether the app stopped in order and can go on, though it may have left by sys.exit with a word to its user."""
    told = error if isinstance(error, Preempted) else error.__context__
    return told if isinstance(told, Preempted) else None


def _returned(returned: Any) -> Record:
    """A number or a sequence of numbers is the trial's value. Apps may return anything else, which is none."""
    try:
        if isinstance(returned, Sequence) and not isinstance(returned, str | bytes):
            return _ended("complete", [float(each) for each in returned])
        if not isinstance(returned, str | bytes | None):
            return _ended("complete", float(returned))
    except (TypeError, ValueError):
        pass
    return _ended("complete") | ({} if returned is None else {"returned": type(returned).__name__})


def _merged(own: Record | None, record: Record) -> Record:
    """What the app wrote itself wins, and gets what it left out. What cannot be read is a failure."""
    if own is None:
        return record
    if problem := result_problem(own):
        return own | record | {"status": "failed", "value": None, "error": record["error"] or problem}
    if own["status"] != record["status"]:  # raised after it had written its result, or wrote `pruned` and returned
        record = record | {"value": None, "error": None}
    return record | own


def _with_finite_value(record: Record) -> Record:
    value = record["value"]
    values = value if isinstance(value, list) else [] if value is None else [value]
    if record["status"] == "failed" or all(math.isfinite(each) for each in values):
        return record
    if record["status"] == "pruned":
        return record | {"value": None}
    return record | {"status": "failed", "value": None, "error": f"value is {value}"}


# ---- where it runs


def _place() -> tuple[str, int]:
    """The scheduler's id of this job, and which of its processes this is."""
    from submitit import JobEnvironment

    environment = JobEnvironment()
    return environment.job_id, environment.global_rank


def _node() -> int:
    from submitit import JobEnvironment

    return int(JobEnvironment().node)


def _is_first_of_node() -> bool:
    from submitit import JobEnvironment

    return not JobEnvironment().local_rank


def _config(folder: Path, job_id: str) -> Any:
    """The configuration in the folder, as Hydra would hand it to the app."""
    from hydra.conf import HydraConf
    from omegaconf import OmegaConf, open_dict

    config, schema = OmegaConf.create(_yaml(folder / "config.yaml") or {}), OmegaConf.structured(HydraConf)
    stored = _yaml(folder / "hydra.yaml") or {}
    with open_dict(schema):
        hydra = OmegaConf.merge(schema, stored.get("hydra", stored))
        hydra.runtime.output_dir = str(folder.absolute())
        hydra.job.id = job_id
        if OmegaConf.is_missing(hydra.job, "num") and folder.name.isdecimal():
            hydra.job.num = int(folder.name)
    config["hydra"] = hydra
    OmegaConf.set_struct(config, True)
    return config


def _yaml(path: Path) -> Any:
    import yaml

    return yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _version_base() -> Any:
    from hydra import version
    from packaging.version import Version

    base = version.getbase()
    return base if isinstance(base, Version) else None


def _own_resolvers() -> dict[str, Callable[..., Any]]:
    from omegaconf.basecontainer import BaseContainer

    theirs = ("hydra", "now", "python_version")
    return {
        name: resolver
        for name, resolver in BaseContainer._resolvers.items()
        if name not in theirs and not name.startswith("oc.")
    }


@contextmanager
def _heartbeat(mailbox: Mailbox) -> Iterator[None]:
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_S):
            with suppress(OSError):  # a file system that is away for a moment must not end the signs of life
                mailbox.heartbeat()

    with suppress(OSError):
        mailbox.heartbeat()
    threading.Thread(target=beat, daemon=True, name="heartbeat").start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
