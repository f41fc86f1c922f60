"""Commands that are run for an attack, and what is wrong with how they ended.

A command is `python -m mcqa.…`. It runs in a process of its own: started as such, or, which saves the seconds that its
imports take, forked from this one, which has imported them (`import_all`) and runs nothing by itself.
"""

import atexit
import importlib
import json
import os
import resource
import runpy
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
QUIET = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
TIMEOUT_S = 180.0
LAST_LINES = 12

COMMAND_IMPORTS = (
    "mcqa.train",
    "mcqa.evaluate",
    "mcqa.jobs",
    "mcqa.compare.__main__",
    "mcqa.models.devices",
    "mcqa.training.steps",
    "mcqa.training.dry_run",
    "mcqa.evaluation.measure",
    "mcqa.evaluation.record",
    "mcqa.evaluation.report.run_report",
    "mcqa.runs.record",
    "mcqa.sweep.main",
    "mcqa.sweep.run_study",
    "mcqa.sweep.report.write",
)

Verdict = Literal["right", "silently wrong", "traceback", "hang"]
VERDICTS: tuple[Verdict, ...] = ("right", "silently wrong", "traceback", "hang")


@dataclass(frozen=True)
class Ended:
    """A command that has ended. code: its exit status, negative for a signal; None: stopped after `timeout_s`."""

    command: str
    code: int | None
    output: str
    seconds: float


class Wrong(Exception):
    """A case that did not end as it must."""

    def __init__(self, verdict: Verdict, why: str, ended: Ended | None = None) -> None:
        super().__init__(why)
        self.verdict, self.why, self.ended = verdict, why, ended


@dataclass(frozen=True)
class Try:
    """A case, ready to be tried in an empty folder. attempt: raises Wrong; anything else is the attack's own bug."""

    area: str
    name: str
    attempt: Callable[[Path], None]


@dataclass
class Outcome:
    """How a case ended."""

    area: str
    name: str
    verdict: Verdict
    seconds: float
    why: str = ""
    command: str = ""
    lines: list[str] = field(default_factory=list)


def import_all() -> None:
    """Import what the commands import, so that forked ones have it already."""
    os.environ.update(QUIET)
    sys.path[:] = [path for path in sys.path if not path.startswith(str(ROOT / "benchmarks"))]  # commands lack it too
    for name in COMMAND_IMPORTS:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a process with threads is not safely forked"


# --- one command ------------------------------------------------------------------------------------------------------


def run(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    own_process: bool = False,
    environment: Mapping[str, str] | None = None,
    largest_file: int | None = None,
    timeout_s: float = TIMEOUT_S,
    stop: tuple[float, signal.Signals] | None = None,
) -> Ended:
    """Run `python -m module arguments` in the folder.

    Args:
        largest_file: in bytes; the system refuses to write beyond it.
        stop: after how many seconds the process gets which signal.
    """
    began = time.monotonic()
    reading, writing = os.pipe()
    values = QUIET | {"PYTHONPATH": str(ROOT)} | dict(environment or {})
    if own_process:
        start = [sys.executable, "-m", module, *arguments]
        process = subprocess.Popen(
            start,
            cwd=folder,
            env=os.environ | values,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
            preexec_fn=lambda: _limit(largest_file),
        )
        pid = process.pid
    elif (pid := os.fork()) == 0:
        _become(module, arguments, folder, writing, values, largest_file)
    os.close(writing)
    code, output = _wait(pid, reading, began, timeout_s, stop)
    os.close(reading)
    shown = shlex.join(["python", "-m", module, *arguments])
    given = "".join(f"{name}={shlex.quote(value)} " for name, value in (environment or {}).items())
    return Ended(given + shown, code, output, time.monotonic() - began)


def _limit(largest_file: int | None) -> None:
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))


def _become(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    writing: int,
    environment: Mapping[str, str],
    largest_file: int | None,
) -> None:
    """Become the command; never returns."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.update(environment)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, source in ((0, nothing), (1, writing), (2, writing)):
            os.dup2(source, descriptor)
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            stream = open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        _limit(largest_file)
        sys.path.insert(0, str(folder))
        sys.argv = ["-m", *arguments]
        code = _exit_status(module)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode(errors="replace"))
    finally:
        os._exit(code)


def _exit_status(module: str) -> int:
    """Run the module as Python does."""
    sys.modules.pop(module, None)  # or runpy warns of it
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _wait(
    pid: int, reading: int, began: float, timeout_s: float, stop: tuple[float, signal.Signals] | None
) -> tuple[int | None, str]:
    parts = list[bytes]()
    os.set_blocking(reading, False)
    code, deadline = None, began + timeout_s
    while code is None and time.monotonic() < deadline:
        if stop and time.monotonic() - began >= stop[0]:
            os.kill(pid, stop[1])
            stop = None
        if select.select([reading], [], [], 0.02)[0]:
            parts += _read(reading)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
        elif parts and parts[-1] == b"":
            time.sleep(0.02)  # it has closed its output
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # the command where it hangs, and what it has left
    if code is None:
        os.waitpid(pid, 0)
    parts += _read(reading)
    return code, b"".join(parts).decode(errors="replace")


def _read(reading: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(reading, 1 << 16)
        except BlockingIOError:
            return
        yield part
        if not part:
            return


# --- how it must end --------------------------------------------------------------------------------------------------


def sound(ended: Ended, by_signal: bool = False) -> None:
    """Raise Wrong for a command that hung, crashed or showed a traceback; by_signal: it was sent one."""
    if ended.code is None:
        raise Wrong("hang", f"had not ended after {ended.seconds:.0f} s", ended)
    if "Traceback (most recent call last)" in ended.output or (ended.code < 0 and not by_signal):
        raise Wrong("traceback", f"exit status {ended.code}", ended)


def refused(ended: Ended, *messages: str) -> None:
    """The command must have ended with status 1 and a message that contains one of these."""
    sound(ended)
    if ended.code != 1:
        raise Wrong("silently wrong", f"exit status {ended.code}, and 1 was expected with {messages}", ended)
    if messages and not any(message in ended.output for message in messages):
        raise Wrong("silently wrong", f"the message contains none of {messages}", ended)


def succeeded(ended: Ended) -> None:
    """The command must have ended well."""
    sound(ended)
    if ended.code != 0:
        raise Wrong("silently wrong", f"exit status {ended.code}, and 0 was expected", ended)


def same(what: str, now: object, before: object, ended: Ended) -> None:
    """Something must be as it was before."""
    if now != before:
        raise Wrong("silently wrong", f"{what}: {str(now)[:300]}, and not {str(before)[:300]}", ended)


def possible(arguments: Sequence[str]) -> bool:
    """Whether a shell can pass these arguments at all: without NUL, and none of 128 KiB or more."""
    try:
        return all("\0" not in text and len(os.fsencode(text)) < 131_072 for text in arguments)
    except UnicodeEncodeError:
        return False


# --- many cases -------------------------------------------------------------------------------------------------------


def try_all(tries: Sequence[Try], folder: Path, at_once: int, told: Callable[[Outcome], None]) -> list[Outcome]:
    """Try every case in a process and a folder of its own, so many at a time; the folders of right ones are removed."""
    running, outcomes = dict[int, tuple[Try, Path, float]](), list[Outcome]()

    def reap() -> None:
        pid, status = os.waitpid(-1, 0)
        each, place, began = running.pop(pid)
        outcome = _outcome(each, place, status, time.monotonic() - began)
        told(outcome)
        outcomes.append(outcome)

    for number, each in enumerate(tries):
        if len(running) >= at_once:
            reap()
        place = folder / each.area / str(number)
        place.mkdir(parents=True)
        sys.stdout.flush(), sys.stderr.flush()
        if (pid := os.fork()) == 0:
            _attempt(each, place)
        running[pid] = (each, place, time.monotonic())
    while running:
        reap()
    return outcomes


def _attempt(each: Try, place: Path) -> None:
    """Try a case and write what was wrong with it; never returns."""
    code, told = 0, place.with_suffix(".json")
    try:
        each.attempt(place)
    except Wrong as wrong:
        ended = wrong.ended
        lines = ended.output.rstrip().splitlines()[-LAST_LINES:] if ended else []
        told.write_text(json.dumps([wrong.verdict, wrong.why, ended.command if ended else "", lines]))
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def _outcome(each: Try, place: Path, status: int, seconds: float) -> Outcome:
    if status:
        raise RuntimeError(f"the attack itself failed in {each.area}: {each.name}")
    told = place.with_suffix(".json")
    if told.exists():
        return Outcome(each.area, each.name, *_of_wrong(json.loads(told.read_text()), seconds))
    remove(place)
    return Outcome(each.area, each.name, "right", seconds)


def _of_wrong(told: list, seconds: float) -> tuple:
    verdict, why, command, lines = told
    return verdict, seconds, why, command, lines


def remove(folder: Path) -> None:
    """Remove a folder, whatever its names are."""
    subprocess.run(["rm", "-rf", "--", str(folder)], check=False)
