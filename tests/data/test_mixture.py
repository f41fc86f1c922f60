"""An epoch of a mix: shares by weight, size and temperature, and nothing drawn again before its set is exhausted."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.data.mixture import Mixture, set_of


def names(**sizes):
    return [f"{of}/{number}" for of, size in sizes.items() for number in range(size)]


def mixture(temperature=1.0, seed=0, **weights):
    return Mixture(weights, temperature, seed)


def counted(drawn):
    return dict(Counter(map(set_of, drawn)))


def test_with_equal_weights_and_temperature_one_every_epoch_has_everything_once():
    every = names(a=30, b=10)
    for number in range(3):
        assert mixture(a=1, b=1).epoch(every, number) == every


@pytest.mark.parametrize(
    ("temperature", "weights", "expected"),
    [
        (1, {"a": 1, "b": 1}, {"a": 900, "b": 100}),
        (2, {"a": 1, "b": 1}, {"a": 750, "b": 250}),  # 30 : 10
        (1, {"a": 1, "b": 9}, {"a": 500, "b": 500}),
        (1e6, {"a": 1, "b": 1}, {"a": 500, "b": 500}),
    ],
)
def test_shares_are_weight_times_size_to_the_power_of_one_over_temperature(temperature, weights, expected):
    assert counted(mixture(temperature, **weights).epoch(names(a=900, b=100), 0)) == expected


def test_a_set_with_less_than_its_size_is_continued_in_the_next_epoch():
    mixed, every = mixture(a=1, b=3), names(a=60, b=60)  # 30 of a and 90 of b
    epochs = [mixed.epoch(every, number) for number in range(2)]
    of_a = [name for epoch in epochs for name in epoch if set_of(name) == "a"]
    assert len(of_a) == len(set(of_a)) == 60
    of_b = Counter(name for name in epochs[0] if set_of(name) == "b")
    assert set(of_b.values()) == {1, 2} and len(of_b) == 60


def test_a_seed_draws_the_same_again_and_another_one_others():
    every = names(a=50, b=50)
    first, again, other = (mixture(a=1, b=4, seed=seed).epoch(every, 0) for seed in (0, 0, 1))
    assert first == again != other


def test_a_set_that_has_no_example_left_is_drawn_from_no_more():
    assert counted(mixture(a=1, b=1).epoch(names(a=5), 0)) == {"a": 5}


@given(
    st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(1, 40), st.floats(0.01, 100)), min_size=1),
    st.floats(0.3, 50),
    st.integers(0, 5),
)
def test_an_epoch_has_as_many_as_there_are_and_none_twice_more_than_another(sets, temperature, number):
    mixed = Mixture({of: weight for of, (_, weight) in sets.items()}, temperature, 0)
    every = names(**{of: size for of, (size, _) in sets.items()})
    seen: Counter[str] = Counter()
    for epoch in range(number + 1):
        drawn = mixed.epoch(every, epoch)
        assert len(drawn) == len(every)
        seen.update(drawn)
    for of in sets:
        times = [seen[name] for name in every if set_of(name) == of]
        assert max(times) - min(times) <= 1
