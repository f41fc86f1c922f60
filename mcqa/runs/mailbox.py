"""The mailbox of a trial: the files in its folder through which the controller and the trial communicate.

They may run on different machines that share a file system, and either may be killed at any moment. So nothing is
locked, each file has one writer, and a file is replaced as a whole or grows by whole lines. While the file system
stalls, both sides retry (mcqa.runs.files):

    file            written by   content
    job.json        controller   every submission: a token before it, the scheduler's job id after it
    prune           controller   an empty file: please stop
    pause           controller   an empty file: please save and stop; there until the trial is submitted again
    cancelled       mcqa.jobs    an empty file: the trial has ended, whatever its job writes later
    reports.jsonl   trial        one line per report
    heartbeat       trial        its modification time is the last sign of life
    heartbeat.<n>   trial        the same for further nodes of its job, from 1
    result.json     trial        how it ended; the only source for that
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from mcqa.config.errors import FileError
from mcqa.config.secrets import redact
from mcqa.runs.files import read_stored, retry_stalled_io, write_json

FINAL = ("complete", "failed", "pruned")
"""Statuses of a result after which nobody runs the trial again."""

PREEMPTED = "preempted"
"""Status of a result with which the trial asks to be submitted again."""

PAUSED: Literal["paused"] = "paused"
"""Status of a result after which the trial waits until the study lets it go on."""

End = Literal["refused", "vanished", "cancelled", "paused"]
ENDS = (None, *get_args(End))
"""How the controller may have seen a submission end."""

HEARTBEAT_S = 10.0
"""Seconds between two heartbeats."""

JOBS_REMEDY = (
    "It says which jobs the trial has. Make sure that none of them runs any more (squeue, ps), then delete the file: "
    "the trial is submitted again, and resumes where it saved."
)


@dataclass(frozen=True)
class Report:
    """An intermediate value, at a point that all trials of the study share (questions seen)."""

    line: int  # of reports.jsonl, from 0
    point: int
    value: float
    seen: int | None  # what had really been seen at the report, at or past the point
    time: float  # seconds since 1970, by the trial's clock
    right: str | None = None  # a 1 for each question answered right, a 0 for each other one, where the trial says so
    share: float | None = None  # of the training that is done, where the trial says so
    warm: bool = True  # False while the learning rate still rises


@dataclass(frozen=True)
class Submission:
    """One submission of the trial."""

    attempt: int
    token: str  # known to the scheduler too, so that a job whose id was never written down can be found
    job: str | None  # None: being submitted, or the controller died on the way
    backend: str
    host: str
    slot: int
    submitted: float  # seconds since 1970
    end: End | None = None  # as the controller saw it; a result says more


class Mailbox:
    """The mailbox in a trial's folder. `node` selects whose heartbeat is meant where a job has several nodes."""

    def __init__(self, folder: Path, node: int = 0) -> None:
        self.folder = folder
        self._heartbeat = folder / (f"heartbeat.{node}" if node else "heartbeat")

    # ---- reports

    def report(
        self,
        point: int,
        value: float,
        seen: int | None = None,
        right: Sequence[bool] | None = None,
        share: float | None = None,
        warm: bool = True,
    ) -> None:
        """Append a report."""
        fields: dict[str, Any] = {"point": point, "value": value, "seen": seen, "time": time.time()}
        if right is not None:
            fields["right"] = "".join("01"[each] for each in right)
        if share is not None:
            fields["share"] = round(share, 4)
        if not warm:
            fields["warm"] = False
        line = json.dumps(fields) + "\n"
        retry_stalled_io(lambda: self._append(line))

    def _append(self, line: str) -> None:
        with (self.folder / "reports.jsonl").open("a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # an earlier writer was killed in the middle of its line
                    line = "\n" + line
            file.write(line.encode())

    def reports(self, since_line: int = 0) -> list[Report]:
        """Return the reports from a line on, without unreadable lines. The first report of a point counts.

        Raises:
            FileError: the file cannot be read.
        """
        path = self.folder / "reports.jsonl"
        try:
            content = retry_stalled_io(path.read_bytes)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
        first: dict[int, Report] = {}
        for number, line in enumerate(content.split(b"\n")[:-1]):  # the last line is still being written
            if report := _report(number, line):
                first.setdefault(report.point, report)
        return [report for report in first.values() if report.line >= since_line]

    # ---- result

    def result(self) -> dict[str, Any] | None:
        """Return the result; None without a whole one (a machine that lost power leaves empty files).

        Raises:
            FileError: there is one, and it cannot be read.
        """
        result = _read(self.folder / "result.json")
        return result if isinstance(result, dict) and "status" in result else None

    def app_result(self) -> dict[str, Any] | None:
        """Return a result.json that the app wrote for its own purposes: a mapping without a `status`."""
        result = _read(self.folder / "result.json")
        return result if isinstance(result, dict) and "status" not in result else None

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the result. A cancelled trial keeps its first one: its job still reports how it was stopped."""
        if not os.path.exists(self.folder / "cancelled"):
            write_json(self.folder / "result.json", _shown(result))

    def cancel(self, result: Mapping[str, Any]) -> None:
        """End the trial with this result, whatever its job writes later."""
        self.write_result(result)
        retry_stalled_io((self.folder / "cancelled").touch)
        write_json(self.folder / "result.json", _shown(result))  # again, in case the job wrote its own in between

    def is_finished(self) -> bool:
        """Whether the trial has its final result: nobody may run it again."""
        result = self.result()
        return result is not None and result["status"] in FINAL

    def clear_preemption(self) -> None:
        """Delete a `preempted` or `paused` result before the trial resumes: it is not the next one."""
        if self.result() is not None and not self.is_finished():
            self.delete_result()

    def delete_result(self) -> None:
        """Let the trial run again."""
        retry_stalled_io(lambda: (self.folder / "result.json").unlink(missing_ok=True))

    # ---- pruning, pausing and heartbeats

    def request_prune(self) -> None:
        """Ask the trial to stop."""
        retry_stalled_io((self.folder / "prune").touch)

    def prune_requested(self) -> bool:
        """Whether the trial was asked to stop; False while the file system is away."""
        return os.path.exists(self.folder / "prune")

    def request_pause(self) -> None:
        """Ask the trial to save and to give its slot away."""
        retry_stalled_io((self.folder / "pause").touch)

    def pause_requested(self) -> bool:
        """Whether the trial was asked to pause; False while the file system is away."""
        return os.path.exists(self.folder / "pause")

    def withdraw_pause(self) -> None:
        """Let the trial go on at its next start."""
        retry_stalled_io(lambda: (self.folder / "pause").unlink(missing_ok=True))

    def heartbeat(self) -> None:
        """Give a sign of life."""
        self._heartbeat.touch()

    def silent_s(self, now: float) -> float | None:
        """Return the seconds since the last heartbeat; None before the first one. now: seconds since 1970."""
        try:
            return now - self._heartbeat.stat().st_mtime
        except OSError:
            return None

    def saved_since(self, moment: float) -> bool:
        """Whether `checkpoints` changed since then (seconds since 1970), in this folder or the run folder it names."""
        folder = self.run_folder() or self.folder
        try:
            saved = [*folder.glob("checkpoints"), *folder.glob("stages/*/checkpoints")]
            return any(one.stat().st_mtime >= moment for one in saved)
        except OSError:
            return False

    def run_folder(self) -> Path | None:
        """Return the folder of the trial's run, where that is another one."""
        try:
            return Path((self.folder / "run_folder").read_text("utf-8").strip())
        except (OSError, ValueError):
            return None

    # ---- submissions

    def submissions(self) -> list[Submission]:
        """Return every submission of the trial, oldest first.

        Raises:
            FileError: job.json is damaged, so that a job of the trial may run and nobody knows; of a trial that has
                ended nobody needs to.
        """
        path = self.folder / "job.json"
        try:
            return [_submission(path, entry) for entry in read_stored(path, JOBS_REMEDY, list)]
        except FileError as error:
            if isinstance(error.__cause__, FileNotFoundError) or self.is_finished():
                return []
            raise

    def last_submission(self) -> Submission | None:
        """Return the latest submission; None where the trial was never submitted."""
        return next(reversed(self.submissions()), None)

    def add_submission(self, submission: Submission) -> None:
        """Append a submission."""
        self._write_submissions([*self.submissions(), submission])

    def set_job_id(self, token: str, job: str) -> None:
        """Record the scheduler's id of the submission with this token."""
        self._write_submissions(
            [replace(each, job=job, end=None) if each.token == token else each for each in self.submissions()]
        )

    def end_submission(self, end: End) -> None:
        """Record how the last submission ended."""
        if submissions := self.submissions():
            self._write_submissions([*submissions[:-1], replace(submissions[-1], end=end)])

    def _write_submissions(self, submissions: list[Submission]) -> None:
        write_json(self.folder / "job.json", [asdict(submission) for submission in submissions], private=True)


def _shown(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result as others may see it: its error without secrets."""
    return {**result, "error": redact(str(result["error"]))} if result.get("error") else dict(result)


def result_problem(result: Mapping[str, Any]) -> str | None:
    """Return why a result with a `status` is not one of ours, for apps may write a result.json of another kind."""
    status, value = result["status"], result.get("value")
    if status not in (*FINAL, PREEMPTED, PAUSED):
        known = ", ".join((*FINAL, PREEMPTED, PAUSED))
        return f"result.json has status {status!r}, which is none of {known}; leave `status` out of an app's own file"
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(each, int | float) and (isinstance(each, float) or abs(each) < 1e300) for each in values):
        return f"result.json has value {value!r}, which is not a number"
    if not isinstance(result.get("metrics", {}), dict):
        return "result.json has metrics that do not map names to numbers"
    return None


def _submission(path: Path, entry: Any) -> Submission:
    """Return an entry of job.json; keys that only a later version knows are left out."""
    entry = {"end": None, **entry} if isinstance(entry, dict) else {}
    values = {name: entry[name] for name in _FIELDS if name in entry}
    problems = [f"{name}: missing." for name in _FIELDS if name not in values]
    problems += [f"{name}: {values[name]!r}." for name in values if not _is_field(name, values[name])]
    if not problems and values["backend"] == "local" and values["job"] and not values["job"].isdecimal():
        problems.append(f"job: {values['job']!r} is no process id.")
    if problems:
        raise FileError(f"{path} is damaged: {' '.join(problems)[:300]} {JOBS_REMEDY}")
    return Submission(**values)


def _report(number: int, line: bytes) -> Report | None:
    """None where no study can take it: Optuna has no points below 0, databases none beyond 64 bits."""
    try:
        fields = json.loads(line)
        point = int(fields["point"])
        right = fields.get("right")
        right = right if isinstance(right, str) and not right.strip("01") else None
        share = None if fields.get("share") is None else float(fields["share"])
        value, moment, warm = float(fields["value"]), float(fields["time"]), fields.get("warm") is not False
        report = Report(number, point, value, fields.get("seen"), moment, right, share, warm)
        return report if 0 <= point < 2**63 else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _read(path: Path) -> Any:
    try:
        return json.loads(retry_stalled_io(path.read_bytes))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error


_FIELDS: Mapping[str, tuple[type, ...]] = {
    "attempt": (int,),
    "token": (str,),
    "job": (str, type(None)),
    "backend": (str,),
    "host": (str,),
    "slot": (int,),
    "submitted": (int, float),
    "end": (str, type(None)),
}
"""What a submission's fields hold; config/validation.py is too much for a trial of another application to import."""


def _is_field(name: str, value: Any) -> bool:
    return isinstance(value, _FIELDS[name]) and not isinstance(value, bool) and (name != "end" or value in ENDS)
