"""What dry_run shows of jobs that would go to a cluster, with scripts in place of SLURM's commands."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcqa import train
from mcqa.sweep.backends import slurm_commands
from tests.sweep.backends.fake_slurm import FakeSlurm

SINFO = (
    "echo 'main*|up|1-00:00:00|10|64|512000|gpu:a100:4(S:0-1)'; "
    "echo 'main*|up|1-00:00:00|2|32|256000|(null)'; echo 'dev|up|30:00|1|64|512000|gpu:4'; "
    "echo 'off|down|infinite|1|64|512000|(null)'"
)
SMALL = ["+experiment=smoke", "tracking=none", "hydra/launcher=slurm"]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    """A cluster with partitions main (12 nodes, GPUs in ten of them), dev and off."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    fake = FakeSlurm(tmp_path / "bin")
    fake.answers("sinfo", SINFO)
    fake.answers("sacctmgr", "echo 'mine||normal,long'; echo 'other||normal'")
    yield fake


@pytest.fixture
def multirun(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What `python -m mcqa.train --multirun … dry_run=true` shows, with its errors."""

    def run(*overrides: str) -> str:
        monkeypatch.setattr(sys, "argv", ["mcqa.train", "--multirun", *SMALL, *overrides, "dry_run=true"])
        error = ""
        try:
            train.command()
        except SystemExit as caught:
            error = str(caught.code)
        return capsys.readouterr().out + error

    return run


def lines(shown: str, start: str) -> list[str]:
    return [line for line in shown.splitlines() if line.strip().startswith(start)]


@pytest.mark.slow
def test_a_single_run_is_shown_with_its_script_and_what_it_may_cost(
    multirun: Callable[..., str], slurm: FakeSlurm, tmp_path: Path
) -> None:
    shown = multirun("hydra.launcher.account=mine", "hydra.launcher.timeout_min=90")
    assert lines(shown, "1 job on SLURM, 1 at a time")
    assert lines(shown, "1 x 1 node, 1 process, at most 1 h 30 min per start")
    assert lines(shown, "At most 1.5 node hours for one start of each job, 16.5 if each reaches its time limit")
    assert "resubmissions come on top" in shown
    for line in ("--account=mine", "--time=90", "--nodes=1", "--ntasks-per-node=1"):
        assert f"#SBATCH {line}\n" in shown
    assert "gpus" not in shown
    assert slurm.asked("sbatch")[0].startswith("sbatch --test-only ")
    assert not list((tmp_path / "outputs").glob("**/*"))


@pytest.mark.slow
def test_nodes_processes_and_gpus_follow_from_hardware(multirun: Callable[..., str]) -> None:
    shown = multirun("hardware=gpu", "hardware.nodes=2", "hardware.devices=4", "hydra.launcher.timeout_min=60")
    for line in ("--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4"):
        assert f"#SBATCH {line}\n" in shown
    assert "gpus-per-task" not in shown
    assert lines(shown, "At most 2 node hours (8 GPU hours) for one start of each job, 22 if")
    assert "No job would run" not in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ([], "--mem-per-cpu=4G"),
        (["mem_per_cpu=5G"], "--mem-per-cpu=5G"),
        (["mem_gb=100"], "--mem=100GB"),
        (["mem_gb=0"], "--mem=0GB"),
        (["mem_per_gpu=60G"], "--mem-per-gpu=60G"),
        (["mem_per_cpu=null", "mem_per_gpu=60G"], "--mem-per-gpu=60G"),
    ],
)
def test_memory_is_requested_in_one_way(multirun: Callable[..., str], asked: list[str], line: str) -> None:
    shown = multirun("hardware=gpu", *(f"hydra.launcher.{text}" for text in asked))
    assert re.findall("#SBATCH (--mem.*)", shown) == [line]


@pytest.mark.slow
@pytest.mark.parametrize("asked", [["mem_gb=100", "mem_per_cpu=4G"], ["mem_per_cpu=4G", "mem_per_gpu=60G"]])
def test_memory_that_is_requested_in_two_ways_is_refused(multirun: Callable[..., str], asked: list[str]) -> None:
    shown = multirun("hardware=cpu,gpu", *(f"hydra.launcher.{text}" for text in asked))
    assert shown.count(f"hydra.launcher: {' and '.join(asked)}: SLURM takes one of them; set the others to null.") == 1


@pytest.mark.slow
def test_jobs_that_differ_in_hardware_are_counted_by_kind(multirun: Callable[..., str]) -> None:
    shown = multirun("hardware=cpu,gpu", "seed=1,2,3", "hydra.launcher.timeout_min=60", "hydra.sweeper.n_jobs=4")
    assert lines(shown, "6 jobs on SLURM, 4 at a time")
    assert lines(shown, "3 x 1 node, 1 process, at most") and lines(shown, "3 x 1 node, 1 process, 1 GPU, at most")
    assert lines(shown, "At most 6 node hours (3 GPU hours)")


@pytest.mark.slow
def test_a_study_is_shown_with_what_its_dearest_trials_may_cost(multirun: Callable[..., str]) -> None:
    choice = "hardware.devices=1,2"
    shown = multirun(
        "hydra.sweeper.n_trials=9", choice, "seed=range(1,5)", "hardware=gpu", "hydra.launcher.timeout_min=60"
    )
    assert lines(shown, "Study smoke")
    assert lines(shown, "9 jobs on SLURM")
    assert lines(shown, "1 node, 1 process, 1 GPU") and lines(shown, "1 node, 2 processes, 2 GPUs")
    assert lines(shown, "At most 9 node hours (18 GPU hours)")


@pytest.mark.slow
def test_everything_that_keeps_a_job_from_running_is_reported_at_once(multirun: Callable[..., str]) -> None:
    wrong = {"partition": "mian", "account": "mien", "qos": "logn"}
    shown = multirun(*(f"hydra.launcher.{key}={value}" for key, value in wrong.items()), "model=qwen3_0_6b")
    assert "partition=mian: there is none; known are dev, main, off. Did you mean 'main'?" in shown
    assert re.search(r"Warning: account=mien: not one of \S+'s, which are mine, other\. Did you mean 'mine'\?", shown)
    assert "Did you mean 'long'?" in shown
    assert "model.path=Qwen/Qwen3-0.6B-Base" in shown and "python -m mcqa.prefetch --multirun" in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["partition=dev"], "timeout_min=240: partition dev allows 30 at most."),
        (["nodes=13"], "nodes=13: partition main has 12."),
        (["gpus_per_node=8"], "gpus_per_node=8: a node of partition main has 4 GPUs at most."),
        (["cpus_per_task=65"], "tasks_per_node * cpus_per_task=65: a node of partition main has 64 CPUs at most."),
        (["mem_per_cpu=80G"], "memory=655360: a node of partition main has 512000 MB at most."),
        (["mem_gb=600", "mem_per_cpu=null"], "memory=614400: a node of partition main has 512000 MB at most."),
    ],
)
def test_more_than_the_partition_has_is_a_problem_that_slurm_would_not_report(
    multirun: Callable[..., str], overrides: list[str], words: str
) -> None:
    shown = multirun(*(f"hydra.launcher.{text}" for text in overrides))
    assert "No job would run like this:" in shown and words in shown


@pytest.mark.slow
def test_a_partition_that_is_not_up_is_warned_of(multirun: Callable[..., str]) -> None:
    shown = multirun("hydra.launcher.partition=off")
    assert "Warning: partition=off: it is not up; jobs wait until it is." in shown
    assert "No job would run like this:" not in shown


@pytest.mark.slow
def test_what_each_gpu_needs_is_shown_and_what_it_cannot_have_is_refused(
    multirun: Callable[..., str], tmp_path: Path
) -> None:
    llama = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336}
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "config.json").write_text(json.dumps(llama))
    (tmp_path / "big" / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")  # a header without weights
    big = ("model=local", f"model.path={tmp_path}/big", "hardware=gpu", "hardware.memory_gb=24")
    shown = multirun(*big, "peft=qlora,none")
    assert len(lines(shown, "Memory of this device: about")) == 2
    assert "weights, gradients and optimizer state alone are" in shown.partition("No job would run like this:")[2]
    assert "No job" not in multirun(*big, "peft=qlora")


@pytest.mark.slow
def test_what_sbatch_itself_has_against_a_job_is_reported_in_its_words(
    multirun: Callable[..., str], slurm: FakeSlurm
) -> None:
    slurm.answers("sbatch", "echo 'allocation failure: Invalid qos specification' >&2; exit 1")
    assert "\n  allocation failure: Invalid qos specification" in multirun()


@pytest.mark.slow
def test_a_study_that_sbatch_would_refuse_is_refused_before_a_trial_is_asked_for(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slurm.answers("sbatch", "echo 'Invalid account or account/partition combination specified' >&2; exit 1")
    monkeypatch.setattr(sys, "argv", ["mcqa.train", "--multirun", *SMALL, "+sweeps=smoke"])
    with pytest.raises(SystemExit, match="Invalid account or account/partition combination specified"):
        train.command()
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_a_job_that_would_wait_for_ever_is_refused_before_it_is_sent(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["mcqa.train", "--multirun", *SMALL, "hydra.launcher.partition=dev"])
    with pytest.raises(SystemExit, match="timeout_min=240: partition dev allows 30 at most"):
        train.command()
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_an_unknown_option_is_reported_in_submitit_s_words(multirun: Callable[..., str]) -> None:
    assert "No job would run" in (shown := multirun("+hydra.launcher.walltime=3")) and "walltime" in shown


@pytest.mark.slow
def test_short_limits_and_no_further_starts_are_warned_of(multirun: Callable[..., str]) -> None:
    assert lines(
        multirun("hydra.launcher.timeout_min=10"), "Warning: timeout_min=10: up to 10 minutes every preemption"
    )
    for none in ("0", "null"):
        assert lines(multirun(f"hydra.launcher.max_num_timeout={none}"), "Warning: max_num_timeout=0")


@pytest.mark.slow
def test_a_limit_that_earlier_runs_would_have_met_is_warned_of(multirun: Callable[..., str], tmp_path: Path) -> None:
    for number, (status, seconds) in enumerate((("complete", 600), ("complete", 8000), ("failed", 9))):
        folder = tmp_path / "outputs" / "runs" / "smoke" / str(number)
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({"status": status, "seconds": seconds}))
    shown = multirun("hydra.launcher.timeout_min=120")
    assert lines(shown, "2 earlier jobs took 1 h 12 min (median), the longest 2 h 13 min")
    assert lines(shown, "Warning: timeout_min=120 is shorter")
    assert not lines(multirun("hydra.launcher.timeout_min=140"), "Warning: timeout_min")


def test_without_slurm_there_is_one_clear_error_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slurm_commands, "is_available", lambda: False)
    for more in ([], ["dry_run=true"]):
        monkeypatch.setattr(sys, "argv", ["mcqa.train", "--multirun", *SMALL, *more])
        with pytest.raises(SystemExit, match="hydra/launcher=slurm: there is no sbatch on this machine"):
            train.command()
    assert not list(tmp_path.iterdir())


def test_a_cluster_without_multirun_is_refused_before_anything_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mcqa.train", *SMALL])
    with pytest.raises(SystemExit, match="hydra/launcher=slurm needs --multirun"):
        train.command()


@pytest.mark.slow
def test_jobs_are_reported_not_to_ask_the_hub_unless_the_user_says_that_they_can(
    multirun: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\nexport HF_HUB_OFFLINE=1\n" in multirun()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    shown = multirun("model=qwen3_0_6b")
    assert "HF_HUB_OFFLINE=1" not in shown and "No job would run" not in shown


@pytest.mark.slow
def test_the_lines_of_setup_come_before_the_job(multirun: Callable[..., str]) -> None:
    setup = "hydra.launcher.setup=[module load cuda,'export LOGIN=hunter2']"
    shown = multirun(setup, "+hydra.launcher.additional_parameters.mail-type=FAIL")
    assert shown.index("export HF_HUB") < shown.index("module load cuda") < shown.index("\nsrun ")
    assert "export LOGIN=[redacted]\n" in shown
    assert "#SBATCH --mail-type=FAIL\n" in shown


@pytest.mark.parametrize(
    ("gpus", "devices", "at_once", "words"),
    [
        ("0,1,2,3", "2", 2, "This machine's 4 GPUs have room for 2 at a time."),
        ("0,1,2,3", "2", 3, "Warning: 2 at a time have GPUs of their own; more of them may share."),
        ("0,1,2,3", "1,2,1", 9, "This machine's 4 GPUs have room for 3 at a time."),
        ("0,1,2", "1,2,1", 3, "Warning: 2 at a time have GPUs of their own; more of them may share."),
    ],
)
def test_processes_on_this_machine_are_shown_with_the_room_for_them(
    multirun: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    gpus: str,
    devices: str,
    at_once: int,
    words: str,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    three = ["seed=1,2,3"] if devices == "2" else []
    shown = multirun(
        "hydra/launcher=local", "hardware=gpu", f"hardware.devices={devices}", f"hydra.sweeper.n_jobs={at_once}", *three
    )
    assert lines(shown, "3 jobs on this machine") and lines(shown, words)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["hardware=nodes"], "nodes=2: processes on several machines need hydra/launcher=slurm"),
        (["hardware.nodes=1,2"], "nodes=2: processes on several machines need hydra/launcher=slurm"),
        (["hardware=gpu", "hardware.devices=1,4"], "gpus_per_node=4: this machine has 2 (0, 3)."),
        (["hardware=gpu", "hardware.devices=1,4", "hydra.sweeper.n_trials=3"], "gpus_per_node=4: this machine has 2"),
    ],
)
def test_jobs_that_this_machine_cannot_run_are_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, overrides: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    for more in (["dry_run=true"], []):
        local = ["+experiment=smoke", "tracking=none", *overrides, *more]
        monkeypatch.setattr(sys, "argv", ["mcqa.train", "--multirun", *local])
        with pytest.raises(SystemExit, match=re.escape(words)):
            train.command()
    assert not list(tmp_path.iterdir())


def test_a_machine_without_gpus_leaves_it_to_the_job_to_say_so(
    multirun: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "No job would run" not in multirun("hydra/launcher=local", "hardware=gpu")
