"""Trials as processes on this machine: each in a session of its own, with its share of the GPUs.

A trial survives its controller, and Ctrl-C in the terminal does not reach it. Each of its processes inherits the token
of the submission in the environment and is known by that: process ids are used again, tokens are not.
"""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from submitit.local.local import LocalExecutor, LocalJob

from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import LauncherOf, MakeJob, State, SubmissionError
from mcqa.sweep.backends.remote import Remote
from mcqa.sweep.backends.submission import executor, logs_of, record_submission, refusals_told, repair_pickle

TOKEN = "MCQA_TOKEN"


VISIBLE = "CUDA_VISIBLE_DEVICES"


class Local:
    name = "local"
    grace_s = 1.0

    def __init__(
        self,
        make_job: MakeJob,
        launcher: Mapping[str, Any],
        slots: int,
        gpus: Sequence[str] | None = None,
        launcher_of: LauncherOf | None = None,
    ) -> None:
        """gpus: names for CUDA_VISIBLE_DEVICES; None: those that this process may use."""
        self._make_job, self._slots = make_job, slots
        self._launcher_of = launcher_of or (lambda folder: launcher)
        self._gpus = visible_gpus() if gpus is None else gpus
        self._watched: dict[str, _Processes | Remote] = {}

    def submit(self, folder: Path, attempt: int, slot: int) -> str:
        entry = record_submission(folder, attempt, slot, self.name)
        with refusals_told():
            launcher = self._launcher_of(folder)
            gpus = gpu_share(self._least_used(), self._slots, launcher.get("gpus_per_node"))
            options = executor("local", launcher, logs_of(folder, attempt))
            environment = {TOKEN: entry.token, VISIBLE: ",".join(gpus)}
            if "OMP_NUM_THREADS" not in os.environ:
                environment["OMP_NUM_THREADS"] = str(
                    threads_share(self._slots * launcher.get("tasks_per_node", 1), launcher.get("cpus_per_task"))
                )
            starter = _Executor(options, environment)
            job = str(starter.submit(self._make_job(folder, token=entry.token)).job_id)
        Mailbox(folder).set_job_id(entry.token, job)
        self._watched[job] = _Processes(folder, int(job), entry.token, gpus, starter.process)
        return job

    def _least_used(self) -> list[str]:
        """The GPUs by how many jobs run on them. A job that has its result leaves them within moments."""
        running, leaving = Counter[str](), Counter[str]()
        for watched in self._watched.values():
            if isinstance(watched, _Processes) and watched.alive():
                (leaving if watched.is_leaving() else running).update(watched.gpus)
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

    def attach(self, folder: Path, entry: Submission) -> str | None:
        if (entry.backend, entry.host) != (self.name, socket.gethostname()):
            trial = Remote(folder, entry)
            return self._watch(trial.job, trial)
        pid = int(entry.job) if entry.job else _leader(entry.token)
        if pid is None:
            end(entry.token)
            return None
        job = self._watch(str(pid), _Processes(folder, pid, entry.token, given_gpus(pid, entry.token)))
        if job:
            repair_pickle(logs_of(folder, entry.attempt), job)
            Mailbox(folder).set_job_id(entry.token, job)
        return job

    def _watch(self, job: str, processes: "_Processes | Remote") -> str | None:
        if not processes.alive():
            processes.kill()
            return None
        self._watched[job] = processes
        return job

    def close(self) -> None:
        self._watched.clear()


class _Processes:
    """The processes of one trial on this machine. process: known to the controller that started it only."""

    def __init__(
        self,
        folder: Path,
        pid: int,
        token: str,
        gpus: Sequence[str],
        process: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        self._folder, self._pid, self._token, self.gpus, self._process = folder, pid, token, gpus, process

    def alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return is_alive(self._pid, self._token)

    def is_leaving(self) -> bool:
        return Mailbox(self._folder).is_finished()

    def clear(self) -> None:
        """What outlived the first process, as where that was killed alone."""
        try:
            os.killpg(self._pid, 0)
        except OSError:  # nothing did
            return
        end(self._token)

    def kill(self) -> None:
        if self.alive():
            os.killpg(self._pid, signal.SIGKILL)
        end(self._token)

    def reason(self) -> str:
        code = self._process.poll() if self._process is not None else None
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return "its process ended without a result"


class _Executor(LocalExecutor):
    """submitit's, but what it starts leads a session of its own, says nothing here and has the environment given."""

    def __init__(self, options: LocalExecutor, environment: Mapping[str, str]) -> None:
        super().__init__(options.folder, options.max_num_timeout)
        self.parameters = options.parameters
        self._environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def _submit_command(self, command: str) -> LocalJob[Any]:
        tasks, setup = self.parameters.get("tasks_per_node", 1), self.parameters.get("setup") or []
        start = shlex.join([sys.executable, "-m", "submitit.local._local", str(self.folder)])
        with (self.folder / "starter.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", " && ".join([*setup, start if setup else f"exec {start}"])],
                env={**os.environ, **self._for_starter(command, tasks, bool(setup)), **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return LocalJob(self.folder, str(self.process.pid), list(range(tasks)), self.process)

    def _for_starter(self, command: str, tasks: int, in_shell: bool) -> dict[str, str]:
        """What submitit's own start of a local job tells it."""
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


def environment(pid: int, token: str) -> dict[str, str]:
    """Of this process; nothing where it is none of the submission with this token."""
    try:
        found = psutil.Process(pid).environ()
    except (psutil.Error, OSError):  # gone, a zombie, or somebody else's
        return {}
    return found if found.get(TOKEN) == token else {}


def given_gpus(pid: int, token: str) -> list[str]:
    """Those that this process was started with, by a controller that may have ended."""
    return names_of(environment(pid, token).get(VISIBLE, ""))


def is_alive(pid: int, token: str) -> bool:
    """Whether this process is one of the submission with this token."""
    return bool(environment(pid, token))


def _carriers(token: str) -> list[int]:
    return [pid for pid in psutil.pids() if pid != os.getpid() and is_alive(pid, token)]


def _leader(token: str) -> int | None:
    return next((pid for pid in _carriers(token) if os.getpgid(pid) == pid), None)


def end(token: str) -> None:
    """Every process of the submission with this token."""
    for _ in range(5):  # a process may start another one while it is looked for
        found = _carriers(token)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


# ---- what this machine has


def problems_of(launcher: Mapping[str, Any]) -> Iterator[str]:
    """What a job asks for and no machine like this gives. Where it has no GPU that we know of, the job says so."""
    nodes, each, gpus = launcher.get("nodes") or 1, launcher.get("gpus_per_node") or 0, visible_gpus()
    if nodes > 1:
        yield f"nodes={nodes}: processes on several machines need hydra/launcher=slurm (or your site's own launcher)."
    elif gpus and each > len(gpus):
        yield f"gpus_per_node={each}: this machine has {len(gpus)} ({', '.join(gpus)})."


def threads_share(slots: int, each: int | None) -> int:
    """The threads of one slot: more than a share would wait for each other. each: how many a trial asks for."""
    return each or max(1, len(os.sched_getaffinity(0)) // slots)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    listed = os.environ.get(VISIBLE)
    if listed is not None:
        return names_of(listed)
    try:
        import pynvml

        pynvml.nvmlInit()
        return [str(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except Exception:  # no driver, no GPU, another make
        return []


def names_of(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip() not in ("", "-1")]


def gpu_share(gpus: Sequence[str], slots: int, each: int | None) -> list[str]:
    """The first of `gpus`, where the least used stand first. each: how many; None: an equal share for each of `slots`,
    at least one.

    Raises:
        SubmissionError: a trial asks for more than there are.
    """
    if not gpus:  # none that we know of: what the user asks for is believed
        return [str(index) for index in range(each or 0)]
    each = max(1, len(gpus) // slots) if each is None else each
    if each > len(gpus):
        raise SubmissionError(f"gpus_per_node={each}: a trial can have {len(gpus)} at most ({', '.join(gpus)}).")
    return list(gpus[:each])
