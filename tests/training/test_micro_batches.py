"""How an update is split into forward passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.evaluation.scoring.tree import Row
from mcqa.training.losses import Item
from mcqa.training.micro_batches import Budget, split

lengths = st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=4), min_size=1, max_size=40)


def items(rows_of_each):
    """An item of rows of these lengths for each, with a target at the end of every row."""
    rows = [[Row([0] * n, list(range(n)), [n] * n, [(n - 1, 0, 0)]) for n in each] for each in rows_of_each]
    return [Item(each, 0, (1.0,)) for each in rows]


def padded(batch):
    return sum(len(item.rows) for item in batch) * max(item.longest for item in batch)


@given(lengths, st.integers(1, 20), st.integers(1, 2000), st.integers(1, 50))
def test_every_item_is_in_one_forward_pass_and_each_pass_within_the_budget(rows, most, tokens, positions):
    update = items(rows)
    batches = split(update, Budget(most, tokens, positions))
    assert sorted(id(item) for batch in batches for item in batch) == sorted(map(id, update))
    for batch in batches:
        within = len(batch) <= most and padded(batch) <= tokens and sum(item.positions for item in batch) <= positions
        assert within or len(batch) == 1


@given(lengths)
def test_items_of_similar_length_are_together_the_longest_first(rows):
    batches = split(items(rows), Budget(4, 10**9, 10**9))
    longest = [item.longest for batch in batches for item in batch]
    assert longest == sorted(longest, reverse=True)


@given(lengths, st.integers(1, 30))
def test_processes_that_must_take_equally_many_passes_split_theirs(rows, at_least):
    update = items(rows)
    batches = split(update, Budget(10**9, 10**9, 10**9), at_least)
    assert len(batches) == min(at_least, len(update))
    assert sorted(id(item) for batch in batches for item in batch) == sorted(map(id, update))


def test_packed_items_count_without_padding():
    update = items([[100], [10], [10]])
    assert [len(batch) for batch in split(update, Budget(9, 120, 9))] == [1, 2]
    assert [len(batch) for batch in split(update, Budget(9, 120, 9, packed=True))] == [3]


@pytest.mark.parametrize("packed", [False, True])
def test_half_a_budget_takes_about_half_of_what_did_not_fit(packed):
    update = items([[50]] * 16)
    limits = Budget(10**9, 10**9, 10**9, packed)
    while len(batches := split(update, limits)) < len(update):
        limits = limits.halved(batches[0])
        assert len(split(update, limits)) == 2 * len(batches)
