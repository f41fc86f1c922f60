"""The loop between a controller, a study, real mailboxes and a backend whose jobs do what the test says."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from mcqa.config.errors import ConfigError
from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import SubmissionError
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import COMPLETE, LEFT_RUNNING, Limits, Outcome, RecoveredTrial
from mcqa.sweep.display import LiveDisplay
from mcqa.sweep.loop import Loop
from mcqa.sweep.trial_source import JobList, recover

Behaviour = Callable[[Mailbox, int], str]
"""What a job has done when it is looked at, given its mailbox and its attempt: `running` or `over` after that."""


def completes(box, attempt):
    box.write_result({"status": "complete", "value": 0.5, "error": None})
    return "over"


def vanishes(box, attempt):
    return "over"


def preempted_twice(box, attempt):
    if attempt == 2:
        return completes(box, attempt)
    (box.folder / "checkpoints" / str(attempt)).mkdir(parents=True, exist_ok=True)
    box.write_result({"status": "preempted", "value": None})
    return "over"


def preempted_in_vain(box, attempt):
    box.write_result({"status": "preempted", "value": None, "error": "Stopped by SIGTERM."})
    return "over"


def runs(box, attempt):
    return "running"


class Jobs:
    """A backend. behaviours: by trial; the others complete."""

    name = "fake"
    grace_s = 0.0

    def __init__(self, **behaviours: Behaviour) -> None:
        self.behaviours = {int(name.removeprefix("t")): behaviour for name, behaviour in behaviours.items()}
        self.submitted: list[tuple[int, int, int]] = []  # trial, attempt, slot
        self.cancelled: list[str] = []
        self.boxes: dict[str, tuple[Mailbox, int]] = {}
        self.refuses = ""
        self.most = 0

    def submit(self, folder, attempt, slot):
        number = int(folder.name)
        if self.refuses:
            raise SubmissionError(self.refuses)
        box, job = Mailbox(folder), f"{number}.{attempt}"
        box.clear_preemption()
        box.add_submission(Submission(attempt, f"token-{job}", job, self.name, "here", slot, time.time()))
        self.submitted.append((number, attempt, slot))
        self.boxes[job] = box, attempt
        self.most = max(self.most, sum(not box.is_finished() for box, _ in self.boxes.values()))
        return job

    def state(self, job):
        if job in self.cancelled:
            return "over"
        box, attempt = self.boxes[job]
        return self.behaviours.get(int(box.folder.name), completes)(box, attempt)

    def reason(self, job):
        return "killed by SIGKILL"

    def cancel(self, job):
        self.cancelled.append(job)

    def attach(self, folder, entry):
        self.boxes[entry.job] = Mailbox(folder), entry.attempt
        return entry.job if self.state(entry.job) == "running" else None

    def close(self): ...


class Studied(JobList):
    """A plan that remembers what it was told, and gives up what reports less than it wants."""

    def __init__(self, count: int, known=(), wants: float = 0.0) -> None:
        super().__init__([[f"x={number}"] for number in range(count)], known)
        self.wants = wants
        self.told: list[tuple[int, Outcome]] = []
        self.reported: list[tuple[int, int, float]] = []

    def judge(self, number, point, value):
        self.reported.append((number, point, value))
        return "prune" if value < self.wants else "continue"

    def tell(self, number, outcome):
        self.told.append((number, outcome))
        super().tell(number, outcome)

    @property
    def ends(self):
        return {number: outcome.status for number, outcome in self.told}


class FakeTime:
    """A clock that goes on only while something sleeps."""

    now = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def loop(folder, study, jobs, known=(), compose=None, observers=(), needs_value=False, sleep=None, **limits):
    every = {"n_trials": 4, "n_jobs": 2, "max_failures": None, "max_resubmits": 2, "timeout_s": None} | limits
    fake = FakeTime()
    controller = Controller(Limits(**every), known, fake.now)

    def written(number, overrides):
        target = folder / "trials" / str(number)
        target.mkdir(parents=True)
        (target / "config.yaml").write_text(" ".join(overrides))
        return target

    console = Console(file=(folder / "printed.txt").open("a"), width=300)
    display = LiveDisplay(console, controller, "maximize", folder)
    return Loop(
        controller, study, jobs, compose or written, folder, display, observers, needs_value,
        clock=fake.clock, sleep=sleep or fake.sleep,
    )  # fmt: skip


def printed(folder):
    return (folder / "printed.txt").read_text()


def test_every_slot_is_busy_until_all_trials_have_ended_and_each_is_reported_once(tmp_path):
    study, jobs = Studied(5), Jobs()
    assert loop(tmp_path, study, jobs, n_trials=5).run(0.0) == COMPLETE
    assert sorted(number for number, _ in study.told) == [0, 1, 2, 3, 4]
    assert {outcome for _, outcome in study.told} == {Outcome("complete", 0.5, None)}
    assert jobs.most == 2 and {slot for _, _, slot in jobs.submitted} == {0, 1}
    assert (tmp_path / "trials" / "3" / "config.yaml").read_text() == "x=3"


def test_a_job_that_vanishes_is_submitted_again_and_fails_in_the_end_with_its_reason(tmp_path):
    study, jobs = Studied(2), Jobs(t0=vanishes)
    loop(tmp_path, study, jobs, n_trials=2, max_resubmits=2).run(0.0)
    assert [attempt for number, attempt, _ in jobs.submitted if number == 0] == [0, 1, 2]
    assert dict(study.told)[0] == Outcome("failed", None, "killed by SIGKILL")
    assert study.ends[1] == "complete"


def test_a_result_that_appears_shortly_after_its_job_is_over_counts(tmp_path):
    study, jobs = Studied(1), Jobs(t0=vanishes)
    jobs.grace_s = 30.0

    def slept(seconds):  # once the job is known to be over
        completes(Mailbox(tmp_path / "trials" / "0"), 0)

    loop(tmp_path, study, jobs, sleep=slept, n_trials=1).run(0.0)
    assert jobs.submitted == [(0, 0, 0)] and study.ends == {0: "complete"}


def test_a_preempted_trial_resumes_as_often_as_it_takes(tmp_path):
    study, jobs = Studied(1), Jobs(t0=preempted_twice)
    loop(tmp_path, study, jobs, n_trials=1, max_resubmits=0).run(0.0)
    assert [attempt for _, attempt, _ in jobs.submitted] == [0, 1, 2]
    assert study.ends == {0: "complete"}


def test_a_trial_that_is_always_stopped_before_it_saves_fails_in_the_end(tmp_path):
    study, jobs = Studied(1), Jobs(t0=preempted_in_vain)
    loop(tmp_path, study, jobs, n_trials=1, max_resubmits=2).run(0.0)
    assert len(jobs.submitted) == 3
    assert study.told == [(0, Outcome("failed", None, "Stopped by SIGTERM before it had saved anything new."))]


def test_reports_are_judged_once_and_a_trial_that_should_be_pruned_is_asked_to_stop(tmp_path):
    def learns(box, attempt):
        if box.prune_requested():
            box.write_result({"status": "pruned", "value": 0.1})
            return "over"
        box.report(10, 0.9)
        box.report(20, 0.1)
        return "running"

    study, jobs = Studied(1, wants=0.5), Jobs(t0=learns)
    loop(tmp_path, study, jobs, n_trials=1).run(0.0)
    assert study.reported == [(0, 10, 0.9), (0, 20, 0.1)]
    assert study.told == [(0, Outcome("pruned", 0.1, None))]


def test_the_last_report_reaches_the_study_before_the_outcome(tmp_path):
    def ends_at_once(box, attempt):
        box.report(10, 0.9)
        return completes(box, attempt)

    study = Studied(1)
    loop(tmp_path, study, Jobs(t0=ends_at_once), n_trials=1).run(0.0)
    assert study.reported == [(0, 10, 0.9)] and study.ends == {0: "complete"}


def another_trial(folder, number):
    """The finished folder of a trial with other overrides."""
    box = Mailbox(folder / "trials" / str(number))
    box.folder.mkdir(parents=True)
    (box.folder / "config.yaml").write_text("x: 77")
    (box.folder / "overrides.yaml").write_text("[x=77]")
    box.add_submission(Submission(0, "token", "old", "fake", "here", 0, time.time()))
    return box


def test_the_folder_of_another_trial_is_set_aside_and_its_result_ignored(tmp_path):
    another_trial(tmp_path, 1).write_result({"status": "complete", "value": 99.0})
    study, jobs = Studied(2), Jobs()
    loop(tmp_path, study, jobs, n_trials=2).run(0.0)
    assert dict(study.told)[1] == Outcome("complete", 0.5, None)
    assert Mailbox(tmp_path / "set_aside" / "1-0").result()["value"] == 99.0
    assert "the folder of trial 1 was another trial's" in printed(tmp_path)


def test_a_folder_with_a_job_of_another_trial_that_has_not_ended_stops_the_study(tmp_path):
    another_trial(tmp_path, 0)
    with pytest.raises(ConfigError, match="a job that has not ended .fake old on here"):
        loop(tmp_path, Studied(1), Jobs(), n_trials=1).run(0.0)


def test_a_trial_for_which_the_study_finds_no_overrides_fails_with_the_reason(tmp_path):
    class Undrawn(Studied):
        def overrides(self, number):
            if number == 1:
                raise ConfigError("function=f: no")
            return super().overrides(number)

        def own_overrides(self, number):
            return []

    study = Undrawn(3)
    loop(tmp_path, study, Jobs(), n_trials=3).run(0.0)
    assert study.ends == {0: "complete", 1: "failed", 2: "complete"}
    assert dict(study.told)[1].error == "function=f: no"


def test_a_refused_first_submission_ends_the_study_with_the_scheduler_s_message(tmp_path):
    study, jobs = Studied(4), Jobs()
    jobs.refuses = "sbatch: error: invalid partition"
    assert loop(tmp_path, study, jobs).run(0.0) == jobs.refuses
    assert study.told == [] and study.known() == [RecoveredTrial(0, None, 0, None), RecoveredTrial(1, None, 0, None)]


class Away(Jobs):
    """Refuses while it is away, as SLURM does: after the submission was announced in job.json."""

    def __init__(self, away, **behaviours):
        super().__init__(**behaviours)
        self.away = away  # attempts at submitting, counted from 0
        self.tried = 0
        self.lost: str | None = None  # the job of a refused submission that was accepted after all

    def submit(self, folder, attempt, slot):
        self.tried += 1
        if self.tried - 1 in self.away:
            Mailbox(folder).add_submission(
                Submission(attempt, f"token-{attempt}", None, self.name, "here", slot, time.time())
            )
            raise SubmissionError("slurmctld is restarting")
        return super().submit(folder, attempt, slot)

    def attach(self, folder, entry):
        if entry.job is None:
            if self.lost:
                self.boxes[self.lost] = Mailbox(folder), entry.attempt
                Mailbox(folder).set_job_id(entry.token, self.lost)
            return self.lost
        return super().attach(folder, entry)


def test_a_scheduler_that_is_away_for_a_moment_costs_no_trial(tmp_path):
    study, jobs = Studied(6), Away({2, 3, 4})
    assert loop(tmp_path, study, jobs, n_trials=6).run(1.0) == COMPLETE
    assert study.ends == dict.fromkeys(range(6), "complete")
    assert "trial 2: refused: slurmctld is restarting" in printed(tmp_path)
    assert len({number for number, _, _ in jobs.submitted}) == len(jobs.submitted) == 6


def test_a_job_that_the_scheduler_took_although_it_said_no_is_not_submitted_again(tmp_path):
    study, jobs = Studied(2), Away({1})
    jobs.lost = "lost"
    assert loop(tmp_path, study, jobs, n_trials=2, n_jobs=1).run(1.0) == COMPLETE
    assert study.ends == {0: "complete", 1: "complete"} and [number for number, _, _ in jobs.submitted] == [0]
    (entry,) = Mailbox(tmp_path / "trials" / "1").submissions()
    assert (entry.job, entry.end) == ("lost", None)


def test_a_trial_that_was_refused_to_the_end_is_submitted_by_the_next_start(tmp_path):
    study, jobs = Studied(1), Away({0})
    assert loop(tmp_path, study, jobs, n_trials=1).run(0.0) == "slurmctld is restarting"
    entries = Mailbox(tmp_path / "trials" / "0").submissions()
    assert [entry.end for entry in entries] == ["refused"]
    known = [recover(tmp_path, 0, None)]
    assert known == [RecoveredTrial(0, None, 1, None)]
    assert loop(tmp_path, Studied(1, known), jobs, known, n_trials=1).run(0.0) == COMPLETE


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"status": "ok", "acc": 1}, "status 'ok'"),
        ({"status": ["complete"]}, "status ['complete']"),
        ({"status": "complete", "value": "high"}, "value 'high'"),
        ({"status": "complete", "value": [0.5, None]}, "value [0.5, None]"),
        ({"status": "complete", "value": ""}, "value ''"),
        ({"status": "complete", "value": 1, "metrics": [1]}, "metrics"),
    ],
)
def test_an_unreadable_result_fails_its_trial_with_a_reason_and_is_not_run_again(tmp_path, result, error):
    def writes(box, attempt):
        box.write_result(result)
        return "over"

    study, jobs = Studied(2), Jobs(t0=writes)
    assert loop(tmp_path, study, jobs, n_trials=2).run(0.0) == COMPLETE
    assert study.ends == {0: "failed", 1: "complete"} and error in dict(study.told)[0].error
    assert [number for number, _, _ in jobs.submitted] == [0, 1]


def test_a_report_that_no_study_could_take_is_left_out(tmp_path):
    def reports(box, attempt):
        (box.folder / "reports.jsonl").write_text(
            '{"point": -1, "value": 1, "time": 1}\n{"point": 1e999, "value": 1, "time": 1}\n'
        )
        box.report(3, 0.5)
        return completes(box, attempt)

    study = Studied(1)
    assert loop(tmp_path, study, Jobs(t0=reports), n_trials=1).run(0.0) == COMPLETE
    assert study.reported == [(0, 3, 0.5)]


def test_a_trial_whose_configuration_cannot_be_composed_fails_alone(tmp_path):
    def composed(number, overrides):
        if number == 2:
            raise ConfigError("x=2: too much")
        (tmp_path / "trials" / str(number)).mkdir(parents=True)

    study = Studied(4)
    assert loop(tmp_path, study, Jobs(), compose=composed).run(0.0) == COMPLETE
    assert study.ends == {0: "complete", 1: "complete", 2: "failed", 3: "complete"}
    assert dict(study.told)[2].error == "x=2: too much"


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (None, Outcome("failed", None, "the trial returned no value; a study needs one number")),
        ([0.5, 1.0], Outcome("failed", None, "the trial returned 2 values; a study needs one number")),
        (float("-inf"), Outcome("failed", None, "value is -inf")),
        ([0.5], Outcome("complete", 0.5, None)),
    ],
)
def test_a_complete_trial_of_a_study_has_one_finite_value(tmp_path, value, outcome):
    def gives(box, attempt):
        box.write_result({"status": "complete", "value": value})
        return "over"

    study = Studied(1)
    watched = loop(tmp_path, study, Jobs(t0=gives), needs_value=True, n_trials=1)
    watched.run(0.0)
    assert study.told == [(0, outcome)]
    assert watched.controller.trials[0].state == outcome.status


# Ctrl-C


def interrupting(*moments):
    """A behaviour: Ctrl-C at these looks (from 1), once for each time that a look is named."""
    looks = 0

    def behaviour(box, attempt):
        nonlocal looks
        looks += 1
        for _ in range(moments.count(looks)):
            os.kill(os.getpid(), signal.SIGINT)
        return "running"

    return behaviour


def test_the_first_ctrl_c_leaves_jobs_running_and_ends_no_trial(tmp_path):
    study, jobs = Studied(4), Jobs(t0=interrupting(2), t1=runs)
    before = signal.getsignal(signal.SIGINT)
    assert loop(tmp_path, study, jobs).run(0.0) == LEFT_RUNNING
    assert (study.told, jobs.cancelled, len(jobs.submitted)) == ([], [], 2)
    assert "2 jobs keep running" in printed(tmp_path)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_shortly_after_cancels_the_jobs(tmp_path):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if seconds == 0.1:
            os.kill(os.getpid(), signal.SIGINT)

    study, jobs = Studied(4), Jobs(t0=interrupting(2), t1=runs)
    assert loop(tmp_path, study, jobs, sleep=sleep).run(0.0) == LEFT_RUNNING
    assert sorted(jobs.cancelled) == ["0.0", "1.0"] and study.told == []
    assert slept.count(0.1) == 1


def test_ctrl_c_twice_at_once_cancels_without_waiting_for_another(tmp_path):
    study, jobs = Studied(4), Jobs(t0=interrupting(2, 2), t1=runs)
    assert loop(tmp_path, study, jobs).run(0.0) == LEFT_RUNNING
    assert sorted(jobs.cancelled) == ["0.0", "1.0"]
    assert "running" not in printed(tmp_path)


def test_ctrl_c_reaches_a_trial_that_runs_within_this_process(tmp_path):
    class Within(Jobs):
        name = "debug"

        def submit(self, folder, attempt, slot):
            super().submit(folder, attempt, slot)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
            raise AssertionError("it went on")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loop(tmp_path, Studied(1), Within(), n_trials=1).run(0.0)
    assert signal.getsignal(signal.SIGINT) is before


def test_after_ctrl_c_only_jobs_that_still_run_are_said_to_keep_running(tmp_path, monkeypatch):
    jobs = Jobs(t0=interrupting(2), t1=interrupting())
    watched = loop(tmp_path, Studied(4), jobs)
    monkeypatch.setattr(jobs, "state", lambda job: "running" if job == "1.0" or not watched.controller.done else "over")
    watched.interrupts = 1
    assert watched.run(0.0) == LEFT_RUNNING
    assert "1 job keeps running; the same command resumes the sweep" in printed(tmp_path)


# After a restart


def left_behind(folder, number, status=None, **more):
    """What an earlier controller submitted, and its result where it has one."""
    target = folder / "trials" / str(number)
    target.mkdir(parents=True)
    (target / "config.yaml").write_text("as it was")
    Mailbox(target).add_submission(Submission(0, f"token-{number}", f"{number}.0", "fake", "here", number, 0.0))
    if status:
        Mailbox(target).write_result({"status": status, "value": None, **more})
    return RecoveredTrial(number, None, 1, f"{number}.0")


def test_a_restart_harvests_what_ended_watches_what_runs_and_submits_what_died(tmp_path):
    known = [
        left_behind(tmp_path, 0, "complete", value=0.25),
        left_behind(tmp_path, 1),  # still runs, and then completes
        left_behind(tmp_path, 2),  # died meanwhile
        left_behind(tmp_path, 3, "preempted"),
        RecoveredTrial(4, None, 0, None),  # asked for, and never submitted
    ]
    looks = []

    def ends_later(box, attempt):
        looks.append(attempt)
        return completes(box, attempt) if len(looks) > 3 else "running"

    def died(box, attempt):
        return completes(box, attempt) if attempt else "over"

    study = Studied(7, known=known)
    jobs = Jobs(t0=vanishes, t1=ends_later, t2=died, t3=died)
    watched = loop(tmp_path, study, jobs, known, n_trials=7, n_jobs=2, max_resubmits=1)
    assert [watched.attach(number) for number in range(5)] == [True, True, True, True, False]
    assert watched.run(0.0) == COMPLETE
    assert sorted(number for number, _ in study.told) == list(range(7))
    assert dict(study.told)[0].value == 0.25
    assert sorted((number, attempt) for number, attempt, _ in jobs.submitted) == [
        (2, 1), (3, 1), (4, 0), (5, 0), (6, 0),
    ]  # fmt: skip
    assert (tmp_path / "trials" / "2" / "config.yaml").read_text() == "as it was"


def test_deaths_are_counted_over_restarts_and_cancelled_jobs_are_none(tmp_path):
    """Each start sees one death and is stopped; the second one is stopped twice, which cancels the job."""
    deaths, ends = [], []
    for stops in (1, 2, 1, 1):
        entries = Mailbox(tmp_path / "trials" / "0").submissions()
        known = [recover(tmp_path, 0, None)] if entries else []
        deaths.append(known[0].vanished if known else 0)
        alive, last = interrupting(*[1] * stops), max(0, len(entries) - 1)

        def dies_once(box, attempt, last=last, alive=alive):
            return "over" if attempt <= last else alive(box, attempt)

        study, jobs = Studied(1, known), Jobs(t0=dies_once)
        watched = loop(tmp_path, study, jobs, known, n_trials=1, max_resubmits=2)
        if known:
            watched.attach(0)
        reason = watched.run(0.0)
        ends.append((reason, study.ends))
    assert deaths == [0, 1, 2, 2]
    assert ends == [(LEFT_RUNNING, {})] * 3 + [(COMPLETE, {0: "failed"})]


def test_reports_from_before_the_restart_are_judged_again(tmp_path):
    known = [left_behind(tmp_path, 0)]
    box = Mailbox(tmp_path / "trials" / "0")
    box.report(10, 0.1)

    def obeys(box, attempt):
        if box.prune_requested():
            box.write_result({"status": "pruned", "value": 0.1})
        return "running"

    study = Studied(1, known, wants=0.5)
    watched = loop(tmp_path, study, Jobs(t0=obeys), known, n_trials=1)
    watched.attach(0)
    watched.run(0.0)
    assert study.ends == {0: "pruned"}


# Trials that pause


class Pausing(Studied):
    """Pauses every trial at its first report, and lets those of `goes_on` go on when no new one can be asked for."""

    def __init__(self, count: int, known=(), goes_on=()) -> None:
        super().__init__(count, known)
        self.goes_on = list(goes_on)
        self.asked: list[tuple[list[int], str]] = []
        self.promoted: set[int | None] = set()

    def judge(self, number, point, value):
        super().judge(number, point, value)
        return "pause" if point == 10 and number not in self.promoted else "continue"

    def promote(self, paused, otherwise):
        self.asked.append((list(paused), otherwise))
        promoted = next((number for number in self.goes_on if number in paused and otherwise != "ask"), None)
        self.promoted.add(promoted)
        return promoted


def pauses(box, attempt):
    """Report once, then pause when asked to; the second start completes."""
    box.report(10, 0.1 * (1 + int(box.folder.name)))
    (box.folder / "checkpoints").mkdir(exist_ok=True)
    if attempt:
        assert not box.pause_requested()
        return completes(box, attempt)
    if not box.pause_requested():
        return "running"
    box.write_result({"status": "paused", "value": 0.0, "metrics": {"dev/acc": 0.2}, "error": None})
    return "over"


def test_a_paused_trial_goes_on_in_its_folder_and_one_that_never_does_is_pruned_with_its_last_value(tmp_path):
    study, jobs = Pausing(3, goes_on=[1]), Jobs(t0=pauses, t1=pauses, t2=pauses)
    watcher = Watcher()
    assert loop(tmp_path, study, jobs, observers=[watcher], n_trials=3, n_jobs=1, max_resubmits=0).run(0.0) == COMPLETE
    assert [(number, attempt) for number, attempt, _ in jobs.submitted] == [(0, 0), (1, 0), (2, 0), (1, 1)]
    assert {slot for _, _, slot in jobs.submitted} == {0}
    assert study.told == [
        (1, Outcome("complete", 0.5, None)),
        (0, Outcome("pruned", None, None)),
        (2, Outcome("pruned", None, None)),
    ]
    assert study.asked[:2] == [([0], "ask"), ([0, 1], "ask")] and study.asked[-1] == ([0, 2], "end")
    boxes = [Mailbox(tmp_path / "trials" / str(number)) for number in range(3)]
    assert [submission.end for submission in boxes[1].submissions()] == ["paused", None]
    assert boxes[2].result() == {
        "status": "pruned",
        "value": pytest.approx(0.3),
        "metrics": {"dev/acc": 0.2},
        "error": None,
    }
    assert [(box.folder / "checkpoints").exists() for box in boxes] == [False, True, False]
    assert sorted(watcher.ended) == [("0", "pruned"), ("1", "complete"), ("2", "pruned")]


def test_a_trial_that_ends_before_it_sees_that_it_should_pause_is_complete(tmp_path):
    def hurries(box, attempt):
        box.report(10, 0.1)
        return completes(box, attempt) if box.pause_requested() else "running"

    study, jobs = Pausing(1), Jobs(t0=hurries)
    assert loop(tmp_path, study, jobs, n_trials=1).run(0.0) == COMPLETE
    assert study.ends == {0: "complete"} and not study.asked


def paused_before(folder, number, *, end=None, result="paused", asked=True):
    """What an earlier controller left of a trial that paused or was to."""
    box = Mailbox(folder / "trials" / str(number))
    box.folder.mkdir(parents=True)
    (box.folder / "config.yaml").touch()
    box.add_submission(Submission(0, f"token-{number}", f"{number}.0", "fake", "here", 0, time.time(), end))
    box.report(10, 0.25)
    if asked:
        box.request_pause()
    if result:
        box.write_result({"status": result, "value": 0.25})
    return recover(folder, number, None)


@pytest.mark.parametrize(
    ("left", "found"),
    [
        ({"end": "paused"}, "done"),
        ({"end": "paused", "asked": False}, "done"),  # it died on the way to let it go on
        ({"end": "paused", "asked": False, "result": None}, "done"),
        ({}, "asked"),  # its end was not seen
        ({"result": "preempted"}, "asked"),
        ({"result": None}, "asked"),  # it was killed before it could save
        ({"result": None, "end": "vanished"}, "asked"),
    ],
)
def test_a_restart_finds_a_trial_paused_or_pausing_and_it_goes_on_from_there(tmp_path, left, found):
    known = [paused_before(tmp_path, 0, **left)]
    assert known[0].pause == found and (known[0].job is None) == (found == "done")
    study, jobs = Pausing(1, known, goes_on=[0]), Jobs()
    jobs.behaviours[0] = lambda box, attempt: completes(box, attempt) if attempt else "over"
    again = loop(tmp_path, study, jobs, known, n_trials=1, max_resubmits=1)
    if known[0].job:
        again.attach(0)
    assert again.run(0.0) == COMPLETE
    assert study.asked == [([0], "end")]
    assert [(number, attempt) for number, attempt, _ in jobs.submitted] == [(0, 1)]
    assert study.ends == {0: "complete"}
    assert not Mailbox(tmp_path / "trials" / "0").pause_requested()


def test_a_trial_that_was_cancelled_or_has_ended_while_it_was_paused_has_ended(tmp_path):
    known = [paused_before(tmp_path, 0, end="paused"), paused_before(tmp_path, 1, end="paused", result="complete")]
    assert [trial.pause for trial in known] == ["done", None]
    study = Pausing(2, known)

    def cancel(seconds):
        Mailbox(tmp_path / "trials" / "0").cancel({"status": "failed", "value": None, "error": "cancelled"})

    jobs = Jobs()
    again = loop(tmp_path, study, jobs, known, n_trials=3, n_jobs=1, sleep=cancel)
    study._left = iter([2])
    study._jobs.append(["x=2"])
    jobs.behaviours[2] = lambda box, attempt: completes(box, attempt) if 0 in study.ends else "running"
    again.attach(1)
    assert again.run(0.0) == COMPLETE
    assert study.ends == {1: "complete", 0: "failed", 2: "complete"}


def test_paused_trials_stay_paused_after_ctrl_c(tmp_path):
    study, jobs = Pausing(4), Jobs(t0=pauses, t1=runs)
    interrupted = loop(tmp_path, study, jobs, n_trials=4, n_jobs=1)
    interrupted.sleep = lambda seconds: os.kill(os.getpid(), signal.SIGINT) if study.asked else None
    assert interrupted.run(0.0) == LEFT_RUNNING
    assert interrupted.controller.counts["paused"] == 1 and not study.told
    assert recover(tmp_path, 0, None).pause == "done"


# Who is notified


class Watcher:
    def __init__(self):
        self.ended, self.ran = [], set()

    def tick(self, running: list[Path]):
        self.ran |= {folder.name for folder in running}

    def trial_ended(self, folder: Path, outcome: Outcome):
        self.ended.append((folder.name, outcome.status))


def test_an_observer_is_notified_of_every_trial_and_its_failure_stops_nothing(tmp_path, caplog):
    class Broken:
        def tick(self, running):
            raise RuntimeError("no server")

        told = None

    looks = []

    def takes_a_while(box, attempt):
        looks.append(attempt)
        return completes(box, attempt) if len(looks) > 3 else "running"

    watcher, study = Watcher(), Studied(2)
    loop(tmp_path, study, Jobs(t0=takes_a_while), observers=[Broken(), watcher], n_trials=2).run(0.0)
    assert sorted(watcher.ended) == [("0", "complete"), ("1", "complete")]
    assert "0" in watcher.ran
    assert "Broken failed: RuntimeError: no server" in caplog.text
