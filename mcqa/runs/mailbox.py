"""The mailbox of a trial: the files in its folder through which the controller and the trial speak.

They may sit on different machines with a shared file system between them, and either may be killed at any moment. So
nothing is locked, each file has one writer, and a file is replaced as a whole or grows by whole lines. While the file
system stalls, all wait for it (mcqa.runs.files):

    file            written by   what
    job.json        controller   every submission: a token before it, the scheduler's job after it
    prune           controller   an empty file: stop, please
    cancelled       mcqa.jobs    an empty file: over, whatever the trial says later
    reports.jsonl   trial        one line a report
    heartbeat       trial        its time of change says when the trial last lived
    heartbeat.<n>   trial        the same of its further nodes, from 1
    result.json     trial        the end, and the only truth about it
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mcqa.runs.files import retry_stalled_io

FINAL = ("complete", "failed", "pruned")


PREEMPTED = "preempted"
"""What a result may say at the end, and what asks to go on."""

BEAT_S = 10.0
"""Between two signs of life."""


@dataclass(frozen=True)
class Report:
    """An intermediate value, at a point that all trials of the study share (questions seen)."""

    line: int  # of reports.jsonl, from 0
    point: int
    value: float
    seen: int | None  # what really was seen at the report, at or past the point
    time: float  # seconds since 1970, by the trial's clock


@dataclass(frozen=True)
class Submission:
    """One submission of the trial."""

    attempt: int
    token: str  # known to the scheduler too, so that a job can be found whose id was never written down
    job: str | None  # None: submitted just now, or the controller died on the way
    backend: str
    host: str
    slot: int
    submitted: float  # seconds since 1970
    end: Literal["refused", "vanished", "cancelled"] | None = None  # as the controller saw it; a result says more


class Mailbox:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # ---- reports

    def report(self, point: int, value: float, seen: int | None = None) -> None:
        line = json.dumps({"point": point, "value": value, "seen": seen, "time": time.time()}) + "\n"
        retry_stalled_io(lambda: self._append(line))

    def _append(self, line: str) -> None:
        with (self.folder / "reports.jsonl").open("a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # an earlier writer was killed on the way
                    line = "\n" + line
            file.write(line.encode())

    def reports(self, since_line: int = 0) -> list[Report]:
        """Reports from a line on, without unreadable lines. Of a point that was reported again the first one counts."""
        try:
            read = retry_stalled_io((self.folder / "reports.jsonl").read_bytes)
            lines = read.split(b"\n")[:-1]  # the last one is still growing
        except FileNotFoundError:
            return []
        first: dict[int, Report] = {}
        for number, line in enumerate(lines):
            if report := _report(number, line):
                first.setdefault(report.point, report)
        return [report for report in first.values() if report.line >= since_line]

    # ---- result

    def result(self) -> dict[str, Any] | None:
        """None when there is none, or none that can be read (a machine that lost power leaves empty files)."""
        found = _read(self.folder / "result.json")
        return found if isinstance(found, dict) and "status" in found else None

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Of a trial that was cancelled the first one stays, for its job saves and then says how it was stopped."""
        if not self.is_cancelled():
            _write(self.folder / "result.json", result)

    def cancel(self, result: Mapping[str, Any]) -> None:
        """The trial is over with this result, whatever its job says later."""
        self.write_result(result)
        retry_stalled_io((self.folder / "cancelled").touch)
        _write(self.folder / "result.json", result)  # where the job wrote its own in between

    def is_cancelled(self) -> bool:
        return os.path.exists(self.folder / "cancelled")

    def own_result(self) -> dict[str, Any] | None:
        """What an app wrote there that knows nothing of ours: a mapping without a `status`."""
        found = _read(self.folder / "result.json")
        return found if isinstance(found, dict) and "status" not in found else None

    def is_over(self) -> bool:
        """Whether the trial has its final result: nobody may run it again."""
        result = self.result()
        return result is not None and result["status"] in FINAL

    def forget_preemption(self) -> None:
        """Before the trial goes on: what it said when it asked to go on must not be taken for its next result."""
        if self.result() is not None and not self.is_over():
            self.forget_result()

    def forget_result(self) -> None:
        """With it nobody may run the job again."""
        retry_stalled_io(lambda: (self.folder / "result.json").unlink(missing_ok=True))

    # ---- pruning and signs of life

    def ask_to_prune(self) -> None:
        retry_stalled_io((self.folder / "prune").touch)

    def asked_to_prune(self) -> bool:
        return os.path.exists(self.folder / "prune")  # which is False while the file system is away

    def heartbeat(self) -> None:
        (self.folder / "heartbeat").touch()

    def silent_s(self, now: float) -> float | None:
        """Seconds since the last sign of life; None before the first one. now: seconds since 1970."""
        try:
            return now - (self.folder / "heartbeat").stat().st_mtime
        except OSError:
            return None

    def saved_since(self, moment: float) -> bool:
        """Whether anything happened in `checkpoints` of its folder, or of the run folder that it names, since then."""
        kept = self.folder / "run_folder"
        folder = Path(kept.read_text("utf-8").strip()) if kept.exists() else self.folder
        try:
            return (folder / "checkpoints").stat().st_mtime >= moment
        except OSError:
            return False

    # ---- submissions

    def jobs(self) -> list[Submission]:
        return [Submission(**entry) for entry in _read(self.folder / "job.json") or []]

    def add_job(self, entry: Submission) -> None:
        self._write_jobs([*self.jobs(), entry])

    def name_job(self, token: str, job: str) -> None:
        """The scheduler's id for the submission with this token."""
        named = [replace(one, job=job, end=None) if one.token == token else one for one in self.jobs()]
        self._write_jobs(named)

    def end_job(self, end: Literal["refused", "vanished", "cancelled"]) -> None:
        """How the last submission ended."""
        if entries := self.jobs():
            self._write_jobs([*entries[:-1], replace(entries[-1], end=end)])

    def _write_jobs(self, entries: list[Submission]) -> None:
        _write(self.folder / "job.json", [asdict(entry) for entry in entries])


class FurtherNode(Mailbox):
    """As a node of the trial's job sees it that has not the first process: it only lives."""

    def __init__(self, folder: Path, node: int) -> None:
        super().__init__(folder)
        self._node = node

    def heartbeat(self) -> None:
        (self.folder / f"heartbeat.{self._node}").touch()

    def silent_s(self, now: float) -> float | None:
        try:
            return now - (self.folder / f"heartbeat.{self._node}").stat().st_mtime
        except OSError:
            return None


def unreadable(result: Mapping[str, Any]) -> str | None:
    """Why a result that has a `status` cannot be one of ours, for apps may write a result.json of another kind."""
    status, value = result["status"], result.get("value")
    if status not in (*FINAL, PREEMPTED):
        words = ", ".join((*FINAL, PREEMPTED))
        return f"result.json says status {status!r}, which is none of {words}; leave `status` out of an app's own file"
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, int | float) for one in values):
        return f"result.json says value {value!r}, which is no number"
    if not isinstance(result.get("metrics", {}), dict):
        return "result.json says metrics that are no names with numbers"
    return None


def _report(number: int, line: bytes) -> Report | None:
    """None if it is none that a study can take: Optuna has no points below 0, databases none beyond 64 bits."""
    try:
        found = json.loads(line)
        point = int(found["point"])
        report = Report(number, point, float(found["value"]), found.get("seen"), float(found["time"]))
        return report if 0 <= point < 2**63 else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _read(path: Path) -> Any:
    try:
        return json.loads(retry_stalled_io(path.read_bytes))
    except (FileNotFoundError, ValueError):
        return None


def _write(path: Path, value: Any) -> None:
    """Moved into place as a whole. Not by mcqa.runs.run_folder: its imports are a tenth of what an idle trial takes."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")  # two starts of one trial never write the same file
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    retry_stalled_io(lambda: (aside.write_text(text, "utf-8"), aside.replace(path)))
