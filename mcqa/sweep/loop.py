"""The event loop of a study: one thread, which carries out what the controller decides and reports what happens.

Everything that can be lost is on disk before it is acted on: a trial's configuration and its submissions in its
folder, its outcome in the study. So the loop may die anywhere, and the next one resumes from there.
"""

import logging
import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from mcqa.config.errors import ConfigError
from mcqa.runs import chain
from mcqa.runs.mailbox import FINAL, PAUSED, PREEMPTED, Mailbox
from mcqa.sweep.backends import Backend, SubmissionError
from mcqa.sweep.controller import events
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import Action, Event
from mcqa.sweep.display import LiveDisplay
from mcqa.sweep.hooks import Observer
from mcqa.sweep.study_folder import describe_moved_folder, set_aside
from mcqa.sweep.trial_source import Study, outcome

log = logging.getLogger(__name__)

SAME_COMMAND = "the same command"
"""What resumes a study, where nothing need be added to it."""

CANCEL_WITHIN_S = 5.0
"""How long after the first Ctrl-C, which leaves jobs running, a second one cancels them."""


@dataclass
class Watched:
    """A job that the loop watches."""

    mailbox: Mailbox
    attempt: int
    slot: int
    job: str
    lines_read: int = 0  # of its reports
    bytes_read: int = 0  # size of the file of reports when it was last read
    over_since: float | None = None  # since when its job is over without a result
    end_recorded: bool = False  # its end is in job.json already

    def __post_init__(self) -> None:
        """Paths as plain text: they are looked at in every round, and pathlib would take three times as long."""
        folder = self.mailbox.folder
        self.reports, self.result = (os.path.join(folder, name) for name in ("reports.jsonl", "result.json"))


@dataclass
class Loop:
    controller: Controller
    study: Study
    backend: Backend
    compose: Callable[[int, list[str]], Path]  # writes a trial's configuration into its folder; called once per trial
    folder: Path  # of the study
    display: LiveDisplay
    observers: Sequence[Observer] = ()
    needs_value: bool = False  # a complete trial without one finite value has failed
    resume_command: str = SAME_COMMAND  # what resumes the study after Ctrl-C, for the user
    cancel_within_s: float = CANCEL_WITHIN_S
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    running: dict[int, Watched] = field(default_factory=dict, init=False)
    leaving: set[str] = field(default_factory=set, init=False)  # jobs that have written results and are not over yet
    interrupts: int = field(default=0, init=False)  # not yet dealt with
    in_process: bool = field(default=False, init=False)  # a trial runs in this process
    cancelled: bool = field(default=False, init=False)

    def run(self, poll_s: float) -> str:
        """Run until the controller finishes and return its reason. poll_s: seconds between two rounds."""
        with _count_interrupts(self), self.display.live or nullcontext():
            self._carry_out(self.controller.start(self.clock()))
            while not self.controller.done:
                self._round()
                self.display.update()
                if not self.controller.done:
                    self.sleep(poll_s)
            if self.controller.reason == events.LEFT_RUNNING and self.running:
                self._leave()
            self.display.update()
        assert self.controller.reason is not None
        return self.controller.reason

    def attach(self, number: int) -> bool:
        """Watch what an earlier controller submitted. Return whether anything was; otherwise the trial must be."""
        mailbox = Mailbox(self._folder(number))
        if not (last := mailbox.last_submission()):
            return False
        job = self.backend.attach(mailbox.folder, last)
        self.running[number] = Watched(
            mailbox,
            last.attempt,
            last.slot,
            job or "",
            over_since=None if job else -math.inf,  # nobody needs to wait for its result
            end_recorded=last.end is not None,
        )
        self.display.set_label(number, self.study.overrides(number))
        return True

    def _round(self) -> None:
        interrupts, self.interrupts = self.interrupts, 0
        happened: list[Event] = [events.Interrupted()] * interrupts or [*self._happened(), events.Tick()]
        for event in happened:
            self._carry_out(self.controller.on(event, self.clock()))
        self._notify(lambda observer: observer.tick([watched.mailbox.folder for watched in self.running.values()]))

    def _leave(self) -> None:
        """After Ctrl-C the jobs keep running; a second one within some seconds cancels them."""
        if self.cancelled:
            return self._announce_cancelled()
        count = sum(
            watched.over_since is None and self.backend.state(watched.job) == "running"
            for watched in self.running.values()
        )
        if not count:
            return
        jobs, them = ("1 job keeps", "it") if count == 1 else (f"{count} jobs keep", "them")
        again = f"Ctrl-C again within {self.cancel_within_s:.0f} s cancels {them}"
        self.display.print(f"Stopped. {jobs} running; {self.resume_command} resumes the sweep. {again}.")
        until = self.clock() + self.cancel_within_s
        while self.clock() < until and not self.interrupts:
            self.sleep(0.1)
        if self.interrupts:
            self._carry_out(self.controller.on(events.Interrupted(), self.clock()))
            self._announce_cancelled()

    def _announce_cancelled(self) -> None:
        self.display.print(f"Cancelled the jobs; {self.resume_command} submits them again.")

    # --- what happened ------------------------------------------------------------------------------------------------

    def _happened(self) -> Iterator[Event]:
        self.leaving = {job for job in self.leaving if self.backend.state(job) != "over"}
        for number, watched in list(self.running.items()):
            # before its result is read: one that appears in between must not be missed
            over = watched.over_since is not None or self.backend.state(watched.job) == "over"
            yield from self._new_reports(number, watched)
            yield from self._ending(number, watched, over)
        for number in self.controller.paused:
            if os.path.exists(os.path.join(self.folder, "trials", str(number), "cancelled")):  # by mcqa.jobs
                result = Mailbox(self._folder(number)).result()
                yield events.Ended(number, outcome(result or {"status": "failed"}, self.needs_value))

    def _new_reports(self, number: int, watched: Watched, at_the_end: bool = False) -> Iterator[Event]:
        """A file of reports that did not grow is not read, except for the last time."""
        size = _size(watched.reports)
        if size == watched.bytes_read and not at_the_end:
            return
        watched.bytes_read = size
        for report in watched.mailbox.reports(watched.lines_read):
            watched.lines_read = report.line + 1
            yield events.Reported(number, report.point, report.value)

    def _ending(self, number: int, watched: Watched, over: bool) -> Iterator[Event]:
        result = watched.mailbox.result() if os.path.exists(watched.result) else None
        if result is not None and (result["status"] in FINAL or (over and result["status"] not in (PREEMPTED, PAUSED))):
            yield from self._new_reports(number, watched, at_the_end=True)  # what it reported just before its result
            self._unwatch(number)
            yield events.Ended(number, outcome(result, self.needs_value))
        elif over and result is not None and result["status"] == PAUSED:
            yield from self._new_reports(number, watched, at_the_end=True)
            self._unwatch(number)
            watched.mailbox.end_submission(PAUSED)
            yield events.Paused(number, watched.attempt)
        elif over and result is not None:
            self._unwatch(number)
            yield self._preempted(number, watched, result.get("error"))
        elif over:
            now = self.clock()
            watched.over_since = now if watched.over_since is None else watched.over_since
            os.listdir(watched.mailbox.folder)  # a network file system may cache for long that a file was not there
            if now - watched.over_since >= self.backend.grace_s:
                self._unwatch(number)
                yield self._vanished(number, watched)

    def _preempted(self, number: int, watched: Watched, message: str | None) -> Event:
        """A job that was stopped before it saved anything counts as vanished, or it might repeat that for ever."""
        last = watched.mailbox.last_submission()
        if watched.mailbox.saved_since(last.submitted if last else 0.0):
            return events.JobPreempted(number, watched.attempt)
        reason = f"{(message or 'Stopped').rstrip('.')} before it had saved anything new."
        return self._vanished(number, watched, reason)

    def _vanished(self, number: int, watched: Watched, reason: str | None = None) -> Event:
        """Recorded in job.json, so that a restart knows how often it has happened."""
        if watched.end_recorded:
            return events.JobPreempted(number, watched.attempt)
        watched.mailbox.end_submission("vanished")
        reason = reason or (self.backend.reason(watched.job) if watched.job else "it ended while nobody watched")
        return events.Vanished(number, watched.attempt, reason)

    def _unwatch(self, number: int) -> None:
        watched = self.running.pop(number)
        if watched.job and watched.over_since is None:
            self.leaving.add(watched.job)

    # --- what to do ---------------------------------------------------------------------------------------------------

    def _carry_out(self, actions: Sequence[Action]) -> None:
        pending = deque(actions)
        while pending:
            for event in self._answers(pending.popleft()):
                pending.extend(self.controller.on(event, self.clock()))

    def _answers(self, action: Action) -> Iterator[Event]:
        """Carry out an action, and yield the events that answer it."""
        match action:
            case events.Ask():
                suggestion = self.study.ask()
                yield events.Exhausted() if suggestion is None else events.Asked(suggestion.number)
            case events.Submit(number, attempt):
                yield self._submit(number, attempt)
            case events.Tell(number, result):
                self.study.tell(number, result)
                self._notify(lambda observer: observer.trial_ended(self._folder(number), result))
            case events.Judge(number, point, value):
                yield events.Judged(number, self.study.judge(number, point, value), point)
            case events.Promote(paused, otherwise):
                yield events.Promoted(self.study.promote(paused, otherwise))
            case events.Prune(number):
                Mailbox(self._folder(number)).request_prune()
            case events.Pause(number):
                Mailbox(self._folder(number)).request_pause()
            case events.Close(number):
                self._close(number)
            case events.Cancel(number) if number in self.running:
                self.cancelled = True
                self.backend.cancel(self.running[number].job)
                self.running[number].mailbox.end_submission("cancelled")

    def _close(self, number: int) -> None:
        """Write the result of a paused trial as if it had been pruned when it paused; nothing resumes from there."""
        mailbox = Mailbox(self._folder(number))
        last = next((report.value for report in reversed(mailbox.reports())), None)
        mailbox.write_result({**(mailbox.result() or {}), "status": "pruned", "value": last, "error": None})
        chain.remove_weights(mailbox.folder)

    def _submit(self, number: int, attempt: int) -> Event:
        folder = self._folder(number)
        mailbox = Mailbox(folder)
        if aside := set_aside(folder, self.study.own_overrides(number)):
            self.display.print(describe_moved_folder(number, aside))
        slot = min(set(range(len(self.running) + 1)) - {watched.slot for watched in self.running.values()})
        try:
            overrides = self.study.overrides(number)
            self.display.set_label(number, overrides)
            if not (folder / "config.yaml").exists():
                self.compose(number, overrides)
            mailbox.withdraw_pause()
            job = self._find_refused(mailbox) if attempt else None
            job = job or self._submit_to_backend(folder, attempt, slot)
        except SubmissionError as error:
            if (last := mailbox.last_submission()) and last.attempt == attempt:
                mailbox.end_submission("refused")
            return events.Refused(number, attempt, str(error))
        except ConfigError as error:
            return events.Impossible(number, attempt, str(error))
        self.running[number] = Watched(mailbox, attempt, slot, job)
        return events.Submitted(number, attempt, job)

    def _submit_to_backend(self, folder: Path, attempt: int, slot: int) -> str:
        self.in_process = self.backend.name == "debug"  # where a job runs at once, and Ctrl-C is for the job
        try:
            return self.backend.submit(folder, attempt, slot)
        finally:
            self.in_process = False

    def _find_refused(self, mailbox: Mailbox) -> str | None:
        """The job of a submission that seemed to be refused: a busy scheduler may accept one and fail to say so."""
        last = mailbox.last_submission()
        return self.backend.attach(mailbox.folder, last) if last and last.end == "refused" else None

    def _folder(self, number: int) -> Path:
        return self.folder / "trials" / str(number)

    def _notify(self, call: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            try:
                call(observer)
            except Exception as error:
                log.warning("%s failed: %s: %s", type(observer).__name__, type(error).__name__, error)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


@contextmanager
def _count_interrupts(loop: Loop) -> Iterator[None]:
    """Count Ctrl-C, to be dealt with between two rounds."""

    def count(*_: object) -> None:
        if loop.in_process:
            raise KeyboardInterrupt
        loop.interrupts += 1

    before = signal.signal(signal.SIGINT, count)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
