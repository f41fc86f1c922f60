"""SLURM on this machine, commands that send jobs to it, and eyes on what comes of them."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from mcqa.runs.files import read_yaml
from mcqa.runs.mailbox import Mailbox, Submission

SCRIPTS = Path(__file__).parent / "slurm"
APP = Path(__file__).parents[1] / "sweep" / "small_app.py"
TIMEOUT_S = 240


class NoSlurm(Exception):
    """It cannot be started here."""


@contextmanager
def running() -> Iterator["Slurm"]:
    """A SLURM in a temporary folder, on ports of its own; it is stopped however this process ends.

    Raises:
        NoSlurm: with the reason.
    """
    if os.geteuid() != 0:
        raise NoSlurm("SLURM's daemons need root")
    slurm = Slurm(Path(tempfile.mkdtemp(prefix="mcqa-slurm-")), _free_ports())
    guard = subprocess.Popen(  # stops SLURM at the end of its standard input, which this process cannot but bring
        ["bash", "-c", 'cat; exec bash "$0" "$1"', str(SCRIPTS / "down.sh"), str(slurm.folder)],
        stdin=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        if problem := slurm.up():
            raise NoSlurm(problem)
        yield slurm
    finally:
        guard.communicate()


def _free_ports() -> int:
    """The first of 15 that nobody listens on."""
    for first in range(16000, 19000, 15):
        if all(_is_free(port) for port in range(first, first + 15)):
            return first
    raise NoSlurm("no ports are free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Slurm:
    """The cluster of slurm/up.sh in a folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.variables = {
            "SLURM_CONF": str(folder / "etc" / "slurm.conf"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OMP_NUM_THREADS": "1",
        }

    def up(self) -> str | None:
        """Start what does not run; returns what went wrong."""
        said = self.folder / "up.txt"
        with said.open("w") as file:  # and no pipe, which the daemons would keep open
            command = ["bash", str(SCRIPTS / "up.sh"), str(self.folder), str(self.port)]
            code = subprocess.run(command, stdout=file, stderr=file, timeout=600).returncode
        return (said.read_text().strip() or f"up.sh ended with {code}").splitlines()[-1] if code else None

    def kill_nodes(self, *names: str) -> None:
        for name in names:
            subprocess.run(["bash", str(SCRIPTS / "node-kill.sh"), str(self.folder), name], check=True)

    def kill_process(self, node: str) -> None:
        """Of the only job on a node, as the kernel does where memory runs out."""
        for on, process in self._pythons():
            if on == node:
                process.kill()

    def hold(self, node: str) -> None:
        """The only process on a node stands still, as in a very long update, until a signal of SLURM's wakes it."""
        (process,) = [process for on, process in self._pythons() if on == node]
        process.suspend()
        until(lambda: _is_stopped(process), "a process that stands still")
        until(lambda: not _is_stopped(process), "a signal")

    def busy(self) -> set[str]:
        """The nodes on which a job's Python runs; known without SLURM."""
        return {node for node, _ in self._pythons()}

    def _pythons(self) -> Iterator[tuple[str, psutil.Process]]:
        """Those of jobs, with their nodes."""
        for process in psutil.process_iter(["pid", "name", "environ"]):
            variables = process.info["environ"] or {}
            mine = variables.get("SLURM_CONF") == self.variables["SLURM_CONF"] and "SLURM_PROCID" in variables
            if mine and process.info["name"].startswith("python"):
                yield variables["SLURMD_NODENAME"], process

    def kill_controller(self) -> None:
        os.kill(int((self.folder / "run" / "slurmctld.pid").read_text()), signal.SIGKILL)

    def write_down(self, job: str) -> None:
        """The controller writes its jobs down every few seconds, and knows those again when it was killed."""
        since = time.time()
        self.ask("scontrol", "update", f"JobId={job}", "TimeLimit=20")
        until(lambda: (self.folder / "state" / "job_state").stat().st_mtime > since, "a written state")

    def state(self, folder: Path) -> Path:
        """A copy of what the controller has written down; it replaces the files while they are read."""

        def copied() -> bool:
            try:
                return bool(shutil.copytree(self.folder / "state", folder, dirs_exist_ok=True))
            except shutil.Error:
                return False

        until(copied, "a copy of the state")
        return folder

    def forget(self, since: Path) -> None:
        """The controller dies and has what it had written down when its state was copied."""
        self.kill_controller()
        shutil.copytree(since, self.folder / "state", dirs_exist_ok=True)

    def ask(self, *command: str) -> list[str]:
        """The lines that a command prints."""
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    def queue(self, folder: Path | None = None) -> list[str]:
        """The jobs that wait or run; those alone that were submitted in a folder, where one is given."""
        rows = [line.split(" ", 1) for line in self.ask("squeue", "-h", "--states=PENDING,RUNNING", "--format=%i %Z")]
        return [job for job, where in rows if folder is None or where == str(folder)]

    def nodes(self, job: str) -> list[str]:
        (named,) = self.ask("squeue", "--noheader", f"--job={job}", "--format=%N")
        return self.ask("scontrol", "show", "hostnames", named)

    def states(self, job: str) -> list[str]:
        """How the accounting says that every start of a job ended, which it knows a moment after the job's result."""
        options = ("--duplicates", "--allocations", "--noheader", "--parsable2", "--format=State")

        def ends() -> list[str]:
            states = [line.partition(" ")[0] for line in self.ask("sacct", *options, f"--jobs={job}")]
            return states if not {"PENDING", "RUNNING"} & set(states) else []

        return until(ends, f"the end of job {job}")

    def reset(self) -> None:
        """No jobs, and all nodes back."""
        assert self.up() is None
        subprocess.run(["scancel", "--full", "--signal=KILL", f"--user={os.getuid()}"], check=False)
        subprocess.run(["scancel", f"--user={os.getuid()}"], check=False)
        until(lambda: not self.queue(), "an empty queue")


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


class Command:
    """A command that runs in a folder and speaks into its said.txt."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.said = folder / "said.txt"
        with self.said.open("a") as said:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], cwd=folder, stdout=said, stderr=said, stdin=subprocess.DEVNULL
            )

    def until(self, happened: Callable[[], Any], what: str) -> Any:
        return until(lambda: happened() or self._gone(), what, self.said)

    def _gone(self) -> None:
        assert self.process.poll() in (None, -signal.SIGKILL), self.said.read_text()

    def succeeds(self, timeout_s: float = TIMEOUT_S) -> None:
        assert self.ends(timeout_s) == 0, self.said.read_text()

    def ends(self, timeout_s: float = TIMEOUT_S) -> int:
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.said.read_text()}") from None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def until(happened: Callable[[], Any], what: str, said: Path | None = None) -> Any:
    """What `happened` returns once that is true."""
    end = time.monotonic() + TIMEOUT_S
    while not (result := happened()):
        assert time.monotonic() < end, f"still waiting for {what}:\n{said.read_text() if said else ''}"
        time.sleep(0.05)
    return result


class Folder:
    """Of a study or a multirun: what its trials left behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def submissions(self, number: int) -> list[Submission]:
        return Mailbox(self.path / "trials" / str(number)).submissions()

    def job(self, number: int) -> str:
        """The scheduler's id of the last submission; empty before there is one."""
        return next((entry.job or "" for entry in reversed(self.submissions(number))), "")

    def result(self, number: int) -> dict[str, Any]:
        return Mailbox(self.path / "trials" / str(number)).result() or {}

    def run(self, number: int) -> Path:
        """The run folder of a job that is no trial."""
        return Path((self.path / "trials" / str(number) / "run_folder").read_text().strip())

    def table(self) -> list[dict[str, str]]:
        with (self.path / "trials.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def config(self, number: int) -> Any:
        return read_yaml(self.path / "trials" / str(number) / "config.yaml")


class SmallStudy(Folder):
    """A study of small_app.py, whose trials wait until they are let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "multirun" / "small_app")
        self.folder, self.trace = folder, folder / "trace"
        self.trace.mkdir(exist_ok=True)

    def start(self, *overrides: str, do: str = "wait") -> Command:
        sweep = ("hydra/sweeper=mcqa", "hydra/sweeper/sampler=random", "hydra/launcher=submitit_slurm")
        what = ("hydra.launcher.timeout_min=30", "x=interval(0,1)", f"do={do}", f"trace={self.trace}")
        return Command(self.folder, str(APP), "--multirun", *sweep, *what, *overrides)

    def starts(self, number: int) -> int:
        return len(self._traced(str(number)))

    def _traced(self, name: str) -> list[str]:
        path = self.trace / name
        return path.read_text().split() if path.exists() else []

    def go(self, *numbers: int) -> None:
        for number in numbers:
            (self.trace / f"go-{number}").touch()

    def steps(self, number: int) -> list[int]:
        """Those that a trial has taken, where it climbs."""
        path = self.path / "trials" / str(number) / "steps"
        return [int(step) for step in path.read_text().split()] if path.exists() else []

    def is_whole(self, n_trials: int) -> bool:
        """Whether all trials are complete, in the table too, each with its own value."""
        rows = self.table()
        xs = [self.config(number)["x"] for number in range(n_trials)]
        assert [row["status"] for row in rows] == ["complete"] * n_trials
        assert [float(row["value"]) for row in rows] == xs == [self.result(n)["value"] for n in range(n_trials)]
        return len(set(xs)) == n_trials
