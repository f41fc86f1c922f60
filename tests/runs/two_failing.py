"""What each of two processes of test_processes.py does: fail as the folder's `what` names, or wait."""

import os
import signal
import sys
import time
from pathlib import Path

from mcqa.config.errors import DataError, McqaError
from mcqa.config.schema import Config
from mcqa.runs import launch, processes
from mcqa.runs.failures import raise_first_failure
from mcqa.runs.files import write_yaml
from tests.small_runs import configured


def run(config: Config, folder: Path) -> None:
    number, what = int(os.environ["RANK"]), (folder / "what").read_text()
    (folder / f"pid{number}").write_text(str(os.getpid()))
    if what == "never comes" and number:
        time.sleep(60)
    processes.join(config.hardware)
    with raise_first_failure(config.hardware):
        if number or what == "all raise":
            fail(what)
        processes.broadcast(0)
        if what == "waits":
            (folder / f"waiting{number}").touch()
            time.sleep(60)


def fail(what: str) -> None:
    if what == "raises":
        raise ValueError("the dog ate it")
    if what in ("user error", "all raise"):
        raise DataError("rows.csv:3: no answer.")
    if what == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hangs":
        time.sleep(60)


def start(folder: Path, *overrides: str) -> None:
    config, config_dict = configured(["hardware=cpu_processes", *overrides])
    write_yaml(folder / "config.yaml", config_dict)
    launch.start("tests.runs.two_failing", config.hardware, folder)


if __name__ == "__main__":
    try:
        folder = Path(sys.argv[1])
        if sys.argv[2:]:  # one of the two, started by somebody else
            run(configured(["hardware=cpu_processes"])[0], folder)
        else:
            start(folder)
    except McqaError as error:
        sys.exit(str(error))
