"""What a run shows in the terminal is in a file of its folder, readable as it is."""

import logging

import pytest
from rich.table import Table

from mcqa.runs import record
from mcqa.runs.logged_console import LoggedConsole
from mcqa.training.progress import TrainingProgress
from tests.runs.test_record import begun
from tests.small_runs import configured


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    """A console that takes itself for a terminal with colours."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return LoggedConsole(tmp_path / "train.log")


def text(console):
    return console.path.read_text("utf-8")


def test_the_file_has_the_words_without_colours(terminal, capsys):
    table = Table("a", "b")
    table.add_row("[bold]1[/bold]", "2")
    terminal.print("[red]late[/red]", table)
    assert "\x1b" in capsys.readouterr().out
    assert "\x1b" not in text(terminal) and text(terminal).startswith("late\n") and "│ 1 │ 2 │" in text(terminal)


def test_a_moving_bar_leaves_only_the_lines_that_stay(terminal):
    with TrainingProgress(terminal, updates=20) as progress:
        for step in range(1, 21):
            progress.update({"train/loss": 1.0} | ({"dev/acc": 0.5} if step % 10 == 0 else {}), step)
            progress.bar.refresh()
    lines = [line for line in text(terminal).splitlines() if line.strip()]
    assert [line.split("  ")[0] for line in lines] == ["update 10/20", "update 20/20"]


def test_no_secret_is_in_the_file(terminal):
    terminal.print("https://me:pa55word@example.org/x", "api_key=0123456789abcdef")
    assert "pa55word" not in text(terminal) and "0123456789abcdef" not in text(terminal)
    assert "example.org/x" in text(terminal)


def test_warnings_stand_where_they_were_shown_and_no_other_runs_do(tmp_path):
    console, log = LoggedConsole(tmp_path / "train.log"), logging.getLogger("mcqa.test")
    log.warning("before")
    with console.with_warnings():
        console.print("one")
        log.warning("careful with %s", 2)
        console.print("three")
    log.warning("after")
    assert text(console).splitlines()[1:] == ["one", "WARNING: careful with 2", "three"]


def test_a_second_start_is_added_below_the_first(tmp_path):
    for _ in range(2):
        console = LoggedConsole(tmp_path / "train.log")
        with console.with_warnings():
            console.print("hello")
    assert text(console).splitlines()[1::2] == ["hello", "hello"]


def test_a_file_that_cannot_be_written_is_warned_of_once(tmp_path, caplog):
    console = LoggedConsole(tmp_path / "missing" / "train.log")
    with console.with_warnings():
        console.print("one")
        console.print("two")
    assert [entry.getMessage().split(": ")[1] for entry in caplog.records] == [
        "No such file or directory. The run continues without it."
    ]


@pytest.mark.slow
def test_the_error_that_ended_a_run_is_its_last_line(small):
    config, folder = begun(small)
    with pytest.raises(ValueError), record.open_run(config, folder) as run:
        run.say("Questions: 7")
        raise ValueError("seven is too few")
    _, first, second, *_, last = (folder / "train.log").read_text("utf-8").splitlines()
    assert first.startswith("Run folder: ") and second == "Questions: 7" and "seven is too few" in last
    assert record.log_name(configured(small)[0]) == "train.log"
