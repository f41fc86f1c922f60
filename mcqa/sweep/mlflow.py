"""A study in MLflow: one run for the study, and below it one for every trial with its true status.

Where trials go to a server they speak to it themselves. An SQLite file takes one writer at a time, so there the
controller brings their spools to it. Either way it says how each trial ended, also of one that could not.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mcqa.runs.files import flat, read_yaml
from mcqa.runs.tracking.redaction import without_secrets
from mcqa.runs.tracking.sender import Position, Sender, is_file
from mcqa.runs.tracking.spool import Spool
from mcqa.runs.tracking.tracker import open_tracker

if TYPE_CHECKING:
    from mcqa.config.schema import TrackingConfig
    from mcqa.sweep.controller.events import Outcome

SEND_EVERY_S = 10.0


ENDS: Mapping[str, Literal["FINISHED", "FAILED", "KILLED"]] = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
}
"""MLflow has no word for pruned: it was stopped, and its tag `status` says by whom."""


class StudyTracker:
    """The run of the study in `folder`; `params` describe it."""

    def __init__(self, config: "TrackingConfig", folder: Path, outputs: Path, params: Mapping[str, Any]) -> None:
        self.config, self.folder, self.outputs = config, folder, outputs
        self.senders: dict[Path, Sender] = {}
        self.sent = time.monotonic()
        self.tracker = open_tracker(replace(config, system_metrics_every_s=0), folder, outputs, folder.name)
        self.tracker.start(dict(params), {"mcqa.study": folder.name})

    def tick(self, running: Sequence[Path]) -> None:
        """What the trials have told so far goes on to MLflow, where they do not see to that themselves."""
        if is_file(self.config.uri) and time.monotonic() - self.sent >= SEND_EVERY_S:
            for trial in running:
                self._send(trial)
            self.sent = time.monotonic()

    def told(self, trial: Path, outcome: "Outcome") -> None:
        spool = Spool(trial)
        if spool.first_start() is None:  # it died before it could say anything
            tree = read_yaml(trial / "config.yaml") if (trial / "config.yaml").exists() else {}
            spool.start(f"trial {trial.name}", without_secrets(flat(tree)), {}, self.folder)
        reason = {"reason": outcome.error} if outcome.error else {}
        spool.append("tags", values=without_secrets({"trial": trial.name, "status": outcome.status, **reason}))
        spool.append("finish", status=ENDS[outcome.status])
        if self._send(trial):
            self.senders.pop(trial, None)

    def finish(self, complete: bool, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """The report, the tables and the best configuration, and how the study stands."""
        all(self._send(trial) for trial in self._owing())  # while MLflow is away, the first attempt is enough
        for path in sorted(self.folder.iterdir()):
            if path.is_file() and path.suffix in (".html", ".csv", ".yaml"):
                self.tracker.artifact(path)
        if metrics:
            self.tracker.metrics(dict(metrics), step=0)
        self.tracker.tags(dict(tags))
        self.tracker.finish("FINISHED" if complete else "KILLED")

    def _owing(self) -> Iterator[Path]:
        """Trials that ended without MLflow hearing everything, also those that an earlier controller told."""
        for trial in sorted((self.folder / "trials").glob("*")):
            spool, position = Spool(trial), Position.read(trial)
            if (position is None or position.sent != spool.size()) and spool.work().finished:
                yield trial

    def _send(self, trial: Path) -> bool:
        """False: MLflow is away."""
        if self.config.name != "mlflow" or not Spool(trial).size():
            return True
        return self.senders.setdefault(trial, Sender(self.config, trial, self.outputs)).send()
