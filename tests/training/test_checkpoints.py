"""Checkpoints on disk: complete or not there; no run resumes from a damaged one."""

import errno
import json
import os

import pytest

from mcqa.config.errors import FileError
from mcqa.runs import files
from mcqa.training import checkpoints


def written(folder, step, best=None):
    """A small checkpoint, committed."""
    place = checkpoints.aside(folder) / checkpoints.name(step)
    (place / "shards").mkdir(parents=True)
    (place / "weights").write_bytes(b"w" * 100)
    (place / "shards" / "optimizer").write_bytes(b"o" * 50)
    (place / checkpoints.STATE).write_text(json.dumps({"best_global_step": best}))
    return checkpoints.commit(folder, step)


def names(folder):
    return [path.name for path in checkpoints.steps(folder)]


def test_a_checkpoint_lists_all_its_files_with_their_sizes(tmp_path):
    place = written(tmp_path, 3)
    listed = json.loads((place / checkpoints.LIST).read_text())
    assert listed["step"] == 3
    assert listed["files"].items() >= {"weights": 100, "shards/optimizer": 50}.items()
    assert checkpoints.problem(place) is None


def test_nothing_counts_before_it_is_in_its_place(tmp_path):
    written(tmp_path, 3)
    unfinished = checkpoints.aside(tmp_path) / checkpoints.name(6)
    unfinished.mkdir(parents=True)
    assert checkpoints.newest(tmp_path).name == "checkpoint-3"
    assert not unfinished.exists()


def truncate(place):
    os.truncate(place / "weights", 99)


def remove(place):
    (place / "shards" / "optimizer").unlink()


def unlist(place):
    (place / checkpoints.LIST).unlink()


def garble(place):
    (place / checkpoints.LIST).write_text("{")


def flip_a_bit(place):
    (place / "weights").write_bytes(b"w" * 70 + b"v" + b"w" * 29)


def overwrite_state(place):
    (place / checkpoints.STATE).write_bytes(b"\0" * (place / checkpoints.STATE).stat().st_size)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "99 bytes instead of 100"),
        (remove, "optimizer is missing"),
        (unlist, "is incomplete"),
        (garble, "damaged"),
        (flip_a_bit, "the content of weights is not what was written"),
        (overwrite_state, "the content of trainer_state.json is not what was written"),
    ],
)
def test_a_damaged_newest_one_falls_back_to_the_one_before_with_one_warning(tmp_path, caplog, damage, reason):
    for step in (3, 6, 9):
        written(tmp_path, step)
    damage(tmp_path / "checkpoint-9")
    assert checkpoints.newest(tmp_path).name == "checkpoint-6"
    (warning,) = caplog.messages
    assert reason in warning and "checkpoint-9" in warning and "resumes from checkpoint-6" in warning
    caplog.clear()
    assert checkpoints.newest(tmp_path).name == "checkpoint-6" and not caplog.messages


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("read", ["read_bytes", "stat", "listdir"])
def test_a_read_error_is_no_damage_and_changes_nothing(tmp_path, monkeypatch, error, read):
    """As of another user's run, or of a file system whose server is away."""
    written(tmp_path, 3)
    written(tmp_path, 6)
    monkeypatch.setattr(files.time, "sleep", lambda _: None)

    def fail(*_, **__):
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as broken:
        broken.setattr(checkpoints.Path if read == "read_bytes" else os, read, fail)
        with pytest.raises(FileError, match="cannot be read: .* nothing is changed"):
            checkpoints.newest(tmp_path)
    assert names(tmp_path) == ["checkpoint-3", "checkpoint-6"]
    assert checkpoints.newest(tmp_path).name == "checkpoint-6"


def test_a_read_error_that_passes_is_waited_for(tmp_path, monkeypatch):
    written(tmp_path, 3)
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    read, errors = checkpoints.Path.read_bytes, [errno.ESTALE, errno.EIO]

    def stall_twice(path):
        if errors:
            raise OSError(errors.pop(), "away")
        return read(path)

    monkeypatch.setattr(checkpoints.Path, "read_bytes", stall_twice)
    assert checkpoints.newest(tmp_path).name == "checkpoint-3" and not errors


def test_damaged_ones_are_kept_aside(tmp_path):
    for _ in range(2):
        truncate(written(tmp_path, 3))
        checkpoints.newest(tmp_path)
    kept = tmp_path / checkpoints.DAMAGED
    assert sorted(path.name for path in kept.iterdir()) == ["checkpoint-3", "checkpoint-3-2"]
    assert (kept / "checkpoint-3" / "weights").read_bytes() == b"w" * 99


def test_checkpoints_of_earlier_versions_have_no_hashes_and_are_read(tmp_path):
    place = written(tmp_path, 3)
    listed = json.loads((place / checkpoints.LIST).read_text())
    del listed["xxh3_128"]
    (place / checkpoints.LIST).write_text(json.dumps(listed))
    assert checkpoints.newest(tmp_path) == place


def test_a_run_without_checkpoints_begins_at_its_beginning(tmp_path):
    assert checkpoints.newest(tmp_path / "checkpoints") is None


def test_where_all_are_damaged_the_run_begins_anew_and_says_so(tmp_path, caplog):
    truncate(written(tmp_path, 3))
    assert checkpoints.newest(tmp_path) is None
    assert "its beginning" in caplog.text


def test_no_run_resumes_from_a_checkpoint_whose_best_state_is_damaged(tmp_path, caplog):
    written(tmp_path, 3)
    truncate(written(tmp_path, 6, best=6))
    written(tmp_path, 9, best=6)
    assert checkpoints.newest(tmp_path).name == "checkpoint-3"
    assert "the best state before it, checkpoint-6, is damaged" in caplog.text


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    for step in (2, 4, 6, 8, 10):
        written(tmp_path, step)
    checkpoints.rotate(tmp_path, keep=2, best_step=4)
    assert names(tmp_path) == ["checkpoint-4", "checkpoint-8", "checkpoint-10"]
    checkpoints.rotate(tmp_path, keep=1, best_step=10)
    assert names(tmp_path) == ["checkpoint-10"]


def test_a_checkpoint_may_be_written_once_more(tmp_path):
    truncate(written(tmp_path, 3))
    assert checkpoints.problem(written(tmp_path, 3)) is None
    assert names(tmp_path) == ["checkpoint-3"]
