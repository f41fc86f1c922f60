"""What the scheduler refused, and when to try again: the patience of the controller, by the controller's clock.

A refusal says nothing of the trial: a scheduler may be away, or allow so many jobs and no more. So the trial waits, and
after a pause that grows one submission finds out whether the scheduler is back. Only a trial that is refused again and
again while others are taken is at fault itself.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

MOST = 10
"""Refusals in a row after which nothing more is tried, unless something still runs."""

FIRST_S, LONGEST_S = 5.0, 300.0
"""The pause after the first refusal; each further one doubles it."""


@dataclass
class Refusals:
    words: str | None = None  # of the last one, until something is accepted
    in_a_row: int = 0  # since something was accepted or ended; those of one moment are one
    again_at: float = 0.0
    times: Counter[int] = field(default_factory=Counter)  # by trial, in all
    _last_at: float = -math.inf
    _suspects: dict[int, str] = field(default_factory=dict)  # trials that were refused in this row, and the words
    _blamed: Counter[int] = field(default_factory=Counter)  # how often others were taken shortly after

    def refused(self, trial: int, words: str, submitted_at: float, now: float) -> None:
        """What was already under way when another trial was refused, was refused for the same reason."""
        self.in_a_row += submitted_at > self._last_at or not self.in_a_row
        self.again_at = now + min(LONGEST_S, FIRST_S * 2 ** min(self.in_a_row - 1, 9))
        self.words, self._last_at = words, now
        self.times[trial] += 1
        self._suspects[trial] = words

    def accepted(self, trial: int) -> dict[int, str]:
        """Returns the trials that are at fault themselves, with the scheduler's words."""
        self._suspects.pop(trial, None)
        self._blamed.update(self._suspects.keys())
        at_fault = {number: words for number, words in self._suspects.items() if self._blamed[number] > MOST}
        self.words, self.in_a_row, self._suspects = None, 0, {}
        return at_fault

    def freed(self, now: float) -> None:
        """A job ended: if there are too many for the scheduler, it may take one now, whichever that is."""
        self.in_a_row, self.again_at, self._suspects = 0, now, {}
