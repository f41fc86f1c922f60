"""Runs are found by folder or MLflow id; what is unfinished or damaged is refused with what to do."""

import json

import pytest

from mcqa.compare.runs import find
from mcqa.config.errors import ConfigError, DataError, FileError
from tests.compare.finished_runs import asked, compared, make_run

ID = "0123456789abcdef0123456789abcdef"


def refused(run, split="test"):
    with pytest.raises(ConfigError) as error:
        find(str(run), asked(run), "nowhere").predictions(split)
    return str(error.value)


def test_a_run_is_what_its_folder_says(tmp_path):
    found = find(str(make_run(tmp_path, "7", [True, False], base=[True, True], seed=3)), asked("x"), "nowhere")
    assert (found.name, found.id, found.seed) == ("mine", "7", 3)
    assert found.splits == ["base/test", "test"]
    assert [row.correct for row in found.predictions("test")] == [True, False]
    assert [row.correct for row in found.predictions("base/test")] == [True, True]


def test_an_mlflow_id_finds_the_folder_that_was_tracked_under_it(tmp_path):
    folder = make_run(tmp_path, "7", [True])
    (folder / "tracking.json").write_text(json.dumps({"run_id": ID}))
    make_run(tmp_path, "8", [True])
    found = find(ID, asked(ID, outputs=str(tmp_path / "outputs")), "nowhere")
    assert (found.folder, found.mlflow_id) == (folder, ID)


def test_an_unknown_mlflow_id_is_refused_and_no_database_is_made_for_it(tmp_path):
    with pytest.raises(ConfigError, match="no tracking database at") as error:
        find(ID, asked(ID, outputs=str(tmp_path / "outputs")), str(tmp_path))
    assert "tracking_uri=" in str(error.value)
    assert not (tmp_path / "outputs").exists()


def test_a_folder_without_a_run_names_the_runs_below_it(tmp_path):
    folder = make_run(tmp_path, "7", [True])
    assert f"Runs below it: {folder}" in refused(tmp_path / "outputs")


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00", b"just words"])
def test_a_damaged_configuration_is_the_users_to_know(tmp_path, content):
    folder = make_run(tmp_path, "7", [True])
    (folder / "config.yaml").write_bytes(content)
    assert "config.yaml" in refused(folder)


@pytest.mark.parametrize(
    "result", ['{"status": "failed"}', '{"status": 5}', '{"status": ["complete"]}', "{", "[]", "[" * 100_000, None]
)
def test_a_run_that_is_not_complete_is_refused(tmp_path, result):
    folder = make_run(tmp_path, "7", [True])
    (folder / "result.json").unlink()
    if result is not None:
        (folder / "result.json").write_text(result)
    assert "is not complete" in refused(folder)


def test_a_missing_split_names_those_that_there_are(tmp_path):
    folder = make_run(tmp_path, "7", [True])
    message = refused(folder, split="tset")
    assert "no predictions for split=tset; it has test." in message
    assert "Did you mean 'test'?" in message


def test_a_run_without_predictions_says_so(tmp_path):
    assert "has no predictions at all" in refused(make_run(tmp_path, "7"))


@pytest.mark.parametrize("name", ["result.json", "predictions/test.jsonl"])
def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path, name):
    folder = make_run(tmp_path, "7", [True])
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(FileError, match=f"{name} cannot be read: Is a directory") as raised:
        find(str(folder), asked(folder), "nowhere").predictions("test")
    assert "damaged" not in str(raised.value)


def test_what_a_run_noted_of_its_surroundings_may_be_anything(tmp_path):
    one = make_run(tmp_path, "1", [True, False], environment={"git_commit": ["abc"], "packages": 5})
    other = make_run(tmp_path, "2", [True, True], environment={"git_commit": {"a": 1}, "packages": [1]}, seed=1)
    (tmp_path / "third").mkdir()
    third = make_run(tmp_path / "third", "3", [True, True, True])
    with pytest.raises(DataError, match="answered other questions than .* or the code was"):
        compared(one, other, third)
