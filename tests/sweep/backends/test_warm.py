"""The warm process: what its forks are like, and when jobs start without it. test_local.py runs jobs both ways."""

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from mcqa.config.schema import Config
from mcqa.runs.environment import commit_of
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.adapter import RunHooks
from mcqa.sweep.backends.job import Job
from mcqa.sweep.backends.local import TOKEN, Local
from mcqa.sweep.backends.warm import WITHOUT_GPU, WITHOUT_THREADS, WarmProcess
from tests.sweep.backends.test_local import LAUNCHER, ended, is_gone, pids, until
from tests.sweep.submitted import CONTEXT, app, trial_folder

pytestmark = pytest.mark.slow


@contextmanager
def local(
    *modules: str, task: Callable[[Any], Any] | None = None, gpus: str = "", is_ready: bool = True
) -> Iterator[Local]:
    make_job = partial(Job, task_function=task or app(), hydra_context=CONTEXT)
    backend = Local(make_job, lambda folder: LAUNCHER, slots=1, gpus=list(gpus), modules=modules)
    if modules and is_ready:
        until(backend.start_warm_process().is_ready, "the warm process")
    try:
        yield backend
    finally:
        for job in backend._watched:
            backend.cancel(job)
        backend.close()


def run(backend: Local, folder: Path, attempt: int = 0) -> dict[str, Any]:
    ended(backend, backend.submit(folder, attempt, 0))
    result = Mailbox(folder).result()
    assert result is not None and result["error"] is None, result
    return result


def is_fork(pid: int) -> bool:
    """Whether a trial's first process has the command line of the warm process."""
    return "mcqa.sweep.backends.warm" in psutil.Process(pid).cmdline()


def looks(cfg: Any) -> float:
    """A job that writes down what it finds."""
    import gc
    import json
    import os
    import signal
    import subprocess
    import sys
    from pathlib import Path

    import submitit

    umask = os.umask(0)
    os.umask(umask)
    found = {
        "environment": dict(os.environ),
        "of a child": sorted(subprocess.run("env", capture_output=True, check=True, text=True).stdout.splitlines()),
        "in /proc": Path("/proc/self/environ").read_text().split("\0"),
        "files": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)),
        "open": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")) - 1,  # the heartbeat's
        "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE)],
        "limits": [os.getcwd(), umask, os.nice(0), gc.isenabled(), sys.argv[1:], sys.stdin.read()],
        "job": repr(submitit.JobEnvironment()),
    }
    Path(cfg.found).write_text(json.dumps(found))
    return 1.0


def test_a_fork_finds_what_a_process_of_its_own_does(tmp_path: Path) -> None:
    found = []
    for number, modules in enumerate([(), ("json",)]):
        file = tmp_path / f"{number}.json"
        folder = trial_folder(tmp_path, number, found=str(file))
        with local(*modules, task=looks, gpus="01") as backend:
            run(backend, folder)
        (entry,) = Mailbox(folder).submissions()
        text = file.read_text()
        for own, common in ((entry.token, "TOKEN"), (str(entry.job), "JOB"), (f"trials/{number}", "FOLDER")):
            text = text.replace(own, common)
        found.append(json.loads(text))
    cold, warm = found
    shown = {f"{TOKEN}=TOKEN", "CUDA_VISIBLE_DEVICES=0,1"}
    assert shown <= {line.rstrip() for line in warm.pop("in /proc")} and shown <= set(cold.pop("in /proc"))
    assert warm == cold
    differing = {name for name in (*WITHOUT_THREADS, *WITHOUT_GPU) if os.environ.get(name) is None}
    assert not (differing - {"OMP_NUM_THREADS"}) & set(warm["environment"])


def test_forks_draw_numbers_of_their_own(tmp_path: Path) -> None:
    def draws(cfg: Any) -> list[float]:
        import random

        import numpy

        return [random.random(), float(numpy.random.random())]

    with local("numpy", task=draws) as backend:
        first, second = (run(backend, trial_folder(tmp_path, number))["value"] for number in range(2))
    assert first[0] != second[0] and first[1] != second[1]


def test_a_fork_ends_as_a_process_does(tmp_path: Path) -> None:
    def leaves(cfg: Any) -> None:
        import atexit
        import tempfile
        import threading
        import time
        from pathlib import Path

        kept.append(tempfile.TemporaryDirectory(dir=cfg.folder))
        atexit.register((Path(cfg.folder) / "atexit").touch)
        threading.Thread(target=lambda: (time.sleep(0.3), (Path(cfg.folder) / "thread").touch())).start()
        print("the last word", end="")

    kept: list[Any] = []
    (tmp_path / "left").mkdir()
    folder = trial_folder(tmp_path, folder=str(tmp_path / "left"))
    with local("json", task=leaves) as backend:
        run(backend, folder)
    assert sorted(path.name for path in (tmp_path / "left").iterdir()) == ["atexit", "thread"]
    (log,) = (folder / ".submitit" / "0").glob("*_log.out")
    assert "the last word" in log.read_text()


def test_a_fork_computes_with_as_many_threads_as_its_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computes(cfg: Any) -> list[float]:
        import os

        import torch

        before = len(os.listdir("/proc/self/task"))
        torch.randn(700, 700) @ torch.randn(700, 700)
        return [torch.get_num_threads(), len(os.listdir("/proc/self/task")) - before]

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with local("torch", task=computes) as backend:
        assert run(backend, trial_folder(tmp_path))["value"] == [3, 2]


def test_the_first_trial_starts_by_itself_and_later_ones_are_forks(tmp_path: Path) -> None:
    folders = [trial_folder(tmp_path, number, do="hang") for number in range(2)]
    with local("json", is_ready=False) as backend:
        first = backend.submit(folders[0], 0, 0)
        assert backend.warm is not None
        until(backend.warm.is_ready, "the warm process")
        second = backend.submit(folders[1], 1, 1)  # a trial that resumes, say
        for folder in folders:
            pids(folder)
        assert [is_fork(int(job)) for job in (first, second)] == [False, True]
        for folder, job in zip(folders, (first, second), strict=True):
            (folder / "go").touch()
            ended(backend, job)
        until(lambda: not psutil.Process(backend.warm.pid).children(), "the end of all forks, zombies too")


def test_a_trial_survives_the_warm_process_and_the_next_ones_start_by_themselves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [trial_folder(tmp_path, number, do="hang") for number in range(3)]
    with local("json") as backend, caplog.at_level(logging.WARNING):
        jobs = [backend.submit(folders[0], 0, 0)]
        processes = pids(folders[0])
        assert backend.warm is not None
        os.kill(backend.warm.pid, signal.SIGKILL)
        assert backend.state(jobs[0]) == "running"
        jobs += [backend.submit(folder, 0, 0) for folder in folders[1:]]
        for folder in folders[1:]:
            pids(folder)
        assert [is_fork(int(job)) for job in jobs] == [True, False, False]
        (told,) = caplog.messages
        assert told == "Jobs start without a warm process, so each imports everything itself: it has ended."
        for folder, job in zip(folders, jobs, strict=True):
            (folder / "go").touch()
            ended(backend, job)
            assert (Mailbox(folder).result() or {})["value"] == 7.0
        until(lambda: all(map(is_gone, processes)), "the end of its processes")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('not here')", "ValueError: not here"),
        ("import threading, time\nthreading.Thread(target=time.sleep, args=[1000], daemon=True).start()", "2 threads"),
        ("import os\nos._exit(3)", "it has ended"),
        (
            "import sys\nfrom types import SimpleNamespace as N\n"
            "sys.modules['torch'] = N(cuda=N(is_initialized=lambda: True, _is_in_bad_fork=lambda: False))",
            "it uses a GPU",
        ),
        (
            "import sys\nfrom types import SimpleNamespace as N\n"
            "sys.modules['torch'] = N(cuda=N(is_initialized=lambda: False, _is_in_bad_fork=lambda: True))",
            "it has used CUDA",
        ),
    ],
)
def test_where_modules_cannot_be_shared_trials_start_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: str, reason: str
) -> None:
    (tmp_path / "not_to_be_forked.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with local("not_to_be_forked", is_ready=False) as backend, caplog.at_level(logging.WARNING):
        process = backend.start_warm_process()
        until(process._channel.poll, "its first word")
        for number in range(2):
            assert run(backend, trial_folder(tmp_path, number, do="return", x=0.5))["value"] == 0.5
    (told,) = caplog.messages
    assert reason in told


def test_a_change_of_the_code_is_what_runs_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def task(cfg: Any) -> list[float]:
        import sys

        was_loaded = "warmed_code" in sys.modules
        import warmed_code  # type: ignore[import-not-found]

        return [warmed_code.VALUE, was_loaded]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(code), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def submit(number: int) -> tuple[list[float], str | None]:
        result = run(backend, trial_folder(tmp_path, number))
        return result["value"], result.get("code_changed")

    code = tmp_path / "code"
    code.mkdir()
    (code / "warmed_code.py").write_text("VALUE = 1")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        git(*arguments)
    monkeypatch.syspath_prepend(code)
    commit_of.cache_clear()
    one = commit_of(code)

    def make_job(folder: Path, *, token: str) -> Job:
        job = Job(folder, task, CONTEXT, token)
        job.code, job.commit = code, commit_of(code)
        return job

    with local("warmed_code") as backend:
        backend._make_job = make_job
        assert submit(0) == ([1, True], None)
        (code / "warmed_code.py").write_text("VALUE = 22")
        git("commit", "-qam", "two")
        two = git("rev-parse", "HEAD")
        assert submit(1) == ([22, False], f"{one} -> {two}")
        assert backend.warm is not None
        until(backend.warm.is_ready, "the new warm process")
        assert submit(2) == ([22, True], f"{one} -> {two}")


def test_a_trial_and_not_the_warm_process_survives_its_controller(tmp_path: Path) -> None:
    """Which is interrupted with its whole terminal, and killed."""
    script = """
        import signal, sys, time
        from functools import partial
        from pathlib import Path
        from mcqa.sweep.backends.job import Job
        from mcqa.sweep.backends.local import Local
        from tests.sweep.submitted import CONTEXT, app

        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
        backend = Local(partial(Job, task_function=app(), hydra_context=CONTEXT),
                        lambda folder: {"timeout_min": 5}, slots=1, gpus=[], modules=["json"])
        warm = backend.start_warm_process()
        while not warm.is_ready():
            time.sleep(0.02)
        print(warm.pid, backend.submit(Path(sys.argv[1]), 0, 0), flush=True)
        while True:
            try:
                time.sleep(1000)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
    """
    folder = trial_folder(tmp_path, do="hang")
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as controller:
        try:
            assert controller.stdout is not None
            warm, job = map(int, controller.stdout.readline().split())
            processes = pids(folder)
            os.killpg(controller.pid, signal.SIGINT)
            assert controller.stdout.readline() == "interrupted\n"
            assert not any(map(is_gone, [warm, *processes]))
        finally:
            controller.kill()
    until(partial(is_gone, warm), "the end of the warm process")
    (entry,) = Mailbox(folder).submissions()
    with local() as backend:
        assert backend.attach(folder, entry) == str(job) and backend.state(str(job)) == "running"
        backend.cancel(str(job))
        until(lambda: all(map(is_gone, processes)), "the end of its processes")


def test_what_runs_import_can_be_forked_and_looks_for_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = "import sys\nassert not {'peft', 'bitsandbytes'} & set(sys.modules)"
    (tmp_path / "imported_last.py").write_text(check)
    monkeypatch.syspath_prepend(tmp_path)
    modules = RunHooks("config", Config).modules()
    process = WarmProcess([*modules, "imported_last"], {TOKEN: 16, "CUDA_VISIBLE_DEVICES": 16})
    try:
        until(process.is_ready, "the warm process", seconds=300)  # which would say what keeps it from being forked
    finally:
        process.close()
