"""What the controller does when the scheduler refuses jobs, by scripted timelines."""

import pytest

from mcqa.sweep.controller import events
from mcqa.sweep.controller.backoff import LONGEST_PAUSE_S, MAX_REFUSALS
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import Outcome, RecoveredTrial
from tests.sweep.controller.timelines import COMPLETE, OUTCOMES, event, limits, play


def test_a_refused_first_submission_ends_the_sweep_with_the_scheduler_s_message_and_a_restart_submits_it():
    controller = play("""
        start                -> ask
        asked 0              -> submit 0/0
        refused 0/0 invalid partition -> finish invalid partition
        tick                 ->
    """)
    assert controller.counts == {"waiting": 1}
    play("start -> submit 0/1, ask", [RecoveredTrial(0, None, 1, None)], n_jobs=2)


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
                todo += controller.on(events.Tick(), now)
            case events.Ask():
                todo += controller.on(events.Asked(len(controller.trials)), now)
            case events.Submit(trial, attempt):
                todo += controller.on(events.Refused(trial, attempt, words), now)
            case other:
                return other
    raise AssertionError("it tries for ever")


def test_too_many_consecutive_refusals_end_the_sweep_with_the_last_message_and_a_restart_submits_the_trials():
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
    assert refused_until_something_else_happens(controller, 0.0, "expired") == events.Finish("expired")
    assert controller.counts == {"complete": 1, "waiting": 2} and controller.backoff.consecutive == MAX_REFUSALS + 1
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
    for _ in range(3 * MAX_REFUSALS):
        now += LONGEST_PAUSE_S
        (submit,) = controller.on(events.Tick(), now)
        assert controller.on(events.Refused(1, submit.attempt, "limit"), now) == []
        attempt = submit.attempt
    assert controller.on(event("ended 0 complete"), now)[-1] == events.Submit(1, attempt + 1)


def test_a_trial_that_alone_is_refused_again_and_again_lets_another_one_try_and_fails_in_the_end():
    """In one slot; the scheduler takes every trial but number 1."""
    controller = Controller(limits(n_trials=20), [], 0.0)
    now, todo, told = 0.0, list(controller.start(0.0)), {}
    while not controller.done:
        while todo:
            match todo.pop(0):
                case events.Ask():
                    todo += controller.on(events.Asked(len(controller.trials)), now)
                case events.Submit(1, attempt):
                    todo += controller.on(events.Refused(1, attempt, "no node has 9 GPUs"), now)
                case events.Submit(number, attempt):
                    todo += controller.on(events.Submitted(number, attempt, "job"), now)
                case events.Tell(number, outcome):
                    told[number] = outcome
        now += 5.0
        running = [trial.number for trial in controller.trials if trial.state == "running"]
        todo += controller.on(events.Ended(running[0], COMPLETE) if running else events.Tick(), now)
    assert told[1] == Outcome("failed", None, "no node has 9 GPUs")
    assert controller.reason == events.COMPLETE and controller.counts == {"complete": 19, "failed": 1}
    assert controller.backoff.refusals[1] < 2 * MAX_REFUSALS and now < 1000


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
        (RecoveredTrial(0, COMPLETE, 1, None), False),
        (RecoveredTrial(0, OUTCOMES["failed"], 2, "12"), False),
        (RecoveredTrial(0, OUTCOMES["failed"], 2, None, vanished=1), False),
        (RecoveredTrial(0, OUTCOMES["failed"], 1, None), True),  # it could not be composed in the session before
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
