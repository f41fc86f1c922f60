"""The stages of a run as folders: which one a folder is, what its base is, and how an end of one is that of the run."""

import pytest

from mcqa.config.errors import ConfigError
from mcqa.runs import chain, lookup, run_folder
from mcqa.runs.files import read_yaml, write_yaml


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "outputs" / "runs" / "chained" / "r1"
    folder.mkdir(parents=True)
    own = {"name": "chained", "seed": 1, "model": {"path": "embedded:starter", "revision": "main"}}
    stages = [{"name": name, "overrides": [f"seed={n}"], "config": {**own, "seed": n}} for n, name in enumerate("ab")]
    stored = {**own, "outputs": str(tmp_path / "outputs"), "dry_run": False, "resume": None, "from_run": None}
    write_yaml(folder / "config.yaml", stored | {"stages": [*stages, {"name": "c", "overrides": [], "config": None}]})
    write_yaml(folder / "overrides.yaml", ["+experiment=x"])
    return folder


def saved(folder, adapter=False):
    (folder / "model").mkdir()
    (folder / "model" / ("adapter_config.json" if adapter else "config.json")).write_text("{}")
    return folder


def test_a_stage_has_the_configuration_that_its_run_keeps_for_it_and_is_a_run_alone(run):
    first = saved(chain.stage_folder(run, "a"))
    stored = read_yaml(first / "config.yaml")
    assert (stored["name"], stored["seed"], stored["stages"]) == ("chained.a", 0, [])
    assert read_yaml(first / "overrides.yaml") == ["+experiment=x", "seed=0", "stages=null"]
    assert stored["model"] == {"path": "embedded:starter", "revision": "main"}


def test_the_base_of_a_stage_is_the_model_of_the_stage_before_wherever_the_run_lies(run, tmp_path):
    first = saved(chain.stage_folder(run, "a"))
    second = saved(chain.stage_folder(run, "b"), adapter=True)
    assert chain.stage_before(first) is None
    assert (chain.stage_before(second), chain.stage_before(run)) == (first, second)
    assert read_yaml(second / "config.yaml")["model"]["path"] == str(first / "model")
    (tmp_path / "outputs").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "runs" / "chained" / "r1"
    assert chain.model_keys(chain.stage_before(moved / "stages" / "b"))["path"] == f"{moved}/stages/a/model"
    assert chain.model_keys(chain.stage_before(moved))["path"] == f"{moved}/stages/b/export/merged"


def test_a_run_of_a_single_training_and_one_that_measures_have_no_stage_before(run):
    stored = read_yaml(run / "config.yaml")
    write_yaml(run / "config.yaml", stored | {"splits": ["test"]})
    assert chain.stage_before(run) is None and chain.title(run) == []
    write_yaml(run / "config.yaml", stored | {"stages": []})
    assert chain.stage_before(run) is None and chain.title(run) == []


def test_the_title_says_which_stage_it_is(run):
    assert chain.title(run) == ["Stage 3 of 3: c"]
    assert chain.title(chain.stage_folder(run, "b")) == ["Stage 2 of 3: b"]


def test_a_stage_that_stops_or_fails_stops_its_run_and_one_that_completes_does_not(run):
    stage = chain.stage_folder(run, "a")
    run_folder.write_result(stage, {"status": "complete"})
    assert run_folder.is_complete(stage) and run_folder.read_result(run) == {}
    run_folder.write_result(stage, {"status": "preempted", "error": "Stopped by SIGTERM.", "metrics": {"dev/acc": 1}})
    result = run_folder.read_result(run)
    assert (result["status"], result["error"], result["metrics"]) == ("preempted", "Stopped by SIGTERM.", {})


def test_a_run_is_resumed_as_a_whole(run):
    stage = chain.stage_folder(run, "b") if saved(chain.stage_folder(run, "a")) else None
    assert run_folder.how_to_resume(stage) == f"Resume it with: python -m mcqa.train resume={run}"
    with pytest.raises(ConfigError, match=f"b is a stage of a run, which is resumed as a whole: resume={run}"):
        lookup.unfinished(str(stage))


def test_a_stage_keeps_what_runs_share_where_its_run_does(run, tmp_path):
    (tmp_path / "outputs").rename(tmp_path / "moved")
    stage = tmp_path / "moved" / "runs" / "chained" / "r1" / "stages" / "a"
    assert run_folder.outputs_of(stage, str(tmp_path / "outputs")) == tmp_path / "moved"


def test_of_a_trial_that_has_ended_no_weights_of_its_stages_are_kept(run):
    stage = saved(chain.stage_folder(run, "a"))
    (stage / "checkpoints").mkdir()
    chain.remove_weights(run)
    assert sorted(path.name for path in stage.iterdir()) == ["config.yaml", "overrides.yaml"]
