"""The command that says what is wrong with a run, and a real run that is ill."""

import pytest

from mcqa import doctor
from mcqa.config.errors import ConfigError, ModelError, TrainingError
from mcqa.evaluation.doctor import updates
from mcqa.evaluation.doctor.updates import Update
from mcqa.runs.files import read_json, write_json, write_yaml
from tests.small_runs import trained


def make_run(folder, losses, status="complete"):
    folder.mkdir()
    write_yaml(folder / "config.yaml", {"name": folder.name, "optimizer": {"learning_rate": 0.003}})
    rows = [Update(number, loss, 1.0, 1e-3 / number) for number, loss in enumerate(losses, 1)]
    updates.append(folder / updates.FILE, rows)
    write_json(folder / "result.json", {"status": status, "metrics": {}})
    return folder


def test_the_findings_of_several_runs_are_shown(tmp_path, capsys):
    ill = make_run(tmp_path / "ill", [1.0 + number for number in range(120)])
    well = make_run(tmp_path / "well", [1.0 + 1 / (number + 1) for number in range(120)])
    doctor.main([f"run={ill}", str(well)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "ill (complete): 1 problem: divergence" in shown
    assert "Try optimizer.learning_rate=0.001" in shown
    assert "well (complete): nothing stands out" in shown


def test_a_run_without_updates_says_so(tmp_path, capsys):
    doctor.main([str(make_run(tmp_path / "new", []))])
    assert "no update of a training yet" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "message"), [([], "name at least one run"), (["/nowhere"], "no run folder")])
def test_a_run_must_be_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        doctor.main(arguments)


def test_help_has_an_example(capsys):
    doctor.main(["--help"])
    assert "mcqa doctor run=" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_is_ill_is_diagnosed(small, tmp_path, capsys, caplog):
    overrides = [
        "optimizer.learning_rate=2",
        "objective.max_steps=40",
        "objective.epochs=null",
        "evaluation.every=20",
        "tracking.log_every=5",
    ]
    folder, result = trained([*small, *overrides])
    found = {one["name"]: one for one in read_json(folder / "doctor.json")}
    assert found["learning rate too high"]["severity"] == "problem"
    assert found["learning rate too high"]["override"] == "optimizer.learning_rate=0.002"
    assert "few updates" in found
    shown = capsys.readouterr().out
    assert "problem: learning rate too high. Try optimizer.learning_rate=0.002." in shown
    assert [one.number for one in updates.read(folder / updates.FILE)] == list(range(1, 41))
    doctor.main([str(folder)])
    assert "1000 times the 0.002 recommended" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_run_whose_loss_is_no_number_leaves_its_findings(small, tmp_path):
    ill = ["peft=none", "optimizer.learning_rate=1e30", "optimizer.max_grad_norm=0", "objective.max_steps=5"]
    with pytest.raises((TrainingError, ModelError)):
        trained([*small, *ill, "tracking.log_every=1"])
    (path,) = (tmp_path / "outputs" / "runs").glob("*/*/doctor.json")
    found = {one["name"]: one["override"] for one in read_json(path)}
    assert found["not a number"] == "optimizer.max_grad_norm=1"
    assert "learning rate too high" in found
