"""mcqa.jobs on the folders of trials, with scripts in place of SLURM's commands."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from mcqa import jobs
from mcqa.errors import ConfigError
from mcqa.sweep.backends.local import TOKEN
from mcqa.sweep.mailbox import Entry, Mailbox


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    yield FakeSlurm(tmp_path / "bin")


def submitted(study: Path, number: int, job: str | None, backend: str = "slurm", token: str = "t") -> Mailbox:
    folder = study / "trials" / str(number)
    logs = folder / ".submitit" / "0"
    logs.mkdir(parents=True)
    (logs / f"{job}_0_log.out").write_text(f"first\nlast words of {number}\n\n")
    mailbox = Mailbox(folder)
    mailbox.add_job(Entry(0, token, job, backend, socket.gethostname(), 0, time.time()))
    return mailbox


def ended(mailbox: Mailbox, status: str = "complete", error: str | None = None) -> None:
    mailbox.write_result({"status": status, "value": 1.0, "metrics": {}, "seconds": 1.0, "error": error})


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    jobs.main(arguments)
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def test_each_trial_of_a_study_is_told_with_its_job_state_node_time_last_words_and_log(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "outputs" / "sweeps" / "s"
    for number in range(2):
        submitted(study, number, str(17 + number))
    ended(submitted(study, 10, "30"), "failed", "Traceback\nValueError: no such luck")
    cluster.queue(
        "17|RUNNING|None|a|b|n[3-4]|2026-01-02T03:04:05|2026-01-02T03:00:00",
        "18|PENDING|Priority|c||N/A|2026-01-02T03:00:00",
    )
    first, second, third = told(capsys, str(study))
    log = study / "trials" / "0" / ".submitit" / "0" / "17_0_log.out"
    assert first == [
        "outputs/sweeps/s", "0", "17", "RUNNING", "n[3-4]", "01-02 03:04:05", "last words of 0", str(log)
    ]  # fmt: skip
    assert second[2:6] == ["18", "PENDING (Priority)", "", "01-02 03:00:00"]
    assert third[1:4] == ["10", "30", "failed"] and third[6] == "ValueError: no such luck"
    assert len(cluster.asked("squeue")) == 1


def test_of_a_folder_with_several_studies_only_what_has_not_ended_is_told(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        ended(submitted(tmp_path / "outputs" / "sweeps" / name, 0, "17"))
        submitted(tmp_path / "outputs" / "sweeps" / name, 1, "18")
    cluster.queue("18|RUNNING|None|c|n1|N/A|N/A")
    assert [row[:4] for row in told(capsys)] == [
        ["outputs/sweeps/one", "1", "18", "RUNNING"],
        ["outputs/sweeps/two", "1", "18", "RUNNING"],
    ]


def test_where_nothing_runs_it_says_so(tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "outputs").mkdir()
    assert told(capsys) == [["Nothing runs or waits."]]
    assert not cluster.asked("squeue")


def test_a_job_that_slurm_forgot_is_looked_up_in_its_accounting(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(tmp_path / "s", 0, "17")
    assert told(capsys, "s")[0][3] == "no longer known to SLURM"
    cluster.answers("sacct", "echo '17|CANCELLED by 0|n1|2026-01-02T03:04:05|2026-01-02T03:05:00'")
    assert told(capsys, "s")[0][3:6] == ["CANCELLED", "n1", "01-02 03:05:00"]


def test_a_folder_of_one_trial_is_told_alone(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        submitted(tmp_path / "s", number, str(17 + number))
    assert [row[1] for row in told(capsys, "s/trials/1")] == ["1"]


def test_the_folder_of_a_run_means_its_job(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "outputs" / "runs" / "mine" / "abc"
    run.mkdir(parents=True)
    for number in range(2):
        submitted(tmp_path / "outputs" / "sweeps" / "s", number, str(17 + number))
    (tmp_path / "outputs" / "sweeps" / "s" / "trials" / "1" / "run_folder").write_text(f"{run}\n")
    assert [row[2] for row in told(capsys, str(run))] == ["18"]
    assert told(capsys, str(run), "cancel=all") == [["trial 1: cancelled, job 18"]]


@pytest.fixture
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], env={**os.environ, TOKEN: "mine"}, start_new_session=True) as process:
        yield process
        process.kill()


def test_a_process_on_this_machine_is_told_by_its_id_and_cancelled_with_a_result(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str], sleeping: subprocess.Popen[bytes]
) -> None:
    mailbox = submitted(tmp_path / "s", 0, str(sleeping.pid), "local", "mine")
    (row,) = told(capsys, "s")
    assert row[3:5] == ["RUNNING", f"{socket.gethostname()}, pid {sleeping.pid}"]
    assert told(capsys, "s", "cancel=0") == [[f"trial 0: cancelled, process {sleeping.pid}"]]
    assert sleeping.wait(10) < 0
    assert (mailbox.result() or {})["status"] == "failed" and mailbox.is_over()
    assert told(capsys, "s")[0][6] == "cancelled by mcqa.jobs"


def test_a_process_that_is_gone_is_told_so(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(tmp_path / "s", 0, "999999", "local")
    assert told(capsys, "s")[0][3] == "its process is gone"


def test_the_trials_named_are_cancelled_and_have_their_results_before_their_jobs_end(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [submitted(tmp_path / "s", number, str(17 + number)) for number in range(3)]
    ended(boxes[2])
    cluster.answers("scancel", f"test -e {boxes[1].folder}/result.json")
    assert told(capsys, "s", "cancel=1,2") == [
        ["trial 1: cancelled, job 18"],
        ["trial 2: has ended already (complete)"],
    ]
    assert cluster.asked("scancel") == ["scancel 18"] and boxes[0].result() is None


def test_all_means_all_that_have_not_ended(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [submitted(tmp_path / "s", number, str(17 + number)) for number in range(3)]
    ended(boxes[1])
    told(capsys, "s", "cancel=all")
    assert cluster.asked("scancel") == ["scancel 17", "scancel 19"]
    assert json.loads((boxes[1].folder / "result.json").read_text())["status"] == "complete"


def test_what_scancel_complains_about_is_told(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(tmp_path / "s", 0, "17")
    cluster.answers("scancel", "echo 'scancel: error: no controller' >&2; exit 1")
    assert "scancel: error: no controller" in told(capsys, "s", "cancel=all")[0][0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["s", "cancel=1,x", "--all", "y=2"], ["'x' is no trial's number", "--all: unknown", "y=2: unknown"]),
        (["nowhere"], ["nowhere: there is no such folder"]),
        (["s", "t"], ["one folder at a time"]),
        (["."], []),
        ([".", "cancel=1"], ["needs the folder of one study"]),
        (["empty", "cancel=all"], ["no jobs were sent from here"]),
    ],
)
def test_mistakes_on_the_command_line_are_told_at_once(
    tmp_path: Path, cluster: FakeSlurm, arguments: list[str], words: list[str]
) -> None:
    for name in ("s", "t"):
        submitted(tmp_path / name, 0, "17")
    (tmp_path / "empty").mkdir()
    if not words:
        return jobs.main(arguments)
    with pytest.raises(ConfigError) as caught:
        jobs.main(arguments)
    assert all(word in str(caught.value) for word in words)


def test_a_trial_that_there_is_not_cannot_be_cancelled(tmp_path: Path, cluster: FakeSlurm) -> None:
    submitted(tmp_path / "s", 0, "17")
    with pytest.raises(ConfigError, match="no trial 7"):
        jobs.main(["s", "cancel=7"])


def test_in_a_terminal_it_is_a_table(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(tmp_path / "s", 0, "17")
    cluster.queue("17|RUNNING|None|c|n1|N/A|N/A")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    jobs.main(["s"])
    said = capsys.readouterr().out
    assert "last line of its log" in said and "last words of 0" in said and "trials/<trial>/.submitit" in said


def test_help_is_what_the_module_says(capsys: pytest.CaptureFixture[str]) -> None:
    jobs.main(["--help"])
    assert "cancel=all" in capsys.readouterr().out


def test_it_starts_without_what_only_training_needs() -> None:
    code = "import sys, mcqa.jobs; assert not {'torch', 'transformers', 'optuna', 'submitit'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
