"""The controller by scripted timelines, and by a world that is as unkind as it can be.

A line of a script is `event -> actions`, perhaps with the time in seconds before it: `@30 tick -> ask`. An attempt
is written trial/attempt; what a job reports is `reported trial point value`.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from mcqa.sweep import events as e
from mcqa.sweep.controller import Controller
from mcqa.sweep.events import Known, Limits, Outcome
from mcqa.sweep.refusals import FIRST_S, LONGEST_S, MOST

COMPLETE = Outcome("complete", (0.5,), None)
OUTCOMES = {"complete": COMPLETE, "pruned": Outcome("pruned", (0.4,), None), "failed": Outcome("failed", None, "x")}


def limits(**changes):
    """Two trials in one slot; name only what the test is about."""
    asked = {"n_trials": 2, "n_jobs": 1, "max_failures": None, "max_resubmits": 2, "timeout_s": None}
    return Limits(**asked | changes)


def event(text):
    word, *rest = text.split(maxsplit=1)
    rest = rest[0] if rest else ""
    trial, _, more = rest.partition(" ")
    number, _, attempt = trial.partition("/")
    match word:
        case "tick" | "exhausted" | "ctrl-c":
            return {"tick": e.Tick, "exhausted": e.Exhausted, "ctrl-c": e.Interrupted}[word]()
        case "asked":
            return e.Asked(int(number))
        case "submitted":
            return e.Submitted(int(number), int(attempt), f"job-{trial}")
        case "refused":
            return e.Refused(int(number), int(attempt), more)
        case "impossible":
            return e.Impossible(int(number), int(attempt), more)
        case "vanished":
            return e.Vanished(int(number), int(attempt), more)
        case "preempted":
            return e.Preempted(int(number), int(attempt))
        case "reported":
            return e.Reported(int(number), int(more.split()[0]), float(more.split()[1]))
        case "judged":
            return e.Judged(int(number), {"prune": True, "keep": False}[more])
        case "ended":
            return e.Ended(int(number), OUTCOMES[more])
    raise AssertionError(text)


def shown(action):
    match action:
        case e.Submit(trial, attempt):
            return f"submit {trial}/{attempt}"
        case e.Tell(trial, outcome):
            return f"tell {trial} {outcome.status}" + (f": {outcome.error}" if outcome.error else "")
        case e.Judge(trial, point, value):
            return f"judge {trial} {point} {value}"
        case e.Prune(trial) | e.Cancel(trial):
            return f"{type(action).__name__.lower()} {trial}"
        case e.Finish(reason):
            return f"finish {reason}"
    return type(action).__name__.lower()


def play(script, known=(), **changes):
    """Play the left sides and compare what comes back with the right sides, all lines at once."""
    controller, now = Controller(limits(**changes), known, 0.0), 0.0
    wanted, got = [], []
    for line in filter(None, map(str.strip, script.splitlines())):
        left, _, right = (part.strip() for part in line.partition("->"))
        if left.startswith("@"):
            now, left = float(left.split()[0][1:]), left.split(maxsplit=1)[1]
        actions = controller.start(now) if left == "start" else controller.on(event(left), now)
        wanted.append(f"{left} -> {right}")
        got.append(f"{left} -> {', '.join(map(shown, actions))}")
    assert "\n".join(got) == "\n".join(wanted)
    return controller


def test_one_slot_asks_runs_and_tells_one_trial_after_the_other():
    controller = play("""
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        ended 0 complete     -> tell 0 complete, ask
        asked 1              -> submit 1/0
        submitted 1/0        ->
        ended 1 complete     -> tell 1 complete, finish complete
    """)
    assert controller.done and controller.counts == {"complete": 2}


def test_a_slot_that_gets_free_is_filled_while_the_slow_trial_runs_on():
    play(
        """
        start                -> ask, ask
        asked 0              -> submit 0/0
        asked 1              -> submit 1/0
        submitted 0/0        ->
        submitted 1/0        ->
        ended 1 complete     -> tell 1 complete, ask
        asked 2              -> submit 2/0
        submitted 2/0        ->
        ended 2 complete     -> tell 2 complete
        ended 0 complete     -> tell 0 complete, finish complete
        """,
        n_trials=3,
        n_jobs=2,
    )


def test_failed_and_pruned_trials_count_towards_the_number_of_trials():
    play("""
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        ended 0 failed       -> tell 0 failed: x, ask
        asked 1              -> submit 1/0
        submitted 1/0        ->
        ended 1 pruned       -> tell 1 pruned, finish complete
    """)


def test_a_study_without_trials_is_over_at_once():
    play("start -> finish complete", n_trials=0)


def test_a_space_that_runs_out_ends_the_study_once_the_rest_has_ended():
    play(
        """
        start                -> ask, ask
        asked 0              -> submit 0/0
        exhausted            ->
        submitted 0/0        ->
        ended 0 complete     -> tell 0 complete, finish search space exhausted
        tick                 ->
        """,
        n_trials=None,
        n_jobs=2,
    )


def test_a_vanished_job_is_submitted_again_until_its_resubmissions_are_used_up():
    play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        vanished 0/0 killed  -> submit 0/1
        submitted 0/1        ->
        vanished 0/1 killed  -> submit 0/2
        submitted 0/2        ->
        vanished 0/2 node n1 is gone -> tell 0 failed: node n1 is gone, finish complete
        """,
        n_trials=1,
    )


def test_without_resubmissions_the_first_death_is_the_end_of_a_trial():
    play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        vanished 0/0 killed  -> tell 0 failed: killed, finish complete
        """,
        n_trials=1,
        max_resubmits=0,
    )


def test_preemption_does_not_use_up_resubmissions():
    play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        preempted 0/0        -> submit 0/1
        submitted 0/1        ->
        vanished 0/1 killed  -> submit 0/2
        submitted 0/2        ->
        preempted 0/2        -> submit 0/3
        submitted 0/3        ->
        vanished 0/3 killed  -> tell 0 failed: killed, finish complete
        """,
        n_trials=1,
        max_resubmits=1,
    )


def test_late_and_repeated_events_change_nothing():
    play("""
        start                -> ask
        asked 0              -> submit 0/0
        asked 0              ->
        submitted 0/0        ->
        submitted 0/0        ->
        vanished 0/0 killed  -> submit 0/1
        vanished 0/0 killed  ->
        submitted 0/0        ->
        preempted 0/0        ->
        refused 0/0 late     ->
        submitted 0/1        ->
        vanished 0/0 killed  ->
        reported 0 800 0.6   -> judge 0 800 0.6
        ended 0 complete     -> tell 0 complete, ask
        ended 0 failed       ->
        reported 0 900 0.6   ->
        judged 0 prune       ->
        vanished 0/1 killed  ->
        preempted 0/1        ->
        submitted 0/1        ->
        ended 7 complete     ->
        reported 7 800 0.6   ->
        judged 7 prune       ->
        vanished 7/0 killed  ->
    """)


def test_a_result_that_arrives_after_its_job_seemed_to_vanish_counts():
    play("""
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        vanished 0/0 silent  -> submit 0/1
        ended 0 complete     -> tell 0 complete, ask
        submitted 0/1        ->
    """)


def test_a_job_may_end_or_vanish_before_the_news_of_its_submission():
    play("""
        start                -> ask
        asked 0              -> submit 0/0
        vanished 0/0 killed  -> submit 0/1
        submitted 0/0        ->
        ended 0 complete     -> tell 0 complete, ask
        submitted 0/1        ->
    """)


def test_the_job_of_a_resubmitted_trial_is_the_new_one():
    controller = play("""
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        vanished 0/0 killed  -> submit 0/1
        submitted 0/0        ->
    """)
    (trial,) = controller.trials
    assert (trial.state, trial.job) == ("submitting", None)
    controller.on(event("submitted 0/1"), 0.0)
    assert (trial.state, trial.job, trial.attempt) == ("running", "job-0/1", 1)


def test_a_point_that_a_resumed_trial_reports_again_is_judged_once():
    controller = play("""
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        reported 0 800 0.6   -> judge 0 800 0.6
        reported 0 1600 0.7  -> judge 0 1600 0.7
        judged 0 keep        ->
        vanished 0/0 killed  -> submit 0/1
        submitted 0/1        ->
        reported 0 800 0.5   ->
        reported 0 1600 0.5  ->
        reported 0 1200 0.5  -> judge 0 1200 0.5
    """)
    assert controller.trials[0].last == (1600, 0.7)


def test_a_trial_judged_twice_is_asked_to_stop_once_and_may_still_end_complete():
    play("""
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        reported 0 800 0.6   -> judge 0 800 0.6
        judged 0 prune       -> prune 0
        reported 0 1600 0.6  -> judge 0 1600 0.6
        judged 0 prune       ->
        ended 0 complete     -> tell 0 complete, ask
    """)


def test_a_refused_first_submission_ends_the_sweep_with_the_schedulers_words_and_leaves_its_trial_to_a_restart():
    controller = play("""
        start                -> ask
        asked 0              -> submit 0/0
        refused 0/0 invalid partition -> finish invalid partition
        tick                 ->
    """)
    assert controller.counts == {"waiting": 1}
    play("start -> submit 0/1, ask", [Known(0, None, 1, None)], n_jobs=2)


def test_a_refused_first_submission_waits_for_what_is_under_way_and_submits_nothing_more():
    controller = play(
        """
        start                -> ask, ask, ask
        asked 0              -> submit 0/0
        asked 1              -> submit 1/0
        refused 0/0 quota    ->
        asked 2              ->
        refused 1/0 quota    -> finish quota
        """,
        n_trials=9,
        n_jobs=3,
    )
    assert controller.counts == {"waiting": 3}


def test_a_refused_trial_waits_and_is_tried_again_after_growing_pauses():
    play(
        """
        @0 start                -> ask
        @0 asked 0              -> submit 0/0
        @0 submitted 0/0        ->
        @10 ended 0 complete    -> tell 0 complete, ask
        @10 asked 1             -> submit 1/0
        @10 refused 1/0 away    ->
        @14.9 tick              ->
        @15 tick                -> submit 1/1
        @16 refused 1/1 away    ->
        @25.9 tick              ->
        @26 tick                -> submit 1/2
        @26 submitted 1/2       ->
        @40 ended 1 complete    -> tell 1 complete, finish complete
        """
    )


def test_after_a_refusal_one_trial_finds_out_whether_the_scheduler_is_back_and_then_all_slots_are_filled():
    play(
        """
        @0 start                -> ask, ask, ask
        @0 asked 0              -> submit 0/0
        @0 submitted 0/0        ->
        @0 asked 1              -> submit 1/0
        @0 asked 2              -> submit 2/0
        @1 refused 1/0 away     ->
        @2 refused 2/0 away     ->
        @6.9 tick               ->
        @7 tick                 -> submit 1/1
        @8 submitted 1/1        -> submit 2/1
        @9 submitted 2/1        ->
        """,
        n_trials=9,
        n_jobs=3,
    )


def test_a_trial_that_died_waits_too_when_its_resubmission_is_refused_and_no_other_takes_its_place():
    play("""
        @0 start                -> ask
        @0 asked 0              -> submit 0/0
        @0 submitted 0/0        ->
        @9 vanished 0/0 killed  -> submit 0/1
        @9 refused 0/1 away     ->
        @14 tick                -> submit 0/2
        @14 submitted 0/2       ->
        @20 vanished 0/2 killed -> submit 0/3
        @20 submitted 0/3       ->
        @30 vanished 0/3 killed -> tell 0 failed: killed, ask
    """)


def test_the_end_of_a_job_may_be_what_the_scheduler_waits_for():
    play(
        """
        @0 start                -> ask, ask
        @0 asked 0              -> submit 0/0
        @0 asked 1              -> submit 1/0
        @0 submitted 0/0        ->
        @0 refused 1/0 limit    ->
        @2 ended 0 complete     -> tell 0 complete, submit 1/1
        @2 submitted 1/1        -> ask
        @2 asked 2              -> submit 2/0
        @2 refused 2/0 limit    ->
        """,
        n_trials=9,
        n_jobs=2,
    )


def refused_until_something_else_happens(controller, now, words):
    """Let time pass and refuse whatever is submitted: what the controller does at last."""
    todo = []
    for _ in range(10_000):
        now += 0.0 if todo else 5.0
        match todo.pop(0) if todo else None:
            case None:
                todo += controller.on(e.Tick(), now)
            case e.Ask():
                todo += controller.on(e.Asked(len(controller.trials)), now)
            case e.Submit(trial, attempt):
                todo += controller.on(e.Refused(trial, attempt, words), now)
            case other:
                return other
    raise AssertionError("it tries for ever")


def test_too_many_refusals_in_a_row_end_the_sweep_with_the_last_words_and_leave_trials_to_a_restart():
    controller = play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        ended 0 complete     -> tell 0 complete, ask
        asked 1              -> submit 1/0
        refused 1/0 away     ->
        """,
        n_trials=9,
    )
    assert refused_until_something_else_happens(controller, 0.0, "expired") == e.Finish("expired")
    assert controller.counts == {"complete": 1, "waiting": 2} and controller.refusals.in_a_row == MOST + 1
    assert controller.elapsed < 2 * 3600


def test_while_something_runs_there_are_never_too_many_refusals():
    controller = play(
        """
        start                -> ask, ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        asked 1              -> submit 1/0
        refused 1/0 limit    ->
        """,
        n_trials=2,
        n_jobs=2,
    )
    now, attempt = 0.0, 0
    for _ in range(3 * MOST):
        now += LONGEST_S
        (submit,) = controller.on(e.Tick(), now)
        assert controller.on(e.Refused(1, submit.attempt, "limit"), now) == []
        attempt = submit.attempt
    assert controller.on(event("ended 0 complete"), now)[-1] == e.Submit(1, attempt + 1)


def test_a_trial_that_alone_is_refused_again_and_again_lets_another_one_try_and_fails_in_the_end():
    """In one slot; the scheduler takes every trial but number 1."""
    controller = Controller(limits(n_trials=20), [], 0.0)
    now, todo, told = 0.0, list(controller.start(0.0)), {}
    while not controller.done:
        while todo:
            match todo.pop(0):
                case e.Ask():
                    todo += controller.on(e.Asked(len(controller.trials)), now)
                case e.Submit(1, attempt):
                    todo += controller.on(e.Refused(1, attempt, "no node has 9 GPUs"), now)
                case e.Submit(number, attempt):
                    todo += controller.on(e.Submitted(number, attempt, "job"), now)
                case e.Tell(number, outcome):
                    told[number] = outcome
        now += 5.0
        running = [trial.number for trial in controller.trials if trial.state == "running"]
        todo += controller.on(e.Ended(running[0], COMPLETE) if running else e.Tick(), now)
    assert told[1] == Outcome("failed", None, "no node has 9 GPUs")
    assert controller.reason == e.COMPLETE and controller.counts == {"complete": 19, "failed": 1}
    assert controller.refusals.times[1] < 2 * MOST and now < 1000


def test_what_cannot_be_composed_fails_alone_even_if_it_comes_first():
    play("""
        start                -> ask
        asked 0              -> submit 0/0
        impossible 0/0 no db -> tell 0 failed: no db, ask
        impossible 0/0 no db ->
        asked 1              -> submit 1/0
        refused 1/0 quota    -> finish quota
    """)


@pytest.mark.parametrize(
    ("known", "ends"),
    [
        (Known(0, COMPLETE, 1, None), False),
        (Known(0, OUTCOMES["failed"], 2, "12"), False),
        (Known(0, OUTCOMES["failed"], 2, None, vanished=1), False),
        (Known(0, OUTCOMES["failed"], 1, None), True),  # it could not be composed in the session before
    ],
)
def test_after_a_restart_a_refusal_ends_the_sweep_only_if_no_job_was_ever_accepted(known, ends):
    play(
        f"""
        start                -> ask
        asked 1              -> submit 1/0
        refused 1/0 quota    -> {"finish quota" if ends else ""}
        """,
        [known],
        n_trials=3,
    )


def test_ctrl_c_while_the_scheduler_is_away_ends_the_sweep_as_ever():
    play("""
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        vanished 0/0 killed  -> submit 0/1
        refused 0/1 away     ->
        ctrl-c               -> finish left running
        @900 tick            ->
    """)


def test_more_failures_than_allowed_end_asking_and_what_runs_goes_on():
    play(
        """
        start                -> ask, ask
        asked 0              -> submit 0/0
        asked 1              -> submit 1/0
        submitted 0/0        ->
        submitted 1/0        ->
        ended 0 failed       -> tell 0 failed: x, ask
        asked 2              -> submit 2/0
        submitted 2/0        ->
        ended 2 failed       -> tell 2 failed: x
        vanished 1/0 killed  -> submit 1/1
        submitted 1/1        ->
        ended 1 complete     -> tell 1 complete, finish too many failures
        """,
        n_trials=9,
        n_jobs=2,
        max_failures=1,
    )


def test_after_the_timeout_nothing_is_asked_and_what_runs_goes_on():
    play(
        """
        start                   -> ask
        @10 asked 0             -> submit 0/0
        @20 submitted 0/0       ->
        @99 ended 0 complete    -> tell 0 complete, ask
        @101 asked 1            -> submit 1/0
        @102 submitted 1/0      ->
        @500 vanished 1/0 gone  -> submit 1/1
        @501 submitted 1/1      ->
        @900 ended 1 complete   -> tell 1 complete, finish out of time
        """,
        n_trials=9,
        timeout_s=100,
    )


def test_a_clock_that_jumps_back_neither_stops_nor_lengthens_the_sweep():
    controller = play(
        """
        @1000 start             -> ask
        @1060 asked 0           -> submit 0/0
        @-5000 submitted 0/0    ->
        @-4970 ended 0 complete -> tell 0 complete, ask
        @-4959 asked 1          -> submit 1/0
        @-4958 submitted 1/0    ->
        @-9999 ended 1 complete -> tell 1 complete, finish out of time
        """,
        n_trials=9,
        timeout_s=1102,  # 1000 + 60 + 30 + 11 + 1 seconds by the clock that never goes back
    )
    assert [trial.since for trial in controller.trials] == [1090, 1102]


def test_the_first_ctrl_c_leaves_jobs_running_and_the_second_cancels_them():
    play(
        """
        start                -> ask, ask, ask
        asked 0              -> submit 0/0
        asked 1              -> submit 1/0
        submitted 0/0        ->
        ctrl-c               -> finish left running
        asked 2              ->
        reported 0 800 0.6   ->
        vanished 0/0 killed  ->
        tick                 ->
        ctrl-c               -> cancel 0
        submitted 1/0        -> cancel 1
        ctrl-c               ->
        """,
        n_trials=9,
        n_jobs=3,
    )


def test_a_job_whose_submission_was_under_way_at_the_first_ctrl_c_is_cancelled_by_the_second():
    play("""
        start                -> ask
        asked 0              -> submit 0/0
        ctrl-c               -> finish left running
        submitted 0/0        ->
        ctrl-c               -> cancel 0
    """)


def test_a_result_after_ctrl_c_is_left_for_the_restart_to_tell():
    play("""
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        ctrl-c               -> finish left running
        ended 0 complete     ->
    """)
    play(
        """
        start                -> ask
        ended 0 complete     -> tell 0 complete
        """,
        [Known(0, None, 1, "job-0/0")],
        n_jobs=2,
    )


def test_ctrl_c_after_the_end_does_nothing():
    play(
        """
        start                -> finish complete
        ctrl-c               ->
        """,
        n_trials=0,
    )


def test_a_restart_takes_up_what_it_finds_and_asks_only_for_the_rest():
    """Trial 0 was told, 1 still runs, 2 ran twice and has no job, 3 was asked and never submitted."""
    known = [Known(3, None, 0, None), Known(2, None, 2, None), Known(1, None, 1, "12"), Known(0, COMPLETE, 1, "11")]
    play(
        """
        start                -> submit 2/2, submit 3/0, ask
        asked 4              -> submit 4/0
        vanished 1/0 killed  -> submit 1/1
        """,
        known,
        n_trials=5,
        n_jobs=4,
    )


def test_a_restart_in_fewer_slots_lets_jobs_run_on_and_submits_none_before_they_are_few_enough():
    play(
        """
        start                ->
        ended 0 complete     -> tell 0 complete
        vanished 1/0 killed  -> submit 1/1
        submitted 1/1        ->
        ended 1 complete     -> tell 1 complete, submit 2/0
        submitted 2/0        ->
        ended 2 complete     -> tell 2 complete, finish complete
        """,
        [Known(0, None, 1, "10"), Known(1, None, 1, "11"), Known(2, None, 0, None)],
        n_trials=3,
    )


def test_a_restart_of_a_finished_study_finishes_at_once():
    play("start -> finish complete", [Known(0, COMPLETE, 1, "10"), Known(1, OUTCOMES["pruned"], 1, "11")])


def test_a_restart_counts_the_failures_and_the_deaths_of_the_session_before():
    play("start -> finish too many failures", [Known(0, OUTCOMES["failed"], 1, "1")], n_trials=3, max_failures=0)
    play(
        """
        start                ->
        vanished 0/4 killed  -> tell 0 failed: killed, finish complete
        """,
        [Known(0, None, 5, "10", vanished=2)],
        n_trials=1,
    )


@dataclass
class Job:
    trial: int
    attempt: int
    alive: bool = True
    given_up: bool = False  # it was said to be gone, truly or not


@dataclass
class Life:
    """What one controller was told and did, counted independently of it."""

    controller: Controller
    running: set[int]
    asks: int = 0
    submits: Counter = field(default_factory=Counter)
    preemptions: Counter = field(default_factory=Counter)
    refusals: Counter = field(default_factory=Counter)
    accepts: bool = False  # the scheduler did once
    held_until: float = 0.0  # nothing may be asked or submitted before, by the controller's clock
    deaths: dict[int, set[int]] = field(default_factory=dict)  # attempts
    judged: list[tuple[int, int]] = field(default_factory=list)
    pruned: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)


class World:
    """A study, a scheduler, and jobs that outlive the controller. News under way is lost with it, the truth is not."""

    def __init__(self, limits, space, dice):
        self.limits, self.space, self.dice = limits, space, dice
        self.study: dict[int, Outcome | None] = {}  # None: not told
        self.results: dict[int, Outcome] = {}
        self.attempts: Counter = Counter()
        self.noted: dict[int, Job] = {}  # a trial's last job
        self.deaths: Counter = Counter()  # of former lives
        self.reports: list[e.Reported] = []
        self.jobs: list[Job] = []
        self.past: list[e.Event] = []
        self.log: list[str] = []
        self.now = 0.0
        self.outage = dice.choice([0, 0, 60, 290])  # seconds of every five minutes
        self.live()

    def live(self):
        """Start a controller from what the world knows, and tell it of the jobs that are gone."""
        self.log.append("--- a controller starts")
        self.inbox: list[e.Event] = list(self.reports)
        self.pending: list[e.Submit] = []
        controller = Controller(self.limits, [self.known(trial) for trial in self.study], self.now)
        self.life = Life(controller, {n for n in self.noted if self.study[n] is None})
        self.slots = len(self.life.running)  # more than n_jobs, perhaps, but never growing
        for job in self.noted.values():
            job.given_up = False
            if job.trial in self.results:
                self.inbox.append(e.Ended(job.trial, self.results[job.trial]))
            elif not job.alive:
                self.gone(job)
        self.carry_out(controller.start(self.now))

    def known(self, trial):
        job = f"job {trial}/{self.noted[trial].attempt}" if trial in self.noted else None
        return Known(trial, self.study[trial], self.attempts[trial], job, self.deaths[trial])

    def gone(self, job):
        job.given_up = True
        self.inbox.append(e.Vanished(job.trial, job.attempt, "gone"))

    def send(self, event):
        match event:
            case e.Asked(trial) if all(trial != old.number for old in self.life.controller.trials):
                self.life.asks -= 1
                self.life.running.add(trial)
            case e.Exhausted():
                self.life.asks -= 1
            case e.Preempted(trial, attempt) | e.Vanished(trial, attempt):
                self.lose(event, trial, attempt)
        self.log.append(f"{self.now:.0f} {event}")
        self.hold(event)
        self.carry_out(self.life.controller.on(event, self.now))
        if not isinstance(event, e.Exhausted | e.Interrupted):
            self.past.append(event)
        self.check()

    def hold(self, event):
        """A refusal holds everything for a while, unless a job is accepted or ends."""
        submitted = {(one.number, one.attempt) for one in self.life.controller.trials if one.state == "submitting"}
        match event:
            case e.Refused(trial, attempt) if (trial, attempt) in submitted:
                self.life.refusals[trial] += 1
                self.life.running.discard(trial)
                self.life.held_until = self.life.controller.elapsed + FIRST_S
            case e.Submitted(trial, attempt) if (trial, attempt) in submitted:
                self.life.accepts, self.life.held_until = True, 0.0
            case e.Ended() | e.Vanished() | e.Preempted():
                self.life.held_until = 0.0

    def lose(self, event, trial, attempt):
        for job in self.jobs:
            job.given_up |= (job.trial, job.attempt) == (trial, attempt)
        if isinstance(event, e.Vanished):
            self.life.deaths.setdefault(trial, set()).add(attempt)
        if any(attempt == now.attempt for now in self.life.controller.trials if now.number == trial):
            self.life.running.discard(trial)  # until it is submitted again
            self.life.preemptions[trial] += isinstance(event, e.Preempted)

    def carry_out(self, actions):
        for action in actions:
            self.log.append(f"    {shown(action)}")
            assert not self.life.finishes or isinstance(action, e.Cancel)
            held = self.life.controller.elapsed < self.life.held_until
            assert not (held and isinstance(action, e.Ask | e.Submit)), "no pause after a refusal"
            match action:
                case e.Ask():
                    self.ask()
                case e.Submit(trial):
                    self.life.running.add(trial)
                    self.life.submits[trial] += 1
                    self.pending.append(action)
                case e.Tell(trial, outcome):
                    self.tell(trial, outcome)
                case e.Judge(trial, point, value):
                    self.life.judged.append((trial, point))
                    self.inbox.append(e.Judged(trial, value < 0.5))
                case e.Prune(trial):
                    self.life.pruned.append(trial)
                case e.Cancel(trial):
                    self.life.cancelled.append(trial)
                case e.Finish(reason):
                    self.life.finishes.append(reason)
                    enough = self.life.refusals.total() > MOST
                    assert reason != "refused" or enough or not self.life.accepts, "no patience with the scheduler"

    def ask(self):
        self.life.asks += 1
        if self.space is not None and len(self.study) >= self.space:
            self.inbox.append(e.Exhausted())
        else:
            self.inbox.append(e.Asked(len(self.study)))
            self.study[len(self.study)] = None

    def tell(self, trial, outcome):
        assert self.study[trial] is None, "told twice"
        deaths = self.deaths[trial] + len(self.life.deaths.get(trial, ()))
        assert outcome.error != "gone" or deaths > self.limits.max_resubmits
        assert outcome.error != "refused" or self.life.refusals[trial] > MOST
        self.study[trial] = outcome
        self.life.running.discard(trial)

    def moves(self):
        """What may happen next, with its weight."""
        living = [job for job in self.jobs if job.alive]
        return [
            (self.something_arrives_in_any_order_perhaps_twice, 30 * bool(self.inbox)),
            (lambda: self.send(self.dice.choice(self.past)), 5 * bool(self.past)),
            (self.time_jumps, 3 + 10 * (self.life.controller.refusals.words is not None)),
            (lambda: self.answer(self.dice.choice(self.pending), not self.is_away()), 15 * bool(self.pending)),
            (lambda: self.a_job_reports(self.dice.choice(living)), 5 * bool(living)),
            (lambda: self.end(self.dice.choice(living), self.dice.choice(ENDS)), 10 * bool(living)),
            (lambda: self.send(e.Interrupted()), 0.5 + bool(self.life.finishes)),
            (self.the_controller_is_killed_and_starts_again, 1 + 10 * bool(self.life.finishes)),
        ]

    def is_away(self):
        """The scheduler, for some stretches of time and now and then."""
        return self.now % 300 < self.outage or self.dice.random() < 0.1

    def something_arrives_in_any_order_perhaps_twice(self):
        event = self.inbox.pop(self.dice.randrange(len(self.inbox)))
        if self.dice.random() < 0.2 and not isinstance(event, e.Exhausted):
            self.inbox.append(event)
        self.now += self.dice.uniform(-5, 10)
        self.send(event)

    def time_jumps(self):
        self.now += self.dice.choice([-1e6, -60, 30, 200])
        self.send(e.Tick())

    def answer(self, submit, accepts):
        """The scheduler does, to a submission."""
        last = self.noted.pop(submit.trial, None)
        assert last is None or (last.given_up and last.attempt < submit.attempt), "the trial has a job"
        self.pending.remove(submit)
        self.attempts[submit.trial] = submit.attempt + 1
        if not accepts:
            self.inbox.append(e.Refused(submit.trial, submit.attempt, "refused"))
            return
        self.noted[submit.trial] = Job(submit.trial, submit.attempt)
        self.jobs.append(self.noted[submit.trial])
        self.inbox.append(e.Submitted(submit.trial, submit.attempt, f"job {submit.trial}/{submit.attempt}"))

    def a_job_reports(self, job):
        report = e.Reported(job.trial, self.dice.randint(1, 3), self.dice.choice([0.4, 0.6]))
        self.reports.append(report)
        self.inbox.append(report)

    def end(self, job, how):
        """A silent job is taken for dead and lives on: its result comes late."""
        job.alive = how == "silent"
        if how in OUTCOMES:
            self.inbox.append(e.Ended(job.trial, self.results.setdefault(job.trial, OUTCOMES[how])))
        elif how == "preempted" and not job.given_up:
            job.given_up = True
            self.inbox.append(e.Preempted(job.trial, job.attempt))
        elif not job.given_up:
            self.gone(job)

    def the_controller_is_killed_and_starts_again(self):
        """Local jobs die with it. A submission under way is forgotten, or stands in job.json without a job."""
        for submit in self.pending if self.dice.random() < 0.5 else []:
            self.attempts[submit.trial] = submit.attempt + 1
            self.noted.pop(submit.trial, None)
        for job in self.jobs if self.dice.random() < 0.5 else []:
            job.alive = False
        self.deaths.update({trial: len(attempts) for trial, attempts in self.life.deaths.items()})
        self.limits = replace(self.limits, n_jobs=self.dice.randint(1, 4))
        self.live()

    def check(self):
        life, limits = self.life, self.limits
        occupied = life.asks + len(life.running)
        self.slots = max(limits.n_jobs, min(self.slots, occupied))
        assert occupied <= self.slots or life.finishes, "more than n_jobs"
        assert occupied >= limits.n_jobs or life.finishes or not self.wants_more(), "an idle slot"
        assert len(self.study) <= limits.n_trials
        for once in (life.judged, life.pruned, life.cancelled, life.finishes):
            assert len(set(once)) == len(once) and len(life.finishes) <= 1
        for trial, submits in life.submits.items():
            assert submits <= 1 + limits.max_resubmits + life.preemptions[trial] + life.refusals[trial]

    def wants_more(self):
        unlimited = self.limits.timeout_s is None and self.space is None and self.limits.max_failures is None
        return len(self.study) < self.limits.n_trials and unlimited and self.life.controller.refusals.words is None

    def come_to_an_end(self):
        """From here on the world is kind, and every study ends, if need be by starting it again."""
        for _ in range(3):
            self.settle()
            assert self.life.finishes, "the loop would wait for ever"
            if self.life.finishes[0] in (e.COMPLETE, e.EXHAUSTED, e.FAILURES, e.TIMEOUT):
                return self.life.finishes[0]
            self.live()
        raise AssertionError("refused or interrupted for ever")

    def settle(self):
        while self.pending or self.inbox or not self.life.finishes:
            living = [job for job in self.jobs if job.alive]
            if self.pending:
                self.answer(self.pending[0], True)
            elif self.inbox:
                self.send(self.inbox.pop(0))
            elif living:
                self.end(living[0], "complete")
            elif self.life.controller.refusals.words is not None:
                self.now += LONGEST_S
                self.send(e.Tick())
            else:
                return


ENDS = [*OUTCOMES, "dies", "dies", "preempted", "silent"]


@settings(max_examples=400, deadline=None)
@given(
    st.builds(
        Limits,
        n_trials=st.integers(0, 8),
        n_jobs=st.integers(1, 4),
        max_failures=st.none() | st.integers(0, 3),
        max_resubmits=st.integers(0, 2),
        timeout_s=st.none() | st.just(150.0),
    ),
    st.none() | st.integers(0, 8),
    st.integers(0, 150),
    st.integers(0, 2**32),
)
def test_in_an_unkind_world_no_trial_is_lost_or_told_twice_and_every_study_ends(limits, space, moves, seed):
    world = World(limits, space, Random(seed))
    try:
        for _ in range(moves):
            possible, weights = zip(*world.moves(), strict=True)
            world.dice.choices(possible, weights)[0]()
        reason = world.come_to_an_end()
    finally:
        note("\n".join(world.log))
    assert None not in world.study.values(), "lost"
    failed = sum(outcome.status == "failed" for outcome in world.study.values())
    assert reason != e.COMPLETE or len(world.study) == limits.n_trials
    assert reason != e.EXHAUSTED or len(world.study) == space
    assert reason != e.FAILURES or failed > limits.max_failures
    assert reason != e.TIMEOUT or limits.timeout_s is not None
