"""A real SLURM for as long as these tests run. Where it cannot be started they are skipped, and say why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.machine import Command, NoSlurm, Slurm, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Slurm]:
    started = running()
    try:
        slurm = started.__enter__()
    except NoSlurm as problem:
        pytest.skip(f"no SLURM here: {problem}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in slurm.variables.items():
            patch.setenv(name, value)
        yield slurm
    started.__exit__(None, None, None)


@pytest.fixture
def slurm(cluster: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """Without commands and jobs of an earlier test, and with all nodes."""
    started: list[Command] = []
    start = Command.__init__

    def noted(self: Command, folder: Path, *arguments: str) -> None:
        start(self, folder, *arguments)
        started.append(self)

    monkeypatch.setattr(Command, "__init__", noted)
    yield cluster
    for command in started:
        command.kill()
    cluster.reset()
