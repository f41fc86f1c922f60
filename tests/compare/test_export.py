"""The comparison as files and in MLflow."""

import csv
import json
import sys

import pytest

from mcqa.compare import export, sentences
from mcqa.compare.runs import find
from mcqa.config.errors import ConfigError
from mcqa.evaluation.predictions import Prediction
from tests.compare.finished_runs import asked, compared, make_run, predicted, question


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def written(tmp_path, *runs, **given):
    comparison = compared(*runs)
    return comparison, export.write(comparison, asked(*runs, out=str(tmp_path / "out"), **given))


def two(tmp_path, before, after):
    return make_run(tmp_path, "a", before, peft__rank=1), make_run(tmp_path, "b", after, peft__rank=2)


def test_every_number_is_in_comparison_json(tmp_path):
    comparison, folder = written(tmp_path, *two(tmp_path, [False, True, True], [True, True, False]))
    found = json.loads((folder / "comparison.json").read_text())
    assert found["verdict"] == sentences.verdict(comparison)
    assert [one["label"] for one in found["configurations"]] == ["rank=1", "rank=2"]
    assert found["configurations"][0]["mean"] == pytest.approx(2 / 3)
    [pair] = found["pairs"]
    assert pair["flips"] == {"newly right": 1, "newly wrong": 1, "always right": 1, "always wrong": 0}
    assert pair["net"] == 0
    assert (pair["difference"], pair["significant"], pair["p_mcnemar"]) == (0, False, 1)


def test_numbers_that_are_none_are_null_in_json(tmp_path):
    """One passage has no standard error, and a score that is no number no margin."""
    broken = [Prediction(question(i, context="one"), (float("nan"),) * 4, (1,) * 4) for i in range(3)]
    good = [predicted(True, question(i, context="one")) for i in range(3)]
    runs = [make_run(tmp_path, f"a{s}", broken, seed=s, peft__rank=1) for s in (0, 1)]
    runs += [make_run(tmp_path, f"b{s}", good, seed=s, peft__rank=2) for s in (0, 1)]
    _, folder = written(tmp_path, *runs)
    text = (folder / "comparison.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["pairs"][0]["standard_error_questions"] is None
    assert rows(folder / "questions.csv")[0]["answer_1"] == ""


def test_questions_csv_has_every_question_with_both_answers(tmp_path):
    before = [predicted(False, question(0, subject='su"b,\nject', question="a\nb")), predicted(True, question(1))]
    after = [predicted(True, question(0, subject='su"b,\nject', question="a\nb")), predicted(True, question(1))]
    _, folder = written(tmp_path, *two(tmp_path, before, after))
    first, second = rows(folder / "questions.csv")
    assert (first["id"], first["subject"], first["question"]) == ("q0", 'su"b,\nject', "a\nb")
    assert (first["right_answer"], first["answer_1"], first["answer_2"]) == ("elm", "oak", "elm")
    assert (first["right_1"], first["right_2"], first["flip_2"]) == ("0.0", "1.0", "newly right")
    assert (first["margin_1"], first["margin_2"], second["flip_2"]) == ("-1.0", "1.0", "always right")


def test_no_text_of_a_question_is_a_formula_in_questions_csv(tmp_path):
    text = "=cmd|' /C calc'!A0"
    odd = [predicted(True, question(0, question=text, choices=("-5", text))), predicted(True, question(1))]
    _, folder = written(tmp_path, *two(tmp_path, odd, odd))
    first, second = rows(folder / "questions.csv")
    assert first["question"] == first["right_answer"] == f"'{text}"
    assert second["question"] == "Number 1?" and float(first["margin_1"]) == 1.0


def test_pairs_csv_has_every_pair(tmp_path):
    runs = [make_run(tmp_path, f"r{i}", [True, bool(i)], peft__rank=i) for i in range(3)]
    _, folder = written(tmp_path, *runs)
    assert [(row["before"], row["after"]) for row in rows(folder / "pairs.csv")] == [
        ("rank=0", "rank=1"),
        ("rank=0", "rank=2"),
        ("rank=1", "rank=2"),
    ]


def test_over_seeds_every_file_has_the_net_that_is_the_difference(tmp_path):
    """The majority says one question gained, and the seeds that a third of one was lost."""
    asked = [question(i, subject="art" if i == 0 else "law") for i in range(4)]
    before, after = [[0, 1, 1, 1]] * 3, [[1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 0]]
    runs = [
        make_run(tmp_path, f"{side}{seed}", [predicted(bool(one), of) for one, of in zip(right, asked, strict=True)],
                 seed=seed, peft__rank=side)
        for side, seeds in enumerate((before, after))
        for seed, right in enumerate(seeds)
    ]  # fmt: skip
    comparison, folder = written(tmp_path, *runs)
    [pair] = json.loads((folder / "comparison.json").read_text())["pairs"]
    assert (pair["flips"]["newly right"], pair["flips"]["newly wrong"]) == (1, 0)
    assert pair["net"] == pytest.approx(-1 / 3) == pytest.approx(4 * pair["difference"])
    assert {name: one["net"] for name, one in pair["subjects"].items()} == {"law": -1, "art": pytest.approx(2 / 3)}
    assert float(rows(folder / "pairs.csv")[0]["net"]) == pytest.approx(-1 / 3)
    table = export._flips_table(comparison, comparison.pairs[0])
    assert [dict(zip(table["columns"], row, strict=True))["net"] for row in table["data"]] == [pytest.approx(2 / 3)]


def test_a_chart_that_fails_costs_a_warning_and_no_number(tmp_path, monkeypatch, caplog):
    def broken(_):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(export, "draw_charts", broken)
    _, folder = written(tmp_path, *two(tmp_path, [False], [True]))
    assert "Drawing the charts failed; the comparison has none: RuntimeError: no fonts" in caplog.text
    assert "<figure>" not in (folder / "comparison.html").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="folders there are closed differently")
def test_a_place_that_cannot_be_written_is_the_users_to_know(tmp_path):
    (tmp_path / "file").touch()
    comparison = compared(*two(tmp_path, [False], [True]))
    with pytest.raises(ConfigError, match="the comparison cannot be written there"):
        export.write(comparison, asked("x", out=str(tmp_path / "file" / "below")))


# --- MLflow -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mlflow_client(tmp_path_factory):
    """A local SQLite store with one tracked run in the experiment `mine`: client, its outputs, the run's id."""
    from mlflow import MlflowClient

    root = tmp_path_factory.mktemp("tracked")
    uri = f"sqlite:///{root}/outputs/mlflow.db"
    (root / "outputs").mkdir()
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("mine", artifact_location=(root / "outputs/artifacts").as_uri())
    folder = make_run(root, "7", [True, False], base=[False, False], tracking__experiment="mine")
    run_id = client.create_run(experiment).info.run_id
    client.log_artifacts(run_id, str(folder))
    (folder / "tracking.json").write_text(json.dumps({"run_id": run_id}))
    return client, root, run_id


def test_a_run_whose_folder_is_elsewhere_is_read_from_mlflow(mlflow_client, tmp_path):
    _, root, run_id = mlflow_client
    given = {"outputs": str(tmp_path), "tracking_uri": f"sqlite:///{root}/outputs/mlflow.db"}
    found = find(run_id, asked(run_id, **given), str(tmp_path))
    assert found.downloaded and (found.shown, found.mlflow_id, found.name) == (run_id, run_id, "mine")
    assert [row.correct for row in found.predictions("test")] == [True, False]
    assert found.environment["git_commit"] == "abc"


def test_an_mlflow_run_that_is_no_run_of_ours_is_refused(mlflow_client, tmp_path):
    client, root, _ = mlflow_client
    other = client.create_run(client.get_experiment_by_name("mine").experiment_id).info.run_id
    given = {"outputs": str(tmp_path), "tracking_uri": f"sqlite:///{root}/outputs/mlflow.db"}
    with pytest.raises(ConfigError, match="has no config.yaml and no result.json and no predictions"):
        find(other, asked(other, **given), str(tmp_path))


def test_an_id_that_mlflow_does_not_know_is_refused(mlflow_client, tmp_path):
    _, root, _ = mlflow_client
    given = {"outputs": str(tmp_path), "tracking_uri": f"sqlite:///{root}/outputs/mlflow.db"}
    with pytest.raises(ConfigError, match="does not give it: Run with id=0{32} not found"):
        find("0" * 32, asked("0" * 32, **given), str(tmp_path))


def test_a_tracked_comparison_is_a_run_beside_the_first_one(mlflow_client, tmp_path):
    client, root, run_id = mlflow_client
    runs = (root / "outputs/runs/mine/7",)
    comparison, folder = written(tmp_path, *runs)
    message = export.track(comparison, folder, asked(*runs, outputs=str(tmp_path)))
    experiment = client.get_experiment_by_name("mine").experiment_id
    [run] = client.search_runs([experiment], "attributes.run_name = 'compare'")
    assert run.info.run_id in message and "experiment mine" in message
    assert run.info.status == "FINISHED"
    assert run.data.metrics["2_against_1/difference"] == 0.5
    assert run.data.params["verdict"] == sentences.verdict(comparison)
    assert run.data.params["run.1.1"] == run_id
    kept = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert kept == {"comparison.html", "comparison.json", "flips.json", "pairs.csv", "pictures", "questions.csv"}
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "flips.json", "type": "table"}]


def test_tracking_an_own_run_again_replaces_it(mlflow_client, tmp_path):
    client, root, _ = mlflow_client
    runs = (root / "outputs/runs/mine/7",)
    comparison, folder = written(tmp_path, *runs)
    message = [export.track(comparison, folder, asked(*runs)) for _ in range(2)]
    assert message[0] == message[1]


def test_a_server_that_is_away_costs_a_warning_and_no_file(tmp_path, caplog):
    runs = two(tmp_path, [False], [True])
    comparison, folder = written(tmp_path, *runs)
    message = export.track(comparison, folder, asked(*runs, tracking_uri="http://127.0.0.1:9"))
    assert message.startswith("MLflow was not reached; the files above are complete")
    assert "could not be updated" in caplog.text
