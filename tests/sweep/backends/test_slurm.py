"""SLURM, with scripts in place of its commands."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import SubmissionError
from mcqa.sweep.backends.job import Job
from mcqa.sweep.backends.slurm import POLL_S, SILENT_S, TIMEOUT_S, Slurm
from mcqa.sweep.backends.submission import make_executor
from tests.sweep.backends.fake_slurm import FakeSlurm
from tests.sweep.submitted import CONTEXT, app, never_named, trial_folder

make_job = partial(Job, task_function=app(), hydra_context=CONTEXT)


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
    return Slurm(make_job, lambda folder: known | options, clock)


@pytest.mark.slow
def test_a_slurm_trial_is_submitted_with_all_options_and_the_token_beside_the_user_s_comment(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    folder = trial_folder(tmp_path)
    backend = slurm(clock, partition="long", comment="my project", additional_parameters={"mail-type": "END"})
    assert backend.submit(folder, 2, 0) == "17"
    (entry,) = Mailbox(folder).submissions()
    assert (entry.attempt, entry.job, entry.backend) == (2, "17", "slurm")
    script = (cluster.folder / "submitted").read_text()
    for line in ("--partition=long", "--time=5", "--mail-type=END", f"--comment='my project {entry.token}'"):
        assert f"#SBATCH {line}\n" in script
    assert (folder / ".submitit" / "2" / "17_submitted.pkl").exists()


@pytest.mark.slow
def test_sbatch_s_message_is_the_error_of_a_submission(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers("sbatch", "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1")
    with pytest.raises(SubmissionError, match="invalid partition specified: nope"):
        slurm(clock).submit(trial_folder(tmp_path), 0, 0)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_without_slurm_the_submission_says_so(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SubmissionError, match="srun"):
        slurm(clock).submit(trial_folder(tmp_path), 0, 0)


@pytest.mark.slow
def test_a_job_that_slurm_took_without_saying_so_is_found(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    keep = f"sed -n 's/^#SBATCH --comment=/17|PENDING|None|/p' \"$1\" > {cluster.folder}/queue"
    cluster.answers("sbatch", f"{keep}; echo 'Socket timed out' >&2; exit 1")
    cluster.answers("squeue", f"cat {cluster.folder}/queue")
    folder = trial_folder(tmp_path)
    assert slurm(clock).submit(folder, 0, 0) == "17"
    assert (folder / ".submitit" / "0" / "17_submitted.pkl").exists()  # the job would wait for it in vain


def submitted_by_another(folder: Path, clock: Clock) -> Submission:
    slurm(clock).submit(folder, 0, 0)
    return Mailbox(folder).submissions()[0]


@pytest.mark.slow
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
    assert Mailbox(folder).submissions()[0].job == "17"
    assert (logs / "17_submitted.pkl").exists()


@pytest.mark.slow
def test_a_submission_that_never_reached_slurm_is_not_attached(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    folder = trial_folder(tmp_path)
    submitted_by_another(folder, clock)
    entry = never_named(folder)
    cluster.queue("3|RUNNING|None|other")
    assert slurm(clock).attach(folder, entry) is None


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("word", ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE"])
def test_a_job_that_ended_is_over_with_slurm_s_word(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock, word: str
) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    cluster.queue(f"{job}|{word}|NonZeroExitCode|c")
    assert backend.state(job) == "over" and backend.reason(job) == f"SLURM: {word} (NonZeroExitCode)"


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_job_whose_node_died_is_running_when_it_is_put_back(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    for word in ("NODE_FAIL", "PENDING", "NODE_FAIL"):
        cluster.queue(f"{job}|{word}|None|c")
        clock.now += TIMEOUT_S - 1
        assert backend.state(job) == "running"


@pytest.mark.slow
def test_a_job_whose_node_died_and_that_is_not_put_back_is_over(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    cluster.queue(f"{job}|NODE_FAIL|None|c")
    assert backend.state(job) == "running"
    clock.now += TIMEOUT_S
    assert backend.state(job) == "over" and backend.reason(job) == "SLURM: NODE_FAIL"


@pytest.mark.slow
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


@pytest.mark.slow
def test_squeue_runs_once_for_all_jobs_and_not_more_than_every_few_seconds(
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


@pytest.mark.slow
def test_a_cancelled_slurm_job_is_cancelled_by_its_id(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    backend = slurm(clock)
    backend.cancel(backend.submit(trial_folder(tmp_path), 0, 0))
    assert cluster.asked("scancel") == ["scancel 17"]


@pytest.mark.slow
@pytest.mark.parametrize("why", ["launch failed requeued held", "launch_failed_requeued_held", "JobHoldMaxRequeue"])
def test_a_job_that_slurm_could_not_start_and_holds_is_over_and_cancelled(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock, why: str
) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    cluster.queue(f"{job}|PENDING|{why}|c")
    assert backend.state(job) == "over" and backend.reason(job) == f"SLURM: PENDING, {why}"
    assert cluster.asked("scancel") == [f"scancel {job}"]


@pytest.mark.slow
def test_a_job_that_a_user_holds_is_left_alone(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    backend = slurm(clock)
    job = backend.submit(trial_folder(tmp_path), 0, 0)
    cluster.queue(f"{job}|PENDING|JobHeldUser|c")
    clock.later()
    assert backend.state(job) == "running" and not cluster.asked("scancel")


@pytest.mark.slow
def test_a_job_whose_id_another_one_has_now_is_over(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    folder = trial_folder(tmp_path)
    entry = submitted_by_another(folder, clock)
    backend = slurm(clock)
    cluster.queue(f"17|RUNNING|None|my project {entry.token}")
    assert backend.attach(folder, entry) == "17"
    cluster.queue(f"17|PENDING|JobHoldMaxRequeue|my project {'0' * 16}")
    clock.later()
    assert backend.state("17") == "over" and not cluster.asked("scancel")


@pytest.mark.slow
def test_a_job_that_was_lost_may_have_its_id_again(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    folder, backend = trial_folder(tmp_path), slurm(clock)
    lost = backend.submit(folder, 0, 0)
    clock.later()
    assert backend.state(lost) == "over"
    again = backend.submit(folder, 1, 0)
    entry = Mailbox(folder).submissions()[1]
    assert lost == entry.job == "17" and again == f"17/{entry.token}"
    cluster.queue(f"17|RUNNING|None|{entry.token}")
    clock.later()
    assert (backend.state(lost), backend.state(again)) == ("over", "running")
    backend.cancel(lost)
    assert not cluster.asked("scancel")
    backend.cancel(again)
    assert cluster.asked("scancel") == ["scancel 17"]


@pytest.mark.slow
def test_of_two_trials_with_one_id_a_restart_takes_up_that_whose_job_it_is(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    folders = [trial_folder(tmp_path, number) for number in range(3)]
    entries = [submitted_by_another(folder, clock) for folder in folders]
    cluster.queue(f"17|RUNNING|None|{entries[1].token}")
    backend = slurm(clock)
    attached = [backend.attach(folder, entry) for folder, entry in zip(folders, entries, strict=True)]
    assert [job is not None for job in attached] == [False, True, False]
    clock.later()
    assert attached[1] and backend.state(attached[1]) == "running"
    assert [Mailbox(folder).submissions()[0].job for folder in folders] == ["17"] * 3


@pytest.mark.slow
def test_a_lost_job_whose_id_was_reused_before_the_queue_was_read_is_over(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock
) -> None:
    folders, backend = [trial_folder(tmp_path, number) for number in range(2)], slurm(clock)
    lost, other = (backend.submit(folder, 0, number) for number, folder in enumerate(folders))
    cluster.queue(f"17|RUNNING|None|{Mailbox(folders[1]).submissions()[0].token}")
    clock.later()
    assert (backend.state(lost), backend.state(other)) == ("over", "running")


def silent(folder: Path, name: str) -> None:
    (folder / name).touch()
    os.utime(folder / name, (0, time.time() - SILENT_S - 1))


@pytest.mark.slow
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
    assert backend.state(job) == "over" and "n7 does not respond" in backend.reason(job)
    assert cluster.asked("scancel") == [f"scancel {job}"]


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["echo 'n7|mixed'", "exit 1"])
def test_a_silent_job_on_a_node_that_answers_is_running(
    tmp_path: Path, cluster: FakeSlurm, clock: Clock, answer: str
) -> None:
    folder, backend = trial_folder(tmp_path), slurm(clock)
    job = backend.submit(folder, 0, 0)
    cluster.queue(f"{job}|RUNNING|None|c|n7|N/A|N/A")
    cluster.answers("sinfo", answer)
    silent(folder, "heartbeat")
    clock.later()
    assert backend.state(job) == "running" and not cluster.asked("scancel")


@pytest.mark.slow
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
    assert backend.state(job) == "over" and "n8 does not respond" in backend.reason(job)


@pytest.mark.slow
def test_each_slurm_job_asks_for_what_its_own_trial_wants(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    folders = [trial_folder(tmp_path, number) for number in range(2)]

    def launcher_of(folder: Path) -> dict[str, Any]:
        return {"timeout_min": 5, "nodes": 1 + int(folder.name), "gpus_per_node": 2 * int(folder.name)}

    backend = Slurm(make_job, launcher_of, clock)
    scripts = []
    for folder in folders:
        backend.submit(folder, 0, 0)
        scripts.append((cluster.folder / "submitted").read_text())
    assert "--nodes=1\n" in scripts[0] and "gpus" not in scripts[0]
    assert "--nodes=2\n" in scripts[1] and "--gpus-per-node=2\n" in scripts[1]


def test_no_further_starts_may_be_said_as_null(tmp_path: Path, cluster: FakeSlurm) -> None:
    assert make_executor("slurm", {"timeout_min": 5, "max_num_timeout": None}, tmp_path).max_num_timeout == 0


@pytest.mark.slow
def test_a_command_that_starts_python_stands_in_the_script(tmp_path: Path, cluster: FakeSlurm, clock: Clock) -> None:
    backend = slurm(clock, python="singularity exec image.sif python", srun_args=["--kill-on-bad-exit=1"])
    backend.submit(trial_folder(tmp_path), 0, 0)
    script = (cluster.folder / "submitted").read_text()
    assert "--kill-on-bad-exit=1 singularity exec image.sif python -u -m submitit" in script
