"""mcqa.jobs on the folders of trials, with scripts in place of SLURM's commands."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcqa import jobs
from mcqa.config.errors import ConfigError
from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends.job_status import NOT_BY_THE_JOB
from mcqa.sweep.backends.local import TOKEN
from tests.sweep.backends.fake_slurm import FakeSlurm


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
    mailbox.add_submission(Submission(0, token, job, backend, socket.gethostname(), 0, time.time()))
    return mailbox


def ended(mailbox: Mailbox, status: str = "complete", error: str | None = None) -> None:
    mailbox.write_result({"status": status, "value": 1.0, "metrics": {}, "seconds": 1.0, "error": error})


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """What it prints, without the names of the columns."""
    jobs.main(arguments)
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    return lines[1:] if lines[0][0] == "study" else lines


def in_a_terminal(columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of the table of one study."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    jobs.main(["s"])
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out).splitlines()


def logs(mailbox: Mailbox, out: str, err: str, newer: str) -> None:
    folder, job = mailbox.folder / ".submitit" / "0", mailbox.submissions()[-1].job
    for end, text in (("out", out), ("err", err)):
        (folder / f"{job}_0_log.{end}").write_text(text)
        os.utime(folder / f"{job}_0_log.{end}", (0, 10 if end == newer else 5))


@pytest.mark.slow
def test_each_trial_of_a_study_is_listed_with_its_job_state_node_time_last_line_and_log(
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
    first, second, third = printed(capsys, str(study))
    log = study / "trials" / "0" / ".submitit" / "0" / "17_0_log.out"
    assert first == [
        "outputs/sweeps/s", "0", "17", "RUNNING", "n[3-4]", "01-02 03:04:05", "last words of 0", str(log)
    ]  # fmt: skip
    assert second[2:6] == ["18", "PENDING (Priority)", "", "01-02 03:00:00"]
    assert third[1:4] == ["10", "30", "failed"] and third[6] == "ValueError: no such luck"
    assert len(cluster.asked("squeue")) == 1


@pytest.mark.slow
def test_a_paused_trial_is_shown_as_such_and_can_be_cancelled(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "outputs" / "sweeps" / "s"
    paused, just_paused = submitted(study, 0, "17"), submitted(study, 1, "18")
    paused.end_submission("paused")
    ended(just_paused, "paused")
    cluster.queue()
    assert [row[3] for row in printed(capsys, str(study))] == ["paused; its study may let it go on"] * 2
    jobs.main([str(study), "cancel=0"])
    assert "cancelled" in capsys.readouterr().out and paused.is_finished()
    assert not cluster.asked("scancel")


@pytest.mark.slow
def test_of_a_folder_with_several_studies_only_what_has_not_ended_is_listed(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        ended(submitted(tmp_path / "outputs" / "sweeps" / name, 0, "17"))
        submitted(tmp_path / "outputs" / "sweeps" / name, 1, "18")
    cluster.queue("18|RUNNING|None|c|n1|N/A|N/A")
    assert [row[:4] for row in printed(capsys)] == [
        ["outputs/sweeps/one", "1", "18", "RUNNING"],
        ["outputs/sweeps/two", "1", "18", "RUNNING"],
    ]


def test_where_nothing_runs_it_says_so(tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "outputs").mkdir()
    assert printed(capsys) == [["Nothing runs or waits."]]
    assert not cluster.asked("squeue")


@pytest.mark.slow
def test_a_job_that_slurm_forgot_is_looked_up_in_its_accounting(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(tmp_path / "s", 0, "17")
    assert printed(capsys, "s")[0][3] == "no longer known to SLURM; its study's command submits it again"
    cluster.answers("sacct", "echo '17|CANCELLED by 0|n1|2026-01-02T03:04:05|2026-01-02T03:05:00'")
    assert printed(capsys, "s")[0][3:6] == [
        "CANCELLED; its study's command submits it again", "n1", "01-02 03:05:00"
    ]  # fmt: skip


@pytest.mark.slow
def test_the_folder_of_one_trial_lists_it_alone(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        submitted(tmp_path / "s", number, str(17 + number))
    assert [row[1] for row in printed(capsys, "s/trials/1")] == ["1"]


@pytest.mark.slow
def test_the_folder_of_a_run_means_its_job(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "outputs" / "runs" / "mine" / "abc"
    run.mkdir(parents=True)
    for number in range(2):
        submitted(tmp_path / "outputs" / "sweeps" / "s", number, str(17 + number))
    (tmp_path / "outputs" / "sweeps" / "s" / "trials" / "1" / "run_folder").write_text(f"{run}\n")
    assert [row[2] for row in printed(capsys, str(run))] == ["18"]
    assert printed(capsys, str(run), "cancel=all") == [["trial 1: cancelled, job 18"]]


@pytest.fixture
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], env={**os.environ, TOKEN: "mine"}, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.slow
def test_a_process_on_this_machine_is_listed_by_its_id_and_cancelled_with_a_result(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str], sleeping: subprocess.Popen[bytes]
) -> None:
    mailbox = submitted(tmp_path / "s", 0, str(sleeping.pid), "local", "mine")
    (row,) = printed(capsys, "s")
    assert row[3:5] == ["RUNNING", f"{socket.gethostname()}, pid {sleeping.pid}"]
    assert printed(capsys, "s", "cancel=0") == [[f"trial 0: cancelled, process {sleeping.pid}"]]
    assert sleeping.wait(10) < 0
    assert (mailbox.result() or {})["status"] == "failed" and mailbox.is_finished()
    assert printed(capsys, "s")[0][6] == "cancelled by mcqa.jobs"


def test_a_process_that_is_gone_is_listed_as_such(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(tmp_path / "s", 0, "999999", "local")
    assert printed(capsys, "s")[0][3] == "its process is gone; its study's command submits it again"


@pytest.mark.slow
def test_the_trials_named_are_cancelled_and_have_their_results_before_their_jobs_end(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [submitted(tmp_path / "s", number, str(17 + number)) for number in range(3)]
    ended(boxes[2])
    cluster.answers("scancel", f"test -e {boxes[1].folder}/result.json")
    assert printed(capsys, "s", "cancel=1,2") == [
        ["trial 1: cancelled, job 18"],
        ["trial 2: has ended already (complete)"],
    ]
    assert cluster.asked("scancel") == ["scancel 18"] and boxes[0].result() is None


@pytest.mark.slow
def test_all_means_all_that_have_not_ended(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = [submitted(tmp_path / "s", number, str(17 + number)) for number in range(3)]
    ended(boxes[1])
    printed(capsys, "s", "cancel=all")
    assert cluster.asked("scancel") == ["scancel 17", "scancel 19"]
    assert json.loads((boxes[1].folder / "result.json").read_text())["status"] == "complete"


@pytest.mark.slow
def test_a_job_that_has_the_id_of_a_lost_one_now_is_neither_listed_for_it_nor_cancelled(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(tmp_path / "s", 0, "17", token="0" * 16)
    cluster.queue(f"17|RUNNING|None|{'1' * 16}|n1|N/A|N/A")
    assert "no longer known to SLURM" in printed(capsys, "s")[0][3]
    assert printed(capsys, "s", "cancel=0") == [
        ["trial 0: cancelled; SLURM no longer knows its job, and 17 is the id of another one now"]
    ]
    assert not cluster.asked("scancel")


@pytest.mark.slow
def test_the_message_of_scancel_is_printed(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(tmp_path / "s", 0, "17")
    cluster.answers("scancel", "echo 'scancel: error: no controller' >&2; exit 1")
    assert "scancel: error: no controller" in printed(capsys, "s", "cancel=all")[0][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["s", "cancel=1,x", "--all", "y=2"], ["'x' is not a trial's number", "--all: unknown", "y=2: unknown"]),
        (["nowhere"], ["nowhere: there is no such folder"]),
        (["s", "t"], ["one folder at a time"]),
        (["."], []),
        ([".", "cancel=1"], ["needs the folder of one study"]),
        (["empty", "cancel=all"], ["no jobs were submitted from here"]),
    ],
)
def test_all_mistakes_on_the_command_line_are_reported_at_once(
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


@pytest.mark.slow
def test_a_trial_that_there_is_not_cannot_be_cancelled(tmp_path: Path, cluster: FakeSlurm) -> None:
    submitted(tmp_path / "s", 0, "17")
    with pytest.raises(ConfigError, match="no trial 7"):
        jobs.main(["s", "cancel=7"])


@pytest.mark.slow
def test_in_a_terminal_it_is_a_table(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(tmp_path / "s", 0, "17")
    cluster.queue("17|RUNNING|None|c|n1|N/A|N/A")
    output = "\n".join(in_a_terminal(150, capsys, monkeypatch))
    assert "last line of its log" in output and "last words of 0" in output and "trials/<trial>/.submitit" in output


@pytest.mark.slow
def test_in_80_columns_only_the_last_line_of_the_log_is_cut(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "update 3/6  loss 7.888  dev/acc 0.392  74 questions/s  0:04 left  and so on and so on"
    logs(submitted(tmp_path / "s", 0, "12345678"), long, "", "out")
    today = time.strftime("%Y-%m-%d")
    cluster.queue(f"12345678|RUNNING|None|c|gpu-node-0123|{today}T00:00:00|N/A")
    _, header, row, _ = in_a_terminal(80, capsys, monkeypatch)
    assert header.split()[:5] == ["trial", "job", "state", "where", "since"]
    assert row.split()[:5] == ["0", "12345678", "RUNNING", "gpu-node-0123", "00:00"]
    assert re.search(r"update 3/6  loss[^…]*…$", row.rstrip()) and len(row) <= 80


@pytest.mark.slow
def test_a_state_that_is_too_long_for_80_columns_takes_a_second_line_and_another_day_has_no_time(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(tmp_path / "s", 0, "12345678")
    cluster.queue("12345678|CANCELLED|None|c|gpu-node-[0123-0124]|2026-01-02T03:04:05|N/A")
    output = " ".join(" ".join(in_a_terminal(80, capsys, monkeypatch)).split())
    for part in ("12345678", "CANCELLED; its study's ", "command submits it again", "gpu-node-[0123-0124]", "Jan 02"):
        assert part in output


def test_help_is_what_the_module_says(capsys: pytest.CaptureFixture[str]) -> None:
    jobs.main(["--help"])
    assert "cancel=all" in capsys.readouterr().out


@pytest.mark.slow
def test_it_starts_without_what_only_training_needs() -> None:
    code = "import sys, mcqa.jobs; assert not {'torch', 'transformers', 'optuna', 'submitit'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- where SLURM says nothing


def beat(mailbox: Mailbox, seconds_ago: float) -> None:
    mailbox.heartbeat()
    os.utime(mailbox.folder / "heartbeat", (0, time.time() - seconds_ago))


@pytest.mark.slow
def test_while_slurm_does_not_answer_one_line_says_so_and_no_job_is_called_gone(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        submitted(tmp_path / "outputs" / name, 0, "17")
    cluster.answers("squeue", "exec sleep 5")  # and then it would know of no job
    jobs.main([], timeout_s=0.2)
    output = capsys.readouterr()
    assert [line.split("\t")[3] for line in output.out.splitlines()[1:]] == ["unknown", "unknown"]
    assert output.err == "SLURM does not answer, so what it knows of the jobs is missing.\n"
    assert len(cluster.asked("squeue")) == 1 and not cluster.asked("sacct")


@pytest.mark.parametrize(
    ("seconds", "words"), [(12.2, "12 s"), (119.2, "1 min 59 s"), (300, "5 min"), (8000, "2 h 13 min")]
)
def test_where_there_is_no_squeue_it_says_so_and_when_each_job_had_its_last_heartbeat(
    tmp_path: Path,
    cluster: FakeSlurm,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    words: str,
) -> None:
    beat(submitted(tmp_path / "s", 0, "17"), seconds)
    submitted(tmp_path / "s", 1, "18")
    monkeypatch.setenv("PATH", str(tmp_path))
    jobs.main(["s"])
    output = capsys.readouterr()
    assert [line.split("\t")[3] for line in output.out.splitlines()[1:]] == [
        f"unknown (last heartbeat {words} ago)", "unknown"
    ]  # fmt: skip
    assert output.err.count("There is no squeue on this machine") == 1


def test_slurm_is_not_missed_where_all_has_ended(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        ended(submitted(tmp_path / "outputs" / name, 0, "17"))
    monkeypatch.setenv("PATH", str(tmp_path))
    jobs.main([])
    assert tuple(capsys.readouterr()) == ("Nothing runs or waits.\n", "")


# ---- what is shown of it


@pytest.mark.slow
def test_without_a_terminal_the_first_line_names_the_columns_once(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        submitted(tmp_path / "outputs" / name, 0, "17")
    jobs.main([])
    first, *others = capsys.readouterr().out.splitlines()
    assert first.split("\t") == [
        "study", "trial", "job", "state", "where", "since", "last line of its log", "log"
    ]  # fmt: skip
    assert [line.split("\t")[0] for line in others] == ["outputs/one", "outputs/two"]


OURS = "submitit INFO (2026-11-21 18:34:09,265) - Loading pickle: /a/b_submitted.pkl\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("out", "err", "newer", "shown"),
    [
        (f"{OURS}update 3/6\n", "INFO: Scoring\n", "out", "update 3/6"),
        (f"{OURS}update 3/6\n{OURS}", "", "out", "update 3/6"),
        ("[2026-11-21 23:43:24,269][submitit][INFO] - Job completed successfully\n", "mine\n", "out", "mine"),
        (
            f"update 3/6\n{OURS}",
            "Error: no memory\nWARNING: Bypassing signal SIGCONT\nsrun: error: Timed out waiting for job step\n",
            "err",
            "Error: no memory",
        ),
        ("Job completed successfully, says the app\n", "", "out", "Job completed successfully, says the app"),
        (OURS, "", "out", OURS.strip()),
        ("", "", "out", ""),
    ],
)
def test_the_last_line_is_the_job_s_own_where_it_has_said_anything(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str], out: str, err: str, newer: str, shown: str
) -> None:
    logs(submitted(tmp_path / "s", 0, "17"), out, err, newer)
    assert printed(capsys, "s")[0][6] == shown


@pytest.mark.slow
def test_of_what_ended_well_the_output_counts_though_submitit_wrote_to_the_errors_last(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox = submitted(tmp_path / "s", 0, "17")
    logs(mailbox, "update 6/6\n", "INFO: Scoring\nINFO: Exiting after successful completion\n", "err")
    ended(mailbox)
    assert printed(capsys, "s")[0][6] == "update 6/6"


@pytest.mark.slow
def test_what_submitit_writes_here_is_known_for_its_own(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUBMITS, str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        assert process.wait(60) == 0
    lines = {log.suffix: log.read_text().splitlines() for log in tmp_path.glob("*_0_log.*")}
    own = {end: [line for line in log if not NOT_BY_THE_JOB.match(line)] for end, log in lines.items()}
    assert own == {".out": ["mine"], ".err": []} and all(len(log) > 2 for log in lines.values())


SUBMITS = """
import sys, submitit

def task():
    import logging
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    print("mine")
    for signal in ("SIGCONT", "SIGTERM"):
        submitit.core.job_environment.SignalHandler(None, None, None).bypass(getattr(__import__("signal"), signal))

submitit.LocalExecutor(folder=sys.argv[1]).submit(task).result()
"""


@pytest.mark.slow
def test_a_cancelled_trial_is_not_listed_again_whatever_its_job_writes_while_it_stops(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox = submitted(tmp_path / "outputs" / "sweeps" / "s", 0, "17")
    cluster.queue("17|RUNNING|None|c|n1|N/A|N/A")
    printed(capsys, "outputs/sweeps/s", "cancel=0")
    ended(mailbox, "preempted", "Stopped by SIGTERM")
    cluster.queue("17|CANCELLED|None|c|n1|N/A|N/A")
    assert printed(capsys) == [["Nothing runs or waits."]]
    assert printed(capsys, "outputs/sweeps/s")[0][3] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("word", ["CANCELLED", "FAILED", "TIMEOUT"])
def test_a_job_that_ended_without_a_result_waits_for_its_study_s_command(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    mailbox = submitted(tmp_path / "outputs" / "sweeps" / "s", 0, "17")
    ended(mailbox, "preempted", "Stopped by SIGTERM")
    cluster.queue(f"17|{word}|None|c|n1|N/A|N/A")
    assert printed(capsys)[0][3] == f"{word}; its study's command submits it again"


@pytest.mark.parametrize("argument", ["~nouser/x", "x" * 300, "x" * 300 + "=1", "", "cancel=" + "9" * 5000, "cancel=²"])
def test_what_no_folder_and_no_trial_can_be_called_is_a_mistake(argument: str) -> None:
    with pytest.raises(ConfigError) as caught:
        jobs.parse([argument])
    assert "The configuration has" in str(caught.value)


def test_a_trial_whose_jobs_are_unknown_is_said_to_be_and_neither_hides_the_others_nor_is_cancelled(
    tmp_path: Path, cluster: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "outputs" / "sweeps" / "s"
    ended(submitted(study, 0, "17", "debug"))
    damaged = submitted(study, 1, "18", "debug").folder
    (damaged / "job.json").write_text("[{")
    (submitted(study, 2, "19", "debug").folder / "result.json").mkdir()
    (study / "trials" / "3").touch()
    first, second, third = printed(capsys, str(study))
    assert first[3] == "complete" and third[1] == "2"
    assert second[3] == "unknown: its job.json is damaged"
    jobs.main([str(study), "cancel=1,2"])
    said = capsys.readouterr().out
    assert "trial 1: is left as it is" in said and "trial 2: cannot be cancelled: " in said
    assert not (damaged / "result.json").exists()
