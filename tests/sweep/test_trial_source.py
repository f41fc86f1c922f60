"""A fixed list of jobs in the place of a study, and what the files of a trial say of how it ended."""

import math

import pytest

from mcqa.sweep.controller.events import CANCELLED, Outcome, RecoveredTrial
from mcqa.sweep.trial_source import JobList, is_final, outcome

COMPLETE = Outcome("complete", 1.0, None)


def test_a_job_list_hands_out_what_an_earlier_controller_did_not_start_also_from_the_middle():
    jobs = JobList([["a=1"], ["a=2"], ["a=3"]], [RecoveredTrial(1, COMPLETE, 1, "j")])
    assert [jobs.ask().number, jobs.ask().number, jobs.ask()] == [0, 2, None]


def test_a_job_list_hands_out_its_jobs_in_order_and_remembers_their_ends():
    jobs = JobList([["a=1"], ["a=2"]])
    assert [jobs.ask().number, jobs.ask().number, jobs.ask()] == [0, 1, None]
    assert jobs.overrides(1) == ["a=2"]
    assert jobs.judge(0, 1, 0.5) == "continue" and jobs.promote([0], "end") is None
    jobs.tell(0, COMPLETE)
    jobs.tell(0, Outcome("failed", None, "late"))
    assert jobs.known() == [RecoveredTrial(0, COMPLETE, 0, None), RecoveredTrial(1, None, 0, None)]


def test_a_job_list_without_lists_is_one_job():
    jobs = JobList([[]])
    assert jobs.ask().number == 0
    assert jobs.overrides(0) == []
    assert jobs.ask() is None


@pytest.mark.parametrize(
    ("value", "in_a_study", "in_a_product"),
    [
        (0.5, Outcome("complete", 0.5, None), Outcome("complete", 0.5, None)),
        ([1], Outcome("complete", 1.0, None), Outcome("complete", 1.0, None)),
        (
            None,
            Outcome("failed", None, "the trial returned no value; a study needs one number"),
            Outcome("complete", None, None),
        ),
        (
            [0.5, 1.0],
            Outcome("failed", None, "the trial returned 2 values; a study needs one number"),
            Outcome("complete", None, None),
        ),
        (math.inf, Outcome("failed", None, "value is inf"), Outcome("complete", math.inf, None)),
    ],
)
def test_a_complete_trial_of_a_study_needs_one_finite_value_and_a_job_of_a_product_none(
    value, in_a_study, in_a_product
):
    result = {"status": "complete", "value": value}
    assert outcome(result, needs_value=True) == in_a_study
    assert outcome(result) == in_a_product


def test_pruned_and_failed_trials_need_no_value():
    assert outcome({"status": "pruned"}, needs_value=True) == Outcome("pruned", None, None)
    assert outcome({"status": "failed", "error": "no GPU"}, needs_value=True) == Outcome("failed", None, "no GPU")


def test_a_result_of_another_kind_is_a_failure():
    assert outcome({"status": "ok"}).status == "failed"
    assert outcome({"status": "complete", "value": "high"}).status == "failed"


def test_what_failed_may_run_again_unless_a_user_cancelled_it():
    assert is_final(Outcome("complete", None, None)) and is_final(Outcome("failed", None, CANCELLED))
    assert not is_final(None) and not is_final(Outcome("failed", None, "no GPU"))
