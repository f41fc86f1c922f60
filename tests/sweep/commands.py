"""Commands of small_app.py in processes of their own, and what sweeps leave in their folders."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from mcqa.runs.files import read_yaml
from mcqa.runs.mailbox import Mailbox

APP = Path(__file__).with_name("small_app.py")


def result(study, number):
    return Mailbox(study / "trials" / str(number)).result()


def config_of(study, number):
    return read_yaml(study / "trials" / str(number) / "config.yaml")


def start_study(folder, *overrides):
    """The controller of a study of small_app.py."""
    with (folder / "said.txt").open("a") as said:
        return subprocess.Popen(
            [sys.executable, str(APP), "--multirun", "hydra/sweeper=mcqa", "hydra/launcher=submitit_local",
             "hydra.sweeper.poll_s=0.05", *overrides],
            cwd=folder, stdout=said, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def ended(controller, folder):
    assert controller.wait(120) == 0, (folder / "said.txt").read_text()


def until(happened, what, folder):
    end = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < end, f"still waiting for {what}:\n{(folder / 'said.txt').read_text()}"
        time.sleep(0.02)


def kill(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=10)
