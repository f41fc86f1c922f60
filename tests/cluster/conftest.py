"""A real SLURM for as long as these tests run, on ports of its own; it is stopped however they end."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.machine import SCRIPTS, Command, Slurm

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Slurm]:
    if os.geteuid() != 0:
        pytest.skip("no root: SLURM's daemons cannot be started")
    slurm = Slurm(Path(tempfile.mkdtemp(prefix="mcqa-slurm-")), _free_ports())
    guard = subprocess.Popen(  # ends with its standard input, which ends with this process, killed or not
        ["bash", "-c", 'cat; exec bash "$0" "$1"', str(SCRIPTS / "down.sh"), str(slurm.folder)],
        stdin=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        if problem := slurm.up():
            pytest.skip(f"no SLURM on this machine: {problem}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(slurm.folder / "etc" / "slurm.conf"))
            patch.setenv("PYTHONPATH", str(ROOT))
            patch.setenv("OMP_NUM_THREADS", "1")
            yield slurm
    finally:
        guard.communicate()


def _free_ports() -> int:
    """The first of 15 that nobody listens on."""
    for first in range(16000, 19000, 15):
        if all(_is_free(port) for port in range(first, first + 15)):
            return first
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def slurm(cluster: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """With no commands or jobs of another test, and all nodes there."""
    started: list[Command] = []
    start = Command.__init__

    def noted(self: Command, folder: Path, *arguments: str) -> None:
        start(self, folder, *arguments)
        started.append(self)

    monkeypatch.setattr(Command, "__init__", noted)
    yield cluster
    for command in started:
        command.kill()
    cluster.settle()
