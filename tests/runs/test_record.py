"""How a run ends when a signal asks it to stop, at any stage, and when the disk is full."""

import errno
import os
import signal
import time

import pytest
from rich.console import Console

from mcqa.config.errors import DataError, FileError, McqaError, ModelError
from mcqa.runs import files, record, run_folder
from mcqa.runs.trial import Preempted
from tests.small_runs import configured
from tests.training.test_as_trial import trial_in


def stop(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
    time.sleep(0.01)


def begun(small):
    config, config_dict = configured(small)
    return config, run_folder.create(config.outputs, config.name, config_dict, small)


@pytest.mark.slow
def test_outside_of_training_a_signal_stops_a_run_at_once_and_the_error_says_how_to_resume_it(small):
    config, folder = begun(small)
    with pytest.raises(Preempted) as stopped, record.open_run(config, folder):
        stop()
        pytest.fail("continued")
    assert str(stopped.value) == f"Stopped by SIGTERM. Resume it with: python -m mcqa.train resume={folder}"
    result = files.read_json(folder / "result.json")
    assert (result["status"], result["error"]) == ("preempted", "Stopped by SIGTERM.")


@pytest.mark.slow
def test_ctrl_c_says_how_to_resume_the_run(small):
    config, folder = begun(small)
    with pytest.raises(KeyboardInterrupt) as stopped, record.open_run(config, folder):
        raise KeyboardInterrupt
    assert str(stopped.value) == f"Stopped. Resume it with: python -m mcqa.train resume={folder}"


@pytest.mark.slow
def test_a_signal_before_the_run_has_begun_is_not_lost(small, monkeypatch):
    config, folder = begun(small)
    monkeypatch.setattr(record.tracking, "send_unsent", lambda *args: stop())
    with pytest.raises(Preempted), record.open_run(config, folder):
        pytest.fail("continued")
    assert files.read_json(folder / "result.json")["status"] == "preempted"


@pytest.mark.slow
def test_the_result_of_an_earlier_start_is_deleted_when_the_run_resumes(small):
    config, folder = begun(small)
    files.write_json(folder / "result.json", {"status": "preempted"})
    with record.open_run(config, folder):
        assert not (folder / "result.json").exists()


@pytest.mark.slow
def test_a_signal_while_the_result_is_written_leaves_it_as_it_is(small, monkeypatch):
    config, folder = begun(small)
    write = run_folder.write_result
    monkeypatch.setattr(run_folder, "write_result", lambda *args: (stop(), stop(), write(*args)))
    with record.open_run(config, folder):
        pass
    assert files.read_json(folder / "result.json")["status"] == "complete"


@pytest.mark.slow
def test_submitit_requeues_a_trial_when_its_result_is_written(small, tmp_path):
    """Its handler ends the process; the trial counts as preempted, and its error names no command to resume it."""
    trial = trial_in(tmp_path)
    config, config_dict = configured(small)
    for name in ("config", "overrides"):
        files.write_yaml(trial.folder / f"{name}.yaml", config_dict)
    seen = []

    def requeue(number, frame):
        seen.append(files.read_json(trial.folder / "result.json"))
        raise SystemExit(-1)

    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(SystemExit), record.open_run(config, trial.folder, trial):
            stop(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert [(result["status"], result["error"]) for result in seen] == [("preempted", "Stopped by SIGUSR2.")]


def test_what_is_optional_does_not_swallow_a_request_to_stop():
    def draw():
        raise Preempted("Stopped by SIGTERM.")

    with pytest.raises(Preempted):
        record.optional("A picture", draw)


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device", "predictions/dev.jsonl")


@pytest.mark.slow
def test_a_full_disk_is_an_error_that_says_where_and_how_to_resume(small):
    config, folder = begun(small)
    with pytest.raises(FileError) as raised, record.open_run(config, folder):
        try:
            no_space()
        except OSError as error:
            raise RuntimeError("a library's own words") from error
    expected = "The disk takes nothing more at predictions/dev.jsonl: No space left on device."
    assert str(raised.value).startswith(expected)
    assert str(raised.value).endswith(f"Resume it with: python -m mcqa.train resume={folder}")
    assert files.read_json(folder / "result.json")["error"].startswith(expected)


@pytest.mark.slow
@pytest.mark.parametrize("fails_before", [True, False])
def test_where_not_even_the_result_can_be_written_the_first_error_is_the_one_to_see(small, monkeypatch, fails_before):
    config, folder = begun(small)
    monkeypatch.setattr(run_folder, "write_result", no_space)
    expected = "no such layer" if fails_before else "No space left on device.* resume="
    with pytest.raises(McqaError, match=expected), record.open_run(config, folder):
        if fails_before:
            raise ModelError("no such layer")
    assert '"finish"' in (folder / "events.jsonl").read_text()


# --- what an earlier start read --------------------------------------------------------------------------------------

NOW = {"train": "a", "dev": "b", "test": "c"}


@pytest.fixture
def begun_record(small, monkeypatch):
    monkeypatch.setattr(record, "run_environment", lambda device: {"git_commit": None})
    config, folder = begun(small)
    found = record.Record(config, folder, Console(quiet=True), None)
    yield found
    found.tracker.finish("FINISHED")


def test_what_a_run_says_shows_no_secret(begun_record, capsys):
    begun_record.console = Console()
    begun_record.say("Questions: train 9 (mine; https://me:hunter2@host/licence)")
    assert capsys.readouterr().out == "Questions: train 9 (mine; https://[redacted]@host/licence)\n"


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", '{"fingerprints": 5}'])
def test_a_damaged_note_of_what_an_earlier_start_read_is_replaced_with_one_warning(begun_record, caplog, content):
    path = begun_record.folder / "environment.json"
    path.write_text(content)
    begun_record.inputs(NOW, {}, "t")
    (warning,) = caplog.records
    assert f"{path} is damaged, so it is not known whether the run began on these questions" in warning.getMessage()
    assert files.read_json(path)["fingerprints"] == {**NOW, "tokenizer": "t"}


def test_a_note_of_what_an_earlier_start_read_that_cannot_be_read_stops_the_run(begun_record):
    (begun_record.folder / "environment.json").mkdir()
    with pytest.raises(FileError, match=r"environment\.json cannot be read: Is a directory"):
        begun_record.inputs(NOW, {}, "t")


def test_a_run_that_began_on_other_questions_names_what_changed(begun_record):
    begun_record.inputs(NOW, {}, "t")
    begun_record.inputs(NOW, {}, "t")
    with pytest.raises(DataError, match="environment.json has other fingerprints of dev, tokenizer"):
        begun_record.inputs({**NOW, "dev": "other"}, {}, "u")


def test_a_first_look_is_in_the_result_and_a_tag(begun_record):
    begun_record.inputs(NOW, {}, "t", {"test": (5, 30)})
    record._finish(begun_record, "complete", None)
    assert run_folder.read_result(begun_record.folder)["first_look"] == {"test": {"questions": 5, "of": 30}}
    assert '"first_look": "test: 5 of 30 questions"' in (begun_record.folder / "events.jsonl").read_text()


def test_a_trial_looks_at_no_test(begun_record):
    begun_record.trial = trial_in(begun_record.folder)
    begun_record.inputs(NOW, {}, "t", {"test": (5, 30)})
    assert begun_record.first_looks == {}


def test_an_earlier_version_noted_fewer_fingerprints(begun_record):
    files.write_json(begun_record.folder / "environment.json", {"fingerprints": NOW})
    begun_record.inputs(NOW, {}, "t")


def test_lines_break_at_words_and_a_command_is_left_whole():
    command = "python -m mcqa.train --multirun from_run=outputs/runs/qlora_mcqa/20261129-205623-f4bcee seed=1,2"
    lines = record.at_words(f"How much other seeds change this, three seeds show: {command}", 60).splitlines()
    assert lines == ["How much other seeds change this, three seeds show:", f"  {command}"]
    assert record.at_words("  one two three", 9).splitlines() == ["  one two", "  three"]
    assert record.at_words("a" * 90, 80) == "a" * 90 and record.at_words("", 80) == ""
