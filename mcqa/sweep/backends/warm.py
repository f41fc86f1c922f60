"""A warm process: it has imported what every job imports anyway, and forks the jobs, which then start within a moment.

It only imports. It has no threads, whose locks a fork would take over as they are, and no GPU, which no fork can use;
where it has, it forks nothing, and jobs start without it. So do jobs after a change of the code that it has loaded.

A job outlives it, and is known by the token in its environment (local.py) like any other: as /proc shows the variables
that a process began with, the fork writes its own over them.
"""

import atexit
import ctypes
import gc
import importlib
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from mcqa.config.errors import McqaError

OF_EVERY_JOB = ("submitit.core.submission", "submitit.local.local", "mcqa.sweep.backends.job")

ANSWER_S = 30.0  # in which a fork must have begun

WITHOUT_THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",  # NumPy's, which begin at its import
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # likewise those of Arrow's allocator
}
WITHOUT_GPU = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}  # torch then counts GPUs without CUDA

CHANGED = "its code has changed"


class WarmError(McqaError):
    """There is no warm process any more, or it can fork nothing; with the reason."""


class StaleError(WarmError):
    """The code that it has loaded has changed since."""


class WarmProcess:
    """The warm process, as the controller has it."""

    def __init__(self, modules: Sequence[str], shown: Mapping[str, int]) -> None:
        """Start it; it is ready later.

        Args:
            modules: to import, in this order.
            shown: variables of a job's environment that other processes read, and how long their values may be.
        """
        self._channel, theirs = Pipe()
        room = {name: " " * length for name, length in shown.items()}
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "mcqa.sweep.backends.warm", *shown, "--", *modules],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                **WITHOUT_THREADS,
                **WITHOUT_GPU,
                **room,
            },
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._ready = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_ready(self) -> bool:
        """Return whether it has imported everything.

        Raises:
            WarmError: it could not.
        """
        if not self._ready and self._channel.poll():
            if problem := self._received():
                raise WarmError(problem)
            self._ready = True
        return self._ready

    def fork(self, environment: Mapping[str, str], logs: Path) -> int:
        """Fork the job whose pickle submitit keeps in the folder `logs`, and return its process id.

        Raises:
            WarmError: the job does not run.
        """
        answer = self._ask((dict(environment), str(logs)))
        if isinstance(answer, int):
            return answer
        raise StaleError(answer) if answer == CHANGED else WarmError(answer)

    def exit_code(self, pid: int) -> int | None:
        """Return that of a job which has ended, below 0 for a signal; None where nobody knows."""
        with suppress(WarmError):
            code: int | None = self._ask(pid)
            return code
        return None

    def close(self) -> None:
        """End it. Its jobs keep running."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, request: object) -> Any:
        try:
            self._channel.send(request)
            if not self._channel.poll(ANSWER_S):
                raise WarmError(f"it has not answered for {ANSWER_S:.0f} s")
        except OSError as error:
            raise WarmError("it has ended") from error
        return self._received()

    def _received(self) -> Any:
        try:
            return self._channel.recv()
        except (OSError, EOFError) as error:
            raise WarmError("it has ended") from error


# ---- the process itself


def main() -> None:
    """Import, then fork a job for each request, until the controller is gone. Each fork leaves by here, too."""
    channel = Connection(os.dup(0))
    _open(Path(os.devnull), os.O_RDONLY, 0)
    names, modules = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    shown = [_Shown(name) for name in names]
    try:
        _load([*OF_EVERY_JOB, *modules])
    except BaseException as error:
        channel.send(f"{type(error).__name__}: {error}")
        return
    channel.send(_problem())
    if fork := _serve(channel, shown):
        channel.close()
        _start(*fork)


def _load(modules: Sequence[str]) -> None:
    """Import without garbage collection, which would scan all of it again and again, here and in every fork."""
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    gc.enable()


class _Shown:
    """A variable where /proc shows it: in the memory in which this process was given its environment."""

    def __init__(self, name: str) -> None:
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        self.name, self._room, self._address = name, len(os.environ[name]), getenv(name.encode())

    def overwrite(self, value: str) -> None:
        text = value.encode().ljust(self._room)
        if len(text) > self._room:
            raise ValueError(f"{self.name}={value} is too long")
        ctypes.memmove(self._address, text, self._room)


def _problem() -> str | None:
    """Return why this process must not be forked, if it must not."""
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        return f"{threads} threads run in it"
    torch = sys.modules.get("torch")
    return "it uses a GPU" if torch is not None and torch.cuda.is_initialized() else None


def _problem_of_fork() -> str | None:
    """Return what only a fork can see: CUDA was asked about GPUs before it, and is of no use here."""
    torch = sys.modules.get("torch")
    return "it has used CUDA" if torch is not None and torch.cuda._is_in_bad_fork() else None


def _code() -> dict[str, int]:
    """Return when each file changed that was loaded and is no library's, and when a library was installed last."""
    loaded = (getattr(module, "__dict__", {}).get("__file__") or "" for module in list(sys.modules.values()))
    libraries = sysconfig.get_paths()
    roots = tuple({sys.prefix, sys.base_prefix, *(libraries[name] for name in ("stdlib", "purelib", "platlib"))})
    own = [path for path in loaded if path and not path.startswith(roots)]
    return {path: _changed(path) for path in (*own, libraries["purelib"])}


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _serve(channel: "Connection[Any, Any]", shown: Sequence[_Shown]) -> tuple[dict[str, str], Path] | None:
    """Answer until the controller is gone. In a fork, return the environment of the job and the folder of its logs."""
    code, codes = _code(), dict[int, int]()

    def reap(*_: object) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])

    signal.signal(signal.SIGCHLD, reap)
    while True:
        try:
            request = channel.recv()
        except (OSError, EOFError):
            return None
        if isinstance(request, int):
            reap()
            channel.send(codes.get(request))
            continue
        environment, logs = request
        answer = (CHANGED if _code() != code else None) or _problem() or _fork(environment, shown)
        if answer is None:
            return environment, Path(logs)
        channel.send(answer)


def _fork(environment: Mapping[str, str], shown: Sequence[_Shown]) -> int | str | None:
    """Return the fork's process id once it leads its session and shows its variables, or why it does not.

    In the fork itself return None.
    """
    here, there = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        here.close()
        problem = _problem_of_fork()
        try:
            os.setsid()
            for variable in shown:
                variable.overwrite(environment[variable.name])
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        there.send(problem)
        there.close()
        if problem:
            os._exit(1)
        return None
    there.close()
    try:
        return here.recv() or pid
    except EOFError:
        return "a fork of it ended at once"
    finally:
        here.close()


# ---- a fork


def _start(environment: Mapping[str, str], logs: Path) -> None:
    """Do what `python -m submitit.local._local` does for any other job, and in a fork of this one run the job."""
    from submitit.local.local import Controller

    class Starter(Controller):
        """submitit's, which forks the job instead of starting it."""

        def start_tasks(self) -> None:
            if (pid := os.fork()) == 0:
                raise _InJob
            self.tasks = [_Task(pid)]  # type: ignore[list-item]

    os.environ.clear()
    os.environ.update(environment)
    _write_to(logs / "starter.log", logs / "starter.log")
    starter = Starter(logs)
    try:
        starter.run()
    except _InJob:
        _run(starter.pid, logs)
    os._exit(0)  # what the modules do at the end of a process is for the job


class _InJob(BaseException):
    """This process is the job."""


class _Task:
    """The job's process, as submitit's starter knows it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None and (ended := os.waitpid(self._pid, os.WNOHANG))[0]:
            self._code = os.waitstatus_to_exitcode(ended[1])
        return self._code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self._pid, number)


def _run(job: str, logs: Path) -> NoReturn:
    """Do what `python -m submitit.core._submit` does."""
    from submitit.core.submission import process_job
    from submitit.core.utils import JobPaths

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv[1:] = [str(logs)]
    os.environ |= {
        "SUBMITIT_LOCAL_LOCALID": "0",
        "SUBMITIT_LOCAL_GLOBALID": "0",
        "SUBMITIT_LOCAL_JOB_ID": job,
    }
    paths = JobPaths(logs, job, 0)
    _write_to(paths.stdout, paths.stdout if os.environ["SUBMITIT_STDERR_TO_STDOUT"] else paths.stderr)
    _undo_what_forks_share()
    for _ in range(1000):  # until the controller has named it after the job; submitit looks every second
        if paths.submitted_pickle.exists():
            break
        time.sleep(0.005)
    try:
        process_job(logs)
    except SystemExit as stop:
        _exit(stop.code if isinstance(stop.code, int) else int(stop.code is not None))
    except BaseException:
        traceback.print_exc()
        _exit(1)
    _exit(0)


def _exit(code: int) -> NoReturn:
    """End as any process of Python, but do not free its memory, most of which it shares: that would copy it first."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _undo_what_forks_share() -> None:
    """Draw NumPy's seed anew, and set the number of threads that torch read in the warm process."""
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if (torch := sys.modules.get("torch")) and threads.isdecimal():
        torch.set_num_threads(int(threads))


def _write_to(out: Path, err: Path) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        _open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, descriptor)


def _open(path: Path, flags: int, descriptor: int) -> None:
    opened = os.open(path, flags, 0o666)
    os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    main()
