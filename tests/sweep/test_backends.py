import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_slurm import FakeSlurm
from submitted import CONTEXT, app, trial_folder

from mcqa.errors import ConfigError
from mcqa.sweep.backends import Backend, SubmissionError, for_launcher
from mcqa.sweep.backends.debug import Debug
from mcqa.sweep.backends.elsewhere import LOST_S
from mcqa.sweep.backends.local import TOKEN, Local, gpu_share, threads_share
from mcqa.sweep.backends.slurm import PATIENCE_S, POLL_S, SILENT_S, Slurm
from mcqa.sweep.backends.submission import executor
from mcqa.sweep.job import Job
from mcqa.sweep.mailbox import Entry, Mailbox

LAUNCHER = {"_target_": "some.where.LocalLauncher", "submitit_folder": "x/%j", "timeout_min": 5, "name": "app"}

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
    return Local(make_job, LAUNCHER, slots=2, gpus=[])


# ---- local


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Trials that ended as named, two at a time: their folders, and why they say they did."""
    backend, study = local(), tmp_path_factory.mktemp("study")
    found = {}
    for pair in (("return", "raise"), ("exit", "die")):
        jobs = {}
        for slot, do in enumerate(pair):
            folder = trial_folder(study, len(found) + slot, do=do, x=0.5)
            jobs[do] = folder, backend.submit(folder, 0, slot)
        for do, (folder, job) in jobs.items():
            ended(backend, job)
            found[do] = folder, backend.reason(job)
    return found


def test_a_local_trial_completes_with_its_value(ends: dict[str, tuple[Path, str]]) -> None:
    folder, _ = ends["return"]
    assert (result(folder) or {})["value"] == 0.5
    (entry,) = Mailbox(folder).jobs()
    assert (entry.attempt, entry.backend, entry.slot) == (0, "local", 0) and entry.job and entry.token
    assert (folder / ".submitit" / "0" / f"{entry.job}_0_log.out").exists()


def test_a_local_trial_that_raises_has_its_reason_and_its_log(ends: dict[str, tuple[Path, str]]) -> None:
    folder, _ = ends["raise"]
    assert (result(folder) or {})["error"] == "ValueError: no such luck"
    (log,) = (folder / ".submitit" / "0").glob("*_log.err")
    assert "Traceback" in log.read_text()


def test_a_local_trial_that_exits_has_its_reason(ends: dict[str, tuple[Path, str]]) -> None:
    assert (result(ends["exit"][0]) or {})["error"] == "bad option"


def test_a_local_trial_that_is_killed_is_over_without_a_result(ends: dict[str, tuple[Path, str]]) -> None:
    folder, reason = ends["die"]
    assert result(folder) is None and "without a result" in reason


def test_a_trial_reports_and_is_pruned(tmp_path: Path) -> None:
    backend, folder = local(), trial_folder(tmp_path, do="report")
    job = backend.submit(folder, 0, 0)
    until(lambda: Mailbox(folder).reports(), "a report")
    assert backend.state(job) == "running" and Mailbox(folder).silent_s(time.time()) is not None
    Mailbox(folder).ask_to_prune()
    ended(backend, job)
    reports = Mailbox(folder).reports()
    assert (result(folder) or {})["status"] == "pruned"
    assert (result(folder) or {})["value"] == reports[-1].value


def test_a_cancelled_trial_is_gone_with_all_its_processes_and_leaves_no_result(tmp_path: Path) -> None:
    backend, folder = local(), trial_folder(tmp_path, do="hang")
    job = backend.submit(folder, 0, 0)
    processes = pids(folder)
    assert os.getsid(processes[0]) == int(job) != os.getsid(0)  # so that Ctrl-C does not reach it
    backend.cancel(job)
    ended(backend, job)
    until(lambda: all(map(is_gone, processes)), "the end of its processes")
    assert result(folder) is None and backend.reason(job) == "killed by SIGKILL"


def test_a_trial_goes_on_without_its_controller_and_another_one_takes_it_over(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path, do="hang")
    first = local()
    job = first.submit(folder, 0, 0)
    processes = pids(folder)
    first.close()
    second, (entry,) = local(), Mailbox(folder).jobs()
    assert second.attach(folder, entry) == job and second.state(job) == "running"
    (folder / "go").touch()
    ended(second, job)
    assert (result(folder) or {})["value"] == 7.0
    until(lambda: all(map(is_gone, processes)), "the end of its processes")
    assert local().attach(folder, entry) is None


def test_what_is_left_of_a_trial_whose_first_process_was_killed_is_cleared_away(tmp_path: Path) -> None:
    folders = [trial_folder(tmp_path, number, do="hang") for number in range(3)]
    backend = local()
    jobs = [backend.submit(folder, 0, slot) for slot, folder in enumerate(folders)]
    processes = [pid for folder in folders for pid in pids(folder)]
    for job in jobs:
        os.kill(int(job), signal.SIGKILL)
    ended(backend, jobs[0])
    for job in jobs[1:]:
        os.waitpid(int(job), 0)
    assert not any(map(is_gone, processes[2:]))  # nobody looked yet
    never_named(folders[2])
    for folder in folders[1:]:
        assert local().attach(folder, Mailbox(folder).jobs()[0]) is None
    until(lambda: all(map(is_gone, processes)), "the end of its processes")


def never_named(folder: Path) -> Entry:
    """As when the controller dies between the start of a job and writing down which it is."""
    entries = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps([{**entry, "job": None} for entry in entries]))
    return Mailbox(folder).jobs()[0]


def test_a_process_that_was_started_but_never_written_down_is_found_by_its_token(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path, do="hang")
    first = local()
    job = first.submit(folder, 0, 0)
    pids(folder)
    (entry,) = Mailbox(folder).jobs()
    second = local()
    assert second.attach(folder, never_named(folder)) == job
    assert Mailbox(folder).jobs() == [entry]
    second.cancel(job)
    ended(first, job)


def test_a_process_id_that_was_used_again_is_not_taken_for_the_trial(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)
    with subprocess.Popen(["sleep", "1000"], env={**os.environ, TOKEN: "of another trial"}) as other:
        entry = Entry(0, "t", str(other.pid), "local", os.uname().nodename, 0, time.time())
        assert local().attach(folder, entry) is None
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize(
    ("backend", "submitted_by", "host"),
    [("local", "local", "another"), ("local", "slurm", "this"), ("slurm", "local", "this"), ("debug", "local", "this")],
)
def test_a_trial_that_runs_elsewhere_is_known_by_its_heartbeat(
    tmp_path: Path, backend: str, submitted_by: str, host: str
) -> None:
    known: dict[str, Backend] = {"local": local(), "slurm": Slurm(make_job, {}), "debug": Debug(make_job)}
    long_ago = time.time() - 2 * LOST_S
    folder = trial_folder(tmp_path)
    entry = Entry(0, "t", "1", submitted_by, os.uname().nodename if host == "this" else host, 0, long_ago)
    assert known[backend].attach(folder, entry) is None
    Mailbox(folder).heartbeat()
    job = known[backend].attach(folder, entry)
    assert job is not None and known[backend].state(job) == "running"
    os.utime(folder / "heartbeat", (0, long_ago))
    assert known[backend].state(job) == "over" and "no sign of life" in known[backend].reason(job)


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
        from mcqa.sweep.backends import for_launcher
        from mcqa.sweep.job import Job

        def app(factor):
            def task(cfg):
                heavy = {"optuna", "pandas", "scipy", "torch", "transformers", "mcqa.config"} & set(sys.modules)
                assert not heavy, heavy
                return factor * beside.double(cfg.x)
            return task

        if __name__ == "__main__":
            make_job = partial(Job, task_function=app(10), hydra_context=HydraContext(None, Callbacks()))
            launcher = {"_target_": "LocalLauncher", "timeout_min": 5, "setup": ["export FROM_SETUP=1"]}
            backend = for_launcher(launcher, make_job, slots=1)
            job = backend.submit(Path(sys.argv[1]), 0, 0)
            while backend.state(job) == "running":
                time.sleep(0.02)
    """
    (tmp_path / "app.py").write_text(textwrap.dedent(script))
    folder = trial_folder(tmp_path, x=1.5)
    subprocess.run([sys.executable, str(tmp_path / "app.py"), str(folder)], check=True, cwd="/")
    assert result(folder) is not None and (result(folder) or {})["error"] is None
    assert (result(folder) or {})["value"] == 30.0


def test_a_launcher_option_that_nobody_knows_is_refused_in_submitit_s_words(tmp_path: Path) -> None:
    backend = Local(make_job, {**LAUNCHER, "mem_gib": 4}, slots=1, gpus=[])
    with pytest.raises(SubmissionError, match="mem_gib"):
        backend.submit(trial_folder(tmp_path), 0, 0)


def test_an_app_that_cannot_be_pickled_is_refused(tmp_path: Path) -> None:
    handle = (tmp_path / "open").open("w")
    backend = Local(partial(Job, task_function=lambda cfg: handle, hydra_context=CONTEXT), LAUNCHER, slots=1, gpus=[])
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
        self.backend = Local(make_job, {}, self.slots, self.gpus, lambda folder: self.launcher)
        for folder in self.study.glob("trials/*"):
            self.backend.attach(folder, Mailbox(folder).jobs()[0])

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
    for one in made:
        for number in range(len(one.jobs)):
            one.end(number)


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
    assert [machine.share(one) for one in each] == shares


def test_the_gpus_of_a_trial_that_ended_are_given_again(sharing: Callable[[str, int], Sharing]) -> None:
    machine = sharing("012", 3)
    assert [machine.share(one) for one in (1, 1, 1)] == ["0", "1", "2"]
    machine.end(1)
    assert machine.share(1) == "1"


def test_the_gpus_of_a_trial_that_has_its_result_are_given_again_before_those_of_one_that_runs(
    sharing: Callable[[str, int], Sharing],
) -> None:
    machine = sharing("012", 3)
    assert [machine.share(1) for _ in range(2)] == ["0", "1"]
    machine.write_result(1)
    assert machine.share(1) == "2"  # which nobody has
    assert machine.share(1) == "1"


def test_a_controller_that_was_restarted_knows_the_gpus_of_the_trials_that_run(
    sharing: Callable[[str, int], Sharing],
) -> None:
    machine = sharing("0123", 3)
    assert [machine.share(one) for one in (1, 2)] == ["0", "12"]
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


# ---- slurm, with scripts in place of its commands


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def later(self) -> None:
        self.now += POLL_S + 1


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    yield FakeSlurm(tmp_path / "bin")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def slurm(clock: Clock, **options: Any) -> Slurm:
    known = {"_target_": "some.where.SlurmLauncher", "submitit_folder": "x", "timeout_min": 5, "max_num_timeout": 3}
    return Slurm(make_job, known | options, clock)


def test_a_slurm_trial_is_submitted_with_all_options_and_the_token_beside_the_user_s_comment(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    folder = trial_folder(tmp_path)
    backend = slurm(clock, partition="long", comment="my project", additional_parameters={"mail-type": "END"})
    assert backend.submit(folder, 2, 0) == "17"
    (entry,) = Mailbox(folder).jobs()
    assert (entry.attempt, entry.job, entry.backend) == (2, "17", "slurm")
    script = (cluster.folder / "submitted").read_text()
    for line in ("--partition=long", "--time=5", "--mail-type=END", f"--comment='my project {entry.token}'"):
        assert f"#SBATCH {line}\n" in script
    assert (folder / ".submitit" / "2" / "17_submitted.pkl").exists()


def test_what_slurm_says_against_a_submission_is_told(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers("sbatch", "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1")
    with pytest.raises(SubmissionError, match="invalid partition specified: nope"):
        slurm(clock).submit(trial_folder(tmp_path), 0, 0)
    assert capsys.readouterr().err == ""


def test_without_slurm_the_submission_says_so(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SubmissionError, match="srun"):
        slurm(clock).submit(trial_folder(tmp_path), 0, 0)


def test_a_job_that_slurm_took_without_saying_so_is_found(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    keep = f"sed -n 's/^#SBATCH --comment=/17|PENDING|None|/p' \"$1\" > {cluster.folder}/queue"
    cluster.answers("sbatch", f"{keep}; echo 'Socket timed out' >&2; exit 1")
    cluster.answers("squeue", f"cat {cluster.folder}/queue")
    folder = trial_folder(tmp_path)
    assert slurm(clock).submit(folder, 0, 0) == "17"
    assert (folder / ".submitit" / "0" / "17_submitted.pkl").exists()  # the job would wait for it in vain


def submitted_by_another(folder: Path, clock: Clock) -> Entry:
    slurm(clock).submit(folder, 0, 0)
    return Mailbox(folder).jobs()[0]


def test_a_controller_that_died_between_sbatch_and_writing_it_down_loses_no_job(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    folder = trial_folder(tmp_path)
    submitted_by_another(folder, clock)
    entry = never_named(folder)
    logs = folder / ".submitit" / "0"
    (logs / "17_submitted.pkl").rename(logs / "0123abcd.pkl")
    cluster.queue("3|RUNNING|None|other", f"17|PENDING|Priority|my project {entry.token}")
    backend = slurm(clock)
    assert backend.attach(folder, entry) == "17" and backend.state("17") == "running"
    assert Mailbox(folder).jobs()[0].job == "17"
    assert (logs / "17_submitted.pkl").exists()


def test_a_submission_that_never_reached_slurm_is_not_attached(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    folder = trial_folder(tmp_path)
    submitted_by_another(folder, clock)
    entry = never_named(folder)
    cluster.queue("3|RUNNING|None|other")
    assert slurm(clock).attach(folder, entry) is None


@pytest.mark.parametrize("word", ["PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUE_HOLD"])
def test_a_job_that_waits_or_runs_or_is_put_back_is_running(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock, word: str
) -> None:
    folder = trial_folder(tmp_path)
    entry = submitted_by_another(folder, clock)
    cluster.queue(f"17|{word}|None|c")
    backend = slurm(clock)
    assert backend.attach(folder, entry) == "17"
    clock.later()
    assert backend.state("17") == "running"


@pytest.mark.parametrize("word", ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE"])
def test_a_job_that_ended_is_over_with_slurm_s_word(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock, word: str
) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    cluster.queue(f"{job}|{word}|NonZeroExitCode|c")
    assert backend.state(job) == "over" and backend.reason(job) == f"SLURM: {word} (NonZeroExitCode)"


def test_a_job_that_slurm_forgot_is_over_with_the_word_of_its_accounting(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    assert backend.state(job) == "running"  # the look is as old as the job
    clock.later()
    assert backend.state(job) == "over" and backend.reason(job) == "SLURM: no longer known"
    cluster.answers("sacct", f"echo '{job}|CANCELLED by 0'")
    assert backend.reason(job) == "SLURM: CANCELLED"


def test_a_job_whose_node_died_is_running_when_it_is_put_back(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    for word in ("NODE_FAIL", "PENDING", "NODE_FAIL"):
        cluster.queue(f"{job}|{word}|None|c")
        clock.now += PATIENCE_S - 1
        assert backend.state(job) == "running"


def test_a_job_whose_node_died_and_that_is_not_put_back_is_over(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    cluster.queue(f"{job}|NODE_FAIL|None|c")
    assert backend.state(job) == "running"
    clock.now += PATIENCE_S
    assert backend.state(job) == "over" and backend.reason(job) == "SLURM: NODE_FAIL"


def test_while_slurm_does_not_answer_no_job_is_lost(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    cluster.answers("squeue", "exit 1")
    for _ in range(3):
        clock.later()
        assert backend.state(job) == "running"
    cluster.answers("sacct", f"echo '{job}|FAILED'")  # the accounting does
    clock.later()
    assert backend.state(job) == "over"


def test_slurm_is_asked_once_for_all_jobs_and_not_more_than_every_few_seconds(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    backend, jobs = slurm(clock), [str(number) for number in range(5)]
    for number, job in enumerate(jobs):
        cluster.accepts(job)
        backend.submit(trial_folder(tmp_path, number), 0, 0)
    cluster.queue(*(f"{job}|RUNNING|None|c" for job in jobs))
    for _ in range(3):
        assert {backend.state(job) for job in jobs} == {"running"}
    assert len(cluster.asked("squeue")) == 1
    clock.later()
    assert {backend.state(job) for job in jobs} == {"running"}
    assert len(cluster.asked("squeue")) == 2


def test_a_cancelled_slurm_job_is_cancelled_by_its_id(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    backend = slurm(clock)
    backend.cancel(backend.submit(trial_folder(tmp_path), 0, 0))
    assert cluster.asked("scancel") == ["scancel 17"]


@pytest.mark.parametrize("why", ["launch failed requeued held", "launch_failed_requeued_held", "JobHoldMaxRequeue"])
def test_a_job_that_slurm_could_not_start_and_holds_is_over_and_cancelled(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock, why: str
) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    cluster.queue(f"{job}|PENDING|{why}|c")
    assert backend.state(job) == "over" and backend.reason(job) == f"SLURM: PENDING ({why})"
    assert cluster.asked("scancel") == [f"scancel {job}"]


def test_a_job_that_a_user_holds_is_left_alone(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    cluster.queue(f"{job}|PENDING|JobHeldUser|c")
    clock.later()
    assert backend.state(job) == "running" and not cluster.asked("scancel")


def test_a_job_whose_id_another_one_has_now_is_over(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    folder = trial_folder(tmp_path)
    entry = submitted_by_another(folder, clock)
    backend = slurm(clock)
    cluster.queue(f"17|RUNNING|None|my project {entry.token}")
    assert backend.attach(folder, entry) == "17"
    cluster.queue(f"17|RUNNING|None|my project {'0' * 16}")
    clock.later()
    assert backend.state("17") == "over"


def test_a_job_that_was_lost_may_have_its_id_again(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    folder, backend = trial_folder(tmp_path), slurm(clock)
    assert backend.submit(folder, 0, 0) == "17"
    clock.later()
    assert backend.state("17") == "over"
    assert backend.submit(folder, 1, 0) == "17"
    cluster.queue(f"17|RUNNING|None|{Mailbox(folder).jobs()[1].token}")
    clock.later()
    assert backend.state("17") == "running"


def silent(folder: Path, name: str) -> None:
    (folder / name).touch()
    os.utime(folder / name, (0, time.time() - SILENT_S - 1))


def test_a_silent_job_on_a_node_that_does_not_answer_is_over_and_cancelled(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    folder, backend = trial_folder(tmp_path), slurm(clock)
    job = backend.submit(folder, 0, 0)
    cluster.queue(f"{job}|RUNNING|None|c|n7|N/A|N/A")
    cluster.answers("sinfo", "echo 'n7|mixed*'")
    Mailbox(folder).heartbeat()
    clock.later()
    assert backend.state(job) == "running" and not cluster.asked("sinfo")  # it lives: SLURM may be wrong for a while
    silent(folder, "heartbeat")
    clock.later()
    assert backend.state(job) == "over" and "n7 does not answer" in backend.reason(job)
    assert cluster.asked("scancel") == [f"scancel {job}"]


@pytest.mark.parametrize("told", ["echo 'n7|mixed'", "exit 1"])
def test_a_silent_job_on_a_node_that_answers_is_running(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock, told: str
) -> None:
    folder, backend = trial_folder(tmp_path), slurm(clock)
    job = backend.submit(folder, 0, 0)
    cluster.queue(f"{job}|RUNNING|None|c|n7|N/A|N/A")
    cluster.answers("sinfo", told)
    silent(folder, "heartbeat")
    clock.later()
    assert backend.state(job) == "running" and not cluster.asked("scancel")


def test_a_job_that_lost_one_of_its_nodes_is_over_although_the_first_one_lives(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    folder, backend = trial_folder(tmp_path), slurm(clock)
    job = backend.submit(folder, 0, 0)
    cluster.queue(f"{job}|RUNNING|None|c|n[7-8]|N/A|N/A")
    cluster.answers("sinfo", "echo 'n7|mixed'; echo 'n8|down*'")
    Mailbox(folder).heartbeat()
    silent(folder, "heartbeat.1")
    clock.later()
    assert backend.state(job) == "over" and "n8 does not answer" in backend.reason(job)


def test_each_slurm_job_asks_for_what_its_own_trial_wants(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    folders = [trial_folder(tmp_path, number) for number in range(2)]

    def launcher_of(folder: Path) -> dict[str, Any]:
        return {"timeout_min": 5, "nodes": 1 + int(folder.name), "gpus_per_node": 2 * int(folder.name)}

    backend = Slurm(make_job, {}, clock, launcher_of)
    scripts = []
    for folder in folders:
        backend.submit(folder, 0, 0)
        scripts.append((cluster.folder / "submitted").read_text())
    assert "--nodes=1\n" in scripts[0] and "gpus" not in scripts[0]
    assert "--nodes=2\n" in scripts[1] and "--gpus-per-node=2\n" in scripts[1]


def test_no_further_starts_may_be_said_as_null(tmp_path: Path, cluster: FakeSlurm) -> None:
    assert executor("slurm", {"timeout_min": 5, "max_num_timeout": None}, tmp_path).max_num_timeout == 0


def test_a_command_that_starts_python_stands_in_the_script(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    backend = slurm(clock, python="singularity exec image.sif python", srun_args=["--kill-on-bad-exit=1"])
    backend.submit(trial_folder(tmp_path), 0, 0)
    script = (cluster.folder / "submitted").read_text()
    assert "--kill-on-bad-exit=1 singularity exec image.sif python -u -m submitit" in script


# ---- debug, and the choice


def test_debugging_runs_the_trial_at_its_submission_in_this_process(tmp_path: Path) -> None:
    folder, seen = trial_folder(tmp_path), []
    backend = Debug(partial(Job, task_function=lambda cfg: seen.append(os.getpid()), hydra_context=CONTEXT))
    job = backend.submit(folder, 0, 0)
    assert seen == [os.getpid()] and backend.state(job) == "over"
    assert (result(folder) or {})["status"] == "complete"
    (entry,) = Mailbox(folder).jobs()
    assert (entry.backend, entry.job) == ("debug", job) and backend.attach(folder, entry) is None


@pytest.mark.parametrize(
    ("target", "kind"), [("a.LocalLauncher", Local), ("a.SlurmLauncher", Slurm), ("hydra.BasicLauncher", Debug)]
)
def test_the_launcher_decides_where_trials_run(target: str, kind: type) -> None:
    assert isinstance(for_launcher({"_target_": target}, make_job, slots=2), kind)


def test_a_launcher_of_whole_batches_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"JoblibLauncher.*submitit_local"):
        for_launcher({"_target_": "a.JoblibLauncher"}, make_job, slots=2)
