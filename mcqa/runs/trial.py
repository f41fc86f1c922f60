"""What an app may say while it is a trial of a study. None of it is required.

    from mcqa.sweep import trial

    @hydra.main(version_base="1.3", config_path="conf", config_name="config")
    def app(cfg):
        me = trial.current()                            # None outside a study
        for epoch in range(cfg.epochs):
            loss = train_epoch(...)
            if me is not None:
                me.report(loss, point=epoch + 1)
                if me.should_prune():
                    raise trial.Pruned                  # save first what you want to keep
                if me.should_pause():
                    raise trial.Paused                  # save first what you need to go on
        return loss                                     # the value of the trial

A pruner may pause a trial instead of ending it: its job ends, and another trial gets the slot. Where the trial is among
the best of those that came as far, it goes on: the app starts again in the same folder with the same configuration, as
after the death of its job, and continues from what it saved. An app that never asks runs on to its end.

Trials are compared at equal points, so a point must mean the same in all of them: epochs, or questions seen where the
batch size varies. In a trial of several processes one of them reports, asks, and broadcasts the answer to the others.

How the trial ended stands in result.json of its folder, which an app may write too: what it writes there without a
`status` is kept beside what is recorded of every trial (status, value, metrics, seconds, error, commit).
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

from mcqa.config.errors import McqaError
from mcqa.runs.files import write_text
from mcqa.runs.mailbox import Mailbox

log = logging.getLogger(__name__)

VARIABLE = "MCQA_TRIAL"
"""The environment variable that holds the folder of the trial, inside one."""


class Pruned(Exception):
    """Raise it to end a trial that should be pruned; its value is the last one reported."""


class Preempted(McqaError):
    """Raise it where the trial was asked to stop, has saved, and can resume: it is submitted again.

    Saved means in the folder `checkpoints` of the trial; a start that left nothing new there counts as lost.
    """


class Paused(Preempted):
    """Raise it where the study asked the trial to pause, and it has saved: it is submitted again when it may go on.

    What it needs for that should be in the folder `checkpoints` of the trial, which is deleted once it never will.
    """


class Trial:
    """The trial that this process runs, known by its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mailbox = Mailbox(folder)

    @property
    def study(self) -> Path:
        """The folder of the study."""
        return self.folder.parent.parent

    def report(
        self,
        value: SupportsFloat,
        point: int,
        seen: int | None = None,
        right: Sequence[bool] | None = None,
        share: float | None = None,
        warm: bool = True,
    ) -> None:
        """Report an intermediate value of the study's metric. Reporting a point again changes nothing.

        Args:
            value: of the metric.
            point: epochs or questions, at which all trials report.
            seen: how many were really seen, where that is more than the point.
            right: whether each question of the metric is answered right, in the same order in all trials; for pruners
                that compare trials question by question.
            share: of the training that is done, for pruners that wait for a part of it.
            warm: False while the learning rate still rises.

        Raises:
            ValueError: point is below 0.
        """
        if int(point) < 0:
            raise ValueError(f"point={point}: a point counts epochs or questions, from 0.")
        try:
            self._mailbox.report(int(point), float(value), seen, right, share, warm)
        except OSError as error:  # the study decides without it; the trial itself does not need it
            log.warning("The report at point %s could not be written: %s", point, error)

    def should_prune(self) -> bool:
        """Whether the study pruned this trial. The answer to a report comes later: ask again at every point."""
        return self._mailbox.prune_requested()

    def should_pause(self) -> bool:
        """Whether the study asks this trial to pause. Nothing is lost by not doing so, except the time of others."""
        return self._mailbox.pause_requested()

    def last_reported(self) -> float | None:
        """Return the last value that was reported, if any."""
        reports = self._mailbox.reports()
        return reports[-1].value if reports else None

    def end(self, result: Mapping[str, Any]) -> None:
        """Write the result, for an app that has more to say than its value. A cancelled trial keeps the one it has."""
        self._mailbox.write_result(result)


def current() -> Trial | None:
    """Return the trial that this process runs; None outside a study."""
    folder = os.environ.get(VARIABLE)
    trial = Trial(Path(folder)) if folder else None
    return trial if trial and (trial.study / "study.yaml").exists() else None


def persistent_folder(make: Callable[[], Path]) -> Path:
    """Return the folder that `make` made at the first start of this job, so that a later start resumes in it.

    Outside a job `make` is called each time.
    """
    if not (job := os.environ.get(VARIABLE)):
        return make()
    pointer = Path(job) / "run_folder"
    if pointer.exists() and (folder := Path(pointer.read_text("utf-8").strip())).is_dir():
        return folder
    folder = make()
    write_text(pointer, f"{folder.absolute()}\n")
    return folder


def write_result(result: Mapping[str, Any]) -> None:
    """Write the result of this job, where an app keeps its own in another folder. Outside a job nothing happens."""
    if folder := os.environ.get(VARIABLE):
        Mailbox(Path(folder)).write_result(result)
