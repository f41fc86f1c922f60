"""Every schedule against its formula, and a resumed training continues the same curve."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import get_scheduler

from mcqa.config.composition import ROOT
from mcqa.config.trainer_args import warmup_steps
from mcqa.training import schedules, trainer
from mcqa.training.schedules import Schedule
from tests.small_runs import configured
from tests.training.test_trainer import StopAt, built

NAMES = sorted(path.stem for path in (ROOT / "conf" / "scheduler").glob("*.yaml"))
TOTAL, WARMUP = 20, 4  # updates
LEFT = range(TOTAL - WARMUP)  # after warm-up


def scheduler(*overrides):
    return configured([f"scheduler.warmup_ratio={WARMUP / TOTAL}", *overrides])[0].scheduler


def optimizer(*rates):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups)


def curve(config, rate=1.0):
    schedule = Schedule(optimizer(rate), config, TOTAL, WARMUP)
    rates = []
    for _ in range(TOTAL):
        rates.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    return rates


def half_cosine(share):
    return 0.5 * (1 + math.cos(math.pi * share))


AFTER = {
    "constant": ([], [1] * 16),
    "linear": ([], [1 - k / 16 for k in LEFT]),
    "cosine": ([], [half_cosine(k / 16) for k in LEFT]),
    "cosine_with_min_lr": (["scheduler.min_lr_ratio=0.2"], [0.2 + 0.8 * half_cosine(k / 16) for k in LEFT]),
    "cosine_restarts": (["scheduler.cycles=2"], [half_cosine((k % 8) / 8) for k in LEFT]),
    "step": (["scheduler.step_ratio=0.25", "scheduler.gamma=0.5"], [0.5 ** (k // 4) for k in LEFT]),
    "exponential": (["scheduler.min_lr_ratio=0.0001"], [10 ** (-4 * k / 16) for k in LEFT]),
    "one_cycle": (["scheduler.min_lr_ratio=0.1"], [0.1 + 0.9 * half_cosine(k / 16) for k in LEFT]),
    "warmup_stable_decay": (
        ["scheduler.decay_ratio=0.5", "scheduler.min_lr_ratio=0.1"],
        [1] * 6 + [0.1 + 0.9 * (10 - k) / 10 for k in range(10)],
    ),
    "reduce_on_plateau": ([], [1] * 16),  # without a measurement
}


@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rates_are_those_of_the_formula(name):
    overrides, after = AFTER[name]
    rise = [0.04 + 0.96 * (1 - half_cosine(k / 4)) for k in range(4)] if name == "one_cycle" else [0, 0.25, 0.5, 0.75]
    rates = curve(scheduler(f"scheduler={name}", *overrides), rate=0.003)
    assert rates == pytest.approx([0.003 * share for share in (*rise, *after)], abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_without_warm_up_the_first_update_takes_the_whole_learning_rate(name):
    config = scheduler(f"scheduler={name}", "scheduler.warmup_ratio=0")
    assert schedules.factor(config, 0, TOTAL, warmup_steps(config, TOTAL)) == 1
    assert schedules.factor(config, 0, 1, 0) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_warm_up_of_all_updates_is_possible(name):
    config = scheduler(f"scheduler={name}")
    shares = [schedules.factor(config, update, 3, 3) for update in range(4)]
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        ("constant", "constant_with_warmup", {}),
        ("linear", "linear", {}),
        ("cosine", "cosine", {}),
        ("cosine_with_min_lr", "cosine_with_min_lr", {"min_lr_rate": 0.1}),
        ("cosine_restarts", "cosine_with_restarts", {"num_cycles": 3}),
        ("warmup_stable_decay", "warmup_stable_decay", {"num_decay_steps": 4, "decay_type": "linear"}),
    ],
)
def test_schedules_that_transformers_has_too_are_the_same(ours, theirs, options):
    reference = get_scheduler(theirs, optimizer(1.0), WARMUP, TOTAL, scheduler_specific_kwargs=options)
    rates = []
    for _ in range(TOTAL):
        rates += reference.get_last_lr()
        reference.optimizer.step()
        reference.step()
    assert curve(scheduler(f"scheduler={ours}")) == pytest.approx(rates)


VALUES = [0.1, 0.3, 0.3, 0.2, 0.4, 0.39, 0.1, 0.2, 0.4, 0.3, 0.3, 0.5]


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_a_plateau_reduces_the_learning_rates_as_torch_does(patience):
    config = scheduler(
        "scheduler=reduce_on_plateau",
        "scheduler.min_lr_ratio=0.2",
        f"scheduler.patience={patience}",
        "scheduler.warmup_ratio=0",
    )
    ours = Schedule(optimizer(1.0, 16.0), config, TOTAL, 0)
    theirs = ReduceLROnPlateau(
        optimizer(1.0, 16.0), mode="max", factor=0.5, patience=patience, threshold=0, min_lr=[0.2, 3.2], eps=0
    )
    for value in VALUES:
        ours.measured(value)
        theirs.step(value)
        assert [group["lr"] for group in ours.optimizer.param_groups] == theirs.get_last_lr() == ours.get_last_lr()
        ours.optimizer.step()
        ours.step()  # an update changes nothing
        assert ours.get_last_lr() == theirs.get_last_lr()


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_that_is_loaded_goes_on_as_it_would_have(name):
    config = scheduler(f"scheduler={name}")
    whole, stopped = (Schedule(optimizer(1.0, 2.0), config, TOTAL, WARMUP) for _ in range(2))
    rates = []
    for number in range(TOTAL):
        if number == 9:
            again = Schedule(optimizer(1.0, 2.0), config, TOTAL, WARMUP)
            again.optimizer.load_state_dict(stopped.optimizer.state_dict())
            again.load_state_dict(stopped.state_dict())
            stopped = again
        for schedule in (whole, stopped):
            schedule.optimizer.step()
            schedule.step()
            schedule.measured(0.5)
        rates.append([[group["lr"] for group in each.optimizer.param_groups] for each in (whole, stopped)])
    assert all(ours == theirs for ours, theirs in rates)


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "values"), [("dev/acc", [0.5, 0.4, 0.6, 0.6]), ("dev/loss", [1, 2, 0.5, 0.5])])
def test_a_training_follows_the_metric_that_steers_and_goes_on_when_resumed(metric, values, small, tmp_path):
    overrides = [*small, "scheduler=reduce_on_plateau", "scheduler.patience=0", "scheduler.warmup_ratio=0"]
    overrides += [f"evaluation.best_metric={metric}", "objective.max_steps=4", "optimizer.learning_rate=0.001"]
    overrides += ["optimizer=adafactor", "evaluation.every=1", "tracking.log_every=1"]
    left, rates = iter(values), []

    def observe(logged, step):
        if "learning_rate" in logged:
            rates.append(logged["learning_rate"])

    sft_trainer, *_ = built(overrides, tmp_path, lambda: {metric: next(left)}, [observe])
    sft_trainer.add_callback(StopAt(3))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(sft_trainer)
    assert len(rates) == 2
    sft_trainer, *_ = built(overrides, tmp_path, lambda: {metric: next(left)}, [observe])
    trainer.train(sft_trainer)
    assert rates == pytest.approx([0.001, 0.001, 0.0005, 0.0005])
    assert sft_trainer.lr_scheduler.plateau.reduction == 0.25


@pytest.mark.slow
def test_the_picture_of_the_documents_has_every_schedule(tmp_path):
    schedules.picture(tmp_path / "schedules.png")
    assert (tmp_path / "schedules.png").read_bytes().startswith(b"\x89PNG")
