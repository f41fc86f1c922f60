"""mcqa <command> is python -m mcqa.<command>; alone, it says what there is."""

import subprocess
import sys

import pytest

from mcqa import __main__ as entry
from mcqa.config.commands import COMMANDS
from mcqa.config.composition import ROOT


def called(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["mcqa", *arguments])
    entry.main()


def test_alone_it_shows_every_command_with_a_line(monkeypatch, capsys):
    called(monkeypatch)
    shown = capsys.readouterr().out
    for name in COMMANDS:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"  {name} ")]
        assert line.endswith(".") and len(line) > 40


def test_every_command_of_the_package_is_there():
    modules = {path.stem for path in (ROOT / "mcqa").glob("*.py")} - {"__init__", "__main__"}
    assert modules <= set(COMMANDS)


def test_a_misspelled_command_names_the_nearest(monkeypatch):
    with pytest.raises(SystemExit, match="evalute: no such command. Did you mean 'evaluate'?"):
        called(monkeypatch, "evalute")


@pytest.mark.parametrize("arguments", [["--version"], ["compare", "--version"], ["train", "--version"]])
def test_the_version_is_that_of_mcqa(monkeypatch, capsys, arguments):
    try:
        called(monkeypatch, *arguments)
    except SystemExit as end:
        assert end.code == 0
    assert capsys.readouterr().out.startswith("mcqa 0.")


@pytest.mark.slow
def test_it_is_the_same_as_the_module():
    arguments = ["+experiment=smok"]
    results = [
        subprocess.run([sys.executable, "-m", *command, *arguments], cwd=ROOT, capture_output=True, text=True)
        for command in (["mcqa", "train"], ["mcqa.train"])
    ]
    assert results[0].stderr == results[1].stderr != ""
    assert results[0].returncode == results[1].returncode == 1
