"""Real runs on a real SLURM: they end with the weights of a run that nothing happened to, whatever happens to them.

Each is a job of one process, or of two processes on two nodes that meet over gloo.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from mcqa.runs import run_folder
from mcqa.runs.files import read_json
from tests.cluster.machine import TIMEOUT_S, Folder
from tests.cluster.runs import (
    LONGER,
    OF_ALL,
    WHOLE_NODES,
    events,
    losses,
    multirun,
    result,
    sent,
    trains,
    updates,
    weights,
)
from tests.small_runs import configured, smaller

UPDATES = 40
FORTY = (f"objective.max_steps={UPDATES}", *LONGER)
TWO_NODES = (
    "hardware=nodes",
    "hardware.device=cpu",
    "hardware.precision=fp32",
    "hardware.nodes=2",
    "hardware.devices=1",
    "hardware.gradient_checkpointing=false",
)
STRATEGIES = ["ddp", "fsdp2", *(["zero2", "zero3"] if find_spec("deepspeed") else [])]


@pytest.fixture(scope="session")
def overrides(questions_folder):
    """Of every run, in a folder."""
    return lambda folder: ["+experiment=smoke", *smaller(questions_folder, folder), *OF_ALL]


def assert_same_end(run: Path, undisturbed: Path) -> None:
    """Complete, every update logged once with the same loss, the same weights to the last bit."""
    mine, theirs = result(run), result(undisturbed)
    assert mine["status"] == "complete" and mine["metrics"] == theirs["metrics"]
    assert updates(run) == list(range(1, UPDATES + 1)) and losses(run) == losses(undisturbed)
    ours, others = weights(run), weights(undisturbed)
    assert ours.keys() == others.keys() and all(torch.equal(ours[name], others[name]) for name in ours)


@pytest.fixture(scope="session")
def alone(cluster, overrides, tmp_path_factory):
    """A run of one process that nothing happened to."""
    folder = tmp_path_factory.mktemp("alone")
    sent(folder, [*overrides(folder), *FORTY]).succeeds()
    return folder


@pytest.fixture(scope="session")
def on_two_nodes(cluster, overrides, tmp_path_factory):
    """A job of two nodes for each strategy: its run folder."""
    folder = tmp_path_factory.mktemp("two-nodes")
    strategies = f"hardware.strategy={','.join(STRATEGIES)}"
    sent(folder, [*overrides(folder), *FORTY, *TWO_NODES, strategies, "hydra.sweeper.n_jobs=2"]).succeeds()
    jobs = multirun(folder)
    return {strategy: jobs.run(number) for number, strategy in enumerate(STRATEGIES)}


def test_an_unknown_partition_is_reported_before_anything_is_written(slurm, overrides, tmp_path):
    command = sent(tmp_path, [*overrides(tmp_path), "hydra.launcher.partition=nowhere"])
    assert command.ends() == 1
    assert "partition=nowhere: there is none; known are high, main." in command.said.read_text()
    assert not (tmp_path / "outputs").exists() and not slurm.queue()


def test_a_single_run_is_one_job_with_a_run_folder_of_its_own(slurm, alone):
    jobs = multirun(alone)
    (entry,) = jobs.submissions(0)
    run = jobs.run(0)
    assert run.parent.parent == alone / "outputs" / "runs" and run.parent.name.startswith("smoke")
    assert result(run)["status"] == jobs.result(0)["status"] == "complete"
    assert {"base/test/acc", "test/acc", "dev/acc"} <= set(result(run)["metrics"])
    assert updates(run) == list(range(1, UPDATES + 1)) and weights(run)
    assert read_json(run / "environment.json")["slurm_job_id"] == entry.job
    assert slurm.states(entry.job) == ["COMPLETED"]


def test_eight_trials_over_four_slots_have_their_values_in_study_table_and_mlflow(slurm, overrides, tmp_path):
    from mlflow import MlflowClient

    wanted = ("hydra.sweeper.study_name=eight", "hydra.sweeper.n_trials=8", "hydra.sweeper.n_jobs=4")
    rate = "optimizer.learning_rate=tag(log,interval(1e-4,1e-2))"
    tracking = ("tracking=mlflow", "tracking.system_metrics_every_s=0")
    sent(tmp_path, [*overrides(tmp_path), *tracking, *wanted, rate]).succeeds()
    study = Folder(tmp_path / "outputs" / "sweeps" / "eight")
    values = [study.result(number)["value"] for number in range(8)]
    submissions = [study.submissions(number) for number in range(8)]
    assert [len(each) for each in submissions] == [1] * 8 and {entry.slot for (entry,) in submissions} == set(range(4))
    assert [(row["status"], float(row["value"])) for row in study.table()] == [("complete", each) for each in values]
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("mcqa").experiment_id])
    parents = {run.info.run_id: run for run in runs if "mlflow.parentRunId" not in run.data.tags}
    trials = {run.data.tags["trial"]: run for run in runs if run.info.run_id not in parents}
    assert [run.info.status for run in runs] == ["FINISHED"] * 9
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == set(parents) and len(parents) == 1
    assert [trials[str(number)].data.metrics["dev/acc"] for number in range(8)] == values


@pytest.mark.parametrize("strategy", ["ddp", "zero2", "zero3", "fsdp2"])
def test_two_nodes_find_what_one_process_finds(slurm, alone, request, strategy):
    if strategy not in STRATEGIES:
        pytest.skip("DeepSpeed is not installed")
    one, two = multirun(alone).run(0), request.getfixturevalue("on_two_nodes")[strategy]
    assert result(two)["metrics"] == pytest.approx(result(one)["metrics"], abs=2e-3)
    assert losses(two) == pytest.approx(losses(one), rel=2e-4)
    assert all(torch.allclose(weights(one)[name], weight, atol=2e-4) for name, weight in weights(two).items())


def test_at_the_time_limit_the_same_job_resumes_and_ends_like_an_undisturbed_one(slurm, alone, overrides, tmp_path):
    """A minute is the shortest limit that SLURM knows; it sends its signal up to half a minute early."""
    limit = ("hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=5")
    command = sent(tmp_path, [*overrides(tmp_path), *FORTY, *limit])
    run, jobs = trains(command, tmp_path), multirun(tmp_path)
    slurm.hold(*slurm.nodes(jobs.job(0)))
    command.succeeds()
    (entry,) = jobs.submissions(0)
    assert slurm.states(entry.job) == ["REQUEUED", "COMPLETED"]
    assert_same_end(run, multirun(alone).run(0))


def test_a_preempted_run_resumes_when_the_others_have_gone(slurm, alone, overrides, tmp_path):
    command = sent(tmp_path, [*overrides(tmp_path), *FORTY, "hydra.launcher.timeout_min=60"])
    run = trains(command, tmp_path)
    jobs = multirun(tmp_path)
    wanted = ("--partition=high", "--nodes=4", "--exclusive", "--output=/dev/null", "--parsable")
    (other,) = slurm.ask("sbatch", *wanted, "--wrap=sleep 3")
    command.succeeds()
    (entry,) = jobs.submissions(0)
    assert slurm.states(entry.job)[0] in ("REQUEUED", "PREEMPTED") and slurm.states(entry.job)[-1] == "COMPLETED"
    assert slurm.states(other) == ["COMPLETED"]
    assert_same_end(run, multirun(alone).run(0))


def test_a_cancelled_run_is_submitted_again_and_ends_like_an_undisturbed_one(slurm, alone, overrides, tmp_path):
    """It gets SIGTERM, saves and says that it can go on."""
    command = sent(tmp_path, [*overrides(tmp_path), *FORTY])
    run, jobs = trains(command, tmp_path), multirun(tmp_path)
    slurm.ask("scancel", jobs.job(0))
    command.succeeds()
    assert [slurm.states(entry.job) for entry in jobs.submissions(0)] == [["CANCELLED"], ["COMPLETED"]]
    assert_same_end(run, multirun(alone).run(0))


def test_runs_on_one_node_and_on_two_resume_elsewhere_when_a_node_loses_its_power(
    slurm, alone, on_two_nodes, overrides, tmp_path
):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one = sent(folders[0], [*overrides(folders[0]), *FORTY, WHOLE_NODES])
    two = sent(folders[1], [*overrides(folders[1]), *FORTY, *TWO_NODES, "hardware.strategy=ddp", WHOLE_NODES])
    runs = []
    for command, folder in zip((one, two), folders, strict=True):
        runs.append(trains(command, folder))
        slurm.kill_nodes(slurm.nodes(multirun(folder).job(0))[-1])
        assert updates(runs[-1])[-1] < UPDATES
    for command, run, undisturbed in zip((one, two), runs, (multirun(alone).run(0), on_two_nodes["ddp"]), strict=True):
        command.succeeds()
        assert_same_end(run, undisturbed)


def test_a_job_of_which_one_process_is_killed_is_submitted_again_and_that_is_counted(
    slurm, on_two_nodes, overrides, tmp_path
):
    command = sent(tmp_path, [*overrides(tmp_path), *FORTY, *TWO_NODES, "hardware.strategy=ddp"])
    run, jobs = trains(command, tmp_path), multirun(tmp_path)
    slurm.kill_process(slurm.nodes(jobs.job(0))[1])
    command.succeeds()
    assert [entry.end for entry in jobs.submissions(0)] == ["vanished", None]
    assert_same_end(run, on_two_nodes["ddp"])


def test_of_two_commands_that_resume_one_run_on_two_nodes_one_is_refused(slurm, questions_folder, tmp_path):
    config, config_dict = configured(["+experiment=smoke", *smaller(questions_folder, tmp_path), *LONGER])
    folder = run_folder.create(config.outputs, config.name, config_dict, [])
    resume = (sys.executable, "-m", "mcqa.train", f"resume={folder}")
    nodes = sorted(set(slurm.ask("sinfo", "--noheader", "--Node", "--format=%N")))[:2]
    steps = [("srun", "--ntasks=1", "--mem=1500M", f"--nodelist={node}", *resume) for node in nodes]
    both = [subprocess.Popen(step, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for step in steps]
    ended = [(process.communicate(timeout=TIMEOUT_S)[1], process.returncode) for process in both]
    (refusal,) = [errors for errors, status in ended if status]
    assert f"{folder} is being run by process" in refusal and "Traceback" not in refusal
    assert result(folder)["status"] == "complete"
    assert [event["event"] for event in events(folder)].count("start") == 1
