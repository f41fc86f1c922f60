"""Family-wise error against statsmodels, letters against exhaustive search, the best of many by simulation.

More simulated worlds: benchmarks/chosen.py.
"""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation import statistics
from mcqa.evaluation.statistics import p_values_against_best
from mcqa.evaluation.statistics.clusters import t_quantile
from mcqa.evaluation.statistics.multiple_comparisons import (
    SIGN_FLIPS,
    compact_letter_display,
    holm,
    studentized_range,
)

TOLERANCE = 0.02  # of a share near .05 that is estimated from SIGN_FLIPS draws, with room

ps = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@st.composite
def displays(draw):
    """Means of up to seven items, and which pairs of them differ significantly."""
    means = draw(st.lists(st.sampled_from([0.1, 0.4, 0.5, 0.9]), min_size=1, max_size=7))
    pairs = list(combinations(range(len(means)), 2))
    return means, {pair for pair in pairs if draw(st.booleans())}


def shown(means, significant):
    return compact_letter_display(means, lambda i, j: (i, j) in significant)


def test_holms_adjusted_p_values_are_those_worked_by_hand():
    """4 * .005, then 3 * .01, then 2 * .03, and .04 may not be below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@settings(deadline=None, max_examples=15)  # theirs takes a tenth of a second
@given(ps)
def test_holms_adjusted_p_values_are_those_of_statsmodels(values):
    from statsmodels.stats.multitest import multipletests

    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist())


@given(ps)
def test_holms_adjusted_p_values_keep_the_order_and_are_never_below_the_p(values):
    adjusted = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, adjusted, strict=True))
    by_p = [adjusted[index] for index in sorted(range(len(values)), key=values.__getitem__)]
    assert by_p == sorted(by_p)


def test_nothing_compared_is_nothing_adjusted():
    assert holm([]) == compact_letter_display([], lambda i, j: True) == []


@pytest.mark.parametrize(
    ("significant", "letters"),
    [
        (set(), ["a", "a", "a", "a"]),
        ({(0, 3)}, ["a", "ab", "ab", "b"]),
        ({(0, 2), (0, 3), (1, 3)}, ["a", "ab", "bc", "c"]),
        ({(0, 1), (0, 2), (0, 3)}, ["a", "b", "b", "b"]),
        (set(combinations(range(4), 2)), ["a", "b", "c", "d"]),
        ({(0, 2), (1, 3)}, ["ab", "ac", "cd", "bd"]),  # four pairs in a ring: no line of overlapping groups
    ],
)
def test_letters_of_four_items_from_the_best_to_the_worst(significant, letters):
    assert shown([0.9, 0.8, 0.7, 0.6], significant) == letters


@given(displays())
def test_two_items_share_a_letter_exactly_where_they_do_not_differ_significantly(display):
    means, significant = display
    letters = shown(means, significant)
    for i, j in combinations(range(len(means)), 2):
        assert (not set(letters[i]) & set(letters[j])) == ((i, j) in significant)


@given(displays())
def test_there_is_one_letter_for_every_largest_set_of_items_without_a_significant_difference(display):
    means, significant = display
    items = range(len(means))
    together = [set(some) for size in range(1, len(means) + 1) for some in combinations(items, size)
                if not any(pair in significant for pair in combinations(some, 2))]  # fmt: skip
    largest = [some for some in together if not any(some < other for other in together)]
    letters = shown(means, significant)
    found = [{item for item in items if letter in letters[item]} for letter in sorted(set("".join(letters)))]
    assert sorted(map(sorted, found)) == sorted(map(sorted, largest))


@given(displays())
def test_the_best_item_has_the_first_letter(display):
    means, significant = display
    assert "a" in shown(means, significant)[means.index(max(means))]


def test_more_groups_than_letters_still_differ():
    letters = compact_letter_display([-float(number) for number in range(60)], lambda i, j: True)
    assert letters[0] == "a" and letters[52] == "α" and len(set(letters)) == 60


def test_the_studentised_range_is_the_published_one():
    """Tables of Tukey's test at 5 %."""
    assert [studentized_range(*at) for at in ((2, 10), (3, 10), (16, 7), (20, 20))] == pytest.approx(
        [3.151, 3.877, 6.85, 5.71], abs=0.01
    )


def test_of_two_values_the_range_is_what_students_t_says():
    assert studentized_range(2, 4) == pytest.approx(2**0.5 * t_quantile(4))


# --- the best of many -----------------------------------------------------------------------------------------------


def answers(draw, models, questions, flips):
    """Equal models: what all share, and chance."""
    return ((draw.random(questions) < 0.75) ^ (draw.random((models, questions)) < flips)).tolist()


@given(st.integers(0, 12), st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_of_two_models_it_is_mcnemars_exact_test(gained, lost):
    from scipy.stats import binomtest

    before, after = [True] * lost + [False] * gained + [True] * 9, [False] * lost + [True] * gained + [True] * 9
    ps = p_values_against_best([before, after], 1)
    assert ps[1] == 1
    exact = binomtest(gained, gained + lost).pvalue if gained + lost else 1
    assert ps[0] == pytest.approx(exact, abs=TOLERANCE)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_no_p_is_below_that_of_the_comparison_alone_and_more_models_make_none_smaller(models, seed):
    right = answers(np.random.default_rng(seed), models + 2, 60, 0.2)
    best = max(range(models + 1), key=lambda k: sum(right[k]))
    fewer = p_values_against_best(right[:-1], best)
    alone = [statistics.mcnemar(right[best], one).p for one in right[:-1]]
    assert all(p >= one - TOLERANCE for p, one in zip(fewer, alone, strict=True))
    more = p_values_against_best([*right[:-1], right[best]], best)  # a copy of the best
    assert more[:-1] == pytest.approx(fewer, abs=TOLERANCE) and more[-1] == 1


def test_the_order_of_the_models_changes_nothing_and_the_greater_difference_has_the_smaller_p():
    right = answers(np.random.default_rng(3), 12, 200, 0.2)
    totals = [sum(one) for one in right]
    best = int(np.argmax(totals))
    ps = p_values_against_best(right, best)
    turned = p_values_against_best(right[::-1], 11 - best)[::-1]
    assert turned == pytest.approx(ps, abs=TOLERANCE)
    assert min(ps) > 1 / (SIGN_FLIPS + 2)


def test_clusters_flip_as_wholes():
    better, worse = [True] * 60 + [False] * 40, [True] * 40 + [False] * 60
    assert p_values_against_best([better, worse], 0)[1] < 0.001
    names = [f"c{i // 10}" for i in range(100)]
    assert p_values_against_best([better, worse], 0, names)[1] == pytest.approx(0.5, abs=TOLERANCE)
    assert p_values_against_best([better, worse], 0, ["one"] * 100) == [1, 1]


def test_models_with_identical_answers_never_differ_significantly():
    assert p_values_against_best([[True, False, True]] * 5, 2) == [1] * 5
    assert p_values_against_best([[True]], 0) == [1]


def test_answers_to_different_numbers_of_questions_are_refused():
    with pytest.raises(ValueError, match=r"not to \[2, 1\]"):
        p_values_against_best([[True, False], [True]], 0)
    with pytest.raises(ValueError, match="no questions"):
        p_values_against_best([[], []], 0)


def test_the_family_wise_error_among_equal_models_is_about_5_percent():
    draw, studies, wrong, wrong_by_holm = np.random.default_rng(5), 200, 0, 0
    for _ in range(studies):
        right = answers(draw, 16, 200, 0.15)
        best = max(range(16), key=lambda k: sum(right[k]))
        wrong += min(p_values_against_best(right, best, flips=1000)) < 0.05
        others = [statistics.mcnemar(right[best], one).p for k, one in enumerate(right) if k != best]
        wrong_by_holm += min(statistics.holm(others)) < 0.05
    assert wrong / studies <= 0.08
    assert wrong_by_holm / studies > 0.08  # as if the best had been named before


def test_a_model_that_is_much_worse_is_found_among_sixteen():
    draw, found = np.random.default_rng(6), 0
    for _ in range(40):
        right = answers(draw, 16, 400, 0.15)
        right[-1] = [one and draw.random() > 0.16 for one in right[-1]]
        best = max(range(16), key=lambda k: sum(right[k]))
        found += p_values_against_best(right, best, flips=1000)[-1] < 0.05
    assert found >= 30
