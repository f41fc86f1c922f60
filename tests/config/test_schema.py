"""How many questions make up an update, each process's share of it, and a forward pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.config.errors import ConfigError
from mcqa.config.schema import Batching, batching
from tests.config.configurations import config

sizes = st.integers(1, 2000)


def batches(micro, size=None, accumulation=None):
    return batching(
        config(
            hardware__micro_batch_size=micro,
            optimizer__batch_size=size,
            optimizer__gradient_accumulation_steps=accumulation,
        )
    )


@given(sizes, sizes)
def test_a_forward_pass_holds_at_most_a_micro_batch_and_at_most_the_batch(micro, size):
    assert batches(micro, size) == Batching(size, 1, min(micro, size))


@given(sizes)
def test_a_micro_batch_of_automatic_size_may_be_the_whole_batch(size):
    assert batches("auto", size) == Batching(size, 1, size)


@given(sizes, sizes)
def test_with_accumulation_given_the_batch_follows(micro, accumulation):
    assert batches(micro, accumulation=accumulation) == Batching(micro * accumulation, 1, micro)


def on(devices, size, micro=32, nodes=1):
    return config(
        hardware__devices=devices,
        hardware__nodes=nodes,
        hardware__micro_batch_size=micro,
        optimizer__batch_size=size,
    )


@given(st.integers(1, 8), st.integers(1, 4), st.integers(1, 50), sizes)
def test_the_processes_share_the_batch_equally_and_it_stays_the_same(devices, nodes, each, micro):
    made = batching(on(devices, devices * nodes * each, micro, nodes))
    assert made.batch_size == devices * nodes * each
    assert made.processes == devices * nodes
    assert made.most <= micro and made.share == each


def test_accumulation_that_is_given_holds_for_every_process():
    run = config(
        hardware__devices=4,
        hardware__micro_batch_size=2,
        optimizer__batch_size=None,
        optimizer__gradient_accumulation_steps=3,
    )
    assert batching(run).batch_size == 24


def test_a_batch_that_the_processes_cannot_share_is_reported_with_those_that_they_could():
    with pytest.raises(ConfigError, match=r"optimizer\.batch_size: 30 questions .* = 8 processes; take 24 or 32"):
        on(8, 30)
