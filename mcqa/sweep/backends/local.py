"""Trials as processes on this machine: each in a session of its own, with its share of the GPUs.

A trial survives its controller, and Ctrl-C in the terminal does not reach it. Each of its processes inherits the token
of the submission in the environment and is identified by that: process ids are used again, tokens are not.

Where the app names modules that all its jobs import, a warm process (warm.py) imports them once and forks the jobs.
"""

import contextlib
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from submitit.local.local import LocalExecutor, LocalJob

from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import LauncherOf, MakeJob, State, SubmissionError
from mcqa.sweep.backends.submission import (
    TOKEN_BYTES,
    Remote,
    log_folder,
    make_executor,
    make_log_folder,
    record_submission,
    repair_pickle,
    submission_errors,
)
from mcqa.sweep.backends.warm import StaleError, WarmError, WarmProcess

log = logging.getLogger(__name__)

TOKEN = "MCQA_TOKEN"
VISIBLE = "CUDA_VISIBLE_DEVICES"


class Local:
    name = "local"
    grace_s = 1.0

    def __init__(
        self,
        make_job: MakeJob,
        launcher_of: LauncherOf,
        slots: int,
        gpus: Sequence[str] | None = None,
        modules: Sequence[str] = (),
    ) -> None:
        """Start nothing yet.

        Args:
            slots: how many trials run at a time.
            gpus: None: those that this process may use.
            modules: what every trial imports. From the first submission on a warm process imports them; once it is
                ready, it forks the trials.
        """
        self._make_job, self._launcher_of, self._slots = make_job, launcher_of, slots
        self._gpus = visible_gpus() if gpus is None else gpus
        self._watched: dict[str, _Processes | Remote] = {}
        self._modules = modules
        self.warm: WarmProcess | None = None

    def submit(self, folder: Path, attempt: int, slot: int) -> str:
        token = record_submission(folder, attempt, slot, self.name).token
        with submission_errors():
            launcher = self._launcher_of(folder)
            gpus = gpu_share(self._least_used_gpus(), self._slots, launcher.get("gpus_per_node"))
            environment = {TOKEN: token, VISIBLE: ",".join(gpus)}
            if "OMP_NUM_THREADS" not in os.environ:
                processes = self._slots * launcher.get("tasks_per_node", 1)
                environment["OMP_NUM_THREADS"] = str(threads_share(processes, launcher.get("cpus_per_task")))
            executor = _Executor(
                make_executor("local", launcher, make_log_folder(folder, attempt)), environment, self._fork
            )
            job = str(executor.submit(self._make_job(folder, token=token)).job_id)
        Mailbox(folder).set_job_id(token, job)
        self._watched[job] = _Processes(folder, int(job), token, gpus, executor.process)
        return job

    def _fork(self, environment: Mapping[str, str], logs: Path) -> "Forked | None":
        """Fork a job where the warm process is ready; return None where the job must start by itself."""
        token = environment[TOKEN]
        try:
            if self._modules and self.warm is None:
                self.start_warm_process()
            elif self.warm is not None and self.warm.is_ready():
                return Forked(self.warm, self.warm.fork(environment, logs), token)
        except StaleError:
            self._end_warm_process()
            self.start_warm_process()
        except WarmError as why:
            log.warning("Jobs start without a warm process, so each imports everything itself: %s.", why)
            self._end_warm_process()
            self._modules = ()
            end(token)  # it may have begun without a word
        return None

    def start_warm_process(self) -> WarmProcess:
        """Start what forks the jobs that are submitted once it is ready."""
        gpus = len(",".join(self._gpus)) + 64  # a job may name some that could not be detected
        self.warm = WarmProcess(self._modules, {TOKEN: 2 * TOKEN_BYTES, VISIBLE: gpus})
        return self.warm

    def _end_warm_process(self) -> None:
        if self.warm is not None:
            self.warm.close()
            self.warm = None

    def _least_used_gpus(self) -> list[str]:
        """The GPUs by how many jobs use them. A job that has written its result leaves them within moments."""
        running, leaving = Counter[str](), Counter[str]()
        for watched in self._watched.values():
            if isinstance(watched, _Processes) and watched.alive():
                (leaving if Mailbox(watched.folder).is_finished() else running).update(watched.gpus)
        return sorted(self._gpus, key=lambda gpu: (running[gpu], leaving[gpu]))

    def state(self, job: str) -> State:
        watched = self._watched[job]
        if watched.alive():
            return "running"
        watched.clear()
        return "over"

    def reason(self, job: str) -> str:
        return self._watched[job].reason()

    def cancel(self, job: str) -> None:
        self._watched[job].kill()

    def attach(self, folder: Path, submission: Submission) -> str | None:
        token = submission.token
        if (submission.backend, submission.host) != (self.name, socket.gethostname()):
            trial = Remote(folder, submission)
            return self._watch(trial.job, trial)
        pid = int(submission.job) if submission.job else _session_leader(token)
        if pid is None:
            end(token)
            return None
        gpus = _split(_environment(pid, token).get(VISIBLE, ""))  # given by a controller that may have ended
        job = self._watch(str(pid), _Processes(folder, pid, token, gpus))
        if job:
            repair_pickle(log_folder(folder, submission.attempt), job)
            Mailbox(folder).set_job_id(token, job)
        return job

    def _watch(self, job: str, processes: "_Processes | Remote") -> str | None:
        if not processes.alive():
            processes.kill()
            return None
        self._watched[job] = processes
        return job

    def close(self) -> None:
        self._watched.clear()
        self._end_warm_process()


@dataclass
class _Processes:
    """The processes of one trial on this machine."""

    folder: Path
    pid: int
    token: str
    gpus: Sequence[str]
    process: "subprocess.Popen[bytes] | Forked | None" = None  # known only to the controller that started it

    def alive(self) -> bool:
        if self.process is not None:
            return self.process.poll() is None
        return is_alive(self.pid, self.token)

    def clear(self) -> None:
        """End what outlived the first process, as where that was killed alone."""
        try:
            os.killpg(self.pid, 0)
        except OSError:  # nothing did
            return
        end(self.token)

    def kill(self) -> None:
        if self.alive():
            os.killpg(self.pid, signal.SIGKILL)
        end(self.token)

    def reason(self) -> str:
        code = self.process.poll() if self.process is not None else None
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return "its process ended without a result"


@dataclass
class Forked:
    """The first process of a job that the warm process forked."""

    warm: WarmProcess
    pid: int
    token: str

    def poll(self) -> int | None:
        """As of a Popen; 0 where nobody knows how it ended."""
        return None if is_alive(self.pid, self.token) else self.warm.exit_code(self.pid) or 0


class _Executor(LocalExecutor):
    """submitit's, but what it starts leads a session of its own, prints nothing here and has the environment given.

    fork: starts a job of a single process and without a shell, if it can.
    """

    def __init__(
        self,
        executor: LocalExecutor,
        environment: Mapping[str, str],
        fork: Callable[[Mapping[str, str], Path], Forked | None],
    ) -> None:
        super().__init__(executor.folder, executor.max_num_timeout)
        self.parameters = executor.parameters
        self._environment, self._fork = environment, fork
        self.process: subprocess.Popen[bytes] | Forked | None = None

    def _submit_command(self, command: str) -> LocalJob[Any]:
        tasks, setup = self.parameters.get("tasks_per_node", 1), self.parameters.get("setup") or []
        environment = {**os.environ, **self._submitit_variables(command, tasks, bool(setup)), **self._environment}
        if tasks == 1 and not setup:
            self.process = self._fork(environment, self.folder)
        if self.process is None:
            self.process = self._started(environment, setup)
        return LocalJob(self.folder, str(self.process.pid), list(range(tasks)))

    def _started(self, environment: Mapping[str, str], setup: Sequence[str]) -> "subprocess.Popen[bytes]":
        start = shlex.join([sys.executable, "-m", "submitit.local._local", str(self.folder)])
        with (self.folder / "starter.log").open("ab") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", " && ".join([*setup, start if setup else f"exec {start}"])],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _submitit_variables(self, command: str, tasks: int, in_shell: bool) -> dict[str, str]:
        """As in submitit.local.local.start_controller, which this replaces."""
        return {
            "SUBMITIT_EXECUTOR": "local",
            "SUBMITIT_LOCAL_COMMAND": command,
            "SUBMITIT_LOCAL_NTASKS": str(tasks),
            "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
            "SUBMITIT_LOCAL_NODEID": "0",
            "SUBMITIT_LOCAL_TIMEOUT_S": str(int(60 * self.parameters.get("timeout_min", 2))),
            "SUBMITIT_LOCAL_SIGNAL_DELAY_S": str(int(self.parameters.get("signal_delay_s", 30))),
            "SUBMITIT_STDERR_TO_STDOUT": "1" if self.parameters.get("stderr_to_stdout") else "",
            "SUBMITIT_LOCAL_WITH_SHELL": "1" if in_shell else "",
        }


# ---- processes and their token


def is_alive(pid: int, token: str) -> bool:
    """Whether this process belongs to the submission with this token."""
    return bool(_environment(pid, token))


def end(token: str) -> None:
    """Kill every process of the submission with this token."""
    for _ in range(5):  # a process may start another one during the search
        pids = _pids(token)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            return


def _environment(pid: int, token: str) -> dict[str, str]:
    """The environment of a process; empty where the process does not belong to the submission with this token."""
    try:
        environment = psutil.Process(pid).environ()
    except (psutil.Error, OSError):  # gone, a zombie, or somebody else's
        return {}
    return environment if environment.get(TOKEN) == token else {}


def _pids(token: str) -> list[int]:
    return [pid for pid in psutil.pids() if pid != os.getpid() and is_alive(pid, token)]


def _session_leader(token: str) -> int | None:
    return next((pid for pid in _pids(token) if os.getpgid(pid) == pid), None)


# ---- what this machine has


def problems_of(launcher: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a job asks for and this machine cannot give. Where no GPU can be detected, the job reports it."""
    nodes, each, gpus = launcher.get("nodes") or 1, launcher.get("gpus_per_node") or 0, visible_gpus()
    if nodes > 1:
        yield f"nodes={nodes}: processes on several machines need hydra/launcher=slurm (or your site's own launcher)."
    elif gpus and each > len(gpus):
        yield f"gpus_per_node={each}: this machine has {len(gpus)} ({', '.join(gpus)})."


def threads_share(processes: int, each: int | None) -> int:
    """Return the threads of each process, `each` where given: more than an equal share would wait for each other."""
    return each or max(1, len(os.sched_getaffinity(0)) // processes)


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    listed = os.environ.get(VISIBLE)
    if listed is not None:
        return _split(listed)
    try:
        import pynvml

        pynvml.nvmlInit()
        return [str(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # no driver, no GPU, another vendor
        return []


def _split(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip() not in ("", "-1")]


def gpu_share(gpus: Sequence[str], slots: int, each: int | None) -> list[str]:
    """Return the GPUs of a trial, from those of this machine, least used first.

    each: how many the trial asks for; None: an equal share for each slot, at least one.

    Raises:
        SubmissionError: the trial asks for more than there are.
    """
    if not gpus:  # none could be detected: what the user asks for is believed
        return [str(index) for index in range(each or 0)]
    each = max(1, len(gpus) // slots) if each is None else each
    if each > len(gpus):
        raise SubmissionError(f"gpus_per_node={each}: a trial can have {len(gpus)} at most ({', '.join(gpus)}).")
    return list(gpus[:each])
