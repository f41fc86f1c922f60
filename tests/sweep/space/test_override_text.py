"""Values are written so that Hydra reads the same value back."""

import math

import pytest
from hypothesis import given

from mcqa.sweep.space.override_text import read_back, text_of
from tests.sweep.space.spaces import same, values


@given(values)
def test_hydra_reads_every_text_back_as_the_value_it_was_made_of(value):
    assert same(value, read_back(text_of(value)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "1e-05"),
        (1.0, "1.0"),
        (-math.inf, "-inf"),
        (True, "true"),
        (None, "null"),
        ("null", "'null'"),
        ("1e-3", "'1e-3'"),
        ("NaN", "'NaN'"),
        ("google/gemma-3", "google/gemma-3"),
        ("", "''"),
        ("it's", r"'it\'s'"),
        ("${seed}", "'${seed}'"),
        (["q_proj", None, 2], "[q_proj,null,2]"),
        ({"a b": 1}, r"{a\ b:1}"),
    ],
)
def test_texts_are_quoted_only_where_they_must_be(value, text):
    assert text_of(value) == text
    assert same(value, read_back(text))


def test_nan_and_numbers_of_numpy_have_texts_too():
    import numpy

    assert text_of(math.nan) == "nan"
    assert text_of(numpy.float64(0.1)) == "0.1"
    assert text_of(numpy.int64(3)) == "3"


@pytest.mark.parametrize("value", [{"1": 2}, {"true": 2}, {"it's": 2}, object()])
def test_a_value_that_no_override_can_write_is_refused(value):
    with pytest.raises(ValueError, match="cannot be written as an override"):
        text_of(value)
