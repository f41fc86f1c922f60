"""Whatever stands on a command line, it ends in a message or in what it asks for: never in a traceback."""

import sys

import pytest
from hydra.core.global_hydra import GlobalHydra

from mcqa import train
from tests.attack.configurations import KINDS, cases, command_line

SEED, COUNT = 7, 2 * len(KINDS)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", cases(SEED, COUNT), ids=lambda case: case.name[:60])
def test_an_odd_command_line_is_answered(case, monkeypatch, tmp_path, capfd):
    """The real command in this process, up to where a dry run would load the model."""
    reached = []
    monkeypatch.setattr(train, "preview", lambda *_: reached.append("preview"))
    monkeypatch.setattr(train, "run", lambda *_: reached.append("run"))
    monkeypatch.setattr(sys, "argv", ["mcqa.train", *command_line(case, str(tmp_path / "outputs"))])
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    try:
        train.command()
        told = ""
    except SystemExit as end:
        told = str(end.code)
    assert "run" not in reached
    assert list(tmp_path.iterdir()) == []
    if case.expected == "fine":
        assert told == ""
        return
    assert case.message in told and len(told) < 60_000
    assert reached == []


def test_the_same_seed_gives_the_same_cases():
    assert list(cases(1, 100)) == list(cases(1, 100)) != list(cases(2, 100))
