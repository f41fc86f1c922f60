"""Optuna's journal with one controller as its only writer: one write for each transaction.

Optuna's own backend writes and flushes to the disk for every parameter, attribute and state: eight times a trial
of five dimensions, 24 of 27 ms where a flush takes 3. Here a `transaction()` is one write and one flush, under
Optuna's lock, so that another process can neither read half of it nor number a trial in between. The format is
Optuna's: its own backend and its dashboard read the file.

Outside of a transaction a write is handed to the operating system at once but not flushed: it survives the death
of the process, and what the death of the machine takes (a report, a result) is read again from the trial's folder.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock
from optuna.storages.journal._storage import JournalOperation

from mcqa.config.errors import FileError, McqaError

OPERATIONS = frozenset(JournalOperation)


class Journal(BaseJournalBackend):
    """The journal in the file at `path`, which is made when missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = JournalFileSymlinkLock(str(path.absolute()))
        self._begin()
        self._pending: list[dict[str, Any]] | None = None  # logs of the transaction
        self._pending_text = ""  # the same as they were: Optuna changes the dictionaries that it reads back
        if not path.exists():
            path.touch()

    def _begin(self) -> None:
        self._read = 0  # logs taken from the file
        self._offset = 0  # bytes that they take there
        self._studies = self._trials = 0  # that they made, at most

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield those from a number on. Optuna only ever asks for what it has not seen yet, or for everything."""
        if log_number_from < self._read:
            self._begin()
        for log in self._from_file():
            if self._read > log_number_from:
                yield log
        yield from (self._pending or [])[max(0, log_number_from - self._read) :]

    def _from_file(self) -> Iterator[dict[str, Any]]:
        """What the file has beyond what was read. An unfinished last line is left for later."""
        if self._path.stat().st_size == self._offset:
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                log = self._parsed(line)
                self._read += 1
                self._offset += len(line)
                yield log

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            log = json.loads(line)
            problem = self._problem(log)
        except (ValueError, TypeError, RecursionError) as error:
            log, problem = {}, f"no line of a journal ({error})"
        if problem:
            raise FileError(damage(f"{self._path}:{self._read + 1}", problem))
        return dict(log)

    def _problem(self, log: Any) -> str | None:
        """Return why a log cannot follow those before it. Optuna would leave it out, and number all others anew."""
        if not isinstance(log, dict):
            return "no line of a journal"
        operation = log.get("op_code")
        if operation not in OPERATIONS:
            return f"an operation that Optuna {optuna.__version__} does not know, {operation!r}; a newer one may"
        if log.get("study_id", -1) >= self._studies or log.get("trial_id", -1) >= self._trials:
            return "it is about a study or a trial that no line before it begins"
        self._studies += operation == JournalOperation.CREATE_STUDY
        self._trials += operation == JournalOperation.CREATE_TRIAL
        return None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        if self._pending is not None:
            self._pending += logs
            self._pending_text += text
            return
        self._lock.acquire()
        try:
            self._write(text, durable=False)
        finally:
            self._release()

    @contextmanager
    def transaction(self, durable: bool) -> Iterator[None]:
        """Make one write of everything that is appended inside, also when something is raised.

        durable: it is on the disk afterwards, not only with the operating system.
        """
        self._lock.acquire()
        self._pending = []
        try:
            yield
        finally:
            text, self._pending, self._pending_text = self._pending_text, None, ""
            try:
                self._write(text, durable)
            finally:
                self._release()

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Raise what Optuna raises about a log of the file as an error that says where it stands."""
        try:
            yield
        except (McqaError, OSError):
            raise
        except Exception as error:  # whatever Optuna makes of a log with other values than it writes
            raise FileError(damage(f"{self._path}:{self._read}", f"{type(error).__name__}: {error}")) from error

    def _release(self) -> None:
        with suppress(RuntimeError):  # another process took a lock that it thought stale, after 30 s of a slow sampler
            self._lock.release()

    def _write(self, text: str, durable: bool) -> None:
        with self._path.open("ab", buffering=0) as file:
            before, left = file.tell(), memoryview(text.encode())
            try:
                while left:
                    left = left[file.write(left) :]
                if durable:
                    os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):  # half of it, such as on a full disk, would spoil the line after it
                    file.truncate(before)
                raise


def damage(place: str, problem: str) -> str:
    """Return the message that a journal is damaged at a place, and what to do."""
    return (
        f"{place}: the study's journal is damaged there: {problem}. Was it edited, or written by two controllers? A "
        "copy of the file without that line and those after it can be opened in its place; trials that ended since "
        "then are read from their folders."
    )


def repair(path: Path) -> None:
    """Cut off what a writer that was killed left at the end: the next line would be glued to it and lost with it.

    Its lock goes too. Only for who holds the study's lock: nobody else may be writing.
    """
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if not path.exists():
        return
    with path.open("r+b") as file:
        content = file.read()
        whole = _readable_end(content)
        if whole < len(content):
            file.truncate(whole)


def _readable_end(content: bytes) -> int:
    """Bytes up to the end of the last line, or of the one before when a machine that died left zeros in it."""
    end = content.rfind(b"\n") + 1
    begin = content.rfind(b"\n", 0, max(0, end - 1)) + 1
    return begin if b"\0" in content[begin:end] else end
