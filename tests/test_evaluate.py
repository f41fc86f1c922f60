"""Measuring again gives the same numbers, on whatever else is asked for too, and in one command for several models."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mcqa import evaluate
from mcqa.config.composition import ROOT, compose
from mcqa.config.errors import ConfigError
from mcqa.config.schema import EvaluateConfig
from mcqa.config.validation import typed
from mcqa.evaluation.predictions import read
from mcqa.evaluation.report import run_report
from mcqa.evaluation.statistics import mcnemar
from mcqa.runs import looks, run_folder
from mcqa.runs.environment import run_environment
from mcqa.runs.files import read_json, read_yaml, write_yaml
from mcqa.runs.lookup import finished_run
from mcqa.training.progress import TrainingProgress
from tests.compare.finished_runs import grouped
from tests.small_runs import configured, smaller, trained


def measured_again(overrides):
    measurements = evaluate.main(compose("evaluate", overrides), overrides)
    return measurements and measurements.record


def newest(outputs, name="evaluate"):
    return max((Path(outputs) / "runs" / name).iterdir(), key=lambda folder: folder.stat().st_mtime)


@pytest.mark.slow
@pytest.mark.parametrize("peft", ["none", "lora", "qlora"])
def test_a_saved_run_measured_again_by_run_folder_and_by_path_has_the_same_numbers(peft, small, tmp_path):
    folder, result = trained([*small, f"peft={peft}", "optimizer.learning_rate=0.01"])
    again = measured_again([f"run={folder}", f"outputs={tmp_path}/again"]).metrics
    for name, value in again.items():
        assert value == pytest.approx(result["metrics"][name], abs=1e-6), name
    assert {"dev/acc", "test/acc"} <= again.keys()
    overrides = [key for key in small if not key.startswith(("optimizer", "objective", "evaluation"))]
    by_path = measured_again([*overrides, "model=local", f"model.path={folder / 'model'}"]).metrics
    assert by_path["test/loss"] == pytest.approx(result["metrics"]["test/loss"], abs=1e-6)
    assert [look["by"] for look in looks.read(folder)] == ["mcqa.train", "mcqa.evaluate", "mcqa.evaluate"]
    assert "\nLooks at test: 3 (mcqa.train, " in (folder / "model" / "README.md").read_text()


@pytest.mark.slow
def test_a_saved_model_is_measured_on_other_questions(finished_run, tmp_path):
    folder, _ = finished_run
    again = measured_again([f"run={folder}", "data=facts", "splits=[dev]", f"outputs={tmp_path}/again"]).metrics
    assert again["dev/n"] > 100
    assert "test/acc" not in again


@pytest.mark.slow
def test_a_model_is_measured_with_and_without_retrieval_on_the_same_questions(tmp_path):
    keys = ["data=facts", "splits=[test]", "evaluation.test_limit=16", "tracking=none", f"outputs={tmp_path}"]
    plain, given = (
        measured_again([*keys, *more])
        for more in ([], ["evaluation.context=bm25", "evaluation.passages=facts", "evaluation.context_k=2"])
    )
    rows = read(given.folder / "predictions" / "test.jsonl")
    assert {len(row.question.retrieved) for row in rows} == {2}
    assert given.metrics["test/recall_at_k"] > given.metrics["test/recall_at_k_wrong"]
    assert (
        given.metrics["test/acc"] != plain.metrics["test/acc"] or given.metrics["test/nll"] != plain.metrics["test/nll"]
    )
    assert read_json(given.folder / "result.json")["metrics"]["test/recall_at_k"] == given.metrics["test/recall_at_k"]
    found = grouped(plain.folder, given.folder)
    assert dict(found.differing)["evaluation.context"] == ("null", "bm25")


def test_names_of_models_are_cut_to_what_keeps_them_apart(tmp_path):
    for name in ("a/one", "b/one", "b/two"):
        (tmp_path / name).mkdir(parents=True)
    folders = [str(tmp_path / name) for name in ("a/one", "b/one", "b/two")]
    assert run_report._short_names([folders[0], folders[2], "HuggingFaceTB/one"]) == ["one", "two", "HuggingFaceTB/one"]
    assert run_report._short_names([*folders, folders[0]]) == ["a/one", "b/one", "b/two", "a/one"]


def one_file(questions_folder, folder):
    """All questions of the three splits in a single file."""
    splits = [(questions_folder / f"{split}.jsonl").read_text() for split in ("train", "dev", "test")]
    folder.mkdir(exist_ok=True)
    (folder / "mine.jsonl").write_text("".join(splits))
    return folder / "mine.jsonl", sum(text.count("\n") for text in splits)


def prepared(overrides):
    return evaluate.inputs(evaluate.as_measured(typed(compose("evaluate", overrides), EvaluateConfig)))


def test_a_single_file_is_measured_whole_unless_train_is_needed_of_it(questions_folder, tmp_path):
    file, count = one_file(questions_folder, tmp_path)
    overrides = ["data=local", f"data.path={file}", "data.columns.id=id"]
    data, names, _ = prepared(overrides)
    assert (names, len(data.splits["test"])) == (["test"], count)
    assert f"test: {count} questions, all of mine.jsonl" in data.notes
    for needs_train in ("prompt.shots=1", "splits=[train,test]", "splits=[dev]"):
        data, names, _ = prepared([*overrides, needs_train])
        assert all(len(data.splits[name]) < count for name in names), needs_train


def test_a_file_that_the_model_was_trained_on_is_cut_as_in_training(questions_folder, tmp_path, monkeypatch):
    file, count = one_file(questions_folder, tmp_path)
    (tmp_path / "run" / "model").mkdir(parents=True)
    overrides = ["data=local", f"data.path={file}", "data.columns.id=id"]
    trained_on = configured(overrides)[1]
    write_yaml(tmp_path / "run" / "config.yaml", trained_on)
    monkeypatch.chdir(tmp_path)
    for path in (str(file), "mine.jsonl"):
        measured = [f"data.path={path}", *overrides[::2], "model=local", f"model.path={tmp_path}/run/model"]
        data, names, _ = prepared(measured)
        assert names == ["dev", "test"] and len(data.splits["test"]) < count
    other, count = one_file(questions_folder, tmp_path / "elsewhere")
    (tmp_path / "other.jsonl").write_text(other.read_text())
    data, names, _ = prepared([f"data.path={tmp_path}/other.jsonl", *measured[1:]])
    assert (names, len(data.splits["test"])) == (["test"], count)


def test_a_run_without_a_saved_model_cannot_be_measured_again(small, tmp_path):
    folder = tmp_path / "unfinished"
    folder.mkdir()
    write_yaml(folder / "config.yaml", configured(small)[1])
    with pytest.raises(ConfigError, match="saved no model"):
        measured_again([f"run={folder}"])


# --- which run is meant ----------------------------------------------------------------------------------------------

ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def tracked(small, tmp_path):
    """The folder of an unfinished run below outputs that MLflow knows by ID, and what finds it there."""
    _, config_dict = configured(small)
    folder = run_folder.create(config_dict["outputs"], "mine", config_dict, small)
    (folder / "tracking.json").write_text(json.dumps({"run_id": ID}))
    return folder, config_dict["outputs"]


def test_a_run_below_outputs_is_found_by_its_mlflow_id(tracked, monkeypatch):
    folder, outputs = tracked
    monkeypatch.chdir(Path(outputs).parent)
    assert finished_run(ID, Path(outputs)) == folder
    assert finished_run("outputs/runs/mine/" + folder.name, Path(outputs)) == folder
    with pytest.raises(ConfigError, match=f"run={folder.relative_to(Path.cwd())}: the run has saved no model"):
        measured_again([f"run={ID}", "outputs=outputs"])


def test_an_mlflow_id_that_no_run_below_outputs_has_is_refused(tracked, tmp_path):
    with pytest.raises(ConfigError, match=f"no run folder below {tmp_path}/elsewhere has this MLflow run id"):
        finished_run(ID, tmp_path / "elsewhere")


def test_a_run_that_repeated_another_can_be_measured_again(tracked, tmp_path):
    folder, _ = tracked
    write_yaml(folder / "config.yaml", read_yaml(folder / "config.yaml") | {"from_run": "other"})
    with pytest.raises(ConfigError, match="saved no model"):
        measured_again([f"run={folder}"])
    with pytest.raises(ConfigError, match=r"resume and from_run are for mcqa\.train"):
        measured_again([f"run={folder}", "from_run=other"])


def test_a_configuration_that_is_no_text_is_damaged(tracked):
    folder, _ = tracked
    (folder / "config.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=f"^{folder}: its config.yaml is damaged.$"):
        run_folder.open_existing(str(folder))


def test_a_configuration_that_cannot_be_read_says_why(tracked, monkeypatch):
    folder, _ = tracked

    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)  # permissions do not stop root
    with pytest.raises(ConfigError, match=f"^{folder}: its config.yaml is only for the user whose run it is; `chmod"):
        run_folder.open_existing(str(folder))


def test_a_name_that_no_folder_can_have_is_no_run():
    with pytest.raises(ConfigError, match="is no run folder: no path has a name of more than 255 bytes"):
        run_folder.open_existing("x" * 300)


# --- the code that a run is made with --------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_changes_of_files_that_git_knows_make_the_code_another_than_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr("mcqa.runs.environment.CHECKOUT", tmp_path)
    known = os.environ | {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    (tmp_path / "code.py").write_text("1")
    for command in (["init", "-q"], ["add", "code.py"], ["commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, env=known, check=True)
    assert run_environment("cpu")["git_dirty"] is False
    (tmp_path / "notes.txt").write_text("not added")
    assert run_environment("cpu")["git_dirty"] is False
    (tmp_path / "code.py").write_text("2")
    assert run_environment("cpu")["git_dirty"] is True


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
        "data.columns.cluster=answer",
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


@pytest.mark.slow
def test_every_further_measurement_is_in_the_results_before_and_after(everything):
    _, result, _ = everything
    for split in ("dev", "test", "more"):
        for prefix in ("base/", ""):
            assert {f"{prefix}{split}/{name}" for name in FURTHER} <= result["metrics"].keys()
    assert {"test/ece_scaled", "more/ece_scaled", "base/test/temperature"} <= result["metrics"].keys()
    assert "dev/temperature" not in result["metrics"], "it is fitted there"


@pytest.mark.slow
def test_dev_is_that_of_the_other_set_and_the_run_is_steered_by_it(everything, questions_folder):
    folder, result, _ = everything
    asked = [json.loads(line)["id"] for line in (questions_folder / "test.jsonl").read_text().splitlines()]
    assert [row.question.id for row in read(folder / "predictions" / "dev.jsonl")] == asked
    assert (result["metrics"]["dev/n"], result["metrics"]["more/n"]) == (16, 12)
    assert result["value"] == result["metrics"]["dev/acc_averaged"]


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_stored_configuration_is_complete(everything, questions_folder):
    folder, _, _ = everything
    stored = read_yaml(folder / "config.yaml")["evaluation"]
    (more,), steering = stored["sets"], stored["dev"]
    columns = compose("config", ["data=local"])["data"]["columns"] | {"subject": "subject", "id": "id"}
    for one, name, split in ((more, "more", "dev"), (steering, "steering", "test")):
        assert (one["name"], one["split"]) == (name, split)
        assert one["data"]["path"] == str(questions_folder)
        assert one["data"]["columns"] == columns


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_files_of_the_harness_are_of_test_and_the_sets_and_say_their_accuracy(everything):
    folder, result, _ = everything
    (samples,) = (folder / "harness").rglob("samples_mine_test_*.jsonl")
    (results,) = (folder / "harness").rglob("results_*.json")
    assert samples.parent == results.parent
    assert len(samples.read_text().splitlines()) == 16
    told = json.loads(results.read_text())
    assert list(told["results"]) == ["mine_test", "mine_more"]
    for name in ("test", "more"):
        assert told["results"][f"mine_{name}"]["acc,none"] == pytest.approx(result["metrics"][f"{name}/acc"])
        assert told["configs"][f"mine_{name}"]["num_fewshot"] == 2


@pytest.mark.slow
def test_an_evaluation_writes_files_of_the_harness_for_each_of_its_splits(small, tmp_path):
    overrides = [key for key in small if not key.startswith(("optimizer", "objective"))]
    record = measured_again([*overrides, "evaluation.harness_task=mine"])
    names = {re.sub(r"_\d{4}-.*", "", path.name) for path in (record.folder / "harness").rglob("*.json*")}
    assert names == {"results", "samples_mine_dev", "samples_mine_test"}


@pytest.mark.slow
def test_the_files_of_the_harness_name_the_data_and_the_split_of_each_set(small, questions_folder, tmp_path):
    for name in ("steering", "more"):
        shutil.copytree(questions_folder, tmp_path / name)
    record = measured_again(
        [
            *(key for key in small if not key.startswith(("optimizer", "objective"))),
            f"evaluation.dev={local(tmp_path / 'steering', 'steering', 'test')}",
            f"evaluation.sets=[{local(tmp_path / 'more', 'more', 'dev')}]",
            "evaluation.harness_task=mine",
        ]
    )
    (results,) = (record.folder / "harness").rglob("results_*.json")
    configs = json.loads(results.read_text())["configs"]
    tasks = {name: (task["dataset_path"], task["test_split"]) for name, task in configs.items()}
    called = record.config.data.splits
    assert tasks == {
        "mine_test": (str(questions_folder), called.test),
        "mine_dev": (str(tmp_path / "steering"), called.test),
        "mine_more": (str(tmp_path / "more"), called.dev),
    }


def test_tasks_are_called_as_the_harness_calls_their_sets_or_by_the_name_that_is_given():
    sets = "{data: commonsenseqa, path: c},{data: arc_easy, path: a, split: dev},{data: local, path: m}"
    own = ["data=arc_easy", "data.path=a", f"evaluation.sets=[{sets}]"]
    config, _ = configured([*own, "evaluation.harness_task=true"])
    assert run_report.harness_tasks(config, ["dev", "test", "commonsenseqa", "arc_easy", "m"]) == {
        "dev": "arc_easy_dev",
        "test": "arc_easy",
        "commonsenseqa": "commonsense_qa",
        "arc_easy": "arc_easy_dev_arc_easy",
        "m": "m",
    }
    config, _ = configured([*own, "evaluation.harness_task=mine"])
    assert run_report.harness_tasks(config, ["test"]) == {"test": "mine"}
    assert run_report.harness_tasks(config, ["dev", "test"]) == {"dev": "mine_dev", "test": "mine_test"}


# --- what decides ----------------------------------------------------------------------------------------------------


def test_the_p_that_decides_is_that_of_clusters_where_there_are_any():
    before, after = [False] * 8, [True] * 6 + [False] * 2
    alone, together = mcnemar(before, after), mcnemar(before, after, list("aaabbbcc"))
    assert alone.p == together.p != together.p_clustered
    assert run_report.gain_metrics(alone)["test/acc_gain_p"] == alone.p
    assert run_report.gain_metrics(together)["test/acc_gain_p"] == together.p_clustered
    assert run_report.gain_metrics(together)["test/mcnemar_p"] == alone.p


@pytest.mark.slow
def test_the_model_card_says_that_questions_go_together(everything):
    folder, result, _ = everything
    assert "test/acc_gain_p" in result["metrics"] and "test/clusters" in result["metrics"]
    assert "(interval: Wilson's at the effective number of questions" in (folder / "model" / "README.md").read_text()


@pytest.mark.slow
def test_the_model_card_of_independent_questions_and_the_terminal_when_something_else_steers(small, capsys):
    overrides = ["evaluation.cluster=none", "evaluation.best_metric=dev/ece", "optimizer.learning_rate=0.01"]
    folder, result = trained([*small, *overrides])
    assert "(interval: Wilson's)." in (folder / "model" / "README.md").read_text()
    assert f"parameters; dev/ece {result['metrics']['base/dev/ece']:.3f}" in capsys.readouterr().out


# --- steering --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
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


@pytest.mark.parametrize("steering", ["dev/acc", "dev/ece"])
def test_progress_shows_what_steers_whenever_it_is_measured(steering):
    console = Console(width=100)
    arguments = [console, 20] if steering == "dev/acc" else [console, 20, steering]
    with console.capture() as capture, TrainingProgress(*arguments) as progress:
        progress.update({"train/loss": 1.5}, 1)
        progress.update({"dev/acc": 0.25, "dev/ece": 0.125}, 2)
        progress.update({"train/loss": 1.25}, 3)
    (line,) = capture.get().splitlines()
    value = {"dev/acc": "0.250", "dev/ece": "0.125"}[steering]
    assert line.startswith(f"update  2/20  loss 1.500  {steering} {value}  ")
    assert line.count("dev/") == 1


# --- dry runs --------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_how_each_split_and_set_is_asked_and_measures_nothing(small, questions_folder, capsys):
    overrides = [*(key for key in small if not key.startswith(("optimizer", "objective"))), "dry_run=true"]
    overrides += ["prompt=letters", "prompt.shots=1", f"evaluation.sets=[{local(questions_folder, 'more', 'train')}]"]
    config_dict = compose("evaluate", overrides)
    assert evaluate.main(config_dict, overrides) is None
    shown = capsys.readouterr().out
    for name in ("dev: 12 questions", "test: 16 questions", "more: 40 questions"):
        assert name in shown
    assert "train: 40" not in shown, "it is only read for shots"
    assert shown.count("Question:") == 2 * 3 and shown.count("the right answer") == 3
    assert "more: 40 of 40 questions also occur in train" in shown
    assert "Nothing was measured: dry_run=true." in shown
    assert not Path(config_dict["outputs"]).exists()


@pytest.mark.slow
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


@pytest.mark.slow
def test_several_models_and_sets_are_measured_in_one_command_and_reported_in_one_table(
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
    folders = sorted((tmp_path / "outputs" / "runs").glob("evaluate*/*"), key=lambda path: path.stat().st_mtime)
    results = [read_json(folder / "result.json") for folder in folders]
    assert [result["status"] for result in results] == ["complete"] * 2
    table = done.stdout[done.stdout.index("All evaluations") :].splitlines()
    for number, (folder, result) in enumerate(zip(folders, results, strict=True), 1):
        model = ("embedded:starter", saved.parent.name)[number - 1]
        for questions, name in ((f"{questions_folder.name} test", "test"), ("more", "more")):
            (line,) = (line for line in table if re.match(rf"\W+{number} .* {questions} ", line))
            assert f" {model} " in line and "model.path" not in line
            for metric in ("acc", "acc_norm"):
                assert f"{100 * result['metrics'][f'{name}/{metric}']:.1f} %" in line
        assert f"  {number}  {folder.relative_to(tmp_path)}" in table
    with (tmp_path / "outputs" / "summaries" / f"{folders[0].name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    sets = (questions_folder.name, "test"), ("more", "dev")
    assert [(row["model_path"], row["questions"], row["split"]) for row in rows] == [
        (path, *asked) for path in ("embedded:starter", str(saved)) for asked in sets
    ]
    assert float(rows[3]["acc_norm"]) == results[1]["metrics"]["more/acc_norm"]


@pytest.mark.slow
def test_what_was_measured_is_reported_though_a_later_job_cannot_be(questions_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = command(
        f"data.path={questions_folder},/nowhere,{questions_folder}",
        "data=local",
        "splits=[test]",
        "tracking=none",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    folders = sorted((tmp_path / "outputs" / "runs").glob("evaluate*/*"), key=lambda path: path.stat().st_mtime)
    first, _, last = (str(folder.relative_to(tmp_path)) for folder in folders)
    table = done.stdout[done.stdout.index("All evaluations") :]
    as_csv = f"outputs/summaries/{Path(first).name}.csv"
    assert table.endswith(f"Run folders:\n  1  {first}\n  2  {last}\nAs CSV: {as_csv}\n")
    assert "job 1: data.path=/nowhere: no such file or folder" in done.stderr


@pytest.mark.slow
def test_the_table_of_all_says_what_differs_and_cuts_nothing_in_a_narrow_terminal(small, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    own = [key for key in small if not key.startswith(("optimizer", "objective"))]
    chosen = [[*own, "splits=[test]", f"prompt={style}"] for style in ("cloze", "letters")]
    evaluations = [evaluate.main(compose("evaluate", overrides), overrides) for overrides in chosen]
    capsys.readouterr()
    run_report.show_summary(evaluations)
    told = capsys.readouterr().out
    table, folders = told.split("Run folders:\n")
    assert max(map(len, table.splitlines())) <= 80 and "…" not in table
    for number, style in ((1, "cloze"), (2, "letters")):
        (line,) = (line for line in table.splitlines() if re.match(rf"\W+{number} ", line))
        assert f"prompt={style}" in line
        for text in own:
            assert text.split("=")[0] not in line
    assert folders.splitlines()[:2] == [f"  {number}  {one.record.folder}" for number, one in enumerate(evaluations, 1)]


@pytest.mark.slow
def test_one_model_has_no_table_of_all(small, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    overrides = [key for key in small if not key.startswith(("optimizer", "objective"))]
    done = command(*overrides, "splits=[test]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Accuracy" in done.stdout and "All evaluations" not in done.stdout
