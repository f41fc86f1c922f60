"""The jobs of a study's trials as they are now, read from the trials' folders, SLURM and this machine's processes."""

import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mcqa.runs.mailbox import FINAL, Mailbox, Submission
from mcqa.sweep.backends import slurm_commands
from mcqa.sweep.backends.remote import LOST_S
from mcqa.sweep.backends.slurm import ENDED
from mcqa.sweep.backends.slurm_commands import Queued, is_of
from mcqa.sweep.backends.submission import logs_of
from mcqa.sweep.controller.events import CANCELLED

TIMEOUT_S = 10.0  # with SLURM's commands, for somebody who waits


NO_SQUEUE = "There is no squeue on this machine; what SLURM would say of the jobs is missing. Ask on a login node."


NO_ANSWER = "SLURM does not answer; what it would say of the jobs is missing."


AGAIN = "; its study's command submits it again"


TAIL = 16384  # bytes of a log in which its last line is looked for

NOT_THE_JOB_S = re.compile(
    r"submitit [A-Z]+ \(|\[[^]]*\]\[submitit\]|srun: |[A-Z]+: (?:"
    "Job completed successfully|Exiting after successful completion|Submitted job triggered an exception|"
    "Bypassing signal SIG|Caught signal SIG|Calling checkpoint method|Exiting gracefully after preemption|"
    r"Job has (?:not )?timed out\.|Job not requeued because|Requeued job \d|Not checkpointing )"
)
"""Lines of a log by submitit, in its own format, in that of Hydra's logging and in ours (LEVEL: words), and by srun."""


@dataclass(frozen=True)
class Row:
    """A trial. since: seconds since 1970, of the state; log: of its first process."""

    number: int
    job: str | None
    state: str
    where: str
    since: float | None
    last_line: str
    log: Path | None
    ended: bool
    folder: Path
    entry: Submission | None


class SlurmAnswer(NamedTuple):
    """What SLURM says of jobs; missing: why it says nothing."""

    jobs: Mapping[str, Queued]
    missing: str | None = None


def look(studies: Sequence[Path], ended: bool) -> tuple[dict[Path, list[Row]], str | None]:
    """Every trial in these folders, in their order, and why SLURM says nothing of them where it does not.

    ended: ask SLURM of those too that have ended.
    """
    entries = {study: {folder: _last(folder) for folder in _trials(study)} for study in studies}
    of_all = [(folder, entry) for found in entries.values() for folder, entry in found.items()]
    heard = _heard([entry for folder, entry in of_all if entry and (ended or not Mailbox(folder).is_finished())])
    rows = {study: [_row(folder, entry, heard) for folder, entry in found.items()] for study, found in entries.items()}
    return rows, heard.missing


def _trials(study: Path) -> list[Path]:
    found = (path for path in (study / "trials").glob("*") if path.name.isdecimal())
    return sorted(found, key=lambda path: int(path.name))


def _last(folder: Path) -> Submission | None:
    return next(reversed(Mailbox(folder).submissions()), None)


def _heard(entries: Sequence[Submission]) -> SlurmAnswer:
    """Asked once: SLURM's queue, and its accounting of what that forgot."""
    jobs = [entry.job for entry in entries if entry.backend == "slurm" and entry.job]
    if not jobs:
        return SlurmAnswer({})
    if not slurm_commands.lists_jobs():
        return SlurmAnswer({}, NO_SQUEUE)
    until = time.monotonic() + TIMEOUT_S
    queue = slurm_commands.queue(TIMEOUT_S)
    if queue is None:
        return SlurmAnswer({}, NO_ANSWER)
    forgotten = [job for job in jobs if job not in queue]
    return SlurmAnswer((slurm_commands.accounting(forgotten, max(1.0, until - time.monotonic())) or {}) | queue)


def _row(folder: Path, entry: Submission | None, heard: SlurmAnswer) -> Row:
    mailbox = Mailbox(folder)
    result = mailbox.result() or {}
    ended = result.get("status") in FINAL
    log, said = _last_words(folder, entry, ended)
    if ended:
        state, where, since = str(result["status"]), entry.host if entry else "", _changed(folder / "result.json")
        if entry and entry.backend == "slurm":
            where = queued.nodes if (queued := _job_of(entry, heard)) else ""
    elif entry is None:
        state, where, since = "not submitted", "", None
    else:
        state, where, since = _running(mailbox, entry, heard)
    if ended and result.get("error"):
        said = str(result["error"]).strip().splitlines()[-1]
    return Row(int(folder.name), entry.job if entry else None, state, where, since, said, log, ended, folder, entry)


def _running(mailbox: Mailbox, entry: Submission, heard: SlurmAnswer) -> tuple[str, str, float | None]:
    """State, place and since when, of a trial that has no final result."""
    silent_s = mailbox.silent_s(time.time())
    silent = "" if silent_s is None or silent_s < LOST_S else f", silent for {silent_s / 60:.0f} min"
    if entry.backend == "slurm" and entry.job is None:
        return "being submitted", "", entry.submitted
    if entry.backend == "slurm" and heard.missing:
        return f"unknown{_ago(silent_s)}", "", entry.submitted
    if entry.backend == "slurm":
        queued = _job_of(entry, heard)
        return _queued(queued, silent) if queued else (f"no longer known to SLURM{AGAIN}", "", entry.submitted)
    if entry.backend == "local" and entry.host == socket.gethostname():
        from mcqa.sweep.backends.local import is_alive

        alive = entry.job is not None and is_alive(int(entry.job), entry.token)
        state = f"RUNNING{silent}" if alive else f"its process is gone{AGAIN}"
        return state, f"{entry.host}, pid {entry.job}", entry.submitted
    return f"started from {entry.host}{silent}", entry.host, entry.submitted


def _job_of(entry: Submission, heard: SlurmAnswer) -> Queued | None:
    queued = heard.jobs.get(entry.job or "")
    return queued if queued and is_of(queued, entry.token) else None


def _queued(queued: Queued, silent: str) -> tuple[str, str, float | None]:
    why = f" ({queued.why})" if queued.why not in ("", "None") else ""
    then = silent if queued.word == "RUNNING" else AGAIN if queued.word in ENDED else ""
    where = "" if queued.nodes == "None assigned" else queued.nodes
    return f"{queued.word}{why}{then}", where, _seconds(queued.since)


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return ""
    size, unit = next(((size, unit) for size, unit in ((3600, "h"), (60, "min")) if seconds >= 2 * size), (1, "s"))
    return f" (last heard of {max(0.0, seconds) / size:.0f} {unit} ago)"


def _last_words(folder: Path, entry: Submission | None, ended: bool) -> tuple[Path | None, str]:
    """A log of the first process of the last start, and the last line in it.

    Output and errors may be kept apart: of what runs the newer one counts, of what has ended the output. A line of the
    job's own comes before those of submitit and srun.
    """
    if entry is None:
        return None, ""
    logs = sorted(logs_of(folder, entry.attempt).glob("*_0_log.*"), key=lambda path: path.stat().st_mtime, reverse=True)
    if ended:
        logs.sort(key=lambda path: path.suffix != ".out")
    lines = [(log, line) for log in logs for line in reversed(_lines(log))]
    own = ((log, line) for log, line in lines if not NOT_THE_JOB_S.match(line))
    empty = max(logs, key=lambda path: path.suffix == ".out", default=None)
    return next(own, next(iter(lines), (empty, "")))


def _lines(log: Path) -> list[str]:
    """The last ones that are not empty."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = file.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    return [line.strip().replace("\t", " ") for line in lines if line.strip()]


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _seconds(told: str) -> float | None:
    """Of a time as SLURM writes it, in the time zone of this machine."""
    try:
        return time.mktime(time.strptime(told, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


def cancel(row: Row) -> str:
    """End a trial for good; returns what was done.

    The result comes first: with it nobody submits the trial again or runs it, however late the job hears of its end.
    """
    if row.ended:
        return f"has ended already ({row.state})"
    if row.entry is None:
        return "was not submitted yet; its study will. Stop that first (Ctrl-C)"
    Mailbox(row.folder).cancel({"status": "failed", "value": None, "metrics": {}, "seconds": 0.0, "error": CANCELLED})
    return f"cancelled{_end(row.entry)}"


def _end(entry: Submission) -> str:
    if entry.backend == "slurm" and entry.job:
        queued = (slurm_commands.queue(TIMEOUT_S) or {}).get(entry.job)
        if queued and not is_of(queued, entry.token):
            return f"; SLURM has forgotten its job, and another one is {entry.job} now"
        out, words = slurm_commands.said("scancel", entry.job, patience_s=TIMEOUT_S)
        return f", job {entry.job}" if out is not None else f", but scancel {entry.job} fails: {words}"
    if entry.backend == "local" and entry.host == socket.gethostname():
        from mcqa.sweep.backends.local import end

        end(entry.token)
        return f", process {entry.job}"
    return f", but what runs on {entry.host} is out of reach: it ends by itself"
