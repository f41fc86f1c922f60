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

from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock

from mcqa.config.errors import ConfigError


class Journal(BaseJournalBackend):
    """The journal in the file at `path`, which is made when missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = JournalFileSymlinkLock(str(path.absolute()))
        self._read = 0  # logs taken from the file
        self._offset = 0  # bytes that they take there
        self._pending: list[dict[str, Any]] | None = None  # logs of the transaction
        self._pending_text = ""  # the same as they were: Optuna changes the dictionaries that it reads back
        path.touch()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield those from a number on. Optuna only ever asks for what it has not seen yet, or for everything."""
        if log_number_from < self._read:
            self._read = self._offset = 0
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
            return dict(json.loads(line))
        except ValueError as error:
            raise ConfigError(
                f"{self._path}:{self._read + 1}: the study's journal is damaged there. Was it edited, or written by "
                "two controllers? A copy without that line and those after it can be opened."
            ) from error

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

    def _release(self) -> None:
        with suppress(RuntimeError):  # another process took a lock that it thought stale, after 30 s of a slow sampler
            self._lock.release()

    def _write(self, text: str, durable: bool) -> None:
        with self._path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            if durable:
                os.fsync(file.fileno())


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
