"""Files that a reader finds complete or not at all, also where a shared file system stalls."""

import csv
import errno
import os

import pytest

from mcqa.config.errors import FileError
from mcqa.runs import files


def failing(times, number):
    """Return a function that raises so many times before it returns."""
    errors = [number] * times

    def do():
        if errors:
            raise OSError(errors.pop(), "away")
        return "done"

    return do


def test_a_stalled_file_system_is_retried_and_other_errors_are_raised():
    assert files.retry_stalled_io(failing(2, errno.ESTALE), waits_s=(0, 0)) == "done"
    with pytest.raises(OSError, match="away"):
        files.retry_stalled_io(failing(3, errno.EIO), waits_s=(0, 0))
    with pytest.raises(OSError, match="away"):
        files.retry_stalled_io(failing(1, errno.ENOSPC), waits_s=(0, 0))


def test_a_file_is_replaced_as_a_whole_and_by_several_processes_at_once(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    files.write_json(path, {"value": 1})
    (tmp_path / "result.json.1.partial").write_text("half of what ano")  # of another process, at this moment
    monkeypatch.setattr(os, "getpid", lambda: 2)
    files.write_json(path, {"value": 2})
    assert files.read_json(path) == {"value": 2}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["result.json", "result.json.1.partial"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "missing"),
        (b"", "damaged"),
        (b'{"value": ', "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"[1, 2]", "holds list and not dict"),
    ],
)
@pytest.mark.parametrize("name", ["stored.json", "stored.yaml"])
def test_a_damaged_stored_file_is_named_with_what_is_wrong_and_what_to_do(tmp_path, name, content, problem):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=problem) as raised:
        files.read_stored(path, "Restore it.", dict)
    assert str(path) in str(raised.value) and str(raised.value).endswith("Restore it.")
    assert files.read_optional(path) == {}


def test_a_stored_file_that_cannot_be_read_is_not_called_damaged(tmp_path):
    (tmp_path / "stored.json").mkdir()
    with pytest.raises(FileError, match="cannot be read: Is a directory"):
        files.read_stored(tmp_path / "stored.json", "Restore it.", dict)


def test_configurations_are_for_their_user_alone_and_results_are_not(tmp_path):
    (tmp_path / "any").touch()
    open_to_all = (tmp_path / "any").stat().st_mode & 0o777
    (tmp_path / "any").unlink()
    files.write_yaml(tmp_path / "config.yaml", {"seed": 0})
    files.write_json(tmp_path / "job.json", [], private=True)
    files.write_json(tmp_path / "result.json", {})
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"config.yaml": 0o600, "job.json": 0o600, "result.json": open_to_all}


def test_a_file_that_the_disk_does_not_take_is_named_and_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    files.write_json(path, {"value": 1})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="result.json"):
        files.write_json(path, {"value": 2})
    assert files.read_json(path) == {"value": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_text_that_a_spreadsheet_would_run_is_written_as_text_and_numbers_stay_numbers(tmp_path):
    texts = ["=1+1", "+a", "-a", "@a", "\ta", "a\r\nb\rc", "a=1", "'=1", ""]
    numbers = [-1.5, -2, 1e-9, "-1.5", "+3", "-2e-05", None, True]
    files.write_csv(tmp_path / "x.csv", [{"=h": value, "b": 1} for value in [*texts, *numbers]])
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header == ["'=h", "b"]
    assert [line[0] for line in lines[: len(texts)]] == (
        ["'=1+1", "'+a", "'-a", "'@a", "'\ta", "a\nb\nc", "a=1", "'=1", ""]
    )
    assert [line[0] for line in lines[len(texts) :]] == ["-1.5", "-2", "1e-09", "-1.5", "+3", "-2e-05", "", "True"]
