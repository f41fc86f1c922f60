"""The journal on real files, beside Optuna's own backend."""

import errno
import io
import json

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mcqa.sweep.optuna_study.journal import Journal, repair

LOGS = [{"op_code": number, "text": "é\n"} for number in range(5)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.log"


def told(study, value):
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    study.tell(trial, value)


def test_optunas_backend_reads_what_was_written_and_the_other_way_round(path):
    journal = Journal(path)
    journal.append_logs(LOGS[:2])
    JournalFileBackend(str(path)).append_logs(LOGS[2:])
    assert list(journal.read_logs(0)) == list(JournalFileBackend(str(path)).read_logs(0)) == LOGS


@pytest.mark.parametrize("start", range(6))
def test_reading_begins_where_it_is_reported_to_however_much_was_read_before(path, start):
    journal = Journal(path)
    journal.append_logs(LOGS)
    assert list(journal.read_logs(start)) == LOGS[start:]
    assert list(journal.read_logs(5)) == []
    assert list(journal.read_logs(start)) == LOGS[start:]


def test_what_is_appended_together_is_read_at_once_but_in_the_file_only_at_the_end(path):
    journal = Journal(path)
    journal.append_logs(LOGS[:1])
    with journal.transaction(durable=True):
        journal.append_logs(LOGS[1:2])
        journal.append_logs(LOGS[2:4])
        assert list(journal.read_logs(2)) == LOGS[2:4]
        assert len(path.read_text().splitlines()) == 1
        assert (path.parent / "journal.log.lock").is_symlink()
    assert [json.loads(line) for line in path.read_text().splitlines()] == LOGS[:4]
    assert not (path.parent / "journal.log.lock").is_symlink()
    journal.append_logs(LOGS[4:])
    assert list(journal.read_logs(3)) == LOGS[3:]


def test_an_error_loses_nothing_that_was_appended_before_it(path):
    journal = Journal(path)
    with pytest.raises(RuntimeError), journal.transaction(durable=False):
        journal.append_logs(LOGS)
        raise RuntimeError
    assert list(Journal(path).read_logs(0)) == LOGS


def test_a_line_that_another_process_is_still_writing_is_read_when_it_is_finished(path):
    journal = Journal(path)
    journal.append_logs(LOGS[:1])
    whole = path.read_text()
    path.write_text(whole + '{"op_code":')
    assert list(journal.read_logs(0)) == LOGS[:1]
    path.write_text(whole + '{"op_code":7}\n')
    assert list(journal.read_logs(1)) == [{"op_code": 7}]


def test_trials_of_two_processes_keep_their_numbers_and_values(path):
    ours = optuna.create_study(storage=JournalStorage(journal := Journal(path)), study_name="s")
    theirs = optuna.load_study(storage=JournalStorage(JournalFileBackend(str(path))), study_name="s")
    for value in range(3):
        with journal.transaction(durable=False):
            told(ours, value)
        told(theirs, 10 + value)
    again = optuna.load_study(storage=JournalStorage(Journal(path)), study_name="s")
    assert [trial.value for trial in again.trials] == [0, 10, 1, 11, 2, 12]
    assert [trial.params for trial in again.trials] == [trial.params for trial in theirs.trials]


@pytest.mark.parametrize("tail", ["", '{"op_co', '{"op_code":9}', "\0\0\0\0", "\0\0\0{}\n"])
def test_mending_cuts_off_what_is_no_whole_line(path, tail):
    Journal(path).append_logs(LOGS)
    whole = path.read_bytes()
    path.write_bytes(whole + tail.encode())
    repair(path)
    assert path.read_bytes() == whole


def test_mending_what_is_empty_or_not_there_is_no_matter(path):
    repair(path)
    assert not path.exists()
    path.write_text("torn")
    repair(path)
    assert path.read_bytes() == b""


class Full:
    """A file on a disk with room for some more bytes."""

    def __init__(self, path, left):
        self.file, self.left = io.FileIO(path, "a"), left

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        if not self.left:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= (written := self.file.write(data[: self.left]))
        return written


@pytest.mark.parametrize("durable", [True, False])
def test_of_a_transaction_that_the_disk_has_no_room_for_nothing_stays(path, monkeypatch, durable):
    journal = Journal(path)
    journal.append_logs(LOGS[:2])
    with monkeypatch.context() as patched:
        patched.setattr(type(path), "open", lambda self, *_, **__: Full(self, 30))
        with pytest.raises(OSError, match="No space"), journal.transaction(durable):
            journal.append_logs(LOGS[2:])
    journal.append_logs(LOGS[2:])
    assert list(Journal(path).read_logs(0)) == LOGS
