"""The jobs of a study's trials as they are now, read from the trials' folders, SLURM and this machine's processes."""

import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mcqa.config.errors import FileError
from mcqa.runs.duration import duration
from mcqa.runs.mailbox import FINAL, PAUSED, Mailbox, Submission
from mcqa.sweep.backends import slurm_commands
from mcqa.sweep.backends.slurm import ENDED
from mcqa.sweep.backends.slurm_commands import Queued
from mcqa.sweep.backends.submission import LOST_S, log_folder
from mcqa.sweep.controller.events import CANCELLED

TIMEOUT_S = 10.0  # of SLURM's commands, for somebody who waits at a terminal

NO_SQUEUE = "There is no squeue on this machine, so what SLURM knows of the jobs is missing. Run this on a login node."
NO_ANSWER = "SLURM does not answer, so what it knows of the jobs is missing."
RESUBMITTED = "; its study's command submits it again"

TAIL = 16384  # bytes at the end of a log in which its last line is looked for

NOT_BY_THE_JOB = re.compile(
    r"submitit [A-Z]+ \(|\[[^]]*\]\[submitit\]|srun: |[A-Z]+: (?:"
    "Job completed successfully|Exiting after successful completion|Submitted job triggered an exception|"
    "Bypassing signal SIG|Caught signal SIG|Calling checkpoint method|Exiting gracefully after preemption|"
    r"Job has (?:not )?timed out\.|Job not requeued because|Requeued job \d|Not checkpointing )"
)
"""Lines of a log by submitit, in its own format, in that of Hydra's logging and in ours (LEVEL: text), and by srun."""


@dataclass(frozen=True)
class Row:
    """A trial and its job."""

    number: int
    job: str | None
    state: str
    where: str
    since: float | None  # when the state began, in seconds since 1970
    last_line: str  # of the log, or of the error
    log: Path | None  # of the job's first process
    ended: bool
    folder: Path
    submission: Submission | None  # the last one


class SlurmAnswer(NamedTuple):
    jobs: Mapping[str, Queued]
    missing: str | None = None  # why SLURM tells nothing

    def find(self, submission: Submission) -> Queued | None:
        queued = self.jobs.get(submission.job or "")
        return queued if queued and queued.belongs_to(submission.token) else None


def read_jobs(
    studies: Sequence[Path], ended: bool, timeout_s: float = TIMEOUT_S
) -> tuple[dict[Path, list[Row]], str | None]:
    """Read every trial in the folders of these studies.

    Args:
        studies: folders with trials/.
        ended: ask SLURM about jobs of trials that have ended, too.
        timeout_s: of SLURM's commands.

    Returns:
        The trials of each study in their order, and why SLURM tells nothing about them, if so.
    """
    last = {study: {folder: _last_submission(folder) for folder in _trials(study)} for study in studies}
    submissions = [
        submission
        for trials in last.values()
        for folder, submission in trials.items()
        if submission and (ended or _result(folder).get("status") not in FINAL)
    ]
    answer = _ask_slurm(submissions, timeout_s)
    rows = {study: [_row(folder, each, answer) for folder, each in trials.items()] for study, trials in last.items()}
    return rows, answer.missing


def _trials(study: Path) -> list[Path]:
    folders = (path for path in (study / "trials").glob("*") if path.name.isdecimal() and path.is_dir())
    return sorted(folders, key=lambda path: int(path.name))


def _last_submission(folder: Path) -> Submission | None:
    try:
        return Mailbox(folder).last_submission()
    except FileError:  # its row says so
        return None


def _result(folder: Path) -> dict[str, Any]:
    try:
        return Mailbox(folder).result() or {}
    except FileError:
        return {}


def _ask_slurm(submissions: Sequence[Submission], timeout_s: float) -> SlurmAnswer:
    """One squeue for all jobs, and one sacct for what squeue no longer lists."""
    jobs = [submission.job for submission in submissions if submission.backend == "slurm" and submission.job]
    if not jobs:
        return SlurmAnswer({})
    if not slurm_commands.is_available("squeue"):
        return SlurmAnswer({}, NO_SQUEUE)
    until = time.monotonic() + timeout_s
    queue = slurm_commands.queue(timeout_s)
    if queue is None:
        return SlurmAnswer({}, NO_ANSWER)
    forgotten = [job for job in jobs if job not in queue]
    return SlurmAnswer((slurm_commands.accounting(forgotten, max(1.0, until - time.monotonic())) or {}) | queue)


def _row(folder: Path, submission: Submission | None, answer: SlurmAnswer) -> Row:
    mailbox = Mailbox(folder)
    result = _result(folder)
    ended = result.get("status") in FINAL
    log, last_line = _last_line(folder, submission, ended)
    if ended:
        state, where, since = str(result["status"]), submission.host if submission else "", _modified(folder)
        if submission and submission.backend == "slurm":
            where = queued.nodes if (queued := answer.find(submission)) else ""
        if error := str(result.get("error") or "").strip():
            last_line = error.splitlines()[-1]
    elif submission is None:
        damaged = (folder / "job.json").exists()
        state, where, since = "unknown: its job.json is damaged" if damaged else "not submitted", "", None
    elif submission.end == PAUSED or result.get("status") == PAUSED:
        state, where, since = "paused; its study may let it go on", "", _modified(folder)
    else:
        state, where, since = _unfinished(mailbox, submission, answer)
    job = submission.job if submission else None
    return Row(int(folder.name), job, state, where, since, last_line, log, ended, folder, submission)


def _unfinished(mailbox: Mailbox, submission: Submission, answer: SlurmAnswer) -> tuple[str, str, float | None]:
    """State, place and since when, of a trial that has no final result."""
    silent_s = mailbox.silent_s(time.time())
    silent = "" if silent_s is None or silent_s < LOST_S else f", no heartbeat for {duration(silent_s)}"
    since, host = submission.submitted, submission.host
    if submission.backend == "slurm" and submission.job is None:
        return "being submitted", "", since
    if submission.backend == "slurm" and answer.missing:
        heartbeat = "" if silent_s is None else f" (last heartbeat {duration(max(0.0, silent_s))} ago)"
        return f"unknown{heartbeat}", "", since
    if submission.backend == "slurm":
        queued = answer.find(submission)
        return _in_queue(queued, silent) if queued else (f"no longer known to SLURM{RESUBMITTED}", "", since)
    if submission.backend == "local" and host == socket.gethostname():
        from mcqa.sweep.backends.local import is_alive

        alive = submission.job is not None and is_alive(int(submission.job), submission.token)
        state = f"RUNNING{silent}" if alive else f"its process is gone{RESUBMITTED}"
        return state, f"{host}, pid {submission.job}", since
    return f"started from {host}{silent}", host, since


def _in_queue(queued: Queued, silent: str) -> tuple[str, str, float | None]:
    why = f" ({queued.why})" if queued.why not in ("", "None") else ""
    more = silent if queued.state == "RUNNING" else RESUBMITTED if queued.state in ENDED else ""
    where = "" if queued.nodes == "None assigned" else queued.nodes
    return f"{queued.state}{why}{more}", where, _seconds(queued.since)


def _last_line(folder: Path, submission: Submission | None, ended: bool) -> tuple[Path | None, str]:
    """A log of the first process of the last start, and the last line in it.

    Output and errors may be in two files: of what runs the newer one counts, of what has ended the output. A line of
    the job's own takes precedence over those of submitit and srun.
    """
    if submission is None:
        return None, ""
    files = log_folder(folder, submission.attempt).glob("*_0_log.*")
    logs = sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)
    if ended:
        logs.sort(key=lambda path: path.suffix != ".out")
    lines = [(log, line) for log in logs for line in reversed(_tail(log))]
    own = ((log, line) for log, line in lines if not NOT_BY_THE_JOB.match(line))
    empty = max(logs, key=lambda path: path.suffix == ".out", default=None)
    return next(own, next(iter(lines), (empty, "")))


def _tail(log: Path) -> list[str]:
    """The last lines that are not empty."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = file.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    return [line.strip().replace("\t", " ") for line in lines if line.strip()]


def _modified(folder: Path) -> float | None:
    try:
        return (folder / "result.json").stat().st_mtime
    except OSError:
        return None


def _seconds(text: str) -> float | None:
    """A time as SLURM writes it, in the time zone of this machine."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


def cancel(row: Row, timeout_s: float = TIMEOUT_S) -> str:
    """End a trial for good and return what was done.

    The result is written first: with it nobody submits the trial again or runs it, however late its job ends.
    """
    if row.ended:
        return f"has ended already ({row.state})"
    if row.submission is None:
        if (row.folder / "job.json").exists():
            return "is left as it is: its job.json is damaged, so its job is unknown. Look for that in squeue or ps"
        return "is not submitted yet, but its study will submit it. Stop that first (Ctrl-C)"
    try:
        Mailbox(row.folder).cancel(
            {"status": "failed", "value": None, "metrics": {}, "seconds": 0.0, "error": CANCELLED}
        )
    except OSError as error:
        return f"cannot be cancelled: {error.filename}: {error.strerror or error}"
    return f"cancelled{_end(row.submission, timeout_s)}"


def _end(submission: Submission, timeout_s: float) -> str:
    job = submission.job
    if submission.end == PAUSED:
        return ""  # its job is over
    if submission.backend == "slurm" and job:
        queued = (slurm_commands.queue(timeout_s) or {}).get(job)
        if queued and not queued.belongs_to(submission.token):
            return f"; SLURM no longer knows its job, and {job} is the id of another one now"
        output, message = slurm_commands.run("scancel", job, timeout_s=timeout_s)
        return f", job {job}" if output is not None else f", but scancel {job} fails: {message}"
    if submission.backend == "local" and submission.host == socket.gethostname():
        from mcqa.sweep.backends.local import end

        end(submission.token)
        return f", process {job}"
    return f", but what runs on {submission.host} cannot be reached from here; it ends by itself"
