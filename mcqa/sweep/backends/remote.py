"""A trial that runs where this backend cannot look: on another machine, or started by another kind of backend."""

import time
from pathlib import Path

from mcqa.runs.mailbox import HEARTBEAT_S, Mailbox, Submission

LOST_S = 6 * HEARTBEAT_S
"""Silent for so long, a trial is taken to be over. Should it only wait to start, it finds itself superseded then."""


class Remote:
    """Known by its signs of life only, and out of reach of a cancellation."""

    def __init__(self, folder: Path, entry: Submission) -> None:
        self._mailbox, self._entry = Mailbox(folder), entry

    @property
    def job(self) -> str:
        return f"{self._entry.backend}-{self._entry.host}-{self._entry.job or self._entry.token}"

    def alive(self) -> bool:
        if self._entry.backend == "debug":  # ended with the process that submitted it
            return False
        now = time.time()
        silent = self._mailbox.silent_s(now)
        return min(now - self._entry.submitted, now if silent is None else silent) < LOST_S

    def clear(self) -> None:
        """Nothing there is in reach."""

    def kill(self) -> None:
        """Nothing there is in reach."""

    def reason(self) -> str:
        return f"no sign of life from {self._entry.host} for {LOST_S:.0f} s"
