"""One process of a run that launch.py started: it reads what to do from its parent and ends with it."""

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path

from mcqa.config.composition import calm_libraries
from mcqa.config.errors import McqaError
from mcqa.config.schema import Config, EvaluateConfig
from mcqa.config.validation import typed
from mcqa.runs import launch, run_folder, trial
from mcqa.runs.failures import Failure, record_failure
from mcqa.runs.trial import Preempted


def main() -> None:
    job = json.loads(sys.stdin.buffer.readline() or sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True, name="parent").start()
    for name in (signal.SIGUSR1, signal.SIGUSR2):  # a scheduler's warnings, which the parent takes for all
        signal.signal(name, signal.SIG_IGN)
    calm_libraries()
    folder = Path(job["folder"])
    config = typed(run_folder.config_of(folder), EvaluateConfig if job["module"] == "mcqa.evaluate" else Config)
    try:
        this_trial = trial.current()
        import_module(job["module"]).run(config, folder, *([this_trial] if this_trial else []))
    except (KeyboardInterrupt, Preempted):
        sys.exit(launch.STOPPED)
    except Exception as error:
        _tell(error)
        sys.exit(1)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _tell(error: Exception) -> None:
    """What went wrong before or after the block in which failures are told (processes.together)."""
    from torch.distributed import TCPStore

    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), wait_for_workers=False)
    rank = int(os.environ["RANK"])
    if not store.check([f"failure/{rank}"]):
        text = str(error) if isinstance(error, McqaError) else traceback.format_exc().strip()
        record_failure(store, Failure(rank, socket.gethostname(), time.time(), False, text))


if __name__ == "__main__":
    main()
