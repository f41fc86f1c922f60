"""The controller by scripted timelines; what the scheduler refuses and an unkind world have tests of their own."""

from mcqa.sweep.controller.events import CANCELLED, RecoveredTrial
from tests.sweep.controller.timelines import COMPLETE, OUTCOMES, event, play


def test_one_slot_asks_runs_and_reports_one_trial_after_the_other():
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


def test_a_free_slot_is_filled_while_a_slow_trial_keeps_running():
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
        judged 0 continue    ->
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


def test_after_too_many_failures_no_trial_is_asked_for_and_what_runs_keeps_running():
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


def test_after_identical_failures_no_more_trials_are_asked_for():
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
        ended 1 failed       -> tell 1 failed: x, ask
        asked 3              -> submit 3/0
        submitted 3/0        ->
        ended 2 failed       -> tell 2 failed: x
        ended 3 failed       -> tell 3 failed: x, finish identical failures
        """,
        n_trials=9,
        n_jobs=2,
        max_identical_failures=3,
    )


def test_where_one_trial_succeeds_or_fails_with_another_error_more_are_asked_for():
    script = """
        start                -> ask, ask
        asked 0              -> submit 0/0
        asked 1              -> submit 1/0
        submitted 0/0        ->
        submitted 1/0        ->
        ended 0 failed       -> tell 0 failed: x, ask
        asked 2              -> submit 2/0
        impossible 2/0 {words} -> tell 2 failed: {words}, ask
        asked 3              -> submit 3/0
        submitted 3/0        ->
        ended 3 failed       -> tell 3 failed: x{more}
        ended 1 {end}       -> tell 1 {end}, {last}
    """
    play(
        script.format(words="y", more=", ask", end="pruned", last="ask"), n_trials=9, n_jobs=2, max_identical_failures=3
    )
    play(
        script.format(words="x", more="", end="complete", last="ask, ask"),
        n_trials=9,
        n_jobs=2,
        max_identical_failures=3,
    )


def test_failures_of_trials_from_before_a_restart_do_not_count_as_identical():
    known = [RecoveredTrial(number, OUTCOMES["failed"], 1, "1") for number in range(3)]
    known += [RecoveredTrial(number, None, 1, "1") for number in range(3, 6)]
    play(
        """
        start                ->
        ended 3 failed       -> tell 3 failed: x
        ended 4 failed       -> tell 4 failed: x
        ended 5 failed       -> tell 5 failed: x, ask
        """,
        known,
        n_trials=9,
        max_identical_failures=3,
    )


def test_failures_after_a_report_or_by_cancellation_do_not_count_as_identical():
    begun = """
        asked {n}              -> submit {n}/0
        submitted {n}/0        ->
        reported {n} 1 0.5     -> judge {n} 1 0.5
        ended {n} failed       -> tell {n} failed: x, ask
    """
    play("start -> ask" + "".join(begun.format(n=n) for n in range(4)), n_trials=9, max_identical_failures=3)
    begun = f"""
        asked {{n}}              -> submit {{n}}/0
        impossible {{n}}/0 {CANCELLED} -> tell {{n}} failed: {CANCELLED}, ask
    """
    play("start -> ask" + "".join(begun.format(n=n) for n in range(4)), n_trials=9, max_identical_failures=3)


def test_after_the_timeout_nothing_is_asked_for_and_what_runs_keeps_running():
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
        @900 ended 1 complete   -> tell 1 complete, finish timeout
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
        @-9999 ended 1 complete -> tell 1 complete, finish timeout
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
        [RecoveredTrial(0, None, 1, "job-0/0")],
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
    known = [
        RecoveredTrial(3, None, 0, None),
        RecoveredTrial(2, None, 2, None),
        RecoveredTrial(1, None, 1, "12"),
        RecoveredTrial(0, COMPLETE, 1, "11"),
    ]
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


def test_a_restart_in_fewer_slots_keeps_jobs_running_and_submits_none_before_they_are_few_enough():
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
        [RecoveredTrial(0, None, 1, "10"), RecoveredTrial(1, None, 1, "11"), RecoveredTrial(2, None, 0, None)],
        n_trials=3,
    )


def test_a_restart_of_a_finished_study_finishes_at_once():
    play(
        "start -> finish complete",
        [RecoveredTrial(0, COMPLETE, 1, "10"), RecoveredTrial(1, OUTCOMES["pruned"], 1, "11")],
    )


def test_a_restart_counts_the_failures_and_the_deaths_of_the_session_before():
    play(
        "start -> finish too many failures", [RecoveredTrial(0, OUTCOMES["failed"], 1, "1")], n_trials=3, max_failures=0
    )
    play(
        """
        start                ->
        vanished 0/4 killed  -> tell 0 failed: killed, finish complete
        """,
        [RecoveredTrial(0, None, 5, "10", vanished=2)],
        n_trials=1,
    )
