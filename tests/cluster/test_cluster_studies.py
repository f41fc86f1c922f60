"""Studies on a real SLURM while something is killed, cancelled or away. The app waits until it is let go."""

import time

import pytest

from tests.cluster.machine import Command, SmallStudy

FOUR = ("hydra.sweeper.n_jobs=4",)
WHOLE_NODES = "+hydra.launcher.additional_parameters.exclusive=true"


@pytest.fixture
def study(slurm, tmp_path):
    return SmallStudy(tmp_path)


def test_what_slurm_would_refuse_is_reported_in_its_words_before_anything_is_written(slurm, study):
    command = study.start("hydra.launcher.constraint=nowhere", "hydra.sweeper.n_trials=2")
    assert command.ends() == 1
    assert "Invalid feature specification" in command.said.read_text()
    assert not study.path.exists() and not slurm.queue()


def test_eight_trials_run_over_four_slots_and_each_is_a_job_of_its_own(slurm, study):
    """And has GPUs of its own: a node has two, which are believed by SLURM."""
    command = study.start("hydra.sweeper.n_trials=8", *FOUR, "hydra.launcher.gpus_per_node=2")
    command.until(lambda: all(study.starts(number) for number in range(4)), "four trials")
    time.sleep(2)
    assert len(slurm.queue()) == 4 and not study.submissions(4)
    assert len({node for number in range(4) for node in slurm.nodes(study.job(number))}) == 4
    study.go(*range(8))
    command.succeeds()
    assert study.is_whole(8)
    submissions = [study.submissions(number) for number in range(8)]
    assert [len(each) for each in submissions] == [1] * 8
    assert {entry.slot for (entry,) in submissions} == {0, 1, 2, 3}
    assert [slurm.states(entry.job) for (entry,) in submissions] == [["COMPLETED"]] * 8


def test_after_kill_9_the_same_command_takes_up_what_runs_and_reads_what_ended_meanwhile(slurm, study):
    first = study.start("hydra.sweeper.n_trials=6", *FOUR)
    first.until(lambda: all(study.starts(number) for number in range(4)), "four trials")
    first.kill()
    study.go(0)
    first.until(lambda: study.result(0), "the end of trial 0")
    second = study.start("hydra.sweeper.n_trials=6", *FOUR)
    second.until(lambda: study.starts(4), "trial 4 in the slot of trial 0")
    study.go(*range(6))
    second.succeeds()
    assert study.is_whole(6)
    assert [study.starts(number) for number in range(6)] == [1] * 6
    assert [len(study.submissions(number)) for number in range(6)] == [1] * 6


def test_a_cancelled_job_is_submitted_again_but_not_a_trial_that_mcqa_jobs_cancels(slurm, study):
    command = study.start("hydra.sweeper.n_trials=4", *FOUR)
    command.until(lambda: all(study.starts(number) for number in range(4)), "four trials")
    slurm.ask("scancel", study.job(1))
    Command(study.folder, "-m", "mcqa.jobs", str(study.path), "cancel=2").succeeds()
    command.until(lambda: study.starts(1) == 2, "trial 1 again")
    study.go(0, 1, 3)
    command.succeeds()
    rows = study.table()
    assert [row["status"] for row in rows] == ["complete", "complete", "failed", "complete"]
    assert rows[2]["error"] == "cancelled by mcqa.jobs"
    assert [[entry.end for entry in study.submissions(number)] for number in range(4)] == [
        [None], ["vanished", None], [None], [None],
    ]  # fmt: skip
    assert slurm.states(study.job(2)) == ["CANCELLED"]


def test_a_trial_whose_node_loses_its_power_runs_again_elsewhere(slurm, study):
    command = study.start("hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2", WHOLE_NODES)
    command.until(lambda: study.starts(0) and study.starts(1), "two trials")
    slurm.kill_nodes(*slurm.nodes(study.job(0)))
    command.until(lambda: study.starts(0) == 2, "trial 0 again")
    study.go(0, 1)
    command.succeeds()
    assert study.is_whole(2)
    assert [study.starts(number) for number in (0, 1)] == [2, 1]


def test_paused_trials_outlive_the_command_and_a_node_and_go_on_as_the_same_trials(slurm, study):
    pausing = (
        "hydra.sweeper.n_trials=8",
        "hydra.sweeper.n_jobs=3",
        "hydra/sweeper/pruner=asha",
        "hydra.sweeper.seed=5",
    )

    def status(number: int) -> str | None:
        return (study.result(number) or {}).get("status")

    def paused() -> list[int]:
        return [number for number in range(8) if status(number) == "paused"]

    first = study.start(*pausing, WHOLE_NODES, do="climb")
    first.until(lambda: len(paused()) >= 2, "two paused trials")
    first.kill()
    before = {number: study.steps(number) for number in paused()}
    running = [number for number in range(8) if study.submissions(number) and status(number) is None]
    slurm.kill_nodes(*slurm.nodes(study.job(running[-1])))
    study.start(*pausing, WHOLE_NODES, do="climb").succeeds()
    rows = study.table()
    assert len(rows) == 8 and {row["status"] for row in rows} == {"complete", "pruned"}
    again = 0
    for number, row in enumerate(rows):
        entries, steps = study.submissions(number), study.steps(number)
        assert row["status"] == status(number) and [entry.attempt for entry in entries] == list(range(len(entries)))
        assert len({entry.job for entry in entries}) == len(entries)
        assert all(entry.end in ("paused", "vanished") for entry in entries[:-1])
        assert steps[: len(before.get(number, []))] == before.get(number, [])
        assert set(steps) == set(range(1, max(steps) + 1)) and (max(steps) == 8) == (row["status"] == "complete")
        assert steps == sorted(set(steps)) or any(entry.end == "vanished" for entry in entries), "a step was repeated"
        assert {tuple(slurm.states(entry.job)) for entry in entries if entry.end == "paused"} <= {("COMPLETED",)}
        again += sum(entry.end == "paused" for entry in entries[:-1])
    assert again, "none went on"


def test_slurm_may_be_away_for_twenty_seconds(slurm, study):
    command = study.start("hydra.sweeper.n_trials=6", *FOUR)
    command.until(lambda: all(study.starts(number) for number in range(4)), "four trials")
    slurm.write_down(study.job(3))
    slurm.kill_controller()
    study.go(0)  # its slot is free, and nobody takes a job for it
    time.sleep(20)
    assert slurm.up() is None
    command.until(lambda: study.starts(4), "a trial for the free slot")
    study.go(*range(6))
    command.succeeds()
    assert study.is_whole(6)
    assert [study.starts(number) for number in range(6)] == [1] * 6
    ends = [entry.end for number in range(6) for entry in study.submissions(number)]
    assert "vanished" not in ends and ends.count(None) == 6


def test_a_slurm_that_forgot_its_jobs_and_gives_their_ids_to_others_runs_each_trial_once_more(slurm, study, tmp_path):
    """As it does when it is killed within seconds of a submission."""
    before = slurm.state(tmp_path / "state")
    command = study.start("hydra.sweeper.n_trials=4", *FOUR)
    command.until(lambda: all(study.starts(number) for number in range(4)), "four trials")
    lost = {study.job(number) for number in range(4)}
    slurm.forget(before)
    assert slurm.up() is None
    command.until(lambda: all(study.starts(number) == 2 for number in range(4)), "four trials again")
    assert lost & {study.job(number) for number in range(4)}
    time.sleep(12)  # two looks at the queue
    assert len(slurm.queue(study.folder)) == 4
    study.go(*range(4))
    command.succeeds()
    assert study.is_whole(4)
    assert [study.starts(number) for number in range(4)] == [2] * 4
