"""Send what earlier runs could not: because MLflow was away, or because they were killed.

MLflow shows a killed run as running; the next run on this machine sees that its process is gone, and corrects that.
"""

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mcqa.runs.tracking.sender import Position, Sender, load_mlflow
from mcqa.runs.tracking.spool import Spool

if TYPE_CHECKING:
    from mcqa.config.schema import TrackingConfig

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0


def send_run(config: "TrackingConfig", folder: Path, outputs: Path) -> bool:
    """Send a run's spool, or what is new in it; return False if MLflow does not take it.

    The run may still be running, if it does not send its spool itself.
    """
    return Sender(config, folder, outputs).send()


def send_unsent(config: "TrackingConfig", outputs: Path) -> None:
    """Send what the runs in outputs/runs have not sent to this tracker; mark those that were killed as KILLED.

    Left alone: runs whose process lives, unfinished runs of another host, and runs that were tracked elsewhere or
    nowhere. Stops at the first failure. What takes longer than TIMEOUT_S continues in the background. Nothing happens
    while another process does the same.
    """
    folders = [
        folder
        for folder in sorted([*outputs.glob("runs/*/*"), *outputs.glob("runs/*/*/stages/*")])
        if _is_unsent(config, folder)
    ]
    if config.name == "mlflow" and folders:
        load_mlflow()
        worker = threading.Thread(target=_send_all, args=(config, folders, outputs), daemon=True)
        worker.start()
        worker.join(TIMEOUT_S)


def _is_unsent(config: "TrackingConfig", folder: Path) -> bool:
    position = Position.read(folder)
    if position is None or not position.is_for(config):
        return False
    return position.status == "RUNNING" or position.sent != Spool(folder).size()


def _send_all(config: "TrackingConfig", folders: list[Path], outputs: Path) -> None:
    from filelock import FileLock, Timeout

    try:
        with FileLock(outputs / ".unsent.lock", blocking=False):
            for folder in folders:
                if _is_over(folder) and not send_run(config, folder, outputs):
                    return
                time.sleep(0.01)  # let the run that is starting send its own events
    except (Timeout, OSError) as error:
        log.debug("unsent runs are left to another process: %s", error)


def _is_over(folder: Path) -> bool:
    """Whether the run has ended; one that was killed gets the `finish` event that it could not write."""
    spool = Spool(folder)
    owner, finished, ms = spool.work()
    if owner is None or (owner.is_here() and owner.is_alive()):
        return False
    if not finished and owner.is_here():
        spool.append("finish", ms=ms, status="KILLED")
        return True
    return finished
