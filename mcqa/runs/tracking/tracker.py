"""Tracker: the events of a run, written to the spool at once and sent to MLflow in the background."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mcqa.config.secrets import without_secrets
from mcqa.runs.tracking.sender import Sender, is_file
from mcqa.runs.tracking.spool import Spool
from mcqa.runs.tracking.system import SystemMetrics
from mcqa.runs.tracking.viewers import VIEWERS, Viewer

if TYPE_CHECKING:
    from mcqa.config.schema import TrackingConfig

log = logging.getLogger(__name__)

SEND_EVERY_S = 2.0
PAUSE_S, LONGEST_PAUSE_S = 30.0, 600.0  # after a failure; each further one doubles it
TIMEOUT_S = 5.0  # longest that start and finish wait for an MLflow that does not answer

Status = Literal["FINISHED", "FAILED", "KILLED"]
"""How a run ended, in MLflow's words."""


def open_tracker(
    config: "TrackingConfig",
    folder: Path,
    outputs: Path,
    name: str,
    study: Path | None = None,
    chain: Path | None = None,
) -> "Tracker":
    """Return the tracker of the run in `folder`, which MLflow lists as `name`. Nothing happens before start.

    study: the folder of the study that the run is a trial of. Only the study's controller writes to an SQLite file.
    chain: the folder of the run that this one is a stage of.
    """
    controller_sends = study is not None and is_file(config.uri)
    sender: Sender | Viewer | None = None
    if config.name in VIEWERS:
        sender = VIEWERS[config.name](config, folder, outputs)
    elif config.name == "mlflow" and not controller_sends:
        sender = Sender(config, folder, outputs)
    return Tracker(Spool(folder), sender, name, config.system_metrics_every_s, study or chain)


class Tracker:
    """Append each call to events.jsonl; a thread sends it to MLflow and samples the use of the machine.

    No call fails because MLflow does. Only start and finish wait for it: as long as it makes progress, else TIMEOUT_S.
    For one process and one run, from start to finish.
    """

    def __init__(
        self, spool: Spool, sender: Sender | Viewer | None, name: str, system_every_s: float, parent: Path | None = None
    ) -> None:
        """parent: the folder of the run that this one is nested in, in MLflow's list."""
        self._spool, self._parent = spool, parent
        self._sender = sender
        self._name = name
        self._system_every_s = system_every_s
        self._step = 0
        self._logged: set[tuple[str, int, str]] = set()
        self._system: SystemMetrics | None = None
        self._tried, self._stop, self._finished = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None before MLflow was reached for the first time."""
        return self._sender.run_id if self._sender else None

    @property
    def pages(self) -> list[str]:
        """The addresses of the run and of the list of runs in the tracker's pages; none before it was reached."""
        return self._sender.pages if self._sender else []

    def start(self, params: dict[str, object], tags: dict[str, str]) -> None:
        """Begin or resume the run."""
        self._logged = {
            (event["of"], event["step"], key)
            for _, event in self._spool.read()
            if event["event"] == "metrics" and "of" in event
            for key in event["values"]
        }
        self._spool.start(self._name, without_secrets(params), without_secrets(tags), self._parent)
        if self._sender:
            self._sender.begin()
        if self._sender or self._system_every_s:
            with suppress(Exception):  # a run needs no system metrics
                self._system = SystemMetrics() if self._system_every_s else None
            self._thread.start()
            self._wait_for(self._tried.is_set)

    def metrics(self, values: dict[str, float], step: int, of: str | None = None) -> None:
        """Log metrics at a step.

        of: what produced them, such as training. A resumed run repeats some of its steps: what the same source logged
        at the same step is not logged twice. None: log them in any case.
        """
        self._step = step
        new = {key: float(value) for key, value in values.items() if (of, step, key) not in self._logged}
        if new:
            self._spool.append("metrics", step=step, values=new, **({"of": of} if of else {}))

    def flush(self) -> None:
        """Write all events to the disk (fsync), so that a run resumed from here neither lacks nor repeats one."""
        self._spool.flush()

    def tags(self, values: dict[str, str]) -> None:
        self._spool.append("tags", values=without_secrets(values))

    def artifact(self, path: Path) -> None:
        """Keep a file or folder of the run folder; `model/` is sent only with log_model."""
        self._spool.append("artifact", path=self._relative(path))

    def table(self, path: Path) -> None:
        """Keep a JSON file {"columns": […], "data": [[…]]} of the run folder, which MLflow shows as a table."""
        self._spool.append("table", path=self._relative(path))

    def dataset(self, name: str, digest: str, source: str, split: str, questions: int) -> None:
        fields = {"name": name, "digest": digest, "source": source, "split": split}
        self._spool.append("dataset", **without_secrets(fields), questions=questions)

    def finish(self, status: Status) -> None:
        self._stop.set()
        self._sample()
        self._spool.append("finish", status=status)
        with suppress(OSError):  # what a stalled file system has not taken so far
            self._spool.flush()
        self._finished.set()
        self._wait_for(lambda: not self._thread.is_alive())

    def _relative(self, path: Path) -> str:
        return path.resolve().relative_to(self._spool.folder.resolve()).as_posix()

    def _wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until TIMEOUT_S have passed and the thread's current request, such as an upload, is overdue."""
        begin = time.monotonic()
        while not done():
            self._thread.join(0.02)
            deadline = self._sender.deadline if self._sender else 0.0
            if time.monotonic() > max(begin + TIMEOUT_S, deadline):
                if self._sender and deadline:  # 0: it waits while the spool of another run is being sent
                    self._sender.warn_away(TimeoutError("no answer"))
                return

    def _work(self) -> None:
        """Send and sample in turns, and once more after finish, whatever is left of the pause."""
        pause, next_send, next_sample = PAUSE_S, 0.0, time.monotonic() + self._system_every_s
        while True:
            last = self._finished.is_set()
            if time.monotonic() >= next_sample and not self._stop.is_set():
                self._sample()
                next_sample = time.monotonic() + self._system_every_s
            if self._sender and (last or time.monotonic() >= next_send):
                sent = self._sender.send()
                next_send = time.monotonic() + (SEND_EVERY_S if sent else pause)
                pause = PAUSE_S if sent else min(2 * pause, LONGEST_PAUSE_S)
            self._tried.set()
            if last:
                return
            self._finished.wait(min(SEND_EVERY_S, self._system_every_s or SEND_EVERY_S))

    def _sample(self) -> None:
        if self._system:
            try:
                self._spool.append("metrics", step=self._step, values=self._system.sample())
            except Exception as error:
                log.debug("no more system metrics: %s", error)
                self._system = None
