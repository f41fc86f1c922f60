"""How many updates a training has, and after which of them dev is measured."""

import math
from dataclasses import replace
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from mcqa.config.trainer_args import warmup_steps
from mcqa.training.updates import evaluation_points, longest_share, questions_seen, total_updates
from tests.small_runs import configured


@cache
def plain_config():
    return configured([])[0]


def batches_of(size, every="1/epoch", max_steps=None, epochs=None):
    config = plain_config()
    return replace(
        config,
        optimizer=replace(config.optimizer, batch_size=size),
        objective=replace(config.objective, max_steps=max_steps, epochs=epochs),
        evaluation=replace(config.evaluation, every=every),
    )


def test_a_schedule_that_follows_dev_has_every_measurement():
    config = plain_config()
    follows = replace(config, scheduler=replace(config.scheduler, name="reduce_on_plateau"))
    assert (longest_share(config), longest_share(follows)) == (0.2, None)


def points(every, examples, batch_size, max_steps=None, epochs=None):
    return evaluation_points(batches_of(batch_size, every, max_steps, epochs), examples)


@given(st.integers(1, 500), st.integers(1, 64), st.integers(1, 200), st.integers(1, 10))
def test_dev_is_measured_at_the_end_and_at_most_as_often_as_asked(examples, batch_size, total, times):
    found = points(f"{times}/epoch", examples, batch_size, total)
    assert max(found) == total
    assert min(found) >= 1
    assert len(found) <= math.ceil(total * times / math.ceil(examples / batch_size)) + 1


def test_every_epoch_is_measured_as_often_as_asked():
    assert points("2/epoch", 40, 4, 30) == {5: 20, 10: 40, 15: 60, 20: 80, 25: 100, 30: 120}
    assert points(7, 40, 4, 30) == {7: 28, 14: 56, 21: 84, 28: 112, 30: 120}


@given(st.integers(1, 300), st.integers(1, 4))
def test_whatever_the_batch_size_dev_is_measured_at_the_same_numbers_of_questions(examples, times):
    one_by_one = points(f"{times}/epoch", examples, 1, epochs=2)
    for batch_size in (3, 16):
        found = points(f"{times}/epoch", examples, batch_size, epochs=2)
        assert set(found.values()) <= set(one_by_one.values())
        for update, point in found.items():
            config = batches_of(batch_size, epochs=2)
            assert questions_seen(config, examples, update - 1) < point
            assert questions_seen(config, examples, update) >= point


def test_epochs_and_max_steps_end_the_training_whichever_comes_first(small):
    config, _ = configured([*small, "objective.max_steps=null", "objective.epochs=3"])
    assert total_updates(config, 40) == 15
    config, _ = configured([*small, "objective.max_steps=4", "objective.epochs=3"])
    assert total_updates(config, 40) == 4
    config, _ = configured([*small, "objective.max_steps=100", "objective.epochs=null"])
    assert total_updates(config, 40) == 100


def test_warm_up_takes_its_share_of_the_updates(small):
    scheduler = configured([*small, "scheduler.warmup_ratio=0.1"])[0].scheduler
    assert warmup_steps(scheduler, 50) == 5
    assert warmup_steps(scheduler, 3) == 1
    assert warmup_steps(configured([*small, "scheduler.warmup_ratio=0"])[0].scheduler, 50) == 0
