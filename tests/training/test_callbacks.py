"""When dev is measured, and when a training ends early."""

import json
import logging
from types import SimpleNamespace

import pytest

from mcqa.runs import processes
from mcqa.training.callbacks import EarlyStopping, EvaluationPoints

# --- early stopping --------------------------------------------------------------------------------------------------


def stops_after(values, metric="dev/acc", updates=100, **options):
    """The number of measurements after which the training ends; None where it continues."""
    callback = EarlyStopping(metric, **options)
    for number, value in enumerate(values, 1):
        callback = resumed(callback)
        control = SimpleNamespace(should_training_stop=False)
        callback.on_evaluate(None, SimpleNamespace(global_step=number, max_steps=updates), control, measured(value))
        if control.should_training_stop:
            return number
    return None


def measured(value):
    return {"eval_dev/acc": value, "eval_dev/loss": value, "eval_train/loss": -1.0}


def resumed(callback):
    """The callback as the Trainer restores it from the JSON of a checkpoint."""
    stored = json.loads(json.dumps(callback.state()))
    restored = type(callback)(**stored["args"])
    for name, value in stored["attributes"].items():
        setattr(restored, name, value)
    return restored


@pytest.mark.parametrize(
    ("values", "options", "end"),
    [
        ([0.5, 0.4, 0.3], {"patience": 2}, 3),
        ([0.5, 0.5, 0.5], {"patience": 2}, 3),
        ([0.5, 0.4, 0.6, 0.5, 0.55], {"patience": 2}, 5),
        ([0.5, 0.4, 0.6, 0.5], {"patience": 2}, None),
        ([0.5, 0.6, 0.7, 0.8], {"patience": 1, "metric": "dev/loss"}, 2),
        ([0.5, 0.52, 0.54], {"patience": 2, "min_delta": 0.05}, 3),
        ([0.5, 0.53, 0.56, 0.58, 0.6], {"patience": 2, "min_delta": 0.05}, 5),  # 0.56 beats 0.5 by more than that
        ([0.5, float("nan"), float("nan")], {"patience": 2}, 3),
        ([float("nan"), 0.1, 0.2], {"patience": 2}, None),
    ],
)
def test_a_training_ends_after_so_many_measurements_that_are_no_better_however_often_it_is_resumed(
    values, options, end
):
    assert stops_after(values, **options) == end


def test_an_early_end_is_said_and_the_usual_one_is_none(caplog):
    caplog.set_level(logging.INFO)
    assert stops_after([0.5, 0.4], patience=1, updates=9) == 2
    assert caplog.messages == [
        "The training ends after 2 of 9 updates: dev/acc was no better in 1 measurement (evaluation.patience)."
    ]
    assert stops_after([0.5, 0.4], patience=1, updates=2) is None


# --- the share of time -----------------------------------------------------------------------------------------------


class Training:
    """A training by a clock of its own: an update takes `update_s` and a measurement `measurement_s`."""

    def __init__(self, points, max_share, update_s, measurement_s):
        self.now, self.update_s, self.measurement_s = 0.0, update_s, measurement_s
        self.callback = EvaluationPoints(points, max_share, lambda: self.now)
        self.measured = []

    def run(self, updates):
        for update in updates:
            state, control = SimpleNamespace(global_step=update), SimpleNamespace(should_evaluate=False)
            self.callback.on_step_begin(None, state, control)
            self.now += self.update_s
            self.callback.on_step_end(None, state, control)
            if control.should_evaluate:
                assert control.should_save
                self.measured.append(update)
                self.now += self.measurement_s
                self.callback.on_evaluate(None, state, control)
        return self

    def resume(self):
        self.callback = resumed(self.callback)
        self.callback.clock, self.now = (lambda: self.now), self.now + 1e6  # a pause is no time of training
        return self


def share(training, updates):
    seconds = len(training.measured) * training.measurement_s
    return seconds / (seconds + updates * training.update_s)


def test_measuring_that_takes_less_than_its_share_is_never_left_out(caplog):
    training = Training(range(10, 101, 10), 0.2, update_s=40, measurement_s=100).run(range(1, 101))
    assert training.measured == list(range(10, 101, 10)) and training.callback.left_out == 0 and not caplog.records


def test_measuring_that_takes_more_is_thinned_out_to_its_share_and_says_so_once(caplog):
    training = Training(range(1, 101), 0.2, update_s=100, measurement_s=100).run(range(1, 101))
    assert training.measured == [*range(1, 100, 4), 100]
    assert training.callback.left_out == 100 - len(training.measured)
    assert share(training, 100) == pytest.approx(0.2, abs=0.02)
    assert caplog.messages == [
        "Measuring dev takes 50 % of the time of training, and evaluation.max_time_share allows 20 %: about one of 4 "
        "measurements is made from here on, and the last one."
    ]


def test_the_last_measurement_is_made_whatever_it_takes():
    training = Training([1, 2, 3], 0.001, update_s=1, measurement_s=1000).run(range(1, 4))
    assert training.measured == [1, 3]


@pytest.mark.parametrize(("max_share", "measurement_s"), [(None, 1000), (1.0, 1000), (0.01, 0.5)])
def test_nothing_is_left_out_without_a_limit_nor_for_a_minute_in_all(max_share, measurement_s):
    training = Training(range(1, 101), max_share, update_s=1, measurement_s=measurement_s).run(range(1, 101))
    assert training.measured == list(range(1, 101))


def test_a_training_that_becomes_slower_is_measured_more_often():
    training = Training(range(1, 41), 0.5, update_s=10, measurement_s=100).run(range(1, 21))
    before = len(training.measured)
    training.update_s = 1000
    training.run(range(21, 41))
    assert before <= 4 and len(training.measured) - before > 10


@pytest.mark.parametrize("stop", range(1, 30))
def test_a_resumed_training_measures_where_an_undisturbed_one_does(stop):
    straight = Training(range(1, 31), 0.2, update_s=100, measurement_s=100).run(range(1, 31))
    stopped = Training(range(1, 31), 0.2, update_s=100, measurement_s=100).run(range(1, stop + 1))
    assert stopped.resume().run(range(stop + 1, 31)).measured == straight.measured
    assert stopped.callback.left_out == straight.callback.left_out


def test_a_measurement_that_a_resumed_run_makes_up_for_has_no_time_of_its_own():
    training = Training([1, 2], 0.2, update_s=1, measurement_s=1).resume()
    training.callback.on_evaluate(None, SimpleNamespace(global_step=1), None)
    assert training.callback.state()["attributes"]["measured"] == 0
    assert training.run([2]).measured == [2]


def test_the_first_process_decides_for_all(monkeypatch):
    monkeypatch.setattr(processes, "broadcast", lambda value: 2)
    training = Training(range(1, 10), 0.2, update_s=1, measurement_s=0).run(range(1, 10))
    assert training.measured == [1, 4, 7, 9]
