"""A run of objective=none: the metrics, predictions and page of any run, and nothing that a training leaves behind."""

import pytest

from mcqa import train
from mcqa.config.errors import ConfigError
from mcqa.evaluation import measure
from mcqa.evaluation.report.tables import UNTRAINED
from mcqa.models.of_run import stored_run
from mcqa.runs import looks
from mcqa.runs.files import read_json, write_yaml
from mcqa.runs.trial import Trial
from tests.small_runs import configured, trained


@pytest.mark.slow
def test_a_run_that_trains_nothing_answers_once_and_has_the_metrics_of_any_run(small, finished_run):
    folder, result = trained([*small, "objective=none"])
    metrics, every = result["metrics"], finished_run[1]["metrics"]
    assert result["status"] == "complete" and result["value"] == metrics["dev/acc"]
    of_training = {key for key in every if "gain" in key or key == "test/mcnemar_p"}
    assert metrics.keys() == every.keys() - of_training
    for split in ("dev", "test"):
        assert all(metrics[f"base/{key}"] == value for key, value in metrics.items() if key.startswith(split))
        answers = (folder / "predictions" / f"{split}.jsonl").read_bytes()
        assert answers == (folder / "predictions" / f"base_{split}.jsonl").read_bytes()
    left = {path.name for path in folder.iterdir()}
    assert not left & {"model", "checkpoints", "updates.csv", "doctor.json"} and left >= {"wrong_test.json", "pictures"}
    page, shown = (folder / "run.html").read_text(), (folder / "train.log").read_text()
    assert UNTRAINED in page and UNTRAINED in shown and "fine-tuned" not in page + shown
    assert [look["by"] for look in looks.read(folder)] == ["mcqa.train"]


@pytest.mark.slow
def test_seed_and_keys_of_training_change_nothing_and_each_set_is_measured_once(small, monkeypatch):
    scored, score = [], measure.score
    monkeypatch.setattr(
        measure, "score", lambda model, choices, *more: scored.append(len(choices)) or score(model, choices, *more)
    )
    _, one = trained([*small, "objective=none"])
    assert scored == [12, 16]
    other = ["seed=5", "peft=none", "optimizer.learning_rate=1", "objective.epochs=9", "evaluation.patience=2"]
    assert trained([*small, "objective=none", *other])[1]["metrics"] == one["metrics"]


@pytest.mark.slow
def test_a_trial_that_trains_nothing_has_a_value_and_leaves_test_alone(small, tmp_path):
    config, config_dict = configured([*small, "objective=none"])
    folder = tmp_path / "study" / "trials" / "0"
    folder.mkdir(parents=True)
    write_yaml(folder / "config.yaml", config_dict)
    train.run(config, folder, Trial(folder))
    result = read_json(folder / "result.json")
    assert result["status"] == "complete" and result["value"] == result["metrics"]["dev/acc"]
    assert "test/acc" not in result["metrics"] and (folder / "predictions" / "dev.jsonl").exists()


def test_a_dry_run_shows_the_prompts_that_are_measured(small, capsys):
    config, config_dict = configured([*small, "objective=none", "dry_run=true"])
    train.preview(config, config_dict, train.read_inputs(config))
    shown = capsys.readouterr().out
    assert "dev: 12 questions" in shown and "test: 16 questions" in shown and "Nothing was measured" in shown
    assert "learned" not in shown


def test_what_needs_a_saved_model_says_that_none_was_trained_and_which_it_is(small, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write_yaml(folder / "config.yaml", configured([*small, "objective=none"])[1])
    with pytest.raises(ConfigError, match="trained nothing .objective=none. and has the one .* model.path=embedded:st"):
        stored_run(str(folder), tmp_path)
