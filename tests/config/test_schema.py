"""Micro batches, accumulation and processes make up the batch of an update."""

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
def test_micro_batches_make_up_the_batch_exactly_and_fit(micro, size):
    made = batches(micro, size)
    assert made.micro_batch_size * made.accumulation == made.batch_size == size
    assert made.micro_batch_size <= micro


@given(sizes, sizes)
def test_no_larger_micro_batch_would_do(micro, size):
    made = batches(micro, size)
    assert all(size % larger for larger in range(made.micro_batch_size + 1, min(micro, size) + 1))


@given(sizes, sizes)
def test_with_accumulation_given_the_micro_batch_is_fixed_and_the_batch_follows(micro, accumulation):
    made = batches(micro, accumulation=accumulation)
    assert made == Batching(micro, accumulation, 1)
    assert made.batch_size == micro * accumulation


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
    assert made.micro_batch_size <= micro


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
