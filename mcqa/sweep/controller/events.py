"""What the controller of a study and its loop say to each other, in plain values.

The loop tells what happened (events) and carries out what it is given back (actions), in that order:

    Ask     answered by Asked or Exhausted            a job:  Reported, Ended, Preempted, Vanished
    Submit  answered by Submitted, Refused (by the    the user: Interrupted (Ctrl-C)
            scheduler, now) or Impossible (ever)      time: Tick
    Judge   answered by Judged

Events come late, twice and in any order. What an attempt did names its attempt, because news of the attempt
before must not be taken for news of this one; Ended does not, because a result is the truth whoever wrote it.
An Ask is answered exactly once.
"""

from dataclasses import dataclass
from typing import Literal

COMPLETE = "complete"  # the reasons of Finish; where the scheduler takes nothing, its words are the reason


EXHAUSTED = "search space exhausted"


FAILURES = "too many failures"


IDENTICAL_FAILURES = "all fail alike"


TIMEOUT = "out of time"


LEFT_RUNNING = "left running"

CANCELLED = "cancelled by mcqa.jobs"  # the words of such a failure

Status = Literal["complete", "failed", "pruned"]


@dataclass(frozen=True)
class Limits:
    """None is no limit. `timeout_s` ends asking, never a trial; `n_trials` counts failed and pruned trials too.

    `max_alike` ends asking once so many trials of this start have failed, all in the same words (numbers aside) and
    before they had reported anything, and none of the study's ever ended well.
    """

    n_trials: int | None
    n_jobs: int
    max_failures: int | None
    max_resubmits: int
    timeout_s: float | None
    max_alike: int | None = None


@dataclass(frozen=True)
class Outcome:
    status: Status
    value: float | None
    error: str | None


@dataclass(frozen=True)
class RecoveredTrial:
    """A trial that a restart finds: `outcome` None is unfinished, otherwise it was told.

    `attempts` counts submissions, `job` is the last one's (None: none was accepted, or it was never noted), and
    `vanished` says how many attempts count against max_resubmits already.
    """

    trial: int
    outcome: Outcome | None
    attempts: int
    job: str | None
    vanished: int = 0


@dataclass(frozen=True)
class Asked:
    trial: int


@dataclass(frozen=True)
class Exhausted: ...


@dataclass(frozen=True)
class Submitted:
    trial: int
    attempt: int
    job: str


@dataclass(frozen=True)
class Refused:
    """By the scheduler, which may take it later."""

    trial: int
    attempt: int
    reason: str


@dataclass(frozen=True)
class Impossible:
    """It could not even be handed over: there is no configuration of what was asked for."""

    trial: int
    attempt: int
    reason: str


@dataclass(frozen=True)
class Reported:
    trial: int
    point: int
    value: float


@dataclass(frozen=True)
class Judged:
    trial: int
    prune: bool


@dataclass(frozen=True)
class Ended:
    trial: int
    outcome: Outcome


@dataclass(frozen=True)
class JobPreempted:
    trial: int
    attempt: int


@dataclass(frozen=True)
class Vanished:
    trial: int
    attempt: int
    reason: str


@dataclass(frozen=True)
class Interrupted: ...


@dataclass(frozen=True)
class Tick: ...


@dataclass(frozen=True)
class Ask: ...


@dataclass(frozen=True)
class Submit:
    trial: int
    attempt: int


@dataclass(frozen=True)
class Tell:
    trial: int
    outcome: Outcome


@dataclass(frozen=True)
class Judge:
    trial: int
    point: int
    value: float


@dataclass(frozen=True)
class Prune:
    trial: int


@dataclass(frozen=True)
class Cancel:
    trial: int


@dataclass(frozen=True)
class Finish:
    reason: str


Event = (
    Asked
    | Exhausted
    | Submitted
    | Refused
    | Impossible
    | Reported
    | Judged
    | Ended
    | JobPreempted
    | Vanished
    | Interrupted
    | Tick
)


Action = Ask | Submit | Tell | Judge | Prune | Cancel | Finish
