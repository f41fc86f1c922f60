"""TensorBoard and W&B get what a run logs, once, and nothing that they raise reaches the run."""

import logging
import sqlite3
import sys
from types import ModuleType, SimpleNamespace

import pytest

from mcqa.config.errors import ConfigError
from mcqa.config.schema import TrackingConfig
from mcqa.runs.tracking import check_installed, open_tracker, ui, viewers
from mcqa.runs.tracking.spool import Spool


def config(name, **changes):
    values = {"uri": None, "experiment": "mine", "log_every": 1, "system_metrics_every_s": 0, "log_model": False}
    return TrackingConfig(name=name, **(values | changes))


class FakeWriter:
    calls: list

    def __init__(self, folder):
        self.calls.append(("open", folder))

    def add_scalar(self, *args):
        self.calls.append(("scalar", *args[:3]))

    def add_text(self, *args):
        self.calls.append(("text", *args[:2]))

    def flush(self):
        pass


@pytest.fixture
def tensorboard(monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(FakeWriter, "calls", [], raising=False)
    return FakeWriter.calls


@pytest.fixture
def wandb(monkeypatch):
    calls = []
    run = SimpleNamespace(id="u1", url="https://wandb.ai/me/mine/runs/u1", notes="", summary={})
    run.define_metric = lambda *args, **kwargs: None
    run.log = lambda values: calls.append(("log", values))
    run.log_artifact = lambda artifact: calls.append(("artifact", artifact.files))
    run.finish = lambda exit_code: calls.append(("finish", exit_code))

    class Artifact:
        def __init__(self, name, type):
            self.files = []

        def add_file(self, path, name):
            self.files.append(name)

    module = ModuleType("wandb")
    module.login = lambda prompt: True
    module.Settings = lambda **settings: settings
    module.Artifact = Artifact
    module.init = lambda **given: calls.append(("init", given)) or run
    module.calls, module.run = calls, run
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def a_whole_run(tmp_path, name, status="FINISHED"):
    folder = tmp_path / "runs" / "arc" / "u1"
    tracker = open_tracker(config(name), folder, tmp_path, "arc")
    tracker.start({"seed": 3}, {"stage": "test"})
    tracker.metrics({"base/test/acc": 0.25}, step=0, of="base/test")
    tracker.metrics({"train/loss": 1.5}, step=7, of="training")
    tracker.tags({viewers.NOTE: "It is better.", "test accuracy": "50.0 %"})
    for file in ("result.json", "model/weights"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text("{}")
        tracker.artifact(folder / file)
    tracker.finish(status)
    return tracker


def test_tensorboard_gets_curves_configuration_and_verdict_once(tmp_path, tensorboard):
    tracker = a_whole_run(tmp_path, "tensorboard")
    assert ("open", str(tmp_path / "tensorboard" / "arc" / "u1")) in tensorboard
    assert ("scalar", "train/loss", 1.5, 7) in tensorboard and ("scalar", "base/test/acc", 0.25, 0) in tensorboard
    assert ("text", "verdict", "It is better.") in tensorboard
    assert any("| seed | 3 |" in call[2] for call in tensorboard if call[0] == "text")
    assert tracker.pages == [f"tensorboard --logdir {tmp_path / 'tensorboard'}"]
    tensorboard.clear()
    resumed = open_tracker(config("tensorboard"), tmp_path / "runs" / "arc" / "u1", tmp_path, "arc")
    resumed.start({}, {})
    resumed.metrics({"train/loss": 1.25}, step=8, of="training")
    resumed.finish("FINISHED")
    assert [call for call in tensorboard if call[0] == "scalar"] == [("scalar", "train/loss", 1.25, 8)]


def test_wandb_gets_curves_configuration_verdict_and_files(tmp_path, wandb):
    tracker = a_whole_run(tmp_path, "wandb", "FAILED")
    ((_, given),) = [call for call in wandb.calls if call[0] == "init"]
    assert (given["project"], given["name"], given["config"], given["resume"]) == ("mine", "arc", {"seed": 3}, "allow")
    assert ("log", {"update": 7, "train/loss": 1.5}) in wandb.calls
    assert wandb.run.notes == "It is better." and wandb.run.summary["test accuracy"] == "50.0 %"
    assert wandb.calls[-2:] == [("artifact", ["result.json"]), ("finish", 1)]
    assert tracker.pages == ["https://wandb.ai/me/mine/runs/u1"]


def test_wandb_without_a_login_asks_nothing_and_keeps_the_run(tmp_path, wandb):
    wandb.login = lambda prompt: False
    tracker = a_whole_run(tmp_path, "wandb")
    ((_, given),) = [call for call in wandb.calls if call[0] == "init"]
    assert given["mode"] == "offline" and tracker.pages[0].startswith("wandb sync ")


def test_what_a_package_raises_is_warned_of_once(tmp_path, wandb, caplog):
    wandb.run.log = lambda values: 1 / 0
    with caplog.at_level(logging.WARNING):
        a_whole_run(tmp_path, "wandb")
    assert len([line for line in caplog.messages if "Weights & Biases takes not everything" in line]) == 1
    assert [event["event"] for _, event in Spool(tmp_path / "runs" / "arc" / "u1").read()][-1] == "finish"


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_told_before_the_run(name, monkeypatch):
    monkeypatch.setattr(viewers, "find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=rf"pip install 'mcqa\[{name}\]'"):
        check_installed(config(name))
    check_installed(config("none"))


def test_the_list_of_runs_is_that_of_the_newest_runs_experiment(tmp_path):
    assert ui.page_of(tmp_path / "mlflow.db") == "http://127.0.0.1:5000/#/experiments"
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE runs (experiment_id INTEGER, start_time INTEGER)")
        connection.execute("INSERT INTO runs VALUES (1, 10), (4, 30), (2, 20)")
    assert ui.page_of(tmp_path / "mlflow.db").endswith("/#/experiments/4/runs?viewStateShareKey=mcqa")
