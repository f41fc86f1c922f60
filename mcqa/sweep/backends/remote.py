"""A trial that runs where this backend cannot look: on another machine, or started by another kind of backend."""

import time
from pathlib import Path

from mcqa.runs.mailbox import HEARTBEAT_S, Mailbox, Submission

LOST_S = 6 * HEARTBEAT_S
"""Silent for so long, a trial is taken to be over. If it only waited to start, it finds itself superseded then."""


class Remote:
    """A trial known by its heartbeat only; it cannot be cancelled from here."""

    def __init__(self, folder: Path, submission: Submission) -> None:
        self._mailbox, self._submission = Mailbox(folder), submission

    @property
    def job(self) -> str:
        submission = self._submission
        return f"{submission.backend}-{submission.host}-{submission.job or submission.token}"

    def alive(self) -> bool:
        if self._submission.backend == "debug":  # it ended with the process that submitted it
            return False
        now = time.time()
        silent_s = self._mailbox.silent_s(now)
        return min(now - self._submission.submitted, now if silent_s is None else silent_s) < LOST_S

    def clear(self) -> None:
        """Nothing there is in reach."""

    def kill(self) -> None:
        """Nothing there is in reach."""

    def reason(self) -> str:
        return f"no heartbeat from {self._submission.host} for {LOST_S:.0f} s"
