"""A study in MLflow: one run for the study, and below it one for every trial with its true status.

Trials send their events to a server themselves. An SQLite file takes one writer at a time, so there the controller
sends the events that trials have written to their spools. In both cases the controller says how each trial ended, also
of one that could not.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mcqa.config.secrets import without_secrets
from mcqa.runs.files import flatten, read_yaml
from mcqa.runs.tracking.sender import Position, Sender, is_file
from mcqa.runs.tracking.spool import Spool
from mcqa.runs.tracking.tracker import open_tracker

if TYPE_CHECKING:
    from mcqa.config.schema import TrackingConfig
    from mcqa.sweep.controller.events import Outcome

SEND_EVERY_S = 10.0

# MLflow has no status for pruned: the trial was stopped, and its tag `status` says by what.
MLFLOW_STATUS: Mapping[str, Literal["FINISHED", "FAILED", "KILLED"]] = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
}


class StudyTracker:
    """The run of the study in `folder`; `params` describe it."""

    def __init__(self, config: "TrackingConfig", folder: Path, outputs: Path, params: Mapping[str, Any]) -> None:
        self.config, self.folder, self.outputs = config, folder, outputs
        self.senders: dict[Path, Sender] = {}
        self.last_sent = time.monotonic()
        self.tracker = open_tracker(replace(config, system_metrics_every_s=0), folder, outputs, folder.name)
        self.tracker.start(dict(params), {"mcqa.study": folder.name})

    def tick(self, running: Sequence[Path]) -> None:
        """Send what the trials have written so far, where they do not send it themselves."""
        if is_file(self.config.uri) and time.monotonic() - self.last_sent >= SEND_EVERY_S:
            for trial in running:
                self._send(trial)
            self.last_sent = time.monotonic()

    def trial_ended(self, trial: Path, outcome: "Outcome") -> None:
        spool = Spool(trial)
        if spool.first_start() is None:  # it died before it could write anything
            config_dict = read_yaml(trial / "config.yaml") if (trial / "config.yaml").exists() else {}
            spool.start(f"trial {trial.name}", without_secrets(flatten(config_dict)), {}, self.folder)
        reason = {"reason": outcome.error} if outcome.error else {}
        spool.append("tags", values=without_secrets({"trial": trial.name, "status": outcome.status, **reason}))
        spool.append("finish", status=MLFLOW_STATUS[outcome.status])
        if self._send(trial):
            self.senders.pop(trial, None)

    def finish(self, complete: bool, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Send the report, the tables and the best configuration, and how the study ended."""
        all(self._send(trial) for trial in self._unsent_trials())  # while MLflow is away, the first attempt is enough
        for path in sorted(self.folder.iterdir()):
            if path.is_file() and path.suffix in (".html", ".md", ".csv", ".yaml"):
                self.tracker.artifact(path)
        if metrics:
            self.tracker.metrics(dict(metrics), step=0)
        self.tracker.tags(dict(tags))
        self.tracker.finish("FINISHED" if complete else "KILLED")

    def _unsent_trials(self) -> Iterator[Path]:
        """Trials that ended and are not wholly in MLflow, also those of an earlier controller."""
        for trial in sorted((self.folder / "trials").glob("*")):
            spool, position = Spool(trial), Position.read(trial)
            if (position is None or position.sent != spool.size()) and spool.work().finished:
                yield trial

    def _send(self, trial: Path) -> bool:
        """Whether MLflow could be reached, or need not be."""
        if self.config.name != "mlflow" or not Spool(trial).size():
            return True
        return self.senders.setdefault(trial, Sender(self.config, trial, self.outputs)).send()
