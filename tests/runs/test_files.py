"""Files that a reader finds complete or not at all, also where a shared file system stalls."""

import errno
import os

import pytest

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
