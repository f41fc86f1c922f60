"""When to retry after the scheduler refused a submission, by the controller's clock.

A refusal says nothing about the trial: a scheduler may be away, or allow so many jobs and no more. So the trial waits,
and after a pause that grows exponentially one submission tests whether the scheduler is back. Only a trial that is
refused again and again while others are accepted is at fault itself.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

MAX_REFUSALS = 10
"""Consecutive refusals after which nothing more is tried, unless something still runs."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
"""The pause after the first refusal, which doubles with every further one, and its limit."""


@dataclass
class Backoff:
    message: str | None = None  # of the last refusal, until something is accepted
    consecutive: int = 0  # refusals since something was accepted or ended; those of one moment count as one
    retry_at: float = 0.0
    refusals: Counter[int] = field(default_factory=Counter)  # by trial, in all
    _last_at: float = -math.inf
    _suspects: dict[int, str] = field(default_factory=dict)  # trials refused since something was accepted, and why
    _blamed: Counter[int] = field(default_factory=Counter)  # how often others were accepted shortly after

    def refused(self, trial: int, message: str, submitted_at: float, now: float) -> None:
        """Record a refusal. What was already under way when another trial was refused has the same cause."""
        self.consecutive += submitted_at > self._last_at or not self.consecutive
        self.retry_at = now + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self.consecutive - 1, 9))
        self.message, self._last_at = message, now
        self.refusals[trial] += 1
        self._suspects[trial] = message

    def accepted(self, trial: int) -> dict[int, str]:
        """Record that a trial was accepted. Return the trials at fault themselves, with the scheduler's messages."""
        self._suspects.pop(trial, None)
        self._blamed.update(self._suspects.keys())
        at_fault = {number: why for number, why in self._suspects.items() if self._blamed[number] > MAX_REFUSALS}
        self.message, self.consecutive, self._suspects = None, 0, {}
        return at_fault

    def job_ended(self, now: float) -> None:
        """Allow a retry at once: where there were too many jobs for the scheduler, there is room for one now."""
        self.consecutive, self.retry_at, self._suspects = 0, now, {}
