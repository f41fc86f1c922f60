"""Signals that ask a run to stop: it saves at the end of the update that it is at, and goes on later from there.

SIGTERM and submitit's own signal (SIGUSR2 unless SUBMITIT_PREEMPT_SIGNAL names another) count. A second one stops at
once. submitit has a handler that requeues the job and ends the process wherever it is; it is called here when
everything is saved. Before a watch begins it stands as it was, for then nothing can be lost.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from mcqa.runs.trial import Preempted

WAIT_FOR_FIRST_RANK_S = 30.0
"""How long the other processes of a job wait for the first one, whose end is the job's."""


class Watch:
    """Notices signals from `with` on. Only the main thread can; elsewhere nothing is ever noticed.

    patient: between two updates somebody looks at `asked`; where nobody does, a signal raises Preempted at once.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self.patient = True
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

    def check(self) -> None:
        """
        Raises:
            Preempted: when the run was asked to stop.
        """
        if self.asked is not None:
            raise Preempted(f"Stopped by {self.asked}.")

    def over(self) -> None:
        """The run is at its end: what it writes now must not be disturbed."""
        self._over = True

    def requeue(self, rank: int = 0) -> None:
        """Hand over to submitit where its signal came: the same job starts again, and this process ends here."""
        if self.asked is not None and rank:
            time.sleep(WAIT_FOR_FIRST_RANK_S)
        if self._requeue is not None:
            self._requeue()

    def _notice(self, number: int, frame: object) -> None:
        again, self.asked = self.asked is not None, signal.Signals(number).name
        theirs = self._before[number]
        if number == _of_submitit() and callable(theirs):
            self._requeue = lambda: theirs(number, frame)
        if not self._over and (again or not self.patient):
            self.check()


_watch = Watch()


def watch() -> Watch:
    """The one of this process, for signals are the process's too; outside of a run one that notices nothing."""
    return _watch


@contextmanager
def defer_signals(patient: bool = True) -> Iterator[Watch]:
    """Within, signals wait until somebody looks; or, patient=False, stop what is going on at once."""
    here = watch()
    before, here.patient = here.patient, patient
    try:
        if not patient:
            here.check()
        yield here
    finally:
        here.patient = before


def _of_submitit() -> int:
    return int(getattr(signal, "SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2"), signal.SIGUSR2))
