"""Intervals and tests, against published values, counting by hand and SciPy."""

import math
from fractions import Fraction
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.evaluation.statistics import Paired, mcnemar, standard_error, wilson

counts = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
marks = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(right, n, low, high):
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


@given(counts)
def test_wilsons_interval_is_the_formulas(count):
    right, n = count
    z, share = 1.959963984540054, right / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert wilson(right, n) == pytest.approx((max(0, centre - half), min(1, centre + half)), abs=1e-9)


@given(counts)
def test_wilsons_interval_is_scipys_and_the_same_seen_from_the_wrong_answers(count):
    from scipy.stats import binomtest

    right, n = count
    interval = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right, n) == pytest.approx((interval.low, interval.high))
    low, high = wilson(n - right, n)
    assert wilson(right, n) == pytest.approx((1 - high, 1 - low))


@given(st.integers(2, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_standard_error_divides_by_n_minus_1(count):
    right, n = count
    assert standard_error(right, n) == pytest.approx(stdev([1.0] * right + [0.0] * (n - right)) / math.sqrt(n))


def test_one_question_has_no_standard_error():
    assert standard_error(1, 1) == standard_error(0, 1) == 0


def pairs(both=0, lost=0, gained=0, neither=0):
    """What two models answered right, before and after."""
    table = [(True, True)] * both + [(True, False)] * lost + [(False, True)] * gained + [(False, False)] * neither
    return [before for before, _ in table], [after for _, after in table]


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, Fraction(1)),
        (1, 0, Fraction(1)),
        (5, 0, Fraction(2, 2**5)),
        (6, 0, Fraction(2, 2**6)),
        (3, 3, Fraction(1)),
        (5, 1, Fraction(2 * (1 + 6), 2**6)),
        (2, 10, Fraction(2 * (1 + 12 + 66), 2**12)),
    ],
)
def test_mcnemars_p_is_the_two_sided_binomial_counted_by_hand(gained, lost, p):
    found = mcnemar(*pairs(both=7, lost=lost, gained=gained, neither=4))
    assert found.p == pytest.approx(float(p))
    assert (found.newly_right, found.newly_wrong) == (gained, lost)
    assert found.difference == pytest.approx((gained - lost) / (11 + gained + lost))


@given(marks)
def test_mcnemars_p_is_twice_the_smaller_tail_and_at_most_one(table):
    before, after = zip(*table, strict=True)
    found = mcnemar(before, after)
    fewer, n = min(found.newly_right, found.newly_wrong), found.newly_right + found.newly_wrong
    tail = Fraction(sum(math.comb(n, k) for k in range(fewer + 1)), 2**n)
    assert found.p == pytest.approx(min(1.0, float(2 * tail)))


@given(marks)
def test_the_difference_is_that_of_the_accuracies_and_turns_with_the_models(table):
    before, after = zip(*table, strict=True)
    found = mcnemar(before, after)
    assert found.difference == pytest.approx((sum(after) - sum(before)) / len(table))
    back = mcnemar(after, before)
    assert (back.difference, back.p) == (-found.difference, found.p)
    assert (back.newly_right, back.newly_wrong) == (found.newly_wrong, found.newly_right)


@given(st.lists(st.booleans(), min_size=1))
def test_a_model_does_not_differ_from_itself(right):
    assert mcnemar(right, right) == Paired(difference=0, newly_right=0, newly_wrong=0, p=1)


def test_answers_to_different_numbers_of_questions_are_not_paired():
    with pytest.raises(ValueError, match="shorter"):
        mcnemar([True, False], [True])
