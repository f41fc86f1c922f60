"""What the controller of a study and its loop exchange, in plain values.

The loop reports what happened (events) and carries out what it gets back (actions), in that order:

    Ask     answered by Asked or Exhausted             a job:     Reported, Ended, JobPreempted, Vanished
    Submit  answered by Submitted, Refused (by the     the user:  Interrupted (Ctrl-C)
            scheduler, for now) or Impossible (ever)   time:      Tick
    Judge   answered by Judged                         a paused trial's job: Paused
    Promote answered by Promoted

Events may come late, twice and in any order. News of an attempt names the attempt, because news of the one before must
not be taken for news of this one; Ended does not, because a result is the truth whichever attempt wrote it. An Ask and
a Promote are answered exactly once.
"""

from dataclasses import dataclass
from typing import Literal

# Reasons of Finish. Where the scheduler accepts nothing, its message is the reason.
COMPLETE = "complete"
EXHAUSTED = "search space exhausted"
FAILURES = "too many failures"
IDENTICAL_FAILURES = "identical failures"
TIMEOUT = "timeout"
LEFT_RUNNING = "left running"

CANCELLED = "cancelled by mcqa.jobs"
"""The error of a trial that the user cancelled."""

Status = Literal["complete", "failed", "pruned"]

Judgement = Literal["continue", "prune", "pause"]
"""What becomes of a trial that has reported. A paused one keeps its checkpoint, gives its slot away and may go on."""

Otherwise = Literal["ask", "wait", "end"]
"""What the slot is used for if no paused trial goes on: a new trial is asked for; nothing, while others run, waiting or
not; or nothing ever, because the study is over and what is paused ends as pruned."""


@dataclass(frozen=True)
class Limits:
    """When a study stops asking for trials; None is no limit. No limit ever ends a trial."""

    n_trials: int | None  # in all, failed and pruned ones too
    n_jobs: int  # at a time
    max_failures: int | None  # failed trials in all
    max_resubmits: int  # of one trial whose job vanished
    timeout_s: float | None  # since the start of the controller
    max_identical_failures: int | None = None
    """So many trials of this start have failed, all with the same error (digits aside) and before they had reported
    anything, and none of the study's ever ended well."""


@dataclass(frozen=True)
class Outcome:
    status: Status
    value: float | None
    error: str | None


@dataclass(frozen=True)
class RecoveredTrial:
    """A trial that a restart finds."""

    trial: int
    outcome: Outcome | None  # None: unfinished
    attempts: int  # submissions so far
    job: str | None  # of the last submission; None: it was not accepted, or its job was never recorded
    vanished: int = 0  # attempts that already count against max_resubmits
    pause: Literal["asked", "done"] | None = None  # of an unfinished one: it was asked to pause, or is paused


@dataclass(frozen=True)
class _OfTrial:
    trial: int


@dataclass(frozen=True)
class _OfAttempt(_OfTrial):
    attempt: int


# ---- events


@dataclass(frozen=True)
class Asked(_OfTrial):
    """The study suggested a trial."""


@dataclass(frozen=True)
class Exhausted:
    """The study has no more trials."""


@dataclass(frozen=True)
class Submitted(_OfAttempt):
    job: str


@dataclass(frozen=True)
class Refused(_OfAttempt):
    """The scheduler did not accept it, but may later."""

    reason: str


@dataclass(frozen=True)
class Impossible(_OfAttempt):
    """It cannot be submitted: its overrides compose to no configuration."""

    reason: str


@dataclass(frozen=True)
class Reported(_OfTrial):
    point: int
    value: float


@dataclass(frozen=True)
class Judged(_OfTrial):
    judgement: Judgement
    point: int = -1  # the one that was judged


@dataclass(frozen=True)
class Promoted:
    """The paused trial that goes on; None: none does, unless more becomes known."""

    trial: int | None


@dataclass(frozen=True)
class Ended(_OfTrial):
    outcome: Outcome


@dataclass(frozen=True)
class JobPreempted(_OfAttempt):
    """It was stopped by the scheduler, has saved, and can resume."""


@dataclass(frozen=True)
class Paused(_OfAttempt):
    """It was asked to pause, has saved, and its job is over."""


@dataclass(frozen=True)
class Vanished(_OfAttempt):
    """Its job is over without a result."""

    reason: str


@dataclass(frozen=True)
class Interrupted:
    """Ctrl-C."""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


# ---- actions


@dataclass(frozen=True)
class Ask:
    """Ask the study for a trial."""


@dataclass(frozen=True)
class Submit(_OfAttempt):
    """Submit the trial to the scheduler."""


@dataclass(frozen=True)
class Tell(_OfTrial):
    """Tell the study how the trial ended."""

    outcome: Outcome


@dataclass(frozen=True)
class Judge(_OfTrial):
    """Let the study decide whether the trial goes on."""

    point: int
    value: float


@dataclass(frozen=True)
class Promote:
    """Let the study decide which of these trials goes on, if any: a slot is free."""

    paused: tuple[int, ...]
    otherwise: Otherwise


@dataclass(frozen=True)
class Prune(_OfTrial):
    """Ask the trial to stop."""


@dataclass(frozen=True)
class Pause(_OfTrial):
    """Ask the trial to save and to give its slot away."""


@dataclass(frozen=True)
class Close(_OfTrial):
    """Write the result of a paused trial, which ends as pruned; a Tell follows."""


@dataclass(frozen=True)
class Cancel(_OfTrial):
    """Cancel the trial's job."""


@dataclass(frozen=True)
class Finish:
    reason: str


Answer = Asked | Exhausted | Submitted | Refused | Impossible | Judged | Promoted
Event = Answer | Reported | Ended | JobPreempted | Paused | Vanished | Interrupted | Tick
Action = Ask | Submit | Tell | Judge | Promote | Prune | Pause | Close | Cancel | Finish
