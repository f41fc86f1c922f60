"""The Tab key offers commands, groups, options, keys and files, in a real shell too."""

import os
import pty
import select
import subprocess
import sys
import time

import pytest

from mcqa.completion import SCRIPTS, main, suggestions
from mcqa.config.composition import ROOT
from mcqa.config.errors import ConfigError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mcqa ev", ["evaluate"]),
        ("mcqa train +exp", ["+experiment="]),
        ("mcqa train +experiment=sm", ["+experiment=smoke"]),
        ("mcqa train +experiment=smoke optimizer.learn", ["optimizer.learning_rate="]),
        ("mcqa train prompt=cl", ["prompt=cloze"]),
        ("mcqa train data.split_by=", ["data.split_by=cluster", "data.split_by=question"]),
        ("mcqa train --multirun +sw", ["+sweeps="]),
        ("mcqa evaluate spl", ["splits."]),
        ("mcqa verify acc", ["accumulation"]),
        ("mcqa compare marg", ["margin="]),
        ("mcqa inspect data.enc", ["data.encoding="]),
        ("mcqa jobs canc", ["cancel="]),
        ("mcqa completion ba", ["bash"]),
        ("mcqa nothing ", []),
    ],
)
def test_a_word_may_become(line, expected):
    assert suggestions(line) == expected


def test_files_are_offered_as_names_and_as_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "one.csv").touch()
    assert suggestions("mcqa compare ru") == ["runs/"]
    assert suggestions("mcqa train data.path=runs/o") == ["data.path=runs/one.csv"]


def test_an_unknown_shell_is_refused():
    with pytest.raises(ConfigError, match="bash, zsh, fish"):
        main(["tcsh"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("mcqa tra", "mcqa train "),
        ("mcqa train optimizer=adamw_", "optimizer=adamw_8bit "),
        ("mcqa compare pl", "plan="),
    ],
)
def test_a_real_bash_completes(typed, completed, tmp_path):
    shim = tmp_path / "mcqa"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m mcqa "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "rc").write_text(f"PS1='ready> '\n{SCRIPTS['bash']}")
    terminal, other_end = pty.openpty()
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb", "PYTHONPATH": str(ROOT)}
    shell = subprocess.Popen(
        ["bash", "--noprofile", "--rcfile", tmp_path / "rc", "-i"],
        stdin=other_end, stdout=other_end, stderr=other_end, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        _read_until(terminal, "ready> ")
        os.write(terminal, f"{typed}\t".encode())
        _read_until(terminal, completed)
        os.write(terminal, b"\x15ls --versi\t\n")  # what belongs to other commands stays theirs
        _read_until(terminal, "ls --versi")
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)
        os.close(other_end)


def _read_until(terminal, text, timeout_s=60):
    shown, end = "", time.monotonic() + timeout_s
    while text not in shown:
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 1000).decode()
