"""Runs of several stages, small: resumed at the stage and step they were killed in, moved, used, and in a study."""

import shutil
import signal
from pathlib import Path

import pytest

from mcqa import export, train
from mcqa.config.composition import compose
from mcqa.models import of_run
from mcqa.runs import looks, run_folder
from mcqa.runs.files import read_json, read_yaml, write_yaml
from mcqa.runs.trial import Trial
from tests.small_runs import configured, smaller, trained
from tests.test_train import curves, events_of, started, wait_for_checkpoint

STAGES = [
    "+stages.first=['objective=sft','seed=3']",
    "+stages.second=['objective=choice','optimizer.learning_rate=0.01']",
]
ADAPTER = "model/adapter_model.safetensors"


@pytest.fixture(scope="module")
def chained(questions_folder, tmp_path_factory):
    """The folder and result of a run of two stages, an adapter each, for tests that only read it."""
    folder = tmp_path_factory.mktemp("chained")
    return trained([*smaller(questions_folder, folder), *STAGES, *LONGER, "name=chained", "tracking=mlflow"])


LONGER = ["objective.max_steps=12", "objective.epochs=null", "evaluation.every=3", "tracking.log_every=3"]


@pytest.mark.slow
def test_each_stage_is_a_complete_run_whose_model_is_the_base_of_the_next(chained):
    folder, result = chained
    first = folder / "stages" / "first"
    assert read_json(first / "result.json")["status"] == result["status"] == "complete"
    assert read_yaml(first / "config.yaml")["seed"] == 3
    for name in ("test", "base_test"):
        assert (first / "predictions" / f"{name}.jsonl").is_file() and (
            folder / "predictions" / f"{name}.jsonl"
        ).is_file()
    assert result["metrics"]["base/test/acc"] == pytest.approx(read_json(first / "result.json")["metrics"]["test/acc"])
    assert [stage["name"] for stage in result["stages"]] == ["first", "second"]
    assert result["seconds"] == pytest.approx(sum(stage["seconds"] for stage in result["stages"]), abs=0.2)
    assert "stages/test/acc_gain" in result["metrics"]
    page = (folder / "run.html").read_text()
    assert "Stages" in page and "All stages (first, second)" in page
    assert [len(looks.read(one)) for one in (folder, first)] == [1, 1]


@pytest.mark.slow
def test_mlflow_shows_one_run_with_its_stages_below_it(chained):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{chained[0].parents[2]}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("mcqa").experiment_id])
    parents = {run.info.run_id: run.data.tags.get("mlflow.parentRunId") for run in runs}
    assert {run.info.status for run in runs} == {"FINISHED"}
    (whole,) = [run for run in runs if parents[run.info.run_id] is None]
    (stage,) = [run for run in runs if parents[run.info.run_id] == whole.info.run_id]
    assert whole.data.params["stages.first.seed"] == "3" and stage.data.params["seed"] == "3"
    assert "test/acc" in whole.data.metrics and "test/acc" in stage.data.metrics


@pytest.mark.slow
def test_a_run_is_resumed_in_the_stage_and_at_the_step_where_it_was_killed(small, chained):
    """SIGTERM in the first stage, SIGKILL in the second: the same weights and curves as without."""
    overrides = [*small, *STAGES, *LONGER, "name=chained"]
    runs = Path(compose("config", overrides)["outputs"]) / "runs"
    process = started(overrides)
    wait_for_checkpoint(process, runs.parent, beyond=0, pattern="runs/*/*/stages/first")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    (folder,) = runs.glob("*/*")
    assert errors.splitlines()[-1] == f"Stopped by SIGTERM. Resume it with: python -m mcqa.train resume={folder}"
    assert read_json(folder / "result.json")["status"] == "preempted"

    process = started([f"resume={folder}"])
    wait_for_checkpoint(process, runs.parent, beyond=0, pattern="runs/*/*")
    process.kill()
    process.communicate()
    assert not (folder / "result.json").exists()
    first = folder / "stages" / "first"
    before = (first / "result.json").stat().st_mtime_ns, (first / "export" / "merged" / "README.md").stat().st_mtime_ns

    moved = shutil.move(folder.parents[2], folder.parents[2].with_name("moved")) / folder.relative_to(folder.parents[2])
    train.main(compose("config", [f"resume={moved}"]), [f"resume={moved}"])
    first = moved / "stages" / "first"
    after = (first / "result.json").stat().st_mtime_ns, (first / "export" / "merged" / "README.md").stat().st_mtime_ns
    assert before == after
    straight, expected = chained
    assert (first / ADAPTER).read_bytes() == (straight / "stages" / "first" / ADAPTER).read_bytes()
    assert (moved / ADAPTER).read_bytes() == (straight / ADAPTER).read_bytes()
    assert read_json(moved / "result.json")["metrics"] == expected["metrics"]
    assert curves(events_of(moved)) == curves(events_of(straight))


@pytest.mark.slow
def test_a_run_that_ends_between_two_stages_is_resumed_there(small, chained, monkeypatch):
    overrides = [*small, *STAGES, *LONGER, "name=chained"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="Resume it with: .*resume="):
        patch.setattr(of_run, "merge_once", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        trained(overrides)
    (folder,) = Path(compose("config", overrides)["outputs"]).glob("runs/*/*")
    assert run_folder.is_complete(folder / "stages" / "first") and not run_folder.read_result(folder)
    train.main(compose("config", [f"resume={folder}"]), [f"resume={folder}"])
    assert (folder / ADAPTER).read_bytes() == (chained[0] / ADAPTER).read_bytes()


@pytest.mark.slow
def test_the_model_of_a_run_of_stages_is_used_as_any_other_wherever_its_folder_lies(chained, tmp_path, small):
    folder = shutil.copytree(chained[0], tmp_path / "elsewhere")
    out = export.run(export.parse([str(folder)]))
    whole, result = trained([*small, "model=local", f"model.path={out}", "peft=none", "objective.max_steps=1"])
    assert result["metrics"]["base/test/acc"] == chained[1]["metrics"]["test/acc"]
    assert result["metrics"]["base/test/loss"] == pytest.approx(chained[1]["metrics"]["test/loss"], rel=1e-4)
    adapter = export.run(export.parse([str(folder), "to=adapter"]))
    assert read_json(adapter / "adapter_config.json")["base_model_name_or_path"] == str(adapter / "base")
    run, config = of_run.stored_run(str(folder), tmp_path)
    assert config.model.path == str(folder / "stages" / "first" / "export" / "merged")
    config, _ = configured([*small, "model=run", f"model.run={folder}"])
    assert config.model.path == str(folder / "export" / "merged")


@pytest.mark.slow
def test_no_stage_of_a_trial_measures_test(small, tmp_path):
    _, config_dict = configured([*small, *STAGES])
    (tmp_path / "study" / "trials" / "0").mkdir(parents=True)
    (tmp_path / "study" / "study.yaml").touch()
    trial = Trial(tmp_path / "study" / "trials" / "0")
    write_yaml(trial.folder / "config.yaml", config_dict)
    config, _ = configured([*small, *STAGES])
    train.run(config, trial.folder, trial)
    for folder in (trial.folder, trial.folder / "stages" / "first"):
        result = read_json(folder / "result.json")
        assert result["status"] == "complete" and "dev/acc" in result["metrics"]
        assert not [name for name in result["metrics"] if "test" in name]
        assert not list((folder / "predictions").glob("*test*")) and not looks.read(folder)
        assert not list(folder.glob("**/*.safetensors"))


def test_a_dry_run_shows_every_stage(small, capsys):
    train.main(compose("config", [*small, *STAGES, "dry_run=true"]), [])
    shown = capsys.readouterr().out
    assert "stage first: objective=sft" in shown and "training of stage second: objective=choice" in shown
    assert shown.count("Updates: 2") == 2
    assert "learning rate 0.002;" in shown and "learning rate 0.01;" in shown
