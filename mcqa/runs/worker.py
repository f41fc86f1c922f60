"""One process of a run that launch.py started: it reads what to run from its parent, and ends with it."""

import json
import os
import signal
import socket
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

from mcqa.config.output import calm_libraries, outlast_readers
from mcqa.config.schema import Config, EvaluateConfig
from mcqa.config.validation import typed
from mcqa.runs import launch, run_folder, trial
from mcqa.runs.failures import Failure, error_text, record_failure
from mcqa.runs.trial import Preempted


def main() -> None:
    """Call `run` of the module that the parent names, with the configuration in the run folder."""
    job = json.loads(sys.stdin.buffer.readline() or sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True, name="parent").start()
    for number in (signal.SIGUSR1, signal.SIGUSR2):  # warnings of a scheduler, which the parent handles for all
        signal.signal(number, signal.SIG_IGN)
    calm_libraries()
    outlast_readers(quietly=True)
    folder = Path(job["folder"])
    config = typed(run_folder.config_of(folder), EvaluateConfig if job["module"] == "mcqa.evaluate" else Config)
    try:
        this_trial = trial.current()
        import_module(job["module"]).run(config, folder, *([this_trial] if this_trial else []))
    except (KeyboardInterrupt, Preempted):
        sys.exit(launch.STOPPED)
    except Exception as error:
        _record(error)
        sys.exit(1)


def _end_with_parent() -> None:
    while os.read(0, 1):  # the pipe's end: the parent has died
        pass
    os._exit(1)


def _record(error: Exception) -> None:
    """Record an error from outside the block in which failures.raise_first_failure does."""
    from torch.distributed import TCPStore

    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), wait_for_workers=False)
    rank = int(os.environ["RANK"])
    if not store.check([f"failure/{rank}"]):
        record_failure(store, Failure(rank, socket.gethostname(), time.time(), False, error_text(error)))


if __name__ == "__main__":
    main()
