"""Tracker: what a run tells about itself, written at once and sent in the background."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mcqa.runs.tracking.redaction import without_secrets
from mcqa.runs.tracking.sender import Sender, is_file, load_mlflow
from mcqa.runs.tracking.spool import Spool
from mcqa.runs.tracking.system import SystemMetrics

if TYPE_CHECKING:
    from mcqa.config.schema import TrackingConfig

log = logging.getLogger(__name__)

SEND_EVERY_S = 2.0
PAUSE_S, LONGEST_PAUSE_S = 30.0, 600.0  # after a failure, doubled by each further one
TIMEOUT_S = 5.0  # longest that start and finish wait for an MLflow that does not answer


def open_tracker(
    config: "TrackingConfig", folder: Path, outputs: Path, name: str, study: Path | None = None
) -> "Tracker":
    """The tracker of the run in `folder`, shown as `name` in MLflow's list. Nothing happens before start.

    study: the folder of the study that the run is a trial of. Its controller alone writes to an SQLite file.
    """
    left_to_the_controller = study is not None and is_file(config.uri)
    sender = Sender(config, folder, outputs) if config.name == "mlflow" and not left_to_the_controller else None
    return Tracker(Spool(folder), sender, name, config.system_metrics_every_s, study)


class Tracker:
    """Every call appends one line to events.jsonl; a thread brings it to MLflow and watches the machine.

    No call fails because MLflow does. Only start and finish wait for it: as long as it makes progress, else
    PATIENCE_S. For one process and one run, from start to finish.
    """

    def __init__(
        self, spool: Spool, sender: Sender | None, name: str, system_every_s: float, parent: Path | None = None
    ) -> None:
        """parent: the folder of the run that this one stands below."""
        self._spool, self._parent = spool, parent
        self._sender = sender
        self._name = name
        self._system_every_s = system_every_s
        self._step = 0
        self._told: set[tuple[str, int, str]] = set()
        self._system: SystemMetrics | None = None
        self._tried, self._stop, self._finished = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)

    @property
    def run_id(self) -> str | None:
        """MLflow's name for the run; None before it was reached for the first time."""
        return self._sender.position.run_id if self._sender else None

    def start(self, params: dict[str, object], tags: dict[str, str]) -> None:
        self._told = {
            (event["of"], event["step"], key)
            for _, event in self._spool.read()
            if event["event"] == "metrics" and "of" in event
            for key in event["values"]
        }
        self._spool.start(self._name, without_secrets(params), without_secrets(tags), self._parent)
        if self._sender:
            self._sender.position.save(self._spool.folder)
        if self._sender:
            with suppress(Exception):  # said by the attempt to send
                load_mlflow()
        if self._sender or self._system_every_s:
            self._system = self._open_system()
            self._thread.start()
            self._wait_for(self._tried.is_set)

    def metrics(self, values: dict[str, float], step: int, of: str | None = None) -> None:
        """of: what was at work. A run that is resumed does some of it again; what was told before is not told twice.

        None: it is new, whatever was told at this step before.
        """
        self._step = step
        new = {key: float(value) for key, value in values.items() if (of, step, key) not in self._told}
        if new:
            self._spool.append("metrics", step=step, values=new, **({"of": of} if of else {}))

    def flush(self) -> None:
        """What was told is on the disk for sure: not lost, and not told twice, whenever the machine fails."""
        self._spool.flush()

    def tags(self, values: dict[str, str]) -> None:
        self._spool.append("tags", values=without_secrets(values))

    def artifact(self, path: Path) -> None:
        """A file or folder of the run folder; of `model/` only with log_model."""
        self._spool.append("artifact", path=self._relative(path))

    def table(self, path: Path) -> None:
        """A JSON file {"columns": […], "data": [[…]]} of the run folder, which MLflow shows as a table."""
        self._spool.append("table", path=self._relative(path))

    def dataset(self, name: str, digest: str, source: str, split: str, questions: int) -> None:
        fields = {"name": name, "digest": digest, "source": source, "split": split}
        self._spool.append("dataset", **without_secrets(fields), questions=questions)

    def finish(self, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
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
        """Also no longer than what the thread is at may take, such as an upload, or PATIENCE_S."""
        begin = time.monotonic()
        while not done():
            self._thread.join(0.02)
            deadline = self._sender.deadline if self._sender else 0.0
            if time.monotonic() > max(begin + TIMEOUT_S, deadline):
                if self._sender and deadline:  # 0: not at it yet, while another run's spool is being sent
                    self._sender.warn_away(TimeoutError("no answer"))
                return

    def _work(self) -> None:
        """Send and sample by turns; after finish once more, however long the pause still was."""
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

    def _open_system(self) -> SystemMetrics | None:
        try:
            return SystemMetrics() if self._system_every_s else None
        except Exception as error:
            log.debug("no system metrics: %s", error)
            return None

    def _sample(self) -> None:
        if self._system:
            try:
                self._spool.append("metrics", step=self._step, values=self._system.sample())
            except Exception as error:
                log.debug("no more system metrics: %s", error)
                self._system = None
