"""What an app may say while it is a trial of a study. Nothing of it is needed to be one.

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
        return loss                                     # the value of the trial; a list where a study has several

Trials are compared at equal points, so a point must mean the same in all of them: epochs, or questions seen where the
batch size varies. A trial of several processes reports from one of them and tells the others what it heard.

The end of a trial is told in result.json of its folder, which an app may write too: what it says there without a
`status` is kept beside what is told of every trial (status, value, metrics, seconds, error, commit).
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, SupportsFloat

from mcqa.config.errors import McqaError
from mcqa.runs.mailbox import Mailbox

log = logging.getLogger(__name__)

VARIABLE = "MCQA_TRIAL"
"""The environment variable that holds the folder of the trial, inside one."""


class Pruned(Exception):
    """Raise it to end a trial that should be pruned; its value is the last one reported."""


class Preempted(McqaError):
    """Raise it where the trial was asked to stop, has saved, and can go on: it is submitted again.

    Saved means in the folder `checkpoints` of the trial's own; a start that left nothing new there counts as lost.
    """


class Trial:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mailbox = Mailbox(folder)

    @property
    def study(self) -> Path:
        """The folder of the study."""
        return self.folder.parent.parent

    def report(self, value: SupportsFloat, point: int, seen: int | None = None) -> None:
        """An intermediate value of what the study judges by. A point that is reported again changes nothing.

        seen: how many were seen in truth, where that is more than the point.

        Raises:
            ValueError: point is below 0.
        """
        if int(point) < 0:
            raise ValueError(f"point={point}: a point counts epochs or questions, from 0.")
        try:
            self._mailbox.report(int(point), float(value), seen)
        except OSError as error:  # the study judges without it; the trial itself needs nothing of it
            log.warning("The report at point %s could not be written: %s", point, error)

    def should_prune(self) -> bool:
        """Whether the study gave this trial up. The answer to a report comes later: ask again at every point."""
        return self._mailbox.asked_to_prune()

    def last_reported(self) -> float | None:
        reports = self._mailbox.reports()
        return reports[-1].value if reports else None

    def end(self, result: Mapping[str, Any]) -> None:
        """Write its result, for an app that has more to say than its value. A trial that was cancelled has one."""
        self._mailbox.write_result(result)


def current() -> Trial | None:
    """The trial that this process runs; None outside a study."""
    folder = os.environ.get(VARIABLE)
    trial = Trial(Path(folder)) if folder else None
    return trial if trial and (trial.study / "study.yaml").exists() else None


def own_folder(make: Callable[[], Path]) -> Path:
    """The folder that `make` made at the first start of this job, so that a later one goes on in it.

    Outside of a job a new one each time.
    """
    if not (job := os.environ.get(VARIABLE)):
        return make()
    kept = Path(job) / "run_folder"
    if kept.exists() and (folder := Path(kept.read_text("utf-8").strip())).is_dir():
        return folder
    folder = make()
    aside = kept.with_suffix(".partial")
    aside.write_text(f"{folder.absolute()}\n", "utf-8")
    aside.replace(kept)
    return folder


def hand_in(result: Mapping[str, Any]) -> None:
    """The result of this job, where an app keeps its own in another folder. Outside of a job nothing happens."""
    if folder := os.environ.get(VARIABLE):
        Mailbox(Path(folder)).write_result(result)
