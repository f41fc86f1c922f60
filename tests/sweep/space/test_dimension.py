"""Choices, ranges and intervals: what Optuna holds of them, and what overrides say."""

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.sweep.space.dimension import choice, factors, interval, is_factor, number_range, times
from mcqa.sweep.space.override_text import text_of
from tests.sweep.space.spaces import dimension, same, sample, space, value_of, values


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(values, min_size=1, max_size=5), st.integers(0, 1000))
def test_every_choice_that_optuna_suggests_is_read_back_as_the_value_it_stands_for(options, seed):
    unique = {text_of(option): option for option in options}
    space_ = space({"seed": list(unique.values())})
    for overrides, params in sample(space_, 5, seed):
        place = space_.dimensions[0].distribution.choices.index(params["seed"])
        assert same(list(unique.values())[place], value_of(overrides[0]))


def test_a_choice_with_nan_or_with_values_that_python_takes_for_equal_is_kept_by_its_texts():
    assert space({"seed": [math.nan, 1.5]}).dimensions[0].distribution.choices == ("nan", "1.5")
    assert space({"seed": [1, True, 1.0]}).dimensions[0].distribution.choices == ("1", "true", "1.0")
    assert space({"seed": [0, 1.5, "0"]}).dimensions[0].distribution.choices == (0, 1.5, "0")


@settings(max_examples=60)
@given(st.floats(-1e300, 1e300), st.floats(1e-300, 1e300), st.booleans(), st.integers(0, 1000))
def test_every_float_of_an_interval_is_read_back_exactly(low, width, log, seed):
    low = abs(low) + 1e-300 if log else low
    line = f"interval({low!r},{low + width!r})"
    for overrides, params in sample(space({"seed": f"tag(log,{line})" if log else line}), 3, seed):
        assert same(float(params["seed"]), value_of(overrides[0]))
        assert low <= params["seed"] <= low + width


@settings(max_examples=60)
@given(
    st.integers(-(10**6), 10**6) | st.decimals(-100, 100, places=3).map(float),
    st.integers(1, 50) | st.decimals("0.001", 9, places=3).map(float),
    st.integers(1, 40),
    st.booleans(),
    st.integers(0, 1000),
)
def test_every_number_of_a_range_is_read_back_exactly_and_never_reaches_the_end(start, step, count, down, seed):
    step = -step if down else step
    stop = Decimal(repr(start)) + count * Decimal(repr(step))
    stop = int(stop) if isinstance(start, int) and isinstance(step, int) else float(stop)
    for overrides, params in sample(space({"seed": f"range({start!r},{stop!r},{step!r})"}), 3, seed):
        value = value_of(overrides[0])
        assert value == pytest.approx(params["seed"]) and type(value) is type(params["seed"])
        assert value in list(dimension(f"range({start!r},{stop!r},{step!r})").values())
        place = (params["seed"] - start) / step
        assert -0.001 < place < count - 0.5
        assert abs(place - round(place)) < 1e-3


def test_a_trial_gets_the_decimals_of_a_range_and_not_the_sums_of_floats():
    texts = {overrides[0] for overrides, _ in sample(space({"seed": "range(0,1,0.1)"}), 200)}
    assert texts == {f"seed={tenth / 10}" for tenth in range(10)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("range(1,9,2)", [1, 3, 5, 7]),
        ("range(4)", [0, 1, 2, 3]),
        ("range(0,1,0.25)", [0.0, 0.25, 0.5, 0.75]),
        ("range(5,1,-2)", [5, 3]),
        ("range(0,0.9,0.3)", [0.0, 0.3, 0.6]),
        ("float(range(1,3))", [1.0, 2.0]),
        ("sort(choice(3,1,2))", [1, 2, 3]),
        ("int(choice(1.5,2.5))", [1, 2]),
        ("a,b", ["a", "b"]),
        ("choice(1,2)", [1, 2]),
        ("[a,b],[c]", ["[a,b]", "[c]"]),
        ("null,3", [None, 3]),
        ("'a,b',c", ["a,b", "c"]),
        ("1,true", ["1", "true"]),
    ],
)
def test_lists_and_ranges_enumerate_what_optuna_holds(text, expected):
    found = dimension(text)
    assert list(map(repr, found.values())) == list(map(repr, expected))
    assert found.size() == len(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(1,3)", interval("seed", 1.0, 3.0)),
        ("int(interval(1,3))", interval("seed", 1, 3)),
        ("tag(log,interval(1e-5,1e-1))", interval("seed", 1e-5, 1e-1, log=True)),
        ("int(tag(log,interval(1,64)))", interval("seed", 1, 64, log=True)),
        ("tag(log, int(interval(1, 64)))", interval("seed", 1, 64, log=True)),
        ("shuffle(range(1,4))", number_range("seed", 1, 4, 1, shuffled=True)),
        ("shuffle(a,b)", choice("seed", ("a", "b"), shuffled=True)),
        ("tag(log, factor, interval(0.1, 10))", factors(interval("seed", 0.1, 10.0, log=True))),
        ("tag(factor,int(interval(1,8)))", factors(interval("seed", 1, 8))),
        ("tag(factor, choice(0.1, 1, 10))", factors(choice("seed", (0.1, 1, 10)))),
        ("shuffle(tag(factor,choice(1,3)))", factors(choice("seed", (1, 3), shuffled=True))),
        ("tag(factor,range(1,9,2))", factors(number_range("seed", 1, 9, 2))),
    ],
)
def test_the_grammar_of_hydra_is_understood_and_written_back(text, expected):
    assert dimension(text) == expected
    assert dimension(dimension(text).grammar) == expected


@pytest.mark.parametrize("text", ["tag(log,factor,interval(1,2))", "shuffle(tag(factor,choice(1,3)))"])
def test_a_stored_study_says_which_of_its_keys_are_factors(text):
    assert is_factor(dimension(text).grammar)
    assert not is_factor(dimension("tag(log,interval(1,2))").grammar)


def test_a_product_of_decimals_has_no_rounding_and_is_whole_where_it_can_be():
    found = [times(0.1, 0.0003), times(3, 0.0002), times(0.5, 32), times(2, 1.0), times(0.3, 32), times(0.3, 1)]
    assert list(map(repr, found)) == ["3e-05", "0.0006", "16", "2.0", "9.6", "0.3"]


def test_whole_numbers_stay_whole_and_both_ends_of_an_interval_can_come():
    seen = {params["seed"] for _, params in sample(space({"seed": "int(interval(1,3))"}), 60)}
    assert seen == {1, 2, 3}
