"""Output that nobody takes any more ends no run."""

import os
import subprocess
import sys

import pytest

from mcqa.config.output import LastingOutput
from tests.config.test_command import environment


@pytest.fixture
def broken():
    """The end of a pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_what_nobody_reads_goes_nowhere_and_is_mentioned_once(broken, capsys):
    output = LastingOutput(broken, "w", closefd=False)
    output.farewell = "Gone"
    assert [output.write(b"one"), output.write(b"three")] == [3, 5]
    assert capsys.readouterr().err == "Gone (Broken pipe).\n"
    assert os.path.samestat(os.fstat(broken), os.stat(os.devnull)), "for processes that are started later too"


def test_what_somebody_reads_arrives():
    reader, writer = os.pipe()
    LastingOutput(writer, "w").write(b"one")
    assert os.read(reader, 10) == b"one"
    os.close(reader)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["mcqa.train", "mcqa.jobs", "mcqa.compare"])
def test_help_whose_reader_has_seen_enough_ends_without_a_word(module, broken, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], stdout=broken, stderr=subprocess.PIPE, env=environment(), cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, b"")
