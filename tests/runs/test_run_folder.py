"""The folder of a run: which is one, and where it finds what runs share."""

import os

import pytest

from mcqa.config.errors import ConfigError
from mcqa.runs import run_folder


def run_in(folder, depth):
    inner = folder.joinpath(*(f"level{n}" for n in range(depth)))
    inner.mkdir(parents=True)
    (inner / "config.yaml").write_text("name: mine\n")
    return inner


def told(path):
    with pytest.raises(ConfigError) as caught:
        run_folder.open_existing(str(path))
    return str(caught.value)


def test_runs_below_a_folder_that_is_none_are_named(tmp_path):
    run = run_in(tmp_path, run_folder.DEPTH_OF_RUNS)
    assert told(tmp_path).endswith(f"there is no config.yaml in it. Runs below it: {run}.")


def test_the_search_for_runs_ends_soon_in_a_tree_without_end(tmp_path, monkeypatch):
    run_in(tmp_path, run_folder.DEPTH_OF_RUNS + 1)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert "Runs below it" not in told(tmp_path)
    looked = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or scandir(path))
    told("/")
    assert len(looked) <= run_folder.MOST_FOLDERS


@pytest.mark.parametrize("text", ["[" * 200 + "]" * 200, "seed: " + "9" * 5000, "- a", "", "a: [", "\x00"])
def test_a_configuration_that_is_none_is_damaged(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    assert told(tmp_path) == f"{tmp_path}: its config.yaml is damaged."


@pytest.mark.parametrize("path", ["~nouser/x", "a\0b", "", "x" * 300, "x/" * 3000])
def test_a_path_that_nothing_can_have_is_quoted(path):
    assert len(told(path)) < 500


def test_the_configuration_says_where_outputs_are_from_any_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = run_folder.create("results", "try", {"name": "try", "outputs": "results"}, ["name=try"])
    assert folder.parent == tmp_path / "results" / "runs" / "try"
    assert run_folder.config_of(folder)["outputs"] == str(tmp_path / "results")


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        ({"name": "starter", "path": "embedded:starter"}, {"name": "facts", "path": None}, "try"),
        ({"name": "qwen3_0_6b", "path": "Qwen/Qwen3-0.6B"}, {"name": "arc_easy"}, "try-qwen3_0_6b-arc_easy"),
        ({"name": "starter", "path": "embedded:starter"}, {"name": "arc_easy"}, "try-starter-arc_easy"),
        ({"name": "local", "path": "/models/My-model 2/"}, {"name": "facts"}, "try-My_model_2-facts"),
        ({"name": "local", "path": "HuggingFaceTB/SmolLM2"}, {"name": "mine"}, "try-SmolLM2-mine"),
        ({"name": "local", "path": "outputs/runs/a/20261129/model"}, {"name": "mine"}, "try-20261129-mine"),
        ({"name": "run", "run": "outputs/runs/a/20261129", "path": "x/model"}, {"name": "mine"}, "try-20261129-mine"),
        ({"name": "scratch", "path": None}, {"name": "local", "path": "../../" + "x" * 99}, f"try-scratch-{'x' * 40}"),
    ],
)
def test_a_run_is_called_after_model_and_questions_that_are_not_the_embedded_ones(model, data, expected):
    assert run_folder.name_of({"name": "try", "model": model, "data": data}) == expected


@pytest.mark.parametrize(
    ("moved_to", "database", "expected"),
    [
        ("results/runs/try/1", "results", "results"),  # not moved
        ("other/runs/try/1", "other", "other"),  # with everything
        ("other/runs/try/1", "results", "results"),  # alone, into a folder that looks like outputs
        ("kept/1", "results", "results"),  # alone
    ],
)
def test_a_run_that_moved_finds_the_database_it_was_written_to(tmp_path, moved_to, database, expected):
    (tmp_path / moved_to).mkdir(parents=True)
    (tmp_path / database).mkdir(exist_ok=True)
    (tmp_path / database / "mlflow.db").touch()
    found = run_folder.outputs_of(tmp_path / moved_to, str(tmp_path / "results"))
    assert found == tmp_path / expected


def test_a_run_of_another_user_is_named_with_how_that_user_can_share_it(tmp_path, monkeypatch):
    run = run_in(tmp_path, 1)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_folder, "read_yaml", refuse)
    assert f"only for the user whose run it is; `chmod go+r {run / 'config.yaml'}` by that user" in told(run)
