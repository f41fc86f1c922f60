"""A fixed list of jobs in the place of a study."""

from mcqa.sweep.controller.events import Outcome, RecoveredTrial
from mcqa.sweep.trial_source import JobList

COMPLETE = Outcome("complete", 1.0, None)


def test_a_job_list_hands_out_what_an_earlier_controller_did_not_start_also_from_the_middle():
    jobs = JobList([["a=1"], ["a=2"], ["a=3"]], [RecoveredTrial(1, COMPLETE, 1, "j")])
    assert [jobs.ask().number, jobs.ask().number, jobs.ask()] == [0, 2, None]


def test_a_job_list_hands_out_its_jobs_in_order_and_remembers_their_ends():
    jobs = JobList([["a=1"], ["a=2"]])
    assert [jobs.ask().number, jobs.ask().number, jobs.ask()] == [0, 1, None]
    assert jobs.overrides(1) == ["a=2"]
    assert jobs.report(0, 1, 0.5) is False
    jobs.tell(0, COMPLETE)
    jobs.tell(0, Outcome("failed", None, "late"))
    assert jobs.known() == [RecoveredTrial(0, COMPLETE, 0, None), RecoveredTrial(1, None, 0, None)]


def test_a_job_list_without_lists_is_one_job():
    jobs = JobList([[]])
    assert jobs.ask().number == 0
    assert jobs.overrides(0) == []
    assert jobs.ask() is None
