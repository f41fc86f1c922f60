"""Whole studies whose trials pause and go on, in processes of their own."""

import pytest

from mcqa.runs.files import read_json
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.trial_source import recover
from tests.sweep.commands import config_of, ended, kill, result, start_study, until
from tests.sweep.test_main import stored


def steps(study, number):
    path = study / "trials" / str(number) / "steps"
    return [int(step) for step in path.read_text().split()] if path.exists() else []


@pytest.mark.slow
def test_a_command_that_is_killed_while_trials_are_paused_loses_none_and_repeats_no_step(tmp_path):
    command = (
        "do=climb", "x=interval(0.1,0.5)", "hydra/sweeper/pruner=asha", "hydra/sweeper/sampler=random",
        "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2", "hydra.sweeper.max_resubmits=0", "hydra.sweeper.seed=3",
    )  # fmt: skip
    study = tmp_path / "multirun" / "small_app"

    def paused():
        return [number for number in range(6) if (result(study, number) or {}).get("status") == "paused"]

    first = start_study(tmp_path, *command)
    until(lambda: len(paused()) >= 2, "two paused trials", tmp_path)
    kill(first.pid)
    first.wait()
    assert {recover(study, number, None).pause for number in paused()} <= {"asked", "done"}
    ended(start_study(tmp_path, *command), tmp_path)
    trials, submissions = stored(study), [Mailbox(study / "trials" / str(n)).submissions() for n in range(6)]
    states = [each.state.name for each in trials]
    assert len(trials) == 6 and set(states) == {"COMPLETE", "PRUNED"}
    for number in range(6):
        final = read_json(study / "trials" / str(number) / "result.json")
        x, taken = config_of(study, number)["x"], steps(study, number)
        assert taken == list(range(1, len(taken) + 1))
        assert final["status"] == {"COMPLETE": "complete", "PRUNED": "pruned"}[states[number]]
        assert final["value"] == pytest.approx(x if states[number] == "COMPLETE" else x * len(taken))
        assert (len(taken) == 8) == (states[number] == "COMPLETE")
        assert [entry.end for entry in submissions[number]][:-1] == ["paused"] * (len(submissions[number]) - 1)
        assert not (study / "trials" / str(number) / "checkpoints").exists() or states[number] == "COMPLETE"
    assert sum(map(len, submissions)) > 6, "none went on"
