"""What a study does next: a pure state machine without clock, files, threads or Optuna.

It is told events and gives back actions (events.py has both). A trial waits for a slot, is handed to the scheduler,
runs, and ends:

    Asked -> waiting -> submitting -> running -> complete | failed | pruned
                ^- Refused -'            |
                ^- Vanished, Preempted --'
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from mcqa.sweep.controller.backoff import MOST, Refusals
from mcqa.sweep.controller.events import (
    CANCELLED,
    COMPLETE,
    EXHAUSTED,
    FAILURES,
    IDENTICAL_FAILURES,
    LEFT_RUNNING,
    TIMEOUT,
    Action,
    Ask,
    Asked,
    Cancel,
    Ended,
    Event,
    Exhausted,
    Finish,
    Impossible,
    Interrupted,
    JobPreempted,
    Judge,
    Judged,
    Limits,
    Outcome,
    Prune,
    RecoveredTrial,
    Refused,
    Reported,
    Submit,
    Submitted,
    Tell,
    Tick,
    Vanished,
)
from mcqa.sweep.controller.trial_state import State, TrialState, found

DOUBTED = 3  # refusals of the only trial that waits, after which another one is asked and tried


class Controller:
    """Call `start` once, then `on` for every event, in one thread. `now` may be any clock, jumps included."""

    def __init__(self, limits: Limits, known: Iterable[RecoveredTrial], now: float) -> None:
        assert limits.n_jobs >= 1
        self.limits = limits
        self.elapsed = 0.0  # seconds since the start by a clock that never goes back
        self.asking = 0  # Asks without an answer; each holds a slot
        self.reason: str | None = None  # of Finish, once that was given
        self.refusals = Refusals()
        self._now = now
        self._trials = {k.trial: found(k) for k in sorted(known, key=lambda k: k.trial)}
        self._unended = {n: trial for n, trial in self._trials.items() if trial.outcome is None}
        self._waiting = {n: trial for n, trial in self._unended.items() if trial.state == "waiting"}
        self._ended_well = any(trial.state in ("complete", "pruned") for trial in self._trials.values())
        self._accepted = self._ended_well or any(trial.job or trial.vanished for trial in self._trials.values())
        self._failed = sum(trial.state == "failed" for trial in self._trials.values())
        self._began: set[int] = set()  # submitted since the start
        self._errors: list[str] = []  # of those of them that failed before they had reported anything
        self._exhausted = False
        self._cancelling = False

    @property
    def done(self) -> bool:
        return self.reason is not None

    @property
    def trials(self) -> Sequence[TrialState]:
        return list(self._trials.values())

    @property
    def counts(self) -> Counter[State]:
        return Counter(trial.state for trial in self._trials.values())

    @property
    def occupied(self) -> int:
        """Slots that are taken. More than n_jobs only after a restart with fewer slots than jobs that still run."""
        return self.asking + len(self._unended) - len(self._waiting)

    def start(self, now: float) -> list[Action]:
        return self.on(Tick(), now)

    def on(self, event: Event, now: float) -> list[Action]:
        self.elapsed += max(0.0, now - self._now)
        self._now = now
        if self.done:
            return self._after_the_end(event)
        return self._react(event) + self._fill()

    def _react(self, event: Event) -> list[Action]:
        """The table of rules. An event that fits no line is late, a duplicate, of an unknown trial, or a Tick."""
        match event:
            case Asked(number) if number not in self._trials:
                self._asked(number)
            case Exhausted():
                self.asking, self._exhausted = max(0, self.asking - 1), True
            case Submitted(number, attempt, job) if self._at(number, attempt, "submitting"):
                self._runs(self._trials[number], job)
                return self._blame(number)
            case Refused(number, attempt, reason) if self._at(number, attempt, "submitting"):
                self.refusals.refused(number, reason, self._trials[number].since, self.elapsed)
                self._wait(self._trials[number])
            case Impossible(number, attempt, reason) if self._at(number, attempt, "submitting"):
                return self._tell(number, Outcome("failed", None, reason))
            case JobPreempted(number, attempt) if self._at(number, attempt, "submitting", "running"):
                self._lost()
                self._wait(self._trials[number])
            case Vanished(number, attempt, reason) if self._at(number, attempt, "submitting", "running"):
                return self._vanished(self._trials[number], reason)
            case Reported(number, point, value) if self._new_point(number, point):
                self._report(self._trials[number], point, value)
                return [Judge(number, point, value)]
            case Judged(number, True) if number in self._unended and not self._trials[number].pruning:
                self._trials[number].pruning = True
                return [Prune(number)]
            case Ended(number, outcome) if number in self._unended:
                self._lost()
                return self._tell(number, outcome)
            case Interrupted():
                return self._finish(LEFT_RUNNING)
        return []

    def _after_the_end(self, event: Event) -> list[Action]:
        """Nothing is told or submitted any more; a second Ctrl-C cancels what runs and what is just being submitted."""
        match event:
            case Asked(number) if number not in self._trials:
                self._asked(number)  # for the table; a restart submits it
            case Submitted(number, attempt, job) if self._at(number, attempt, "submitting"):
                self._runs(self._trials[number], job)
                return [Cancel(number)] if self._cancelling else []
            case Interrupted() if not self._cancelling:
                self._cancelling = True
                return [Cancel(n) for n, trial in self._unended.items() if trial.state == "running"]
        return []

    def _fill(self) -> list[Action]:
        """Slots go to trials that wait, then to new ones; when none is taken, the study is over."""
        if self.done:
            return []
        if self.refusals.words is not None:
            return self._try_again(self.refusals.words)
        free = max(0, self.limits.n_jobs - self.occupied)
        actions: list[Action] = [self._submit(number) for number in sorted(self._waiting, key=self._turn)[:free]]
        while len(actions) < free and self._why_ask_no_more() is None:
            actions.append(self._ask())
        reason = self._why_ask_no_more()
        return self._finish(reason) if reason is not None and not self.occupied else actions

    def _try_again(self, words: str) -> list[Action]:
        """Since a refusal: one submission at a time, until one is accepted or there were too many refusals in a row.

        Where nothing was ever accepted, the first one is too many. While something runs there never are: its end may
        be what the scheduler waits for.
        """
        if self.asking or any(trial.state == "submitting" for trial in self._unended.values()):
            return []
        if not self.occupied and self.refusals.in_a_row > (MOST if self._accepted else 0):
            return self._finish(words)
        if self.occupied >= self.limits.n_jobs or self.elapsed < self.refusals.again_at:
            return []
        return self._probe()

    def _probe(self) -> list[Action]:
        """The trial that was refused least. If it is the only one, it may be at fault: another one shows that."""
        reason = self._why_ask_no_more()
        first = min(self._waiting, key=self._turn, default=None)
        doubted = first is None or (len(self._waiting) == 1 and self.refusals.times[first] >= DOUBTED)
        if doubted and reason is None:
            return [self._ask()]
        if first is not None:
            return [self._submit(first)]
        return self._finish(reason) if reason is not None and not self.occupied else []

    def _turn(self, number: int) -> tuple[int, int]:
        return self.refusals.times[number], number

    def _why_ask_no_more(self) -> str | None:
        limits = self.limits
        reasons = (
            (COMPLETE, limits.n_trials is not None and len(self._trials) + self.asking >= limits.n_trials),
            (EXHAUSTED, self._exhausted),
            (FAILURES, limits.max_failures is not None and self._failed > limits.max_failures),
            (IDENTICAL_FAILURES, limits.max_alike is not None and self._fail_alike(limits.max_alike)),
            (TIMEOUT, limits.timeout_s is not None and self.elapsed >= limits.timeout_s),
        )
        return next((reason for reason, holds in reasons if holds), None)

    def _fail_alike(self, enough: int) -> bool:
        return not self._ended_well and len(self._errors) >= enough and len(set(self._errors)) == 1

    def _at(self, number: int, attempt: int, *states: State) -> bool:
        trial = self._unended.get(number)
        return trial is not None and trial.attempt == attempt and trial.state in states

    def _new_point(self, number: int, point: int) -> bool:
        return number in self._unended and point not in self._trials[number].points

    def _asked(self, number: int) -> None:
        self.asking = max(0, self.asking - 1)
        trial = TrialState(number, "waiting", 0, 0, self.elapsed)
        self._trials[number] = self._unended[number] = self._waiting[number] = trial

    def _ask(self) -> Ask:
        self.asking += 1
        return Ask()

    def _submit(self, number: int) -> Submit:
        trial = self._waiting.pop(number)
        trial.state, trial.since = "submitting", self.elapsed
        self._began.add(number)
        return Submit(trial.number, trial.attempt)

    def _runs(self, trial: TrialState, job: str) -> None:
        trial.state, trial.since, trial.job, self._accepted = "running", self.elapsed, job, True

    def _report(self, trial: TrialState, point: int, value: float) -> None:
        trial.points.add(point)
        trial.last = max(trial.last or (point, value), (point, value), key=lambda report: report[0])

    def _wait(self, trial: TrialState) -> None:
        self._waiting[trial.number] = trial
        trial.state, trial.since, trial.job = "waiting", self.elapsed, None
        trial.attempt += 1

    def _lost(self) -> None:
        """A job that was accepted is no more."""
        self._accepted = True
        self.refusals.freed(self.elapsed)

    def _vanished(self, trial: TrialState, reason: str) -> list[Action]:
        self._lost()
        trial.vanished += 1
        if trial.vanished > self.limits.max_resubmits:
            return self._tell(trial.number, Outcome("failed", None, reason))
        self._wait(trial)
        return []

    def _blame(self, accepted: int) -> list[Action]:
        """The scheduler takes trials again, except for those that are at fault themselves."""
        at_fault = self.refusals.accepted(accepted).items()
        told = [self._tell(n, Outcome("failed", None, words)) for n, words in at_fault if n in self._waiting]
        return [action for actions in told for action in actions]

    def _tell(self, number: int, outcome: Outcome) -> list[Action]:
        trial = self._unended.pop(number)
        self._waiting.pop(number, None)
        trial.state, trial.since, trial.outcome = outcome.status, self.elapsed, outcome
        self._failed += outcome.status == "failed"
        self._ended_well = self._ended_well or outcome.status != "failed"
        if number in self._began and not trial.points and outcome.error not in (None, CANCELLED):
            self._errors.append(re.sub(r"\d+", "", outcome.error))  # nodes and devices have numbers
        return [Tell(number, outcome)]

    def _finish(self, reason: str) -> list[Action]:
        self.reason = reason
        return [Finish(reason)]
