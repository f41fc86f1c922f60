"""Signals that ask a run to stop: it saves at the end of the current update, and can be resumed from there.

A trial that its study asks to pause stops in the same way.

SIGTERM and submitit's own signal (SIGUSR2 unless SUBMITIT_PREEMPT_SIGNAL names another) count. A second one stops at
once. submitit has a handler that requeues the job and ends the process wherever it is; it is called here when
everything is saved. Before a watch begins, that handler is left in place, since there is nothing to save.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from mcqa.runs.trial import Paused, Preempted

WAIT_FOR_FIRST_RANK_S = 30.0
"""How long the other processes of a job wait for the first one, whose end is the job's."""


class Watch:
    """Note signals from `with` on. Only the main thread can; in another one nothing is ever noted.

    asked: the name of the signal that asked the run to stop. pausing: its study asked for that. deferring: somebody
    looks at both between two updates; otherwise a signal raises Preempted at once.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self.pausing = False
        self.deferring = True
        self._over = False
        self._before: dict[int, object] = {}
        self._requeue: Callable[[], object] | None = None

    def __enter__(self) -> "Watch":
        global _watch
        _watch = self
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, _of_submitit()):
                self._before[number] = signal.signal(number, self._notice)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _watch
        _watch = Watch()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to stop."""
        return self.asked is not None or self.pausing

    def check(self) -> None:
        """
        Raises:
            Preempted: when a signal asked the run to stop.
            Paused: when its study did.
        """
        if self.asked is not None:
            raise Preempted(f"Stopped by {self.asked}.")
        if self.pausing:
            raise Paused("Paused by its study.")

    def over(self) -> None:
        """Ignore signals from here on: the run is at its end, and what it writes must not be disturbed."""
        self._over = True

    def requeue(self, rank: int = 0) -> None:
        """Call submitit's handler if its signal came: it requeues the job and ends this process."""
        if self.asked is not None and rank:
            time.sleep(WAIT_FOR_FIRST_RANK_S)
        if self._requeue is not None:
            self._requeue()

    def _notice(self, number: int, frame: object) -> None:
        again, self.asked = self.asked is not None, signal.Signals(number).name
        theirs = self._before[number]
        if number == _of_submitit() and callable(theirs):
            self._requeue = lambda: theirs(number, frame)
        if not self._over and (again or not self.deferring):
            self.check()


_watch = Watch()


def watch() -> Watch:
    """Return the watch of this process; outside of a run, one that notes nothing."""
    return _watch


@contextmanager
def defer_signals(deferring: bool = True) -> Iterator[Watch]:
    """Within, signals wait until somebody looks; with deferring=False they stop what is running at once."""
    here = watch()
    before, here.deferring = here.deferring, deferring
    try:
        if not deferring:
            here.check()
        yield here
    finally:
        here.deferring = before


def _of_submitit() -> int:
    return int(getattr(signal, "SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2"), signal.SIGUSR2))
