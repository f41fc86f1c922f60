"""Start the processes of a run on this machine, and watch them to the end.

This process does not train: it holds the store through which the others meet, passes Ctrl-C on, and ends all of them
when one fails. They end with it, however it ends, because each reads a pipe that only this process has open.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from mcqa.config.errors import ProcessError
from mcqa.config.schema import HardwareConfig
from mcqa.runs import failures, processes, run_folder, signals, trial
from mcqa.runs.failures import Failure, failure_message
from mcqa.runs.trial import Paused, Preempted

GRACE_S = 15.0  # for the others to notice a failure by themselves and to end in order
STOPPING_S = 120.0  # for what a run still writes when the user or a scheduler stops it
POLL_S = 0.1
STOPPED = 130  # the exit status of a process that was asked to stop

Process = subprocess.Popen[bytes]


def start(module: str, hardware: HardwareConfig, folder: Path) -> None:
    """Call `run` of a module with the configuration in the run folder, in hardware.devices processes, until all end.

    Ctrl-C and the signals of a scheduler are passed on; each process then stops as a run of one process does.

    Raises:
        ProcessError: the first failure of any of them.
        Preempted: they were stopped, and the run can be resumed. Paused: its study asked for it.
    """
    import torch.distributed as dist

    limit = timedelta(seconds=hardware.timeout_s)
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, timeout=limit, wait_for_workers=False)
    job = json.dumps({"module": module, "folder": str(folder)})
    started: list[Process] = []
    with signals.Watch() as watch:
        try:
            with suppress(Preempted), signals.defer_signals(deferring=False):
                for rank in range(hardware.devices):
                    started.append(_process(rank, hardware.devices, store.port))
                    _send(started[-1], job)
                _wait(started, store)
        finally:
            _stop(started, GRACE_S if any(process.poll() for process in started) else STOPPING_S)
        recorded = failures.recorded_failures(store, hardware.devices)
        codes = [process.returncode for process in started]
        # A process that was not yet ready to stop in order just dies of the signal, and records no failure.
        if STOPPED in codes or (watch.asked is not None and any(codes) and not recorded):
            watch.requeue()
            raise _how_it_stopped(folder)
    if any(codes):
        message = failure_message(recorded, [socket.gethostname()] * hardware.devices, hardware.timeout_s)
        _record(folder, message)
        raise ProcessError(message)


def _process(rank: int, size: int, port: int) -> Process:
    threads = max(1, len(os.sched_getaffinity(0)) // size)  # more would wait for each other
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
    variables = {name: str(value) for name, value in numbers.items()} | {"MASTER_ADDR": "127.0.0.1"}
    variables |= {"TORCHELASTIC_USE_AGENT_STORE": "True", processes.STARTED: str(os.getpid())}
    return subprocess.Popen(
        [sys.executable, "-m", "mcqa.runs.worker"],
        stdin=subprocess.PIPE,
        env={"OMP_NUM_THREADS": str(threads), **os.environ, **variables},
        start_new_session=True,  # Ctrl-C reaches them through this process alone, so that all end alike
    )


def _send(process: Process, job: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it is dead already, and _wait reports why
        process.stdin.write(job.encode() + b"\n")
        process.stdin.flush()  # the pipe stays open: the processes take its end for the end of this one


def _wait(started: Sequence[Process], store: Any) -> None:
    """Wait until all have ended, or until GRACE_S after the first one failed."""
    until: float | None = None
    while any(process.poll() is None for process in started):
        _record_unreported(started, store)
        if until is None and any(process.returncode for process in started):
            until = time.monotonic() + GRACE_S
        if until is not None and time.monotonic() > until:
            return
        time.sleep(POLL_S)
    _record_unreported(started, store)


def _record_unreported(started: Sequence[Process], store: Any) -> None:
    """Record the failures of processes that died before they could do so themselves."""
    for rank, process in enumerate(started):
        if process.returncode not in (None, 0, STOPPED) and not store.check([f"failure/{rank}"]):
            failures.record_failure(store, _failure(rank, process.returncode))


def _failure(rank: int, code: int) -> Failure:
    aborted = code == -signal.SIGABRT
    text = f"ended with status {code}; what it printed is above."
    if aborted:
        text = "ended by SIGABRT, as torch does with a process whose wait for the others exceeds hardware.timeout_s."
    elif code < 0:
        text = f"killed by {signal.Signals(-code).name}."
        text += " The machine's memory may have run out." if code == -signal.SIGKILL else ""
    return Failure(rank, socket.gethostname(), time.time(), of_another=aborted, text=text)


def _stop(started: Sequence[Process], grace_s: float) -> None:
    """End all that are left, even when Ctrl-C comes again meanwhile."""
    living = [process for process in started if process.poll() is None]
    try:
        for process in living:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + grace_s
        while any(process.poll() is None for process in living) and time.monotonic() < until:
            time.sleep(POLL_S)
    finally:
        for process in living:
            process.kill()
            process.wait()
        for process in started:
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()


def _how_it_stopped(folder: Path) -> Preempted:
    """Return what the first process has written, as the error to raise."""
    result = run_folder.read_result(folder)
    error = result.get("error") or "Stopped."
    if trial.current() is None:
        return Preempted(f"{error} {run_folder.how_to_resume(folder)}")
    return Paused("Paused by its study.") if result.get("status") == "paused" else Preempted(error)


def _record(folder: Path, message: str) -> None:
    """Write result.json, unless the first process wrote the same error; it may be dead, or have blamed another."""
    result = run_folder.read_result(folder)
    if result.get("status") != "failed" or str(result.get("error")) not in message:
        run_folder.write_result(folder, result | {"status": "failed", "error": message})
