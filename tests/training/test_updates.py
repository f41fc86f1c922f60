"""How many updates a training has, and after which of them dev is measured."""

import math
from dataclasses import replace
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from mcqa.config.trainer_args import warmup_steps
from mcqa.training.updates import evaluation_points, longest_share, notes, questions_seen, total_updates
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


# --- notes -----------------------------------------------------------------------------------------------------------


def test_updates_that_suit_the_questions_need_no_note():
    assert notes(batches_of(32, epochs=3.0), 1119) == []


def test_too_few_updates_are_told_with_the_batch_size_that_makes_enough():
    assert notes(batches_of(128, epochs=3.0), 1119) == [
        "27 updates: fewer than 100 teach little, most of all an adapter; optimizer.batch_size=32 makes them 105."
    ]


def test_a_batch_of_more_than_all_questions_is_told():
    larger, few = notes(batches_of(128, epochs=3.0), 48)
    assert larger.startswith("An update of optimizer.batch_size=128 is more than the 48 training examples")
    assert few.endswith("optimizer.batch_size=1 makes them 144.")


def test_questions_that_are_too_few_for_any_batch_size_need_more_epochs():
    (few,) = notes(batches_of(4, epochs=2.0), 20)
    assert few.endswith("take more questions, or a larger objective.epochs than 2.")


def test_max_steps_beyond_the_last_epoch_are_told_and_those_before_it_are_what_ends_the_training():
    beyond, *_ = notes(batches_of(32, epochs=3.0, max_steps=500), 1119)
    assert beyond == (
        "objective.max_steps=500 has no effect: objective.epochs=3 ends the training after 105 updates; for 500, add "
        "objective.epochs=null."
    )
    (before,) = notes(batches_of(32, epochs=3.0, max_steps=50), 1119)
    assert before.startswith("50 updates: ") and before.endswith("objective.max_steps=50 ends the training.")
    assert notes(batches_of(32, epochs=None, max_steps=500), 1119) == []
