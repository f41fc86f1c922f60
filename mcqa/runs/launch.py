"""Start the processes of a run on this machine, and watch over them to the end.

This process trains nothing: it holds the store through which they meet, passes Ctrl-C on, and ends all of them when one
fails. They end with it, however it ends, because each reads a pipe that only this process has open.
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
from mcqa.runs.files import read_json, write_json
from mcqa.runs.trial import Preempted

GRACE_S = 15.0  # for the others to notice a failure by themselves and to end in order
STOPPING_S = 120.0  # for what a run still writes when the user or a scheduler stops it
POLL_S = 0.1
STOPPED = 130  # the exit status of a process that was told to stop

Process = subprocess.Popen[bytes]


def start(module: str, config: HardwareConfig, folder: Path) -> None:
    """Call `run` of a module with the configuration in the run folder, in config.devices processes, until all end.

    A scheduler's word to stop, and Ctrl-C, are passed on; each process then stops as a run of one process does.

    Raises:
        ProcessError: the first failure of any of them.
        Preempted: they were stopped, and the run can go on from where it is.
    """
    import torch.distributed as dist

    limit = timedelta(seconds=config.timeout_s)
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, timeout=limit, wait_for_workers=False)
    job = json.dumps({"module": module, "folder": str(folder)})
    started: list[Process] = []
    with signals.Watch() as watch:
        try:
            with suppress(Preempted), signals.defer_signals(deferring=False):
                for rank in range(config.devices):
                    started.append(_process(rank, config.devices, store.port))
                    _send(started[-1], job)
                _watch(started, store)
        finally:
            _stop(started, GRACE_S if any(process.poll() for process in started) else STOPPING_S)
        if _were_stopped(started, watch, failures.recorded_failures(store, config.devices)):
            watch.requeue()
            raise Preempted(_how_it_stopped(folder))
    if any(process.returncode for process in started):
        host = socket.gethostname()
        text = failure_message(
            failures.recorded_failures(store, config.devices), [host] * config.devices, config.timeout_s
        )
        _record(folder, text)
        raise ProcessError(text)


def _process(rank: int, size: int, port: int) -> Process:
    threads = max(1, len(os.sched_getaffinity(0)) // size)  # more would wait for each other
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
    told = {name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"}
    told |= {"TORCHELASTIC_USE_AGENT_STORE": "True", processes.STARTED: str(os.getpid())}
    return subprocess.Popen(
        [sys.executable, "-m", "mcqa.runs.worker"],
        stdin=subprocess.PIPE,
        env={"OMP_NUM_THREADS": str(threads), **os.environ, **told},
        start_new_session=True,  # Ctrl-C reaches them through this process alone, so that all end alike
    )


def _send(process: Process, job: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it is dead already, and _watch tells why
        process.stdin.write(job.encode() + b"\n")
        process.stdin.flush()  # and stays open: its end is how they learn of the end of this process


def _watch(started: Sequence[Process], store: Any) -> None:
    """Until all have ended, or some time after the first one failed."""
    until: float | None = None
    while any(process.poll() is None for process in started):
        _tell_unsaid(started, store)
        if until is None and any(process.returncode for process in started):
            until = time.monotonic() + GRACE_S
        if until is not None and time.monotonic() > until:
            return
        time.sleep(POLL_S)
    _tell_unsaid(started, store)


def _tell_unsaid(started: Sequence[Process], store: Any) -> None:
    for rank, process in enumerate(started):
        if process.returncode not in (None, 0, STOPPED) and not store.check([f"failure/{rank}"]):
            failures.record_failure(store, _unsaid(rank, process.returncode))


def _unsaid(rank: int, code: int) -> Failure:
    """The failure of a process that could not tell it."""
    late = code == -signal.SIGABRT
    text = f"ended with status {code}; what it printed is above."
    if late:
        text = "ended by SIGABRT, as torch does with a process whose wait for the others exceeds hardware.timeout_s."
    elif code < 0:
        text = f"killed by {signal.Signals(-code).name}."
        text += " The machine's memory may have run out." if code == -signal.SIGKILL else ""
    return Failure(rank, socket.gethostname(), time.time(), late, text)


def _stop(started: Sequence[Process], grace_s: float) -> None:
    """None is left, also where Ctrl-C comes again meanwhile."""
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


def _were_stopped(started: Sequence[Process], watch: signals.Watch, told: Sequence[Failure]) -> bool:
    """A process that was not far enough to stop in order just dies of the signal, and has no failure to tell."""
    codes = [process.returncode for process in started]
    return STOPPED in codes or (watch.asked is not None and any(codes) and not told)


def _how_it_stopped(folder: Path) -> str:
    """What the first process says of it."""
    path = folder / "result.json"
    result = read_json(path) if path.exists() else {}
    goes_on = f" It goes on with: python -m mcqa.train resume={run_folder.shown(folder)}"
    return f"{result.get('error') or 'Stopped.'}{goes_on if trial.current() is None else ''}"


def _record(folder: Path, text: str) -> None:
    """The first process records the failure itself, unless it was killed or knew only that another was gone."""
    path = folder / "result.json"
    result = read_json(path) if path.exists() else {}
    if result.get("status") != "failed" or str(result.get("error")) not in text:
        blank: dict[str, Any] = {"value": None, "metrics": {}, "seconds": 0.0, "peak_memory_bytes": 0}
        write_json(path, blank | result | {"status": "failed", "error": text})
