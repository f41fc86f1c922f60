import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.config.errors import FileError
from mcqa.runs import files
from mcqa.runs.mailbox import Mailbox, Submission, result_problem
from mcqa.runs.trial import Trial


@pytest.fixture
def box(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path)


def entry(**changes: object) -> Submission:
    known = {"attempt": 0, "token": "t0", "job": None, "backend": "local", "host": "h", "slot": 1, "submitted": 5.0}
    return Submission(**{**known, **changes})  # type: ignore[arg-type]


def points(box: Mailbox, since: int = 0) -> list[tuple[int, float]]:
    return [(report.point, report.value) for report in box.reports(since)]


def test_reports_come_in_order_with_what_was_seen(box: Mailbox) -> None:
    box.report(800, 0.5, seen=816)
    box.report(1600, 0.75)
    assert [(r.line, r.point, r.value, r.seen) for r in box.reports()] == [(0, 800, 0.5, 816), (1, 1600, 0.75, None)]
    assert points(box, since=1) == [(1600, 0.75)]


def test_a_box_without_anything_is_empty(box: Mailbox) -> None:
    assert (box.reports(), box.result(), box.submissions(), box.silent_s(9.0)) == ([], None, [], None)
    assert not box.is_finished() and not box.prune_requested()


def test_a_report_may_say_which_questions_are_answered_right(box: Mailbox) -> None:
    box.report(8, 0.5, right=[True, False])
    box.report(16, 0.5)
    with (box.folder / "reports.jsonl").open("a") as file:
        file.write('{"point": 24, "value": 0.5, "time": 1.0, "right": "damaged"}\n')
    assert [report.right for report in box.reports()] == ["10", None, None]


def test_a_point_that_is_reported_again_after_a_resume_keeps_its_first_value(box: Mailbox) -> None:
    for value in (0.5, 0.9):
        box.report(800, value)
    box.report(1600, 0.6)
    assert points(box) == [(800, 0.5), (1600, 0.6)]
    assert points(box, since=1) == [(1600, 0.6)]


@given(cut=st.integers(0, 60), values=st.lists(st.floats(-1, 1), min_size=1, max_size=4))
def test_a_writer_killed_on_the_way_loses_its_own_line_at_most(
    tmp_path_factory: pytest.TempPathFactory, cut: int, values: list[float]
) -> None:
    box = Mailbox(tmp_path_factory.mktemp("trial"))
    for number, value in enumerate(values):
        box.report(number, value)
    file = box.folder / "reports.jsonl"
    last = file.read_bytes().splitlines(keepends=True)[-1]
    torn = last[: min(cut, len(last) - 2)]
    file.write_bytes(file.read_bytes()[: -len(last)] + torn)
    whole = list(enumerate(values))[:-1]
    assert points(box) == whole
    box.report(99, 2.0)  # the resumed trial
    assert points(box) == [*whole, (99, 2.0)]


@pytest.mark.parametrize("line", ["", "no json", "[1, 2]", '{"point": 1}', '{"point": "x", "value": 1, "time": 1}'])
def test_lines_that_are_no_report_are_left_out_and_still_count_as_lines(box: Mailbox, line: str) -> None:
    (box.folder / "reports.jsonl").write_text(line + "\n")
    box.report(8, 0.5)
    assert [(r.line, r.point) for r in box.reports()] == [(1, 8)]


@pytest.mark.parametrize("point", ["-1", "1e999", str(2**63)])
def test_points_that_no_study_can_take_are_left_out(box: Mailbox, point: str) -> None:
    (box.folder / "reports.jsonl").write_text(f'{{"point": {point}, "value": 1, "time": 1}}\n')
    box.report(8, 0.5)
    assert points(box) == [(8, 0.5)]


def test_what_an_app_wrote_for_itself_is_no_result_and_stays_when_the_trial_resumes(box: Mailbox) -> None:
    (box.folder / "result.json").write_text('{"acc": 0.9}')
    box.clear_preemption()
    assert (box.result(), box.app_result()) == (None, {"acc": 0.9})
    box.write_result({"status": "preempted"})
    assert box.app_result() is None


def test_the_end_of_the_last_submission_is_noted_and_taken_back_when_its_job_is_found(box: Mailbox) -> None:
    box.end_submission("vanished")
    assert box.submissions() == []
    box.add_submission(entry())
    box.add_submission(entry(attempt=1, token="t1"))
    box.end_submission("refused")
    assert [each.end for each in box.submissions()] == [None, "refused"]
    box.set_job_id("t1", "18")
    assert box.submissions()[1] == entry(attempt=1, token="t1", job="18")


def test_a_value_that_is_not_a_number_arrives(box: Mailbox) -> None:
    box.report(8, float("nan"))
    assert box.reports()[0].value != box.reports()[0].value


def test_a_result_that_power_failure_left_empty_is_none(box: Mailbox) -> None:
    (box.folder / "result.json").touch()
    assert box.result() is None and not box.is_finished()


@pytest.mark.parametrize("status", ["complete", "failed", "pruned"])
def test_a_final_result_stays_and_ends_the_trial(box: Mailbox, status: str) -> None:
    box.write_result({"status": status, "value": 1.0})
    box.clear_preemption()
    assert box.is_finished() and box.result() == {"status": status, "value": 1.0}


def test_what_a_cancelled_trial_says_later_does_not_count(box: Mailbox) -> None:
    box.write_result({"status": "preempted"})
    box.cancel({"status": "failed", "error": "cancelled"})
    box.write_result({"status": "preempted"})
    assert box.is_finished() and box.result() == {"status": "failed", "error": "cancelled"}


def test_a_preempted_result_is_deleted_before_the_trial_resumes(box: Mailbox) -> None:
    box.write_result({"status": "preempted"})
    assert not box.is_finished()
    box.clear_preemption()
    assert box.result() is None


def test_a_pause_is_requested_until_it_is_withdrawn(box: Mailbox) -> None:
    assert not box.pause_requested()
    box.withdraw_pause()
    box.request_pause()
    assert Mailbox(box.folder).pause_requested() and not box.prune_requested()
    box.withdraw_pause()
    assert not Mailbox(box.folder).pause_requested()


def test_a_trial_that_paused_has_not_ended_and_its_result_goes_before_it_resumes(box: Mailbox) -> None:
    box.write_result({"status": "paused", "value": 0.5})
    assert not box.is_finished() and result_problem(box.result() or {}) is None
    box.clear_preemption()
    assert box.result() is None


def test_a_prune_request_is_seen_by_the_other_side(box: Mailbox) -> None:
    box.request_prune()
    assert Mailbox(box.folder).prune_requested()


def test_silence_is_counted_from_the_last_heartbeat(box: Mailbox) -> None:
    box.heartbeat()
    os.utime(box.folder / "heartbeat", (100.0, 100.0))
    assert box.silent_s(now=130.0) == 30.0


def test_each_submission_is_kept_and_its_job_named_by_the_token(box: Mailbox) -> None:
    box.add_submission(entry())
    box.set_job_id("t0", "17")
    box.add_submission(entry(attempt=1, token="t1"))
    assert box.submissions() == [entry(job="17"), entry(attempt=1, token="t1")]
    assert json.loads((box.folder / "job.json").read_text())[0]["job"] == "17"


def test_nothing_is_left_beside_a_file_that_was_replaced(box: Mailbox) -> None:
    box.add_submission(entry())
    box.write_result({"status": "complete"})
    assert sorted(path.name for path in box.folder.iterdir()) == ["job.json", "result.json"]


def test_the_error_of_a_result_has_no_secret(box: Mailbox) -> None:
    box.write_result({"status": "failed", "value": None, "error": "GET https://me:hunter2@hub failed"})
    assert (box.result() or {})["error"] == "GET https://[redacted]@hub failed"
    box.cancel({"status": "failed", "value": None, "error": "API_KEY=hunter2"})
    assert "hunter2" not in (box.folder / "result.json").read_text()


# --- a file system that stalls


class Stalling:
    """Path.open, read_bytes and others, and os.fsync, which fail so many times first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str, times: int, number: int = errno.ESTALE) -> None:
        owner: Any = os if method == "fsync" else Path
        self.left, self.number, self.do = times, number, getattr(owner, method)
        monkeypatch.setattr(owner, method, lambda *args, **kwargs: self(*args, **kwargs))
        monkeypatch.setattr(files.time, "sleep", lambda seconds: None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.left:
            self.left -= 1
            raise OSError(self.number, os.strerror(self.number))
        return self.do(*args, **kwargs)


def test_a_stall_delays_reports_and_results_and_loses_none(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("open", "fsync", "replace", "read_bytes"):
        with monkeypatch.context() as patched:
            stalling = Stalling(patched, method, times=3)
            box.report(8, 0.5)
            box.write_result({"status": "complete", "value": 1.0})
            assert points(box) == [(8, 0.5)]
            assert box.result() == {"status": "complete", "value": 1.0}
            assert stalling.left == 0


def test_a_trial_continues_without_a_report_that_cannot_be_written(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Stalling(monkeypatch, "open", times=1000)
    Trial(box.folder).report(0.5, point=8)
    assert "The report at point 8 could not be written" in caplog.text


def test_while_nothing_can_be_read_nobody_is_asked_to_stop_and_nobody_is_silent(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.ESTALE, "Stale file handle")

    box.request_prune()
    box.heartbeat()
    monkeypatch.setattr(os, "stat", away)
    monkeypatch.setattr(Path, "stat", away)
    assert not box.prune_requested()
    assert box.silent_s(now=0.0) is None


@pytest.mark.parametrize(
    "content",
    ["", "\0\0", "{}", "[7]", "[{}]", '[{"attempt": 0}]', "[" * 100_000, None]
    + [json.dumps([vars(entry()) | wrong]) for wrong in ({"attempt": "0"}, {"token": 1}, {"job": "x"}, {"end": "so"})],
)
def test_jobs_that_cannot_be_read_are_an_error_until_the_trial_has_ended(box: Mailbox, content: str | None) -> None:
    path = box.folder / "job.json"
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(FileError, match=r"job\.json .* then delete the file"):
        box.submissions()
    box.write_result({"status": "complete"})
    assert box.submissions() == []


def test_jobs_of_an_earlier_and_of_a_later_version_are_read(box: Mailbox) -> None:
    known = vars(entry())
    (box.folder / "job.json").write_text(
        json.dumps([known | {"colour": 1}, {k: known[k] for k in known if k != "end"}])
    )
    assert box.submissions() == [entry(), entry()]
