import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import Backend, SubmissionError
from mcqa.sweep.backends.job import Job
from mcqa.sweep.backends.local import TOKEN, Local, gpu_share, threads_share
from tests.sweep.submitted import CONTEXT, app, never_named, trial_folder

LAUNCHER: dict[str, Any] = {
    "_target_": "some.where.LocalLauncher",
    "submitit_folder": "x/%j",
    "timeout_min": 5,
    "name": "app",
}

make_job = partial(Job, task_function=app(), hydra_context=CONTEXT)


def result(folder: Path) -> dict[str, Any] | None:
    return Mailbox(folder).result()


def until(happened: Callable[[], Any], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"still waiting for {what}"
        time.sleep(0.02)


def ended(backend: Backend, job: str) -> None:
    until(lambda: backend.state(job) == "over", f"the end of {job}")


def pids(folder: Path) -> list[int]:
    """The process of a trial that hangs, and the one that it started."""
    child = folder / "child"
    until(lambda: child.exists() and child.read_text().endswith("\n"), "the start of the trial")
    return [int(pid) for pid in child.read_text().split()]


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def local() -> Local:
    return Local(make_job, lambda folder: LAUNCHER, slots=2, gpus=[])


@contextmanager
def backend_that(kind: str) -> Iterator[Local]:
    """A backend whose jobs are processes of their own (cold), or forks of a process that is ready (warm)."""
    backend = Local(make_job, lambda folder: LAUNCHER, slots=2, gpus=[], modules=["json"] if kind == "warm" else [])
    if kind == "warm":
        until(backend.start_warm_process().is_ready, "the warm process")
    try:
        yield backend
        assert (backend.warm is not None) == (kind == "warm")  # which no job had to do without
    finally:
        backend.close()


both_ways = pytest.mark.parametrize("kind", ["cold", "warm"])


# ---- local


@pytest.fixture(scope="module", params=["cold", "warm"])
def ends(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Path, str]]]:
    """Trials that ended as named, two at a time: their folders, and why they say they did."""
    with backend_that(request.param) as backend:
        yield ended_trials(backend, tmp_path_factory.mktemp("study"))


def ended_trials(backend: Local, study: Path) -> dict[str, tuple[Path, str]]:
    trials = {}
    for pair in (("return", "raise"), ("exit", "die")):
        jobs = {}
        for slot, do in enumerate(pair):
            folder = trial_folder(study, len(trials) + slot, do=do, x=0.5)
            jobs[do] = folder, backend.submit(folder, 0, slot)
        for do, (folder, job) in jobs.items():
            ended(backend, job)
            trials[do] = folder, backend.reason(job)
    return trials


@pytest.mark.slow
def test_a_local_trial_completes_with_its_value(ends: dict[str, tuple[Path, str]]) -> None:
    folder, _ = ends["return"]
    assert (result(folder) or {})["value"] == 0.5
    (entry,) = Mailbox(folder).submissions()
    assert (entry.attempt, entry.backend, entry.slot) == (0, "local", 0) and entry.job and entry.token
    assert (folder / ".submitit" / "0" / f"{entry.job}_0_log.out").exists()


@pytest.mark.slow
def test_a_local_trial_that_raises_has_its_reason_and_its_log(ends: dict[str, tuple[Path, str]]) -> None:
    folder, _ = ends["raise"]
    assert (result(folder) or {})["error"] == "ValueError: no such luck"
    (log,) = (folder / ".submitit" / "0").glob("*_log.err")
    assert "Traceback" in log.read_text()


@pytest.mark.slow
def test_a_local_trial_that_exits_has_its_reason(ends: dict[str, tuple[Path, str]]) -> None:
    assert (result(ends["exit"][0]) or {})["error"] == "bad option"


@pytest.mark.slow
def test_a_local_trial_that_is_killed_is_over_without_a_result(ends: dict[str, tuple[Path, str]]) -> None:
    folder, reason = ends["die"]
    assert result(folder) is None and "without a result" in reason


@pytest.mark.slow
@both_ways
def test_a_trial_reports_and_is_pruned(tmp_path: Path, kind: str) -> None:
    folder = trial_folder(tmp_path, do="report")
    with backend_that(kind) as backend:
        job = backend.submit(folder, 0, 0)
        until(lambda: Mailbox(folder).reports(), "a report")
        assert backend.state(job) == "running" and Mailbox(folder).silent_s(time.time()) is not None
        Mailbox(folder).request_prune()
        ended(backend, job)
    reports = Mailbox(folder).reports()
    assert (result(folder) or {})["status"] == "pruned"
    assert (result(folder) or {})["value"] == reports[-1].value


@pytest.mark.slow
@both_ways
def test_a_cancelled_trial_is_gone_with_all_its_processes_and_leaves_no_result(tmp_path: Path, kind: str) -> None:
    folder = trial_folder(tmp_path, do="hang")
    with backend_that(kind) as backend:
        job = backend.submit(folder, 0, 0)
        processes = pids(folder)
        assert os.getsid(processes[0]) == int(job) != os.getsid(0)  # so that Ctrl-C does not reach it
        backend.cancel(job)
        ended(backend, job)
        until(lambda: all(map(is_gone, processes)), "the end of its processes")
        assert result(folder) is None and backend.reason(job) == "killed by SIGKILL"


@pytest.mark.slow
@both_ways
def test_a_trial_outlives_its_controller_and_another_one_attaches_to_it(tmp_path: Path, kind: str) -> None:
    folder = trial_folder(tmp_path, do="hang")
    with backend_that(kind) as first:
        job = first.submit(folder, 0, 0)
        processes = pids(folder)
    second, (entry,) = local(), Mailbox(folder).submissions()
    assert second.attach(folder, entry) == job and second.state(job) == "running"
    (folder / "go").touch()
    ended(second, job)
    assert (result(folder) or {})["value"] == 7.0
    until(lambda: all(map(is_gone, processes)), "the end of its processes")
    assert local().attach(folder, entry) is None


@pytest.mark.slow
@both_ways
def test_what_is_left_of_a_trial_whose_first_process_was_killed_is_cleared_away(tmp_path: Path, kind: str) -> None:
    folders = [trial_folder(tmp_path, number, do="hang") for number in range(3)]
    with backend_that(kind) as backend:
        jobs = [backend.submit(folder, 0, slot) for slot, folder in enumerate(folders)]
        processes = [pid for folder in folders for pid in pids(folder)]
        for job in jobs:
            os.kill(int(job), signal.SIGKILL)
        ended(backend, jobs[0])
    for job in jobs[1:]:
        until(partial(is_gone, int(job)), "the end of its first process")
    assert not any(map(is_gone, processes[2:]))  # nobody looked yet
    never_named(folders[2])
    for folder in folders[1:]:
        assert local().attach(folder, Mailbox(folder).submissions()[0]) is None
    until(lambda: all(map(is_gone, processes)), "the end of its processes")


@pytest.mark.slow
@both_ways
def test_a_process_that_was_started_but_never_written_down_is_found_by_its_token(tmp_path: Path, kind: str) -> None:
    folder = trial_folder(tmp_path, do="hang")
    with backend_that(kind) as first:
        job = first.submit(folder, 0, 0)
        pids(folder)
        (entry,) = Mailbox(folder).submissions()
        second = local()
        assert second.attach(folder, never_named(folder)) == job
        assert Mailbox(folder).submissions() == [entry]
        second.cancel(job)
        ended(first, job)


@pytest.mark.slow
def test_a_process_id_that_was_used_again_is_not_taken_for_the_trial(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)
    with subprocess.Popen(["sleep", "1000"], env={**os.environ, TOKEN: "of another trial"}) as other:
        entry = Submission(0, "t", str(other.pid), "local", os.uname().nodename, 0, time.time())
        assert local().attach(folder, entry) is None
        assert other.poll() is None
        other.kill()


@pytest.mark.slow
def test_a_script_runs_its_own_function_with_modules_beside_it(tmp_path: Path) -> None:
    """`python app.py` with the task a closure in __main__, started from another folder."""
    (tmp_path / "beside.py").write_text("def double(x): return 2 * x\n")
    script = """
        import sys, time
        from functools import partial
        from pathlib import Path
        import beside
        from hydra._internal.callbacks import Callbacks
        from hydra.types import HydraContext
        from mcqa.sweep.backends.launcher import make_backend
        from mcqa.sweep.backends.job import Job

        def app(factor):
            def task(cfg):
                heavy = {"optuna", "pandas", "scipy", "torch", "transformers", "mcqa.config.schema"} & set(sys.modules)
                assert not heavy, heavy
                return factor * beside.double(cfg.x)
            return task

        if __name__ == "__main__":
            make_job = partial(Job, task_function=app(10), hydra_context=HydraContext(None, Callbacks()))
            launcher = {"_target_": "LocalLauncher", "timeout_min": 5, "setup": ["export FROM_SETUP=1"]}
            backend = make_backend(launcher, make_job, lambda folder: launcher, slots=1)
            job = backend.submit(Path(sys.argv[1]), 0, 0)
            while backend.state(job) == "running":
                time.sleep(0.02)
    """
    (tmp_path / "app.py").write_text(textwrap.dedent(script))
    folder = trial_folder(tmp_path, x=1.5)
    subprocess.run([sys.executable, str(tmp_path / "app.py"), str(folder)], check=True, cwd="/")
    assert result(folder) is not None and (result(folder) or {})["error"] is None
    assert (result(folder) or {})["value"] == 30.0


def test_an_unknown_launcher_option_is_refused_with_submitit_s_message(tmp_path: Path) -> None:
    backend = Local(make_job, lambda folder: {**LAUNCHER, "mem_gib": 4}, slots=1, gpus=[])
    with pytest.raises(SubmissionError, match="mem_gib"):
        backend.submit(trial_folder(tmp_path), 0, 0)


@pytest.mark.slow
def test_an_app_that_cannot_be_pickled_is_refused(tmp_path: Path) -> None:
    handle = (tmp_path / "open").open("w")
    backend = Local(
        partial(Job, task_function=lambda cfg: handle, hydra_context=CONTEXT), lambda folder: LAUNCHER, slots=1, gpus=[]
    )
    with handle, pytest.raises(SubmissionError, match="pickle"):
        backend.submit(trial_folder(tmp_path), 0, 0)


# ---- GPUs


class Sharing:
    """Trials that sleep, submitted one after the other to a machine with some GPUs."""

    def __init__(self, study: Path, gpus: str, slots: int) -> None:
        self.study, self.gpus, self.slots = study, list(gpus), slots
        self.jobs: list[str] = []
        self.restart()

    def restart(self) -> None:
        """The controller. It finds the trials again that run."""
        self.backend = Local(make_job, lambda folder: self.launcher, self.slots, self.gpus)
        for folder in self.study.glob("trials/*"):
            self.backend.attach(folder, Mailbox(folder).submissions()[0])

    def share(self, each: int | None) -> str:
        """The GPUs of a further trial, which asks for so many."""
        self.launcher = {"timeout_min": 5, "gpus_per_node": each, "setup": ["sleep 1000"]}
        folder = trial_folder(self.study, len(self.jobs))
        self.jobs.append(self.backend.submit(folder, 0, len(self.jobs)))
        started = psutil.Process(int(self.jobs[-1]))
        until(started.environ, "its environment")
        return started.environ()["CUDA_VISIBLE_DEVICES"].replace(",", "")

    def end(self, number: int) -> None:
        self.backend.cancel(self.jobs[number])
        ended(self.backend, self.jobs[number])

    def write_result(self, number: int) -> None:
        Mailbox(self.study / "trials" / str(number)).write_result({"status": "complete"})


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Callable[[str, int], Sharing]]:
    made = []

    def make(gpus: str, slots: int) -> Sharing:
        made.append(Sharing(tmp_path, gpus, slots))
        return made[-1]

    yield make
    for machine in made:
        for number in range(len(machine.jobs)):
            machine.end(number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gpus", "slots", "each", "shares"),
    [
        ("0123", 2, [None, None], ["01", "23"]),
        ("0123", 3, [None, None, None], ["0", "1", "2"]),
        ("01", 4, [None, None, None, None], ["0", "1", "0", "1"]),
        ("0123", 4, [2, 2, 2, 2], ["01", "23", "01", "23"]),
        ("0123", 3, [1, 2, 1], ["0", "12", "3"]),
        ("012", 3, [2, 0, 1, 1], ["01", "", "2", "0"]),
        ("", 2, [None, None], ["", ""]),
        ("", 2, [1, 2], ["0", "01"]),
    ],
)
def test_trials_share_gpus_only_where_there_are_too_few(
    sharing: Callable[[str, int], Sharing], gpus: str, slots: int, each: list[int | None], shares: list[str]
) -> None:
    machine = sharing(gpus, slots)
    assert [machine.share(gpus) for gpus in each] == shares


@pytest.mark.slow
def test_the_gpus_of_a_trial_that_ended_are_used_again(sharing: Callable[[str, int], Sharing]) -> None:
    machine = sharing("012", 3)
    assert [machine.share(gpus) for gpus in (1, 1, 1)] == ["0", "1", "2"]
    machine.end(1)
    assert machine.share(1) == "1"


@pytest.mark.slow
def test_the_gpus_of_a_trial_that_has_its_result_are_used_again_before_those_of_one_that_runs(
    sharing: Callable[[str, int], Sharing],
) -> None:
    machine = sharing("012", 3)
    assert [machine.share(1) for _ in range(2)] == ["0", "1"]
    machine.write_result(1)
    assert machine.share(1) == "2"  # which nobody has
    assert machine.share(1) == "1"


@pytest.mark.slow
def test_a_controller_that_was_restarted_knows_the_gpus_of_the_trials_that_run(
    sharing: Callable[[str, int], Sharing],
) -> None:
    machine = sharing("0123", 3)
    assert [machine.share(gpus) for gpus in (1, 2)] == ["0", "12"]
    machine.restart()
    assert machine.share(1) == "3"


def test_the_trials_share_the_processors() -> None:
    here = len(os.sched_getaffinity(0))
    assert threads_share(1, None) == here
    assert threads_share(4 * here, None) == 1
    assert threads_share(4 * here, 3) == 3


def test_a_trial_cannot_have_more_gpus_than_there_are() -> None:
    with pytest.raises(SubmissionError, match="2 at most"):
        gpu_share(["0", "1"], 1, 4)
