"""Many comparisons, against statsmodels and exhaustive search."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation.statistics.multiplicity import compact_letter_display, holm

ps = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@st.composite
def displays(draw):
    """Means of up to seven items, and which pairs of them are apart."""
    means = draw(st.lists(st.sampled_from([0.1, 0.4, 0.5, 0.9]), min_size=1, max_size=7))
    pairs = list(combinations(range(len(means)), 2))
    return means, {pair for pair in pairs if draw(st.booleans())}


def shown(means, apart):
    return compact_letter_display(means, lambda i, j: (i, j) in apart)


def test_holms_values_are_those_worked_by_hand():
    """4 * .005, then 3 * .01, then 2 * .03, and .04 may not be below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@settings(deadline=None, max_examples=15)  # theirs takes a tenth of a second
@given(ps)
def test_holms_values_are_those_of_statsmodels(values):
    from statsmodels.stats.multitest import multipletests

    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist())


@given(ps)
def test_holms_values_keep_the_order_and_are_never_below_the_p(values):
    adjusted = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, adjusted, strict=True))
    by_p = [adjusted[index] for index in sorted(range(len(values)), key=values.__getitem__)]
    assert by_p == sorted(by_p)


def test_nothing_compared_is_nothing_adjusted():
    assert holm([]) == compact_letter_display([], lambda i, j: True) == []


@pytest.mark.parametrize(
    ("apart", "letters"),
    [
        (set(), ["a", "a", "a", "a"]),
        ({(0, 3)}, ["a", "ab", "ab", "b"]),
        ({(0, 2), (0, 3), (1, 3)}, ["a", "ab", "bc", "c"]),
        ({(0, 1), (0, 2), (0, 3)}, ["a", "b", "b", "b"]),
        (set(combinations(range(4), 2)), ["a", "b", "c", "d"]),
        ({(0, 2), (1, 3)}, ["ab", "ac", "cd", "bd"]),  # four pairs in a ring: no line of overlapping groups
    ],
)
def test_letters_of_four_items_from_the_best_to_the_worst(apart, letters):
    assert shown([0.9, 0.8, 0.7, 0.6], apart) == letters


@given(displays())
def test_two_items_share_a_letter_exactly_where_they_are_not_apart(display):
    means, apart = display
    letters = shown(means, apart)
    for i, j in combinations(range(len(means)), 2):
        assert (not set(letters[i]) & set(letters[j])) == ((i, j) in apart)


@given(displays())
def test_there_is_a_letter_for_every_largest_set_of_items_that_are_not_apart_and_no_other(display):
    means, apart = display
    items = range(len(means))
    together = [set(some) for size in range(1, len(means) + 1) for some in combinations(items, size)
                if not any(pair in apart for pair in combinations(some, 2))]  # fmt: skip
    largest = [some for some in together if not any(some < other for other in together)]
    letters = shown(means, apart)
    found = [{item for item in items if letter in letters[item]} for letter in sorted(set("".join(letters)))]
    assert sorted(map(sorted, found)) == sorted(map(sorted, largest))


@given(displays())
def test_the_best_item_has_the_first_letter(display):
    means, apart = display
    assert "a" in shown(means, apart)[means.index(max(means))]


def test_more_groups_than_letters_still_differ():
    letters = compact_letter_display([-float(number) for number in range(60)], lambda i, j: True)
    assert letters[0] == "a" and letters[52] == "α" and len(set(letters)) == 60
