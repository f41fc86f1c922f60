"""A trial as the controller has it: what it waits for, where it runs, how it ended."""

from dataclasses import dataclass, field
from typing import Literal

from mcqa.sweep.controller.events import Outcome, RecoveredTrial

State = Literal["waiting", "submitting", "running", "complete", "failed", "pruned"]


@dataclass
class TrialState:
    """A row of the live table, to be read only. `since` is on the controller's clock (`elapsed`), in seconds."""

    number: int
    state: State
    attempt: int  # the current one; of a waiting trial the next one
    vanished: int
    since: float
    job: str | None = None
    outcome: Outcome | None = None
    last: tuple[int, float] | None = None  # point and value
    pruning: bool = False
    points: set[int] = field(default_factory=set)


def found(known: RecoveredTrial) -> TrialState:
    """A trial with a job is taken as running: whether it still does, Vanished or Ended will say."""
    unended: State = "waiting" if known.job is None else "running"
    state = unended if known.outcome is None else known.outcome.status
    attempt = known.attempts if state == "waiting" else max(0, known.attempts - 1)
    return TrialState(known.trial, state, attempt, known.vanished, 0.0, known.job, known.outcome)
