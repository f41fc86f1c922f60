"""Trials that pause and go on, by scripted timelines."""

from mcqa.sweep.controller.events import RecoveredTrial
from tests.sweep.controller.timelines import play


def test_a_paused_trial_gives_its_slot_to_a_new_one_and_goes_on_as_the_same_trial_when_it_is_promoted():
    controller = play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        reported 0 100 0.5   -> judge 0 100 0.5
        judged 0 100 pause   -> pause 0
        paused 0/0           -> promote 0 or ask
        promoted             -> ask
        asked 1              -> submit 1/0
        submitted 1/0        ->
        reported 1 100 0.4   -> judge 1 100 0.4
        judged 1 100 pause   -> pause 1
        paused 1/0           -> promote 0 1 or end
        promoted 0           -> submit 0/1
        submitted 0/1        ->
        reported 0 100 0.5   ->
        ended 0 complete     -> tell 0 complete, promote 1 or end
        promoted             -> close 1, tell 1 pruned, finish complete
        """,
        max_resubmits=0,
    )
    assert controller.counts == {"complete": 1, "pruned": 1}
    assert [trial.vanished for trial in controller.trials] == [0, 0]
    assert controller.trials[1].last == (100, 0.4)


def test_a_slot_waits_for_what_others_report_and_no_longer():
    play(
        """
        start                -> ask, ask
        asked 0              -> submit 0/0
        asked 1              -> submit 1/0
        submitted 0/0        ->
        submitted 1/0        ->
        reported 0 100 0.5   -> judge 0 100 0.5
        judged 0 100 pause   -> pause 0
        paused 0/0           -> promote 0 or wait
        tick                 ->
        promoted             ->
        tick                 ->
        reported 1 100 0.5   -> judge 1 100 0.5
        judged 1 100 continue -> promote 0 or wait
        reported 1 200 0.5   -> judge 1 200 0.5
        judged 1 200 continue ->
        promoted             -> promote 0 or wait
        promoted 0           -> submit 0/1
        tick                 ->
        """,
        n_jobs=2,
    )


def test_nothing_ends_while_the_last_promotion_has_no_answer():
    play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        reported 0 100 0.5   -> judge 0 100 0.5
        judged 0 100 pause   -> pause 0
        paused 0/0           -> promote 0 or end
        tick                 ->
        promoted 0           -> submit 0/1
        """,
        n_trials=1,
    )


def test_a_trial_that_was_asked_to_pause_may_still_end():
    play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        reported 0 100 0.5   -> judge 0 100 0.5
        judged 0 100 pause   -> pause 0
        reported 0 200 0.5   -> judge 0 200 0.5
        judged 0 200 pause   ->
        ended 0 complete     -> tell 0 complete, finish complete
        """,
        n_trials=1,
    )


def test_a_trial_whose_job_dies_when_it_was_asked_to_pause_is_paused_and_one_death_counts():
    play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        reported 0 100 0.5   -> judge 0 100 0.5
        judged 0 100 pause   -> pause 0
        vanished 0/0 killed  -> promote 0 or end
        promoted 0           -> submit 0/1
        submitted 0/1        ->
        reported 0 200 0.5   -> judge 0 200 0.5
        judged 0 200 pause   -> pause 0
        vanished 0/1 killed  -> tell 0 failed: killed, finish complete
        """,
        n_trials=1,
        max_resubmits=1,
    )


def test_a_trial_that_the_scheduler_stops_when_it_was_asked_to_pause_is_paused():
    play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        reported 0 100 0.5   -> judge 0 100 0.5
        judged 0 100 pause   -> pause 0
        preempted 0/0        -> promote 0 or end
        paused 0/0           ->
        promoted             -> close 0, tell 0 pruned, finish complete
        """,
        n_trials=1,
    )


def test_a_trial_that_waits_for_its_next_start_pauses_without_one():
    play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        reported 0 100 0.5   -> judge 0 100 0.5
        preempted 0/0        -> submit 0/1
        refused 0/1 busy     ->
        judged 0 100 pause   -> pause 0
        tick                 ->
        @5 tick              -> promote 0 or end
        @6 tick              ->
        @7 promoted 0        -> submit 0/2
        """,
        n_trials=1,
    )


def test_a_judgement_that_comes_again_does_not_pause_a_trial_that_goes_on():
    play(
        """
        start                -> ask
        asked 0              -> submit 0/0
        submitted 0/0        ->
        reported 0 100 0.5   -> judge 0 100 0.5
        judged 0 100 pause   -> pause 0
        paused 0/0           -> promote 0 or end
        judged 0 100 pause   ->
        promoted 0           -> submit 0/1
        judged 0 100 pause   ->
        submitted 0/1        ->
        paused 0/0           ->
        """,
        n_trials=1,
    )


def test_a_paused_trial_that_is_judged_to_be_pruned_ends_at_once():
    play(
        """
        start                -> ask, ask
        asked 0              -> submit 0/0
        asked 1              -> submit 1/0
        submitted 0/0        ->
        submitted 1/0        ->
        reported 0 100 0.5   -> judge 0 100 0.5
        judged 0 100 pause   -> pause 0
        reported 1 100 0.5   -> judge 1 100 0.5
        judged 1 100 pause   -> pause 1
        reported 0 200 0.5   -> judge 0 200 0.5
        reported 1 200 0.5   -> judge 1 200 0.5
        judged 1 200 prune   -> prune 1
        paused 1/0           -> close 1, tell 1 pruned
        paused 0/0           -> promote 0 or end
        judged 0 200 prune   -> close 0, tell 0 pruned
        promoted             -> finish complete
        """,
        n_jobs=2,
    )


def test_a_paused_trial_that_the_user_cancels_ends():
    play(
        """
        start                -> promote 0 or end
        ended 0 failed       -> tell 0 failed: x
        promoted             -> finish complete
        """,
        known=[RecoveredTrial(0, None, 1, None, 0, "done")],
        n_trials=1,
    )


def test_a_restart_finds_paused_trials_and_those_that_were_just_asked_to_pause():
    play(
        """
        start                -> promote 0 2 or wait
        promoted 0           -> submit 0/2, promote 2 or wait
        promoted             ->
        vanished 1/0 gone    -> promote 1 2 or wait
        promoted 2           -> submit 2/1, promote 1 or wait
        submitted 0/2        ->
        """,
        known=[
            RecoveredTrial(0, None, 2, None, 0, "done"),
            RecoveredTrial(1, None, 1, "job", 0, "asked"),
            RecoveredTrial(2, None, 1, None, 0, "done"),
        ],
        n_trials=3,
        n_jobs=3,
    )


def test_a_study_that_ends_early_leaves_paused_trials_to_the_next_start():
    known = [RecoveredTrial(0, None, 1, None, 0, "done"), RecoveredTrial(1, None, 1, "job", 0)]
    play(
        """
        @10 start            -> promote 0 or ask
        @11 promoted         -> ask
        @70 ended 1 complete -> tell 1 complete
        @71 asked 2          -> submit 2/0
        @72 ended 2 complete -> tell 2 complete, finish timeout
        """,
        known=known,
        n_trials=9,
        n_jobs=2,
        timeout_s=60.0,
    )
    play(
        """
        start                -> promote 0 or ask
        ctrl-c               -> finish left running
        promoted 0           ->
        ctrl-c               -> cancel 1
        """,
        known=known,
        n_trials=9,
        n_jobs=2,
    )


def test_where_the_scheduler_refuses_a_promotion_takes_its_turn_after_what_waits():
    play(
        """
        start                -> promote 0 or ask
        promoted             -> ask, ask
        asked 1              -> submit 1/0
        asked 2              -> submit 2/0
        refused 1/0 busy     ->
        submitted 2/0        -> submit 1/1
        refused 1/1 busy     ->
        @5 tick              -> submit 1/2
        @5 submitted 1/2     ->
        """,
        known=[RecoveredTrial(0, None, 1, None, 0, "done")],
        n_trials=3,
        n_jobs=2,
    )
