"""Every update is written with its own loss, gradient norm and learning rate, and warned of once."""

import math
from types import SimpleNamespace

import pytest

from mcqa.evaluation.doctor import updates
from mcqa.evaluation.doctor.history import Setup
from mcqa.training.update_log import UpdateLog


def make(update_log, losses, first=1):
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
    for number, loss in enumerate(losses, first):
        update_log.loss, update_log.grad_norm = loss, 1.0
        state = SimpleNamespace(global_step=number)
        update_log.on_pre_optimizer_step(None, state, None, optimizer=optimizer)
        update_log.on_step_end(None, state, None)
    update_log.on_log(None, state, None, {"loss": 1.0})


def test_updates_are_written_when_the_curves_are_logged(tmp_path):
    update_log = UpdateLog(tmp_path)
    make(update_log, [3.0, 2.0])
    make(update_log, [1.0], first=3)
    assert [(one.number, one.loss, one.learning_rate) for one in updates.read(tmp_path / updates.FILE)] == [
        (1, 3.0, 0.1),
        (2, 2.0, 0.1),
        (3, 1.0, 0.1),
    ]


def test_a_spike_is_warned_of_once(tmp_path, caplog):
    update_log = UpdateLog(tmp_path, Setup(learning_rate=0.1))
    quiet = [1.0 + number % 7 / 100 for number in range(60)]
    make(update_log, quiet)
    assert not caplog.records
    make(update_log, [9.0, *quiet[:9]], first=61)
    make(update_log, quiet[:10], first=71)
    (record,) = caplog.records
    assert "Update 70: spikes:" in record.getMessage()
    assert "update 61" in record.getMessage()


def test_a_loss_that_is_no_number_is_warned_of(tmp_path, caplog):
    make(UpdateLog(tmp_path, Setup()), [1.0, math.nan])
    assert "not a number: loss nan" in caplog.text


def test_a_disk_that_takes_nothing_stops_no_run(tmp_path, caplog):
    update_log = UpdateLog(tmp_path / "nowhere")
    make(update_log, [1.0])
    make(update_log, [1.0], first=2)
    assert len(caplog.records) == 1
    assert "The run continues" in caplog.text


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(UpdateLog(), [1.0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("picks", "warned"), [((1, 1), True), ((0, 1), False)])
def test_a_measurement_with_one_answer_is_warned_of(picks, warned, caplog):
    def prediction(number):
        return SimpleNamespace(
            prediction=picks[number % 2], question=SimpleNamespace(answer=number % 4), scores=[0] * 4
        )

    update_log = UpdateLog(None, Setup(letters=True), [prediction(number) for number in range(40)])
    for update in (5, 10):
        update_log.on_evaluate(None, SimpleNamespace(global_step=update), None)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == (
        ["Update 5: all answers the same: letter B is the answer to 100 % of 40 questions"] if warned else []
    )
