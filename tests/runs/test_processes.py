"""How the processes of a run find each other, and whose error is raised when one fails."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.config.errors import ConfigError, ProcessError
from mcqa.models import devices
from mcqa.runs import launch, processes
from mcqa.runs.failures import Failure, failure_message
from tests.runs import two_failing
from tests.small_runs import configured

ROOT = Path(__file__).parents[2]
TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "here", "MASTER_PORT": "29500"}
SUBMITIT = {
    "SUBMITIT_EXECUTOR": "local",
    "SUBMITIT_LOCAL_JOB_ID": "17",
    "SUBMITIT_LOCAL_NTASKS": "2",
    "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
    "SUBMITIT_LOCAL_GLOBALID": "1",
    "SUBMITIT_LOCAL_LOCALID": "1",
    "SUBMITIT_LOCAL_NODEID": "0",
}
STEP = {
    "SLURM_JOB_ID": "17",
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
}
HOST = socket.gethostname()


def hardware(*overrides):
    return configured(list(overrides))[0].hardware


# --- which process this is --------------------------------------------------------------------------------------------


def test_what_torchrun_set_is_taken_before_slurm():
    assert processes.launcher_variables(SUBMITIT | TORCHRUN)["RANK"] == "1"
    assert processes.launcher_variables(SUBMITIT | TORCHRUN)["MASTER_ADDR"] == "here"


def test_without_a_launcher_there_is_no_environment():
    assert processes.launcher_variables({}) is None
    assert processes.launcher_variables({"MASTER_ADDR": "here", "MASTER_PORT": "1"}) is None


@given(st.sets(st.sampled_from(sorted(TORCHRUN)), max_size=4))
def test_a_partly_set_environment_is_refused_with_what_is_missing(names):
    variables = {name: TORCHRUN[name] for name in names}
    if not names & {"RANK", "LOCAL_RANK", "WORLD_SIZE"}:
        assert processes.launcher_variables(variables) is None
        return
    with pytest.raises(ConfigError) as caught:
        processes.launcher_variables(variables)
    missing = str(caught.value).partition(" set in the environment and ")[2].partition(" not, so")[0]
    assert set(missing.split(", ")) == set(TORCHRUN) - names


def test_a_task_of_a_submitit_job_is_a_rank(monkeypatch):
    for name, value in SUBMITIT.items():
        monkeypatch.setenv(name, value)
    found = processes.launcher_variables(os.environ)
    assert [found[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")] == ["1", "1", "2"]
    monkeypatch.setenv("SUBMITIT_LOCAL_NTASKS", "1")
    assert processes.launcher_variables(os.environ) is None


def test_a_task_of_a_step_that_srun_began_is_a_rank():
    found = processes.launcher_variables(
        STEP | {"SLURM_STEP_NODELIST": "n[07-08],m3", "SLURM_PROCID": "4", "SLURM_STEP_NUM_TASKS": "6"}
    )
    assert [found[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")] == ["4", "1", "6", "n07"]
    assert found["LOCAL_WORLD_SIZE"] == "2"


def test_an_address_that_the_user_gave_is_taken_before_the_first_node_of_the_step():
    given = {"MASTER_ADDR": "n07-ib", "MASTER_PORT": "1234"}
    assert given.items() <= processes.launcher_variables(STEP | given).items()
    assert processes.launcher_variables(STEP | TORCHRUN) == STEP | TORCHRUN


def test_all_tasks_of_a_step_find_the_same_port_and_other_steps_another():
    def port(**changes):
        return int(processes.launcher_variables(STEP | changes)["MASTER_PORT"])

    found = {port(), port(SLURM_STEP_ID="1"), port(SLURM_JOB_ID="18")}
    assert len(found) == 3 and all(20000 <= each <= 60000 for each in found)
    assert port() == port(SLURM_PROCID="0", SLURM_LOCALID="0")


@pytest.mark.parametrize("tasks", [{}, {"SLURM_STEP_NUM_TASKS": "1"}])
def test_a_script_or_a_shell_of_a_job_of_several_tasks_is_one_process(tasks):
    job = {name: value for name, value in STEP.items() if name != "SLURM_STEP_NUM_TASKS"}
    assert processes.launcher_variables(job | tasks) is None


@pytest.mark.parametrize("lost", ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST", "SLURM_JOB_ID"])
def test_a_partly_set_step_is_refused_with_what_is_missing(lost):
    with pytest.raises(ConfigError, match=f"one of several tasks of SLURM and {lost} not set, so"):
        processes.launcher_variables({name: value for name, value in STEP.items() if name != lost})


def test_a_task_that_sees_only_its_own_gpu_is_not_taken_for_a_machine_with_too_few(monkeypatch):
    for name, value in {"is_available": True, "device_count": 1, "is_bf16_supported": True}.items():
        monkeypatch.setattr(f"torch.cuda.{name}", lambda value=value: value)
    with pytest.raises(ConfigError, match="hardware.devices=2: torch sees 1 here"):
        devices.check(hardware("hardware=gpus"))
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    devices.check(hardware("hardware=gpus"))


def test_a_run_starts_processes_where_it_needs_several_or_a_strategy_that_shards(monkeypatch):
    assert not processes.must_start_processes(hardware())
    assert processes.must_start_processes(hardware("hardware=cpu_processes"))
    assert processes.must_start_processes(hardware("hardware.strategy=zero2"))
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert not processes.must_start_processes(hardware("hardware=cpu_processes"))
    with pytest.raises(ConfigError, match="a run of 3 processes, but 2 were started"):
        processes.must_start_processes(
            hardware("hardware=cpu_processes", "hardware.devices=3", "optimizer.batch_size=6")
        )


def test_several_nodes_need_slurm_or_torchrun():
    with pytest.raises(ConfigError, match="hydra/launcher=slurm, with nodes=2 and tasks_per_node=4"):
        processes.must_start_processes(hardware("hardware=nodes"))


# --- whose error is raised --------------------------------------------------------------------------------------------


def failure(rank, seconds, of_another=False, text="why"):
    return Failure(rank, f"host{rank}", seconds, of_another, text)


HOSTS = ["host0", "host1", "host2"]


def test_the_first_failure_with_a_cause_of_its_own_is_reported():
    failures = [failure(0, 1.0, of_another=True), failure(1, 3.0, text="later"), failure(2, 2.0, text="first")]
    assert failure_message(failures, HOSTS, 60) == "rank 2 of 3 on host2 failed:\nfirst"


def test_an_error_that_all_have_is_reported_without_a_rank():
    assert failure_message([failure(rank, rank, text="no such file") for rank in range(3)], HOSTS, 60) == "no such file"


def test_where_the_others_only_waited_the_missing_ones_are_named():
    text = failure_message([failure(0, 5.0, True, "Traceback\nTimed out"), failure(2, 5.0, True)], HOSTS, 60)
    assert text.startswith("rank 1 on host1 did not arrive where the others waited")
    assert text.endswith("Timed out")


# --- two real processes ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "GRACE_S", 8.0)
    return tmp_path


def ended(folder):
    """Whether both processes have ended."""
    pids = [int((folder / f"pid{rank}").read_text()) for rank in range(2)]
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("raises", rf"^rank 1 of 2 on {HOST} failed:\nTraceback(.|\n)*ValueError: the dog ate it$"),
        ("user error", rf"^rank 1 of 2 on {HOST} failed:\nrows.csv:3: no answer.$"),
        ("all raise", r"^rows.csv:3: no answer.$"),
        ("is killed", rf"^rank 1 of 2 on {HOST} failed:\nkilled by SIGKILL. The machine's memory may have run out.$"),
        ("hangs", rf"^rank 1 on {HOST} did not arrive where the others waited, .*hardware.timeout_s=6 "),
        ("never comes", r"rank 1 of 2 did not come within hardware.timeout_s=6 seconds"),
    ],
)
def test_the_error_of_one_process_is_the_error_of_the_run(what, message, folder):
    (folder / "what").write_text(what)
    timeout_s = 6 if what in ("hangs", "never comes") else 120
    with pytest.raises(ProcessError, match=message) as caught:
        two_failing.start(folder, f"hardware.timeout_s={timeout_s}")
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["error"]) == ("failed", str(caught.value))
    assert ended(folder)


@pytest.mark.slow
@pytest.mark.parametrize("in_job", [True, False])
def test_a_job_of_which_one_process_is_killed_ends_without_a_result_so_that_it_is_submitted_again(in_job, tmp_path):
    (tmp_path / "what").write_text("is killed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, **TORCHRUN, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    common |= {"MCQA_TRIAL": str(tmp_path)} if in_job else {}
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.runs.two_failing", str(tmp_path), "one of them"],
            cwd=ROOT, env={**common, "RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True,
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [1, -signal.SIGKILL]
    assert "rank 1" in said[0] and ("This job ends without a result." in said[0]) == in_job


@pytest.mark.slow
def test_tasks_that_a_user_s_srun_began_are_one_run_in_one_folder():
    code = """
        import os, tempfile
        from mcqa.runs import processes
        from tests.small_runs import configured
        hardware = configured(["hardware=cpu_processes"])[0].hardware
        folder = processes.folder_of_first(hardware, tempfile.mkdtemp)
        print(folder, processes.all_reduce_sum([processes.rank() + 1.0]), os.environ["LOCAL_WORLD_SIZE"])
    """
    step = {**os.environ, **STEP, "SLURM_JOB_ID": str(os.getpid())}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env=step | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank},
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    first, second = (process.communicate(timeout=120)[0].split(maxsplit=1) for process in both)
    Path(first[0]).rmdir()
    assert first == second and first[1] == "[3.0] 2\n"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_one_that_started_it(how, tmp_path):
    (tmp_path / "what").write_text("waits")
    take_ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell ignore it
    command = [sys.executable, "-m", "tests.runs.two_failing", str(tmp_path)]
    started = subprocess.Popen(command, cwd=ROOT, preexec_fn=take_ctrl_c, stderr=subprocess.PIPE, text=True)
    try:
        wait(lambda: all((tmp_path / f"waiting{rank}").exists() for rank in range(2)))
        started.send_signal(how)
        said = started.communicate(timeout=30)[1]
        assert started.returncode and ("Resume it with" in said) == (how == signal.SIGTERM)
        wait(lambda: ended(tmp_path))
    finally:
        started.kill()


def wait(until):
    limit = time.monotonic() + 60
    while not until():
        assert time.monotonic() < limit
        time.sleep(0.05)
