"""The event loop of a study: one thread, which carries out what the controller decides and tells it what happens.

Everything that can be lost lies on disk before it is acted on: a trial's configuration and its submission in its
folder, what was told in the study. So the loop may die anywhere, and the next one goes on from there.
"""

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcqa.config.errors import ConfigError
from mcqa.runs.mailbox import FINAL, PREEMPTED, Mailbox
from mcqa.sweep.backends import Backend, SubmissionError
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import (
    LEFT_RUNNING,
    Action,
    Ask,
    Asked,
    Cancel,
    Ended,
    Event,
    Exhausted,
    Impossible,
    Interrupted,
    JobPreempted,
    Judge,
    Judged,
    Prune,
    Refused,
    Reported,
    Submit,
    Submitted,
    Tell,
    Tick,
    Vanished,
)
from mcqa.sweep.display import LiveDisplay
from mcqa.sweep.hooks import Observer
from mcqa.sweep.messages import SAME_COMMAND
from mcqa.sweep.recovery import outcome
from mcqa.sweep.study_folder import moved, set_aside
from mcqa.sweep.trial_source import Study

log = logging.getLogger(__name__)

SECOND_S = 5.0  # in which a second Ctrl-C cancels the jobs that the first one left running


@dataclass
class Running:
    box: Mailbox
    attempt: int
    slot: int
    job: str
    lines: int = 0  # of its reports that were read
    size: int = 0  # in bytes, of the file of reports when it was read
    over: float | None = None  # since when its job is over without a result, by time.monotonic
    counted: bool = False  # its end is in job.json already

    def __post_init__(self) -> None:
        """Paths as plain text: they are looked at in every round, and pathlib would take three times as long."""
        self.reports, self.result = (os.path.join(self.box.folder, name) for name in ("reports.jsonl", "result.json"))


class Loop:
    """compose writes a trial's configuration into its folder and returns the folder; it is called once a trial.

    needs_value: a complete trial without one finite value has failed.
    again: the command that takes up what this one leaves, for the user.
    """

    def __init__(
        self,
        controller: Controller,
        study: Study,
        backend: Backend,
        compose: Callable[[int, list[str]], Path],
        folder: Path,
        live: LiveDisplay,
        observers: Sequence[Observer] = (),
        needs_value: bool = False,
        again: str = SAME_COMMAND,
    ) -> None:
        self.controller, self.study, self.backend, self.compose = controller, study, backend, compose
        self.folder, self.live, self.observers, self.needs_value = folder, live, observers, needs_value
        self.again = again
        self.running: dict[int, Running] = {}
        self.leaving: set[str] = set()  # jobs that have written their results
        self.interrupts = 0
        self.inside = False
        self.cancelled = False

    def run(self, poll_s: float) -> str:
        """Until the controller finishes; returns its reason."""
        with _interrupts(self), self.live:
            self._do(self.controller.start(time.time()))
            while not self.controller.done:
                self._round()
                self.live.show()
                if not self.controller.done:
                    time.sleep(poll_s)
            if self.controller.reason == LEFT_RUNNING and self.running:
                self._leave()
            self.live.show()
        assert self.controller.reason is not None
        return self.controller.reason

    def attach(self, number: int) -> bool:
        """Watch what an earlier controller submitted. False: nothing was submitted, so the trial must be."""
        box = Mailbox(self._folder(number))
        if not (entries := box.submissions()):
            return False
        entry = entries[-1]
        job = self.backend.attach(box.folder, entry)
        over, counted = None if job else 0.0, entry.end is not None
        self.running[number] = Running(box, entry.attempt, entry.slot, job or "", over=over, counted=counted)
        self.live.name(number, self.study.overrides(number))
        return True

    def _round(self) -> None:
        seen, self.interrupts = self.interrupts, 0
        events: list[Event] = [Interrupted()] * seen or [*self._happened(), Tick()]
        for event in events:
            self._do(self.controller.on(event, time.time()))
        self._observe(lambda observer: observer.tick([running.box.folder for running in self.running.values()]))

    def _leave(self) -> None:
        """Ctrl-C: the jobs go on; a second one within some seconds cancels them."""
        if self.cancelled:
            self._say(self._cancelled())
            return
        left = sum(one.over is None and self.backend.state(one.job) == "running" for one in self.running.values())
        if not left:
            return
        run = f"{left} jobs run" if left > 1 else "1 job runs"
        again = f"Ctrl-C again within {SECOND_S:.0f} s cancels them"
        self._say(f"Stopped asking. {run} on; {self.again} goes on with them. {again}.")
        until = time.monotonic() + SECOND_S
        while time.monotonic() < until and not self.interrupts:
            time.sleep(0.1)
        if self.interrupts:
            self._do(self.controller.on(Interrupted(), time.time()))
            self._say(self._cancelled())

    def _cancelled(self) -> str:
        return f"Cancelled the jobs; {self.again} submits them again."

    def _say(self, text: str) -> None:
        self.live.console.print(text, highlight=False, markup=False, soft_wrap=True)

    # --- what happened ------------------------------------------------------------------------------------------------

    def _happened(self) -> Iterator[Event]:
        self.leaving = {job for job in self.leaving if self.backend.state(job) != "over"}
        for number, running in list(self.running.items()):
            over = running.over is not None or self.backend.state(running.job) == "over"  # before its result is read
            yield from self._reports(number, running)
            yield from self._ending(number, running, over)

    def _reports(self, number: int, running: Running, at_the_end: bool = False) -> Iterator[Event]:
        """Those that are new. Files that did not grow are not read, but for the last time."""
        size = _size(running.reports)
        if size == running.size and not at_the_end:
            return
        running.size = size
        for report in running.box.reports(running.lines):
            running.lines = report.line + 1
            yield Reported(number, report.point, report.value)

    def _ending(self, number: int, running: Running, over: bool) -> Iterator[Event]:
        result = running.box.result() if os.path.exists(running.result) else None
        if result is not None and (result["status"] in FINAL or (over and result["status"] != PREEMPTED)):
            yield from self._reports(number, running, at_the_end=True)  # what it told just before its result
            self._forget(number)
            yield Ended(number, outcome(result, self.needs_value))
        elif over and result is not None:
            self._forget(number)
            yield self._preempted(number, running, result.get("error"))
        elif over:
            now = time.monotonic()
            running.over = now if running.over is None else running.over
            os.listdir(running.box.folder)  # a network file system may remember for long that a file was not there
            if now - running.over >= self.backend.grace_s:
                self._forget(number)
                yield self._vanished(number, running)

    def _preempted(self, number: int, running: Running, words: str | None) -> Event:
        """A job that was stopped before it saved anything is counted as lost, or it might go on like that for ever."""
        submitted = next((entry.submitted for entry in reversed(running.box.submissions())), 0.0)
        if running.box.saved_since(submitted):
            return JobPreempted(number, running.attempt)
        return self._vanished(number, running, f"{(words or 'Stopped').rstrip('.')} before it had saved anything new.")

    def _vanished(self, number: int, running: Running, words: str | None = None) -> Event:
        """Noted in job.json, so that a restart knows how often it has happened."""
        if running.counted:
            return JobPreempted(number, running.attempt)
        running.box.end_submission("vanished")
        reason = words or (self.backend.reason(running.job) if running.job else "it ended while nobody watched")
        return Vanished(number, running.attempt, reason)

    def _forget(self, number: int) -> None:
        running = self.running.pop(number)
        if running.job and running.over is None:
            self.leaving.add(running.job)

    # --- what to do ---------------------------------------------------------------------------------------------------

    def _do(self, actions: Sequence[Action]) -> None:
        waiting = deque(actions)
        while waiting:
            for event in self._carried_out(waiting.popleft()):
                waiting.extend(self.controller.on(event, time.time()))

    def _carried_out(self, action: Action) -> Iterator[Event]:
        match action:
            case Ask():
                yield from self._ask()
            case Submit(number, attempt):
                yield self._submit(number, attempt)
            case Tell(number, told):
                self.study.tell(number, told)
                self._observe(lambda observer: observer.told(self._folder(number), told))
            case Judge(number, point, value):
                yield Judged(number, self.study.report(number, point, value))
            case Prune(number):
                Mailbox(self._folder(number)).request_prune()
            case Cancel(number) if number in self.running:
                self.cancelled = True
                self.backend.cancel(self.running[number].job)
                self.running[number].box.end_submission("cancelled")

    def _ask(self) -> Iterator[Event]:
        suggestion = self.study.ask()
        yield Exhausted() if suggestion is None else Asked(suggestion.number)

    def _submit(self, number: int, attempt: int) -> Event:
        folder = self._folder(number)
        if aside := set_aside(folder, self.study.own_overrides(number)):
            self.live.console.print(moved(number, aside), soft_wrap=True, highlight=False, markup=False)
        slot = min(set(range(len(self.running) + 1)) - {running.slot for running in self.running.values()})
        try:
            overrides = self.study.overrides(number)
            self.live.name(number, overrides)
            if not (folder / "config.yaml").exists():
                self.compose(number, overrides)
            job = self._accepted_after_all(folder) if attempt else None
            job = job or self._submitted(folder, attempt, slot)
        except SubmissionError as error:
            box = Mailbox(folder)
            if (entries := box.submissions()) and entries[-1].attempt == attempt:
                box.end_submission("refused")
            return Refused(number, attempt, str(error))
        except ConfigError as error:
            return Impossible(number, attempt, str(error))
        self.running[number] = Running(Mailbox(folder), attempt, slot, job)
        return Submitted(number, attempt, job)

    def _submitted(self, folder: Path, attempt: int, slot: int) -> str:
        self.inside = self.backend.name == "debug"  # where a job runs at once, and Ctrl-C is the job's
        try:
            return self.backend.submit(folder, attempt, slot)
        finally:
            self.inside = False

    def _accepted_after_all(self, folder: Path) -> str | None:
        """The job of a submission that seemed to be refused: a busy scheduler may take one and fail to say so."""
        entries = Mailbox(folder).submissions()
        return self.backend.attach(folder, entries[-1]) if entries and entries[-1].end == "refused" else None

    def _folder(self, number: int) -> Path:
        return self.folder / "trials" / str(number)

    def _observe(self, tell: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            try:
                tell(observer)
            except Exception as error:
                log.warning("%s failed: %s: %s", type(observer).__name__, type(error).__name__, error)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


@contextmanager
def _interrupts(loop: Loop) -> Iterator[None]:
    """Ctrl-C is counted, and dealt with between two rounds."""

    def count(*_: object) -> None:
        if loop.inside:
            raise KeyboardInterrupt
        loop.interrupts += 1

    before = signal.signal(signal.SIGINT, count)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
