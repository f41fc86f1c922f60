"""A study in MLflow: one run, and below it one for every trial as it really ended."""

import shutil

import pytest
import yaml

from mcqa.runs.tracking import open_tracker, sender
from mcqa.runs.tracking.sender import Sender
from mcqa.runs.tracking.spool import Spool
from mcqa.sweep import mlflow
from mcqa.sweep.controller.events import Outcome
from mcqa.sweep.mlflow import StudyTracker
from tests.runs.tracking.test_tracker import all_runs, client, config, warnings_in

COMPLETE = Outcome("complete", 0.5, None)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    sender.load_mlflow()
    client(folder).get_experiment_by_name("mcqa")
    return folder / "mlflow.db"


@pytest.fixture
def outputs(database, tmp_path):
    """A folder of outputs with an empty database; making one takes a second."""
    shutil.copy(database, tmp_path)
    return tmp_path


def controller(outputs, params=None, **changes):
    folder = outputs / "sweeps" / "core"
    folder.mkdir(parents=True, exist_ok=True)
    return StudyTracker(config(**changes), folder, outputs, params or {"n_trials": 4})


def trial(outputs, number):
    folder = outputs / "sweeps" / "core" / "trials" / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def says(folder, outputs, loss, step, status=None, **changes):
    """What the process of a trial tells while it runs, and at its end unless it dies."""
    tracker = open_tracker(config(**changes), folder, outputs, "qlora", folder.parent.parent)
    tracker.start({"optimizer.learning_rate": 1e-3}, {"stage": "test"})
    tracker.metrics({"train/loss": loss}, step)
    if status:
        tracker.finish(status)


def runs(outputs):
    """By the name in MLflow's list: the study's is its folder's; the trials' by number."""
    found = all_runs(outputs)
    return {run.data.tags.get("trial", run.info.run_name): run for run in found}


def test_a_study_is_a_run_with_its_trials_below_it_and_what_it_found(outputs):
    tracker = controller(outputs, {"n_trials": 4, "storage": "postgresql://me:secret@host/db"})
    for number, (status, outcome) in enumerate(
        [
            ("FINISHED", COMPLETE),
            ("FAILED", Outcome("failed", None, "ValueError: no such luck")),
            ("KILLED", Outcome("pruned", 0.25, None)),
            (None, Outcome("failed", None, "killed by SIGKILL")),
        ]
    ):
        says(trial(outputs, number), outputs, 1.5, 1, status)
        tracker.trial_ended(trial(outputs, number), outcome)
    for name in ("report.html", "trials.csv", "best.yaml", "journal.log"):
        (tracker.folder / name).write_text("x")
    tracker.finish(True, {"best": 0.5, "importance/peft.rank": 0.75}, {"verdict": "Trial 0 is the best."})
    found = runs(outputs)
    parent = found.pop("core")
    assert found.keys() == {"0", "1", "2", "3"}
    assert {name: run.info.status for name, run in found.items()} == {
        "0": "FINISHED", "1": "FAILED", "2": "KILLED", "3": "FAILED"
    }  # fmt: skip
    assert [found[n].data.tags["status"] for n in "0123"] == ["complete", "failed", "pruned", "failed"]
    assert [found[n].data.tags.get("reason") for n in "0123"] == [
        None, "ValueError: no such luck", None, "killed by SIGKILL"
    ]  # fmt: skip
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} == {parent.info.run_id}
    assert found["0"].data.params == {"optimizer.learning_rate": "0.001"}
    assert found["0"].data.metrics == {"train/loss": 1.5}
    assert (parent.info.status, parent.data.tags["verdict"]) == ("FINISHED", "Trial 0 is the best.")
    assert parent.data.metrics == {"best": 0.5, "importance/peft.rank": 0.75}
    assert parent.data.params["n_trials"] == "4" and "secret" not in parent.data.params["storage"]
    kept = {file.path for file in client(outputs).list_artifacts(parent.info.run_id)}
    assert kept == {"report.html", "trials.csv", "best.yaml"}


def test_a_trial_that_died_before_it_could_say_anything_has_a_run_with_its_parameters(outputs):
    tracker, folder = controller(outputs), trial(outputs, 0)
    (folder / "config.yaml").write_text(yaml.safe_dump({"optimizer": {"learning_rate": 0.01}, "hub_token": "abc"}))
    tracker.trial_ended(folder, Outcome("failed", None, "sbatch: error: invalid partition"))
    tracker.trial_ended(trial(outputs, 1), Outcome("failed", None, "x=1: cannot be composed"))
    tracker.finish(False, {}, {})
    found = runs(outputs)
    assert found["0"].info.status == found["1"].info.status == "FAILED"
    assert found["0"].data.params == {"optimizer.learning_rate": "0.01", "hub_token": "[redacted]"}
    assert found["0"].data.tags["reason"] == "sbatch: error: invalid partition"
    assert found["0"].data.tags["mlflow.parentRunId"] == found["core"].info.run_id
    assert found["core"].info.status == "KILLED"


def test_a_study_and_a_trial_that_are_resumed_resume_in_their_own_runs(outputs, monkeypatch):
    monkeypatch.setattr(mlflow, "SEND_EVERY_S", 0.0)
    first, folder = controller(outputs), trial(outputs, 0)
    says(folder, outputs, 1.5, 1)
    first.tick([folder])
    before = {run.info.run_name: (run.info.run_id, run.info.status) for run in all_runs(outputs)}
    assert [status for _, status in before.values()] == ["RUNNING", "RUNNING"]
    says(folder, outputs, 1.25, 2, "FINISHED")  # the controller is killed, and the trial with it; both start again
    second = controller(outputs)
    second.trial_ended(folder, COMPLETE)
    second.finish(True, {}, {})
    found = runs(outputs)
    assert {run.info.run_id for run in found.values()} == {run_id for run_id, _ in before.values()}
    assert [run.info.status for run in found.values()] == ["FINISHED", "FINISHED"]
    history = client(outputs).get_metric_history(found["0"].info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.5), (2, 1.25)]


def test_running_trials_are_shown_now_and_then_and_not_in_every_round(outputs):
    tracker, folder = controller(outputs), trial(outputs, 0)
    says(folder, outputs, 1.5, 1)
    tracker.tick([folder])
    assert len(all_runs(outputs)) == 1
    tracker.last_sent -= mlflow.SEND_EVERY_S
    tracker.tick([folder])
    assert len(all_runs(outputs)) == 2
    tracker.finish(True, {}, {})


def test_what_was_reported_while_mlflow_was_away_is_sent_at_the_end_of_the_study(outputs, monkeypatch, caplog):
    tracker = controller(outputs)
    with monkeypatch.context() as away:
        away.setattr(Sender, "_connect", lambda self, start: 1 / 0)
        for number in range(2):
            says(trial(outputs, number), outputs, 1.5, 1, "FINISHED")
            tracker.trial_ended(trial(outputs, number), COMPLETE)
    assert "Nothing is lost" in "".join(warnings_in(caplog)) and len(all_runs(outputs)) == 1
    tracker.finish(True, {}, {})
    assert {name: run.info.status for name, run in runs(outputs).items()} == dict.fromkeys(
        ("core", "0", "1"), "FINISHED"
    )


def test_a_server_that_is_away_stops_nothing_and_the_next_controller_brings_it_what_it_missed(outputs, caplog):
    away = "http://127.0.0.1:1"
    tracker, folder = controller(outputs, uri=away), trial(outputs, 0)
    says(folder, outputs, 1.5, 1, "FINISHED", uri=away)
    tracker.trial_ended(folder, COMPLETE)
    tracker.finish(True, {"best": 0.5}, {})
    assert "could not be updated" in "".join(warnings_in(caplog))
    assert [event["event"] for _, event in Spool(tracker.folder).read()] == ["start", "metrics", "tags", "finish"]
    controller(outputs).finish(True, {}, {})  # by SQLite, whose runs are those of another server
    assert {name: run.info.status for name, run in runs(outputs).items()} == {"core": "FINISHED", "0": "FINISHED"}
    assert runs(outputs)["core"].data.metrics == {"best": 0.5}


def test_tracking_by_none_sends_nothing(outputs):
    tracker = controller(outputs, name="none")
    tracker.trial_ended(trial(outputs, 0), COMPLETE)
    tracker.finish(True, {}, {})
    assert client(outputs).get_experiment_by_name("mcqa") is None
