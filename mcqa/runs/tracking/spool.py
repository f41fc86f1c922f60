"""events.jsonl: everything for the tracker, in order, one JSON object a line.

Every event has `ms` (milliseconds since 1970) and `event`:

    start     run, name, owner, params, tags, parent    once per process that worked on the run
    metrics   step, values, of                  NaN and Infinity are written by those names; of: Tracker.metrics
    tags      values
    artifact  path                              a file or folder, relative to the run folder
    table     path                              a JSON file with `columns` and `data`
    dataset   name, digest, source, split, questions
    finish    status                            FINISHED, FAILED or KILLED
"""

import errno
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psutil

from mcqa.runs.files import open_private, retry_stalled_io

Event = dict[str, Any]

log = logging.getLogger(__name__)

_warned: set[Path] = set()
"""Spools of whose content this process has warned."""


class Spool:
    """Append events from any thread of one process; read what any process has written.

    A process that is killed can leave half a line. The next append ends that line, and reading skips it, as any line
    that is no event. What the file system does not take is kept in memory until the next append, and the run continues.

    read_to: the position behind the last line that was read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "events.jsonl"
        self._lock = threading.Lock()
        self.read_to = 0
        self._checked = self._warned = False
        self._waiting: list[bytes] = []

    def append(self, event: str, **fields: object) -> None:
        """Append an event of this moment, unless `ms` is among the fields."""
        line = json.dumps({"ms": int(time.time() * 1000), "event": event} | fields, ensure_ascii=False)
        with self._lock:
            self._waiting.append(f"{line}\n".encode("utf-8", "replace"))  # names of files may hold what is no text
            try:
                self._write()
            except OSError as error:
                self._checked = False  # it may have taken half a line
                log.log(
                    logging.DEBUG if self._warned else logging.WARNING,
                    "%s cannot be written: %s. The run continues; its events are kept in memory and written later.",
                    *(self.path, error.strerror or error),
                )
                self._warned = True

    def flush(self) -> None:
        """Write everything that was appended to the disk (fsync).

        Raises:
            OSError: the disk does not take it.
        """
        with self._lock:
            retry_stalled_io(self._write)
            with open(self.path, "ab", opener=open_private) as file:
                os.fsync(file.fileno())

    def _write(self) -> None:
        with open(self.path, "ab", buffering=0, opener=open_private) as file:
            while self._waiting:
                line = b"\n" * (not self._checked and self._is_torn()) + self._waiting[0]
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._checked = True
                self._waiting.pop(0)

    def start(self, name: str, params: object, tags: object, parent: Path | None = None) -> None:
        """Begin the run or, where the spool has one already, resume it under the same identity.

        parent: the folder of the run that this one is nested in, in MLflow's list.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        first = self.first_start()
        identity = first["run"] if first else f"{self.folder.name}-{uuid4().hex[:8]}"
        owner = this_process()._asdict()
        nested = {"parent": str(parent)} if parent else {}
        self.append("start", run=identity, name=name, owner=owner, params=params, tags=tags, **nested)

    def read(self, start: int = 0) -> Iterator[tuple[int, Event]]:
        """Yield events from a byte position on, each with the position behind it, up to an unfinished line."""
        try:
            with self.path.open("rb") as file:
                self.read_to = file.seek(start)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    begin, self.read_to = self.read_to, self.read_to + len(line)
                    if (event := _event(line)) is not None:
                        yield self.read_to, event
                    elif line.strip():
                        self._warn_of_line(begin)
        except FileNotFoundError:
            return
        except OSError as error:
            _warn_once(self.path, "%s cannot be read: %s. MLflow gets nothing from it.", error.strerror or error)

    def _warn_of_line(self, begin: int) -> None:
        with self.path.open("rb") as file:
            number = file.read(begin).count(b"\n") + 1
        reason = "%s, line %d: no event, perhaps cut off by a crash. It is left out; MLflow gets all other lines."
        _warn_once(self.path, reason, number)

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def first_start(self) -> Event | None:
        return next((event for _, event in self.read() if event["event"] == "start"), None)

    def work(self) -> "Work":
        """Return who worked on the run last."""
        work = Work(None, False, 0)
        for _, event in self.read():
            if event["event"] == "start":
                work = Work(Process(**event["owner"]), False, event["ms"])
            else:
                work = work._replace(finished=work.finished or event["event"] == "finish", ms=event["ms"])
        return work

    def _is_torn(self) -> bool:
        if not self.size():
            return False
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"


def _warn_once(path: Path, message: str, reason: object) -> None:
    log.log(logging.DEBUG if path in _warned else logging.WARNING, message, path, reason)
    _warned.add(path)


# ---- what an event is


def _event(line: bytes) -> Event | None:
    """Return the event in a line; None where it is none of those above, whatever wrote or damaged it."""
    try:
        event = json.loads(line.strip(b"\0\n").decode())  # zeros: a machine lost power
        if b"\\ud" in line:  # half a character, which nothing would take
            event = json.loads(json.dumps(event, ensure_ascii=False).encode("utf-8", "replace"))
        checks = _FIELDS[event["event"]] | {"ms": _is_whole}
        return event if all(check(event[name]) for name, check in checks.items()) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number that a database can hold."""
    return isinstance(value, int) and abs(value) < 2**63


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, float) or _is_whole(each) for each in value.values())


def _is_within(value: Any) -> bool:
    """Whether it is a path that leads to something within the run folder."""
    path = Path(value)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in value


def _is_process(value: Any) -> bool:
    owner = Process(**value)
    is_number = isinstance(owner.created, float | int) and abs(owner.created) < 2**63
    return is_number and isinstance(owner.host, str) and isinstance(owner.pid, int) and 0 < owner.pid < 2**31


_FIELDS: Mapping[str, dict[str, Callable[[Any], bool]]] = {
    "start": {"run": _is_text, "name": _is_text, "owner": _is_process, "params": _is_mapping, "tags": _is_mapping},
    "metrics": {"step": _is_whole, "values": _are_numbers},
    "tags": {"values": _is_mapping},
    "artifact": {"path": _is_within},
    "table": {"path": _is_within},
    "dataset": dict.fromkeys(("name", "digest", "source", "split"), _is_text) | {"questions": _is_whole},
    "finish": {"status": lambda value: value in ("FINISHED", "FAILED", "KILLED")},
}


# ---- who works on a run


class Process(NamedTuple):
    """A process. created: seconds since 1970, which tells it from a later one with the same pid."""

    host: str
    pid: int
    created: float

    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether a process of this host still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 2  # seconds: the clock may have been set meanwhile
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


class Work(NamedTuple):
    """Who worked on a run, whether it ended, and the time of its last event (milliseconds since 1970)."""

    owner: Process | None
    finished: bool
    ms: int


def this_process() -> Process:
    return Process(socket.gethostname(), os.getpid(), psutil.Process().create_time())
