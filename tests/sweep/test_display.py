"""What is shown of a study while it runs: lines without a terminal, one table in it."""

import io
import itertools
import re
from functools import partial

import pytest
from rich.console import Console

from mcqa.sweep.controller.controller import Controller, TrialState
from mcqa.sweep.controller.events import (
    Asked,
    Ended,
    Judged,
    Limits,
    Outcome,
    Paused,
    Promoted,
    RecoveredTrial,
    Refused,
    Reported,
    Submitted,
    Tick,
    Vanished,
)
from mcqa.sweep.display import REDRAW_S, LiveDisplay, best, short_keys, shown


class Study:
    """A controller with events as they come, and what is shown of it."""

    def __init__(self, tmp_path, terminal=False, direction="maximize", n_trials=4, n_jobs=2, known=(), **options):
        self.text = io.StringIO()
        clock = partial(next, itertools.count(0.0, REDRAW_S))  # so that every update draws
        console = Console(file=self.text, force_terminal=terminal, width=120)
        self.controller = Controller(Limits(n_trials, n_jobs, None, 2, None), known, 0.0)
        self.display = LiveDisplay(console, self.controller, direction, tmp_path / "core", clock=clock, **options)
        self.now = 0.0
        self.controller.start(0.0)

    def after(self, seconds, *events):
        self.now += seconds
        for event in events:
            self.controller.on(event, self.now)
        self.display.update()

    def starts(self, *numbers):
        for number in numbers:
            self.display.set_label(number, [f"x={number}"])
            self.after(0, Asked(number), Submitted(number, 0, f"job{number}"))

    @property
    def printed(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text.getvalue())

    @property
    def lines(self):
        return self.printed.splitlines()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_trial_that_pauses_and_goes_on_is_shown(tmp_path, terminal):
    study = Study(tmp_path, terminal, n_trials=2, n_jobs=1)
    study.starts(0)
    study.after(20, Reported(0, 100, 0.25), Judged(0, "pause", 100), Paused(0, 0))
    assert "trial 0: paused at 0.25  x=0" in study.lines
    assert study.controller.counts["paused"] == 1 and "1 paused" in study.display.summary()
    study.after(1, Promoted(0), Submitted(0, 1, "job0"))
    assert "trial 0: started again (start 2), after a pause  x=0" in study.lines
    study.after(1, Vanished(0, 1, "killed"), Submitted(0, 2, "job0"))
    assert "trial 0: started again (start 3), because its job ended without a result  x=0" in study.lines


def ended(number, status="complete", value=0.5, error=None):
    return Ended(number, Outcome(status, value, error))


def test_without_a_terminal_every_start_and_end_is_a_line_of_its_own(tmp_path):
    study = Study(tmp_path)
    study.starts(0, 1)
    study.after(20, ended(0, value=0.61234))
    study.after(40, ended(1, "failed", None, "ValueError: no such luck\nmore of it"))
    study.starts(2)
    study.after(1)
    assert study.lines == [
        "trial 0: started  x=0",
        "trial 1: started  x=1",
        "trial 0: complete 0.6123  x=0",
        "  1 of 4 ended (1 complete, 0 pruned, 0 failed); 1 of 2 slots busy; best 0.6123 (trial 0); about 1 min left",
        "trial 1: failed: ValueError: no such luck  x=1",
        "  2 of 4 ended (1 complete, 0 pruned, 1 failed); 0 of 2 slots busy; best 0.6123 (trial 0); about 1 min left",
        "trial 2: started  x=2",
    ]


def test_a_trial_that_starts_again_says_so(tmp_path):
    study = Study(tmp_path)
    study.starts(0)
    study.after(1, Vanished(0, 0, "killed"))
    study.after(1, Submitted(0, 1, "again"))
    assert study.lines[-1] == "trial 0: started again (start 2), because its job ended without a result  x=0"


def test_on_slurm_a_job_is_submitted_for_it_may_wait_and_is_called_by_its_id(tmp_path):
    study = Study(tmp_path, direction=None, on_slurm=True)
    study.display.set_label(0, ["x=0"])
    study.after(0, Asked(0), Submitted(0, 0, "17"))
    study.after(1, Vanished(0, 0, "killed"))
    study.after(1, Submitted(0, 1, "18"))
    assert study.lines == [
        "job 0: submitted, SLURM job 17  x=0",
        "job 0: submitted again (start 2), because its job ended without a result, SLURM job 18  x=0",
    ]


def test_a_refusal_is_printed_with_the_scheduler_s_message_and_is_no_start(tmp_path):
    study = Study(tmp_path)
    study.starts(0)
    study.display.set_label(1, ["x=1"])
    study.after(0, Asked(1), Refused(1, 0, "slurmctld is away\nmore of it"))
    assert study.lines[-1] == "trial 1: refused: slurmctld is away"
    assert study.display.summary().endswith("; the scheduler refuses, retry in 5 s")
    study.after(5, Tick())
    study.after(0, Submitted(1, 1, "job"))
    assert study.lines[-1] == "trial 1: started  x=1" and "refuses" not in study.display.summary()


def test_a_job_of_a_product_is_called_one_and_none_is_the_best(tmp_path):
    study = Study(tmp_path, direction=None)
    study.starts(0)
    study.after(0, ended(0, value=1.0))
    assert study.lines[1] == "job 0: complete 1  x=0" and "best" not in study.lines[2]


def test_what_ended_before_a_restart_is_counted_and_neither_printed_again_nor_taken_for_speed(tmp_path):
    known = [RecoveredTrial(n, Outcome("complete", 0.1 * n, None), 1, "job") for n in range(3)]
    study = Study(tmp_path, known=known)
    study.after(5)
    assert study.lines == []
    assert study.display.summary() == (
        "3 of 4 ended (3 complete, 0 pruned, 0 failed); 0 of 2 slots busy; best 0.2 (trial 2)"
    )
    study.starts(3)
    study.after(95, ended(3))
    assert study.display.summary().endswith("about 0 s left")


def test_how_long_it_takes_is_not_known_while_trials_are_paused(tmp_path):
    study = Study(tmp_path, n_trials=3, n_jobs=1)
    study.starts(0)
    study.after(20, ended(0))
    assert study.display.summary().endswith("about 40 s left")
    study.starts(1)
    study.after(5, Reported(1, 100, 0.25), Judged(1, "pause", 100), Paused(1, 0))
    assert study.display.summary().endswith("1 paused; best 0.5 (trial 0)")


def test_what_ended_while_nobody_watched_does_not_count_for_the_pace(tmp_path):
    study = Study(tmp_path, known=[RecoveredTrial(n, None, 1, f"job{n}") for n in range(2)])
    study.after(5, ended(0))
    assert study.display.summary().endswith("best 0.5 (trial 0)")
    study.after(55, ended(1))
    assert study.display.summary().endswith("about 2 min left")


@pytest.mark.parametrize(
    ("direction", "best"), [("maximize", "best 0.9 (trial 1)"), ("minimize", "best 0.2 (trial 0)")]
)
def test_the_best_is_that_of_the_direction(tmp_path, direction, best):
    study = Study(tmp_path, direction=direction)
    study.starts(0, 1)
    study.after(1, ended(0, value=0.2), ended(1, value=0.9))
    assert best in study.display.summary()


def test_pruned_and_failed_trials_are_never_the_best():
    trials = [
        TrialState(0, "pruned", 0, 0, 0.0, outcome=Outcome("pruned", 0.9, None)),
        TrialState(1, "failed", 0, 0, 0.0, outcome=Outcome("failed", None, "no")),
        TrialState(2, "complete", 0, 0, 0.0, outcome=Outcome("complete", 0.3, None)),
        TrialState(3, "complete", 0, 0, 0.0, outcome=Outcome("complete", 0.3, None)),
    ]
    leader = best(trials, "maximize")
    assert leader is not None and leader.number == 2
    assert best(trials[:2], "maximize") is None


def test_a_trial_is_called_by_what_was_swept_with_floats_of_four_digits(tmp_path):
    study = Study(tmp_path, fixed=["+experiment=smoke"])
    study.display.set_label(
        0, ["+experiment=smoke", "lr=0.00012345678", "decay=1.23456789e-05", "name=run.123456", "r=16"]
    )
    assert study.display.labels[0] == "lr=0.0001235 decay=1.235e-05 name=run.123456 r=16"


def test_a_label_has_the_last_parts_of_keys_unless_two_share_one():
    overrides = ["optimizer.learning_rate=1", "peft=lora", "+model.name=a", "data.name=b", "x=a.b"]
    assert short_keys(overrides) == ["learning_rate=1", "peft=lora", "+model.name=a", "data.name=b", "x=a.b"]


def test_in_a_terminal_one_table_has_the_running_trials_with_what_they_reported(tmp_path):
    study = Study(tmp_path, terminal=True)
    with study.display.live:
        study.starts(0, 1)
        study.after(65, ended(0, value=0.25), Reported(1, 800, 0.6125), Reported(1, 400, 0.5))
        drawn = study.printed.rpartition("core")[2]
    rows = {line.split("│")[1].strip(): line for line in drawn.splitlines() if line.count("│") > 3}
    assert "complete" in rows["0"] and "0.25" in rows["0"]
    assert "running" in rows["1"] and "0.6125" in rows["1"] and "1 min 5 s" in rows["1"] and "x=1" in rows["1"]
    assert "1 of 4 ended" in drawn
    assert "trial 1: started" not in study.printed and "trial 0: complete 0.25  x=0" in study.printed


def test_brackets_in_values_and_errors_are_shown_as_they_are(tmp_path):
    study = Study(tmp_path, terminal=True)
    with study.display.live:
        study.display.set_label(0, ["targets=[q_proj,v_proj]"])
        study.after(0, Asked(0), Submitted(0, 0, "job"))
        assert "targets=[q_proj,v_proj]" in study.printed
        study.after(1, ended(0, "failed", None, "KeyError: [/bold]"))
    assert "KeyError: [/bold]" in study.printed


def a_trial(number, state):
    outcome = None if state == "running" else Outcome(state, None, None)
    return TrialState(number, state, 0, 0, 0.0, outcome=outcome)


@pytest.mark.parametrize("running", [0, 3, 12, 40])
def test_the_table_has_all_that_runs_and_the_latest_of_the_others(running):
    trials = [a_trial(n, "complete") for n in range(30)] + [a_trial(30 + n, "running") for n in range(running)]
    numbers = [trial.number for trial in shown(trials)]
    assert numbers == list(range(30 - max(0, 12 - running), 30 + running))
