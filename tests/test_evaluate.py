"""Measuring again gives the same numbers, on whatever else is asked for too, and in one command for several models."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mcqa import evaluate, run_folder
from mcqa.config import ROOT
from mcqa.door import compose
from mcqa.errors import ConfigError
from mcqa.evaluation.predictions import read
from tests.conftest import configured, smaller, trained


def measured_again(overrides):
    return evaluate.main(compose("evaluate", overrides), overrides)


def newest(outputs, name="evaluate"):
    return max((Path(outputs) / "runs" / name).iterdir(), key=lambda folder: folder.stat().st_mtime)


@pytest.mark.parametrize("peft", ["none", "lora", "qlora"])
def test_measuring_a_saved_run_again_gives_the_same_numbers(peft, small, tmp_path):
    folder, result = trained([*small, f"peft={peft}", "optimizer.learning_rate=0.01"])
    measured_again([f"run={folder}", f"outputs={tmp_path}/again"])
    again = run_folder.read_json(newest(tmp_path / "again") / "result.json")["metrics"]
    for name, value in again.items():
        assert value == pytest.approx(result["metrics"][name], abs=1e-6), name
    assert {"dev/acc", "test/acc"} <= again.keys()


def test_a_saved_model_is_measured_on_other_questions(small, tmp_path):
    folder, _ = trained(small)
    measured_again([f"run={folder}", "data=facts", "splits=[dev]", f"outputs={tmp_path}/again"])
    again = run_folder.read_json(newest(tmp_path / "again") / "result.json")["metrics"]
    assert again["dev/n"] > 100
    assert "test/acc" not in again


@pytest.mark.parametrize("peft", ["none", "qlora"])
def test_a_saved_model_is_measured_by_its_path(peft, small, tmp_path):
    overrides = [key for key in small if not key.startswith(("optimizer", "objective", "evaluation"))]
    folder, result = trained([*small, f"peft={peft}"])
    measured_again([*overrides, "model=local", f"model.path={folder / 'model'}"])
    again = run_folder.read_json(newest(tmp_path / "outputs") / "result.json")["metrics"]
    assert again["test/loss"] == pytest.approx(result["metrics"]["test/loss"], abs=1e-6)


def test_a_run_without_a_saved_model_cannot_be_measured_again(small, tmp_path):
    folder = tmp_path / "unfinished"
    folder.mkdir()
    run_folder.write_yaml(folder / "config.yaml", configured(small)[1])
    with pytest.raises(ConfigError, match="saved no model"):
        measured_again([f"run={folder}"])


# --- everything that can be asked for --------------------------------------------------------------------------------

ORDERS = {"acc_orders", "acc_worst", "acc_debiased", "acc_averaged", "consistency", "recall_std"}
FURTHER = ORDERS | {"acc_mutual_info", "acc_choices_only", "acc_bootstrap_low", "acc_bootstrap_high"}


def local(folder, name, split):
    return f"{{data: local, path: {folder}, name: {name}, split: {split}, columns: {{subject: subject, id: id}}}}"


@pytest.fixture(scope="module")
def everything(questions_folder, tmp_path_factory):
    """A run of letters with shots and every further measurement, steered by another set's test; and its overrides."""
    overrides = [
        *smaller(questions_folder, tmp_path_factory.mktemp("everything")),
        "prompt=letters",
        "prompt.shots=2",
        "prompt.shots_draw=per_question",
        "optimizer.learning_rate=0.01",
        f"evaluation.dev={local(questions_folder, 'steering', 'test')}",
        f"evaluation.sets=[{local(questions_folder, 'more', 'dev')}]",
        "evaluation.best_metric=dev/acc_averaged",
        "evaluation.limit=5",
        "evaluation.permutations=cyclic",
        "evaluation.unconditional=true",
        "evaluation.choices_only=true",
        "evaluation.bootstrap=50",
        "evaluation.harness_task=mine",
    ]
    return *trained(overrides), overrides


def test_every_further_measurement_is_in_the_results_before_and_after(everything):
    _, result, _ = everything
    for split in ("dev", "test", "more"):
        for prefix in ("base/", ""):
            assert {f"{prefix}{split}/{name}" for name in FURTHER} <= result["metrics"].keys()
    assert {"test/ece_scaled", "more/ece_scaled", "base/test/temperature"} <= result["metrics"].keys()
    assert "dev/temperature" not in result["metrics"], "it is fitted there"


def test_dev_is_that_of_the_other_set_and_the_run_is_steered_by_it(everything, questions_folder):
    folder, result, _ = everything
    asked = [json.loads(line)["id"] for line in (questions_folder / "test.jsonl").read_text().splitlines()]
    assert [row.question.id for row in read(folder / "predictions" / "dev.jsonl")] == asked
    assert (result["metrics"]["dev/n"], result["metrics"]["more/n"]) == (16, 12)
    assert result["value"] == result["metrics"]["dev/acc_averaged"]


def test_during_training_only_what_steers_is_measured_on_limited_questions(everything):
    folder, _, _ = everything
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    steered = [event["values"] for event in events if "train/loss" not in event.get("values", {}) and "values" in event]
    (few,) = [values for values in steered if values.get("dev/n") == 5 and values is steered[-1]] or [None]
    during = [values for values in steered if values.get("dev/n") == 5]
    assert len(during) == 2, few
    for values in during:
        assert {f"dev/{name}" for name in ORDERS} <= values.keys()
        assert not {"dev/acc_mutual_info", "dev/acc_choices_only", "dev/acc_bootstrap_low"} & values.keys()


def test_the_stored_configuration_is_complete(everything, questions_folder):
    folder, _, _ = everything
    stored = run_folder.read_yaml(folder / "config.yaml")["evaluation"]
    (more,), steering = stored["sets"], stored["dev"]
    columns = compose("config", ["data=local"])["data"]["columns"] | {"subject": "subject", "id": "id"}
    for one, name, split in ((more, "more", "dev"), (steering, "steering", "test")):
        assert (one["name"], one["split"]) == (name, split)
        assert one["data"]["path"] == str(questions_folder)
        assert one["data"]["columns"] == columns


def test_a_run_with_sets_shots_letters_and_all_else_is_measured_to_the_same_numbers(everything, tmp_path):
    folder, result, _ = everything
    record = measured_again([f"run={folder}", f"outputs={tmp_path}"])
    assert record.metrics == {
        name: pytest.approx(value, abs=1e-6)
        for name, value in result["metrics"].items()
        if name.startswith(("dev/", "test/", "more/")) and "acc_gain" not in name and "mcnemar" not in name
    }
    for name in ("dev", "test", "more"):
        before, after = (read(where / "predictions" / f"{name}.jsonl") for where in (folder, record.folder))
        assert [row.question for row in after] == [row.question for row in before]


def test_a_run_is_measured_on_other_sets_alone(everything, questions_folder, tmp_path, capsys):
    folder, result, _ = everything
    sets = f"evaluation.sets=[{local(questions_folder, 'other', 'test')}]"
    record = measured_again([f"run={folder}", sets, "splits=[]", "evaluation.harness_task=null", f"outputs={tmp_path}"])
    assert {name.split("/")[0] for name in record.metrics} == {"other"}
    assert record.metrics["other/acc"] == result["metrics"]["test/acc"]
    found = {path.name for path in record.folder.rglob("*") if path.is_file()}
    assert {"other.jsonl", "wrong_other.json", "subjects_other.csv"} <= found
    assert not (record.folder / "harness").exists()
    told = capsys.readouterr().out
    assert "Over the orders of the options" in told and "With the question removed" in told


def test_the_files_of_the_harness_are_of_test_and_say_its_accuracy(everything):
    folder, result, _ = everything
    (samples,) = (folder / "harness").rglob("samples_mine_*.jsonl")
    (results,) = (folder / "harness").rglob("results_*.json")
    assert samples.parent == results.parent
    assert len(samples.read_text().splitlines()) == 16
    told = json.loads(results.read_text())
    assert list(told["results"]) == ["mine"]
    assert told["results"]["mine"]["acc,none"] == pytest.approx(result["metrics"]["test/acc"])
    assert told["configs"]["mine"]["num_fewshot"] == 2


def test_an_evaluation_writes_files_of_the_harness_for_each_of_its_splits(small, tmp_path):
    overrides = [key for key in small if not key.startswith(("optimizer", "objective"))]
    record = measured_again([*overrides, "evaluation.harness_task=mine"])
    names = {re.sub(r"_\d{4}-.*", "", path.name) for path in (record.folder / "harness").rglob("*.json*")}
    assert names == {"results", "samples_mine_dev", "samples_mine_test"}


# --- steering --------------------------------------------------------------------------------------------------------


def test_the_state_that_another_set_calls_best_is_kept(small, questions_folder, tmp_path):
    """The other set has wrong answers marked as right, so its loss rises while the run learns."""
    rows = [json.loads(line) for line in (questions_folder / "train.jsonl").read_text().splitlines()]
    contrary = [row | {"answer": (row["answer"] + 1) % len(row["choices"])} for row in rows]
    (tmp_path / "contrary").mkdir()
    (tmp_path / "contrary" / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in contrary))
    overrides = [*small, "optimizer.learning_rate=0.01", "objective.max_steps=6", "evaluation.best_metric=dev/loss"]
    folder, result = trained([*overrides, f"evaluation.dev={local(tmp_path / 'contrary', 'contrary', 'dev')}"])
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    measured = {
        event["step"]: event["values"]["dev/loss"]
        for event in events
        if "dev/loss" in event.get("values", {}) and event["step"] > 0
    }
    losses = list(measured.values())
    assert result["value"] == pytest.approx(min(losses), abs=1e-6)
    assert result["value"] < max(losses) - 0.1


# --- dry runs --------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_how_each_split_and_set_is_asked_and_measures_nothing(small, questions_folder, capsys):
    overrides = [*(key for key in small if not key.startswith(("optimizer", "objective"))), "dry_run=true"]
    overrides += ["prompt=letters", "prompt.shots=1", f"evaluation.sets=[{local(questions_folder, 'more', 'train')}]"]
    tree = compose("evaluate", overrides)
    assert evaluate.main(tree, overrides) is None
    shown = capsys.readouterr().out
    for name in ("dev: 12 questions", "test: 16 questions", "more: 40 questions"):
        assert name in shown
    assert "train: 40" not in shown, "it is only read for shots"
    assert shown.count("Question:") == 2 * 3 and shown.count("the right one") == 3
    assert "more: 40 of 40 questions stand in train too" in shown
    assert "Nothing was measured: dry_run=true." in shown
    assert not Path(tree["outputs"]).exists()


def test_a_dry_run_of_a_finished_run_measures_nothing(everything, tmp_path, capsys):
    folder, _, _ = everything
    assert measured_again([f"run={folder}", "dry_run=true", f"outputs={tmp_path}"]) is None
    shown = capsys.readouterr().out
    assert "dev: 16 questions" in shown and "more: 12 questions" in shown
    assert list(tmp_path.iterdir()) == []


# --- several in one command ------------------------------------------------------------------------------------------


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "mcqa.evaluate", *arguments], cwd=cwd, capture_output=True, text=True
    )  # fmt: skip


def test_several_models_and_sets_are_measured_in_one_command_and_told_in_one_table(
    everything, questions_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "400")
    saved = everything[0] / "model"
    done = command(
        "model=local",
        f"model.path=embedded:starter,{saved}",
        *smaller(questions_folder, tmp_path)[:4],
        "splits=[test]",
        f"evaluation.sets=[{local(questions_folder, 'more', 'dev')}]",
        "tracking=none",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    folders = sorted((tmp_path / "outputs" / "runs" / "evaluate").iterdir(), key=lambda path: path.stat().st_mtime)
    results = [run_folder.read_json(folder / "result.json") for folder in folders]
    assert [result["status"] for result in results] == ["complete"] * 2
    table = done.stdout[done.stdout.index("All of them") :].splitlines()
    for folder, result, model in zip(folders, results, ("embedded:starter", str(saved)), strict=True):
        for questions, name in (("local test", "test"), ("more", "more")):
            (line,) = (line for line in table if folder.name in line and f" {questions} " in line)
            assert model in line
            assert f"{100 * result['metrics'][f'{name}/acc']:.1f} %" in line


def test_one_model_has_no_table_of_all(small, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    overrides = [key for key in small if not key.startswith(("optimizer", "objective"))]
    done = command(*overrides, "splits=[test]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Accuracy" in done.stdout and "All of them" not in done.stdout
