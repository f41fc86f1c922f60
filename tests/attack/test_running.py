"""What is wrong with how a command ended is noticed: a traceback, a crash, a hang, and an error that nobody told."""

import pytest

from benchmarks.attacks.running import Outcome, Try, Wrong, possible, refused, run, succeeded, try_all

pytestmark = pytest.mark.slow


def ended(code, folder, **options):
    (folder / "odd.py").write_text(code)
    return run("odd", [], folder, own_process=True, **options)


@pytest.mark.parametrize(
    ("code", "judge", "verdict"),
    [
        ("raise ValueError", refused, "traceback"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", refused, "traceback"),
        ("import time; time.sleep(60)", refused, "hang"),
        ("print('all is well')", refused, "silently wrong"),
        ("import sys; sys.exit('no such file')", succeeded, "silently wrong"),
    ],
)
def test_a_command_that_does_not_end_as_it_must_is_wrong(code, judge, verdict, tmp_path):
    with pytest.raises(Wrong) as raised:
        judge(ended(code, tmp_path, timeout_s=5.0))
    assert raised.value.verdict == verdict


def test_a_message_has_to_say_what_is_wrong(tmp_path):
    told = ended("import sys; sys.exit('no such file: x.csv')", tmp_path)
    refused(told, "x.csv")
    with pytest.raises(Wrong, match="contains none of"):
        refused(told, "y.csv")


def test_no_file_grows_beyond_the_limit(tmp_path):
    told = ended("import pathlib; pathlib.Path('large').write_text('x' * 5000)", tmp_path, largest_file=1000)
    assert "File too large" in told.output
    assert (tmp_path / "large").stat().st_size == 1000


def test_every_case_has_a_folder_and_what_is_wrong_is_told(tmp_path):
    def wrong(folder):
        (folder / "file").touch()
        succeeded(ended("import sys; sys.exit('no')", folder))

    tries = [Try("area", "right", lambda folder: None), Try("area", "wrong", wrong)]
    told: list[Outcome] = []
    outcomes = {outcome.name: outcome for outcome in try_all(tries, tmp_path, 2, told.append)}
    assert outcomes["right"].verdict == "right"
    assert (outcomes["wrong"].verdict, outcomes["wrong"].lines) == ("silently wrong", ["no"])
    assert outcomes["wrong"].command == "python -m odd"
    assert {path.name for path in (tmp_path / "area").iterdir()} == {"1", "1.json"}
    assert len(told) == 2


def test_what_no_shell_passes_is_no_case():
    assert possible(["seed=1", "name=\udcff"])
    assert not any(map(possible, (["a\0b"], ["\ud800"], ["x" * 131_072])))
