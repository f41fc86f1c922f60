"""What a study does next: a pure state machine without clock, files, threads or Optuna.

It receives events and returns actions (events.py has both). A trial waits for a slot, is submitted to the scheduler,
runs, and ends, or pauses in between:

    Asked -> waiting -> submitting -> running -> complete | failed | pruned
                ^- Refused -'            |           ^
                ^- Vanished, JobPreempted'           |
                ^- Promoted ------ paused <- Paused -'
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mcqa.sweep.controller import events
from mcqa.sweep.controller.backoff import MAX_REFUSALS, Backoff
from mcqa.sweep.controller.events import Action, Event, Judgement, Limits, Otherwise, Outcome, RecoveredTrial

SUSPECT_REFUSALS = 3
"""After so many refusals of the only trial that waits, another one is asked for and submitted instead."""

State = Literal["waiting", "submitting", "running", "paused", "complete", "failed", "pruned"]


@dataclass
class TrialState:
    """A trial as the controller has it; for others to read only."""

    number: int
    state: State
    attempt: int  # the current one; of a waiting or paused trial the next one
    vanished: int  # attempts whose job vanished
    since: float  # when it entered this state, by the controller's clock (`elapsed`)
    job: str | None = None
    outcome: Outcome | None = None
    last: tuple[int, float] | None = None  # the report at the highest point: point and value
    pruning: bool = False  # whether it was asked to stop
    pausing: bool = False  # whether it was asked to pause, and has not done so yet
    promoted: bool = False  # whether its last start follows a pause
    points: set[int] = field(default_factory=set)  # at which it has reported
    unjudged: set[int] = field(default_factory=set)  # those of them that the study has not judged yet


def _recovered(trial: RecoveredTrial) -> TrialState:
    """A trial with a job is taken to be running: whether it still is, Vanished or Ended will say."""
    unfinished: State = "paused" if trial.pause == "done" else "waiting" if trial.job is None else "running"
    state = unfinished if trial.outcome is None else trial.outcome.status
    attempt = trial.attempts if state in ("waiting", "paused") else max(0, trial.attempts - 1)
    pausing = state == "running" and trial.pause == "asked"
    return TrialState(trial.trial, state, attempt, trial.vanished, 0.0, trial.job, trial.outcome, pausing=pausing)


class Controller:
    """Call `start` once, then `on` for every event, in one thread. `now` may be any clock, jumps included."""

    def __init__(self, limits: Limits, recovered: Iterable[RecoveredTrial], now: float) -> None:
        assert limits.n_jobs >= 1
        self.limits = limits
        self.elapsed = 0.0  # seconds since the start by a clock that never goes back
        self.asking = 0  # Asks without an answer; each holds a slot
        self.reason: str | None = None  # of Finish, once that was returned
        self.backoff = Backoff()
        self._now = now
        self._trials = {trial.trial: _recovered(trial) for trial in sorted(recovered, key=lambda trial: trial.trial)}
        self._unfinished = {n: trial for n, trial in self._trials.items() if trial.outcome is None}
        self._waiting = {n: trial for n, trial in self._unfinished.items() if trial.state == "waiting"}
        self._paused = {n: trial for n, trial in self._unfinished.items() if trial.state == "paused"}
        self._news = 0  # what the study has learned; with more of it another trial may be promoted
        self._promote: tuple[Otherwise, int] | None = None  # the Promote without an answer, which holds a slot
        self._declined: tuple[Otherwise, int] | None = None  # the last one after which no trial went on
        self._any_success = any(trial.state in ("complete", "pruned") for trial in self._trials.values())
        self._any_accepted = self._any_success or any(
            trial.job or trial.vanished or trial.state == "paused" for trial in self._trials.values()
        )
        self._failed = sum(trial.state == "failed" for trial in self._trials.values())
        self._submitted: set[int] = set()  # since the start
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
        held = self.asking + (self._promote is not None)
        return held + len(self._unfinished) - len(self._waiting) - len(self._paused)

    @property
    def paused(self) -> list[int]:
        return sorted(self._paused)

    def start(self, now: float) -> list[Action]:
        return self.on(events.Tick(), now)

    def on(self, event: Event, now: float) -> list[Action]:
        """Return what to do after an event."""
        self.elapsed += max(0.0, now - self._now)
        self._now = now
        if self.done:
            return self._react_when_done(event)
        return self._react(event) + self._fill_slots()

    def _react(self, event: Event) -> list[Action]:
        """The table of rules. An event that fits no line is late, a duplicate, of an unknown trial, or a Tick."""
        match event:
            case events.Asked(number) if number not in self._trials:
                self._add_trial(number)
            case events.Exhausted():
                self.asking, self._exhausted = max(0, self.asking - 1), True
            case events.Submitted(number, attempt, job) if self._is_current(number, attempt, "submitting"):
                self._set_running(self._trials[number], job)
                return self._fail_refused_trials(number)
            case events.Refused(number, attempt, reason) if self._is_current(number, attempt, "submitting"):
                self.backoff.refused(number, reason, self._trials[number].since, self.elapsed)
                self._set_waiting(self._trials[number])
            case events.Impossible(number, attempt, reason) if self._is_current(number, attempt, "submitting"):
                return self._end(number, Outcome("failed", None, reason))
            case events.JobPreempted(number, attempt) if self._is_current(number, attempt, "submitting", "running"):
                self._job_ended()
                self._set_waiting(self._trials[number])
            case events.Paused(number, attempt) if self._is_current(number, attempt, "submitting", "running"):
                return self._job_paused(self._trials[number])
            case events.Vanished(number, attempt, reason) if self._is_current(number, attempt, "submitting", "running"):
                return self._resubmit_or_fail(self._trials[number], reason)
            case events.Reported(number, point, value) if self._is_new_point(number, point):
                self._add_report(self._trials[number], point, value)
                return [events.Judge(number, point, value)]
            case events.Judged(number, judgement, point) if number in self._unfinished:
                return self._judged(self._trials[number], judgement, point)
            case events.Promoted(number):
                self._promoted(number)
            case events.Ended(number, outcome) if number in self._unfinished:
                self._job_ended()
                return self._end(number, outcome)
            case events.Interrupted():
                return self._finish(events.LEFT_RUNNING)
        return []

    def _react_when_done(self, event: Event) -> list[Action]:
        """Nothing is submitted any more; a second Ctrl-C cancels what runs and what is just being submitted."""
        match event:
            case events.Asked(number) if number not in self._trials:
                self._add_trial(number)  # for the display; a restart submits it
            case events.Submitted(number, attempt, job) if self._is_current(number, attempt, "submitting"):
                self._set_running(self._trials[number], job)
                return [events.Cancel(number)] if self._cancelling else []
            case events.Interrupted() if not self._cancelling:
                self._cancelling = True
                return [events.Cancel(n) for n, trial in self._unfinished.items() if trial.state == "running"]
        return []

    # ---- what to submit next

    def _fill_slots(self) -> list[Action]:
        """Give slots to waiting trials, then to promoted ones, then to new ones; when none is taken, the study is over.

        A promotion is decided before anything else is asked for, since it may leave the slot to a new trial.
        """
        if self.done:
            return []
        if self.backoff.message is not None:
            return self._retry(self.backoff.message)
        free = max(0, self.limits.n_jobs - self.occupied)
        actions: list[Action] = [self._submit(number) for number in sorted(self._waiting, key=self._priority)[:free]]
        while len(actions) < free and self._promote is None and (action := self._next()) is not None:
            actions.append(action)
        reason = self._reason_to_stop()
        return self._finish(reason) if reason is not None and not self.occupied else actions

    def _next(self) -> Action | None:
        """Return what finds a trial for a free slot beside those that wait; None where there is none."""
        if self._promotions_left():
            self._promote = (self._otherwise(), self._news)
            return events.Promote(tuple(self.paused), self._promote[0])
        return self._ask() if self._reason_to_stop() is None else None

    def _promotions_left(self) -> bool:
        """Whether a paused trial may go on. None does where the study ends early: the next start promotes them."""
        if not self._paused or self._promote is not None:
            return False
        ends_early = self._reason_to_stop() not in (None, events.COMPLETE, events.EXHAUSTED)
        return not ends_early and self._declined != (self._otherwise(), self._news)

    def _otherwise(self) -> Otherwise:
        if self._reason_to_stop() is None:
            return "ask"
        return "wait" if self.occupied or self._waiting else "end"

    def _retry(self, message: str) -> list[Action]:
        """After a refusal: one submission at a time, until one is accepted or there were too many refusals in a row.

        Where nothing was ever accepted, the first refusal is too many. While something runs there are never too many:
        its end may be what the scheduler waits for.
        """
        held = self.asking or self._promote is not None
        if held or any(trial.state == "submitting" for trial in self._unfinished.values()):
            return []
        if not self.occupied and self.backoff.consecutive > (MAX_REFUSALS if self._any_accepted else 0):
            return self._finish(message)
        if self.occupied >= self.limits.n_jobs or self.elapsed < self.backoff.retry_at:
            return []
        return self._probe()

    def _probe(self) -> list[Action]:
        """Submit the trial that was refused least. If it alone waits, it may be at fault: another one shows that."""
        reason = self._reason_to_stop()
        first = min(self._waiting, key=self._priority, default=None)
        if (first is None or self._is_suspect(first)) and (action := self._next()) is not None:
            return [action]
        if first is not None:
            return [self._submit(first)]
        return self._finish(reason) if reason is not None and not self.occupied else []

    def _is_suspect(self, number: int) -> bool:
        return len(self._waiting) == 1 and self.backoff.refusals[number] >= SUSPECT_REFUSALS

    def _priority(self, number: int) -> tuple[int, int]:
        return self.backoff.refusals[number], number

    def _reason_to_stop(self) -> str | None:
        """Return why no further trial is asked for, if so."""
        limits = self.limits
        reasons = (
            (events.COMPLETE, limits.n_trials is not None and len(self._trials) + self.asking >= limits.n_trials),
            (events.EXHAUSTED, self._exhausted),
            (events.FAILURES, limits.max_failures is not None and self._failed > limits.max_failures),
            (events.IDENTICAL_FAILURES, self._has_identical_failures()),
            (events.TIMEOUT, limits.timeout_s is not None and self.elapsed >= limits.timeout_s),
        )
        return next((reason for reason, holds in reasons if holds), None)

    def _has_identical_failures(self) -> bool:
        limit = self.limits.max_identical_failures
        enough = limit is not None and len(self._errors) >= limit
        return enough and not self._any_success and len(set(self._errors)) == 1

    # ---- which events count

    def _is_current(self, number: int, attempt: int, *states: State) -> bool:
        trial = self._unfinished.get(number)
        return trial is not None and trial.attempt == attempt and trial.state in states

    def _is_new_point(self, number: int, point: int) -> bool:
        return number in self._unfinished and point not in self._trials[number].points

    # ---- transitions

    def _ask(self) -> events.Ask:
        self.asking += 1
        return events.Ask()

    def _add_trial(self, number: int) -> None:
        self.asking = max(0, self.asking - 1)
        trial = TrialState(number, "waiting", 0, 0, self.elapsed)
        self._trials[number] = self._unfinished[number] = self._waiting[number] = trial

    def _submit(self, number: int) -> events.Submit:
        trial = self._waiting.pop(number)
        trial.state, trial.since = "submitting", self.elapsed
        self._submitted.add(number)
        return events.Submit(trial.number, trial.attempt)

    def _set_running(self, trial: TrialState, job: str) -> None:
        trial.state, trial.since, trial.job, self._any_accepted = "running", self.elapsed, job, True

    def _add_report(self, trial: TrialState, point: int, value: float) -> None:
        trial.points.add(point)
        trial.unjudged.add(point)
        trial.last = max(trial.last or (point, value), (point, value), key=lambda report: report[0])

    def _judged(self, trial: TrialState, judgement: Judgement, point: int) -> list[Action]:
        """A trial without a job, because it is paused or waits, needs not be asked: it ends or pauses at once."""
        self._news += 1
        first = point in trial.unjudged
        trial.unjudged.discard(point)
        if judgement == "prune" and not trial.pruning:
            trial.pruning = True
            return self._close(trial) if trial.state == "paused" else [events.Prune(trial.number)]
        if judgement != "pause" or not first or trial.pruning or trial.pausing or trial.state == "paused":
            return []
        trial.pausing = True
        if trial.state == "waiting":
            self._pause(trial)
        return [events.Pause(trial.number)]

    def _job_paused(self, trial: TrialState) -> list[Action]:
        """A trial that was judged to be pruned meanwhile need not go on to hear that."""
        self._job_ended()
        if trial.pruning:
            return self._close(trial)
        trial.pausing = True  # also where nobody remembers to have asked
        self._set_waiting(trial)
        return []

    def _promoted(self, number: int | None) -> None:
        promote, self._promote = self._promote, None
        if number is None:
            self._declined = promote
        elif trial := self._paused.pop(number, None):
            self._waiting[number] = trial
            trial.state, trial.since, trial.promoted = "waiting", self.elapsed, True

    def _set_waiting(self, trial: TrialState) -> None:
        """Wait for the next submission; one that was asked to pause has done so, however its job ended."""
        self._waiting[trial.number] = trial
        trial.state, trial.since, trial.job, trial.promoted = "waiting", self.elapsed, None, False
        trial.attempt += 1
        if trial.pausing and not trial.pruning:
            self._pause(trial)

    def _pause(self, trial: TrialState) -> None:
        del self._waiting[trial.number]
        self._paused[trial.number] = trial
        trial.state, trial.since, trial.pausing = "paused", self.elapsed, False
        self._news += 1

    def _close(self, trial: TrialState) -> list[Action]:
        """End a paused trial."""
        return [events.Close(trial.number), *self._end(trial.number, Outcome("pruned", None, None))]

    def _job_ended(self) -> None:
        self._any_accepted = True
        self.backoff.job_ended(self.elapsed)

    def _resubmit_or_fail(self, trial: TrialState, reason: str) -> list[Action]:
        self._job_ended()
        trial.vanished += 1
        if trial.vanished > self.limits.max_resubmits:
            return self._end(trial.number, Outcome("failed", None, reason))
        self._set_waiting(trial)
        return []

    def _fail_refused_trials(self, accepted: int) -> list[Action]:
        """The scheduler accepts trials again, except for those that are at fault themselves."""
        at_fault = self.backoff.accepted(accepted).items()
        ended = [self._end(n, Outcome("failed", None, why)) for n, why in at_fault if n in self._waiting]
        return [action for actions in ended for action in actions]

    def _end(self, number: int, outcome: Outcome) -> list[Action]:
        trial = self._unfinished.pop(number)
        self._waiting.pop(number, None)
        self._paused.pop(number, None)
        self._news += 1
        trial.state, trial.since, trial.outcome = outcome.status, self.elapsed, outcome
        self._failed += outcome.status == "failed"
        self._any_success = self._any_success or outcome.status != "failed"
        if number in self._submitted and not trial.points and outcome.error not in (None, events.CANCELLED):
            self._errors.append(re.sub(r"\d+", "", outcome.error))  # nodes and devices have numbers
        return [events.Tell(number, outcome)]

    def _finish(self, reason: str) -> list[Action]:
        """A study that is over ends what is paused; one that ends early, or resumes, leaves it to the next start."""
        is_over = reason in (events.COMPLETE, events.EXHAUSTED)
        closing = [action for number in self.paused for action in self._close(self._trials[number])] if is_over else []
        self.reason = reason
        return [*closing, events.Finish(reason)]
