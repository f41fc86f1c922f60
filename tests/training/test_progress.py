"""What is shown while a model trains, in the width that a terminal has."""

import io
import os
import pty
import re
import select

import pytest
from rich.console import Console

from mcqa.training import progress
from mcqa.training.progress import TrainingProgress


@pytest.fixture
def terminal():
    """A pseudo terminal, as the file to write to, and what reads the other end."""
    ours, theirs = pty.openpty()

    def shown():
        read = b""
        while select.select([ours], [], [], 0.1)[0]:
            read += os.read(ours, 4096)
        return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", read.decode()).replace("\r", "\n").splitlines()

    with open(theirs, "w", encoding="utf-8") as file:
        yield file, shown
    os.close(ours)


@pytest.mark.parametrize("updates", [540, 123_456])
def test_the_bar_fits_80_columns(terminal, updates, monkeypatch):
    monkeypatch.setattr(progress, "READ_EVERY_S", 0)
    file, shown = terminal
    console = Console(file=file, width=80, force_terminal=True, color_system=None)
    with TrainingProgress(console, updates, "dev/acc_norm") as bar:
        bar.update({"dev/acc_norm": 0.5123, "train/loss": 12.34567, "questions_per_second": 1234.5}, updates - 2)
        bar.advance(updates - 1, 11.12345)
        bar.bar.refresh()
        last = [line for line in shown() if "training" in line][-1].rstrip()
    assert f"{updates - 1}/{updates}" in last and "loss 11.123  dev/acc_norm 0.512" in last, last
    assert last.endswith(" left") and last.split()[-2].count(":") == 2 and "━" in last
    assert "…" not in last and len(last) <= 80


def test_the_bar_has_the_loss_of_the_current_update(monkeypatch):
    """A printed line has the logged one, the mean over the updates since the last."""
    monkeypatch.setattr(progress, "READ_EVERY_S", 0)
    console = Console(width=80, force_terminal=True, color_system=None, file=io.StringIO())
    with TrainingProgress(console, updates=20) as bar:
        bar.update({"train/loss": 2.0}, 10)
        bar.advance(11, 1.5)
        assert bar.bar.tasks[0].fields["values"] == "loss 1.500" and bar.bar.tasks[0].completed == 11
        assert bar._shown() == "loss 2.000"


def test_a_loss_is_read_twice_a_second_at_most():
    """Each reading waits for the GPU."""
    console = Console(width=80, force_terminal=True, color_system=None, file=io.StringIO())
    reads = []

    class OnDevice:
        def __float__(self):
            reads.append(1)
            return 1.0

    with TrainingProgress(console, updates=50) as bar:
        for step in range(1, 51):
            bar.advance(step, OnDevice())
    assert len(reads) == 1


def test_without_a_terminal_no_loss_is_read(capsys):
    with TrainingProgress(Console(), updates=5) as bar:
        bar.advance(1, None)
    assert capsys.readouterr().out == ""
