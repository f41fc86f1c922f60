"""The jobs of a study's trials as they are now, read from the trials' folders, SLURM and this machine's processes."""

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcqa.sweep.backends import asking
from mcqa.sweep.backends.asking import Queued
from mcqa.sweep.backends.elsewhere import LOST_S
from mcqa.sweep.backends.submission import logs_of
from mcqa.sweep.mailbox import FINAL, Entry, Mailbox

TAIL = 4096  # bytes of a log in which its last line is looked for
CANCELLED = "cancelled by mcqa.jobs"


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
    entry: Entry | None


def look(study: Path) -> list[Row]:
    """Of every trial in the folder, in their order."""
    folders = sorted(
        (path for path in (study / "trials").glob("*") if path.name.isdecimal()), key=lambda path: int(path.name)
    )
    entries = {folder: next(reversed(Mailbox(folder).jobs()), None) for folder in folders}
    queue = _queue([entry for entry in entries.values() if entry is not None])
    return [_row(folder, entry, queue) for folder, entry in entries.items()]


def _queue(entries: list[Entry]) -> Mapping[str, Queued]:
    """What SLURM says of these, asked once: its queue, and its accounting of what that forgot."""
    jobs = [entry.job for entry in entries if entry.backend == "slurm" and entry.job]
    if not jobs:
        return {}
    queue = asking.queue() or {}
    return (asking.accounting([job for job in jobs if job not in queue]) or {}) | queue


def _row(folder: Path, entry: Entry | None, queue: Mapping[str, Queued]) -> Row:
    mailbox = Mailbox(folder)
    result = mailbox.result() or {}
    log = _log(folder, entry)
    ended = result.get("status") in FINAL
    if ended:
        state, where, since = str(result["status"]), entry.host if entry else "", _changed(folder / "result.json")
        if entry and entry.backend == "slurm":
            where = queue[entry.job].nodes if entry.job and entry.job in queue else ""
    elif entry is None:
        state, where, since = "not submitted", "", None
    else:
        state, where, since = _running(mailbox, entry, queue)
    said = str(result["error"]).strip().splitlines()[-1] if ended and result.get("error") else _last_line(log)
    return Row(int(folder.name), entry.job if entry else None, state, where, since, said, log, ended, folder, entry)


def _running(mailbox: Mailbox, entry: Entry, queue: Mapping[str, Queued]) -> tuple[str, str, float | None]:
    """State, place and since when, of a trial that has no final result."""
    silent = mailbox.silent_s(time.time())
    heard = "" if silent is None or silent < LOST_S else f", silent for {silent / 60:.0f} min"
    if entry.backend == "slurm":
        queued = queue.get(entry.job or "")
        if queued is None:
            return "no longer known to SLURM" if entry.job else "being submitted", "", entry.submitted
        why = f" ({queued.why})" if queued.why not in ("", "None") else ""
        where = "" if queued.nodes == "None assigned" else queued.nodes
        return f"{queued.word}{why}{heard if queued.word == 'RUNNING' else ''}", where, _seconds(queued.since)
    if entry.backend == "local" and entry.host == socket.gethostname():
        from mcqa.sweep.backends.local import is_alive

        alive = entry.job is not None and is_alive(int(entry.job), entry.token)
        return f"RUNNING{heard}" if alive else "its process is gone", f"{entry.host}, pid {entry.job}", entry.submitted
    return f"started from {entry.host}{heard}", entry.host, entry.submitted


def _log(folder: Path, entry: Entry | None) -> Path | None:
    """Of the first process of the last start: errors where they are kept apart and there are any."""
    if entry is None:
        return None
    logs = logs_of(folder, entry.attempt)
    found = [path for end in ("err", "out") for path in sorted(logs.glob(f"*_0_log.{end}")) if path.stat().st_size]
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return newest or next(iter(sorted(logs.glob("*_0_log.out"))), None)


def _last_line(log: Path | None) -> str:
    if log is None:
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = file.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "").replace("\t", " ")


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


def _end(entry: Entry) -> str:
    if entry.backend == "slurm" and entry.job:
        out, words = asking.said("scancel", entry.job)
        return f", job {entry.job}" if out is not None else f", but scancel {entry.job} fails: {words}"
    if entry.backend == "local" and entry.host == socket.gethostname():
        from mcqa.sweep.backends.local import end

        end(entry.token)
        return f", process {entry.job}"
    return f", but what runs on {entry.host} is out of reach: it ends by itself"
