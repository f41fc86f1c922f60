"""Two models on the same questions, against counting by hand, published tables and statsmodels."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcqa.evaluation.statistics.paired import add_pseudo_flips, mcnemar, minimum_detectable_difference

marks = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)
clustered_marks = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.sampled_from("abcdef")), min_size=2, max_size=60
).filter(lambda rows: len({cluster for _, _, cluster in rows}) > 1)


def pairs(both=0, lost=0, gained=0, neither=0):
    """What two models answered right, before and after."""
    table = [(True, True)] * both + [(True, False)] * lost + [(False, True)] * gained + [(False, False)] * neither
    return [before for before, _ in table], [after for _, after in table]


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, Fraction(1)),
        (1, 0, Fraction(1, 2)),
        (5, 0, Fraction(1, 2**5)),
        (6, 0, Fraction(1, 2**6)),
        (3, 3, Fraction(1)),
        (5, 1, Fraction(2 * 1 + 6, 2**6)),
        (2, 10, Fraction(2 * (1 + 12) + 66, 2**12)),
    ],
)
def test_mcnemars_mid_p_is_the_two_sided_binomial_counted_by_hand(gained, lost, p):
    found = mcnemar(*pairs(both=7, lost=lost, gained=gained, neither=4))
    assert found.p == pytest.approx(float(p))
    assert (found.newly_right, found.newly_wrong) == (gained, lost)
    assert found.difference == pytest.approx((gained - lost) / (11 + gained + lost))


@settings(deadline=None)
@given(marks)
def test_mcnemars_mid_p_is_twice_the_smaller_tail_with_half_of_what_was_observed(table):
    before, after = zip(*table, strict=True)
    found = mcnemar(before, after)
    fewer, n = min(found.newly_right, found.newly_wrong), found.newly_right + found.newly_wrong
    tail = Fraction(2 * sum(math.comb(n, k) for k in range(fewer)) + math.comb(n, fewer), 2 * 2**n)
    assert found.p == pytest.approx(float(2 * tail))


@settings(deadline=None)
@given(marks)
def test_the_difference_is_that_of_the_accuracies_and_turns_with_the_models(table):
    before, after = zip(*table, strict=True)
    found = mcnemar(before, after)
    assert found.difference == pytest.approx((sum(after) - sum(before)) / len(table))
    back = mcnemar(after, before)
    assert (back.difference, back.p) == (-found.difference, found.p)
    assert (back.newly_right, back.newly_wrong) == (found.newly_wrong, found.newly_right)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1))
def test_a_model_does_not_differ_from_itself(right):
    found = mcnemar(right, right)
    assert (found.difference, found.newly_right, found.newly_wrong, found.p) == (0, 0, 0, 1)
    assert found.low == -found.high < 0


def test_answers_to_different_numbers_of_questions_are_not_paired():
    with pytest.raises(ValueError, match="shorter"):
        mcnemar([True, False], [True])


@settings(deadline=None)
@given(marks)
def test_mcnemars_mid_p_is_that_of_statsmodels_less_half_of_what_was_observed(table):
    from scipy.stats import binom
    from statsmodels.stats.contingency_tables import mcnemar as theirs

    before, after = zip(*table, strict=True)
    found = mcnemar(before, after)
    cells = [[0, found.newly_wrong], [found.newly_right, 0]]
    flips = found.newly_right + found.newly_wrong
    if found.newly_right != found.newly_wrong:
        assert found.p == pytest.approx(theirs(cells, exact=True).pvalue - binom.pmf(found.newly_right, flips, 0.5))


def test_the_mid_p_is_the_published_one():
    """Airway hyper-responsiveness before and after stem cell transplantation (Fagerland, Lydersen & Laake 2013)."""
    assert mcnemar(*pairs(both=1, lost=1, gained=7, neither=12)).p == pytest.approx(0.039, abs=5e-4)


def test_the_interval_of_many_pairs_is_the_published_one():
    """Approval of a prime minister asked twice, 944 and 880 of 1600 (Agresti, Categorical Data Analysis, ch. 10)."""
    found = mcnemar(*pairs(both=794, lost=150, gained=86, neither=570))
    assert found.difference == -0.04
    assert (found.low, found.high) == pytest.approx((-0.04 - 1.96 * 0.0095, -0.04 + 1.96 * 0.0095), abs=3e-4)


def test_the_interval_adds_one_question_gained_and_one_lost():
    """Bonett & Price 2012 by hand: 5 of 22 gained, 1 of 22 lost, 4/22 +- 1.96 * sqrt((6/22 - (4/22)**2) / 22)."""
    found = mcnemar(*pairs(both=10, gained=4, neither=6))
    half = 1.959964 * math.sqrt((6 / 22 - (4 / 22) ** 2) / 22)
    assert (found.low, found.high) == pytest.approx((4 / 22 - half, 4 / 22 + half))
    assert found.p_clustered is None


@settings(deadline=None)
@given(marks)
def test_the_interval_holds_the_difference_and_stays_possible(table):
    before, after = zip(*table, strict=True)
    found = mcnemar(before, after)
    assert -1 <= found.low <= found.difference <= found.high <= 1


@settings(deadline=None)
@given(clustered_marks)
def test_with_clusters_p_is_below_5_percent_exactly_where_the_interval_leaves_out_zero(rows):
    found = mcnemar(*zip(*rows, strict=True))
    assert (found.p_clustered < 0.05) == (not found.low <= 0 <= found.high)


@settings(deadline=None)
@given(clustered_marks)
def test_clusters_do_not_change_the_exact_test(rows):
    before, after, clusters = zip(*rows, strict=True)
    plain, found = mcnemar(before, after), mcnemar(before, after, clusters)
    assert (found.difference, found.newly_right, found.newly_wrong, found.p) == (
        plain.difference, plain.newly_right, plain.newly_wrong, plain.p,
    )  # fmt: skip


@settings(deadline=None)
@given(clustered_marks)
def test_with_clusters_too_the_difference_turns_with_the_models(rows):
    before, after, clusters = zip(*rows, strict=True)
    found, back = mcnemar(before, after, clusters), mcnemar(after, before, clusters)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    assert back.p_clustered == pytest.approx(found.p_clustered)


def test_many_clusters_of_equal_size_give_the_t_test_of_the_clusters_differences():
    from scipy.stats import ttest_1samp

    generator = np.random.default_rng(3)
    before, after = generator.random((2, 400, 10)) < np.array([0.5, 0.52])[:, None, None]
    clusters = [f"c{number}" for number in range(400) for _ in range(10)]
    found = mcnemar(before.ravel().tolist(), after.ravel().tolist(), clusters)
    theirs = ttest_1samp(after.mean(1) - before.mean(1), 0)
    assert found.p_clustered == pytest.approx(theirs.pvalue, abs=2e-3)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()), abs=1e-4)


def test_clusters_that_flip_as_wholes_give_the_t_test_of_clusters_with_one_gained_and_one_lost():
    """All 42 weigh the same; degrees of freedom are those of the 40, with t = 2.0227."""
    from scipy.stats import t

    flips = np.array([1] * 7 + [-1] * 2 + [0] * 31)
    before, after = (flips < 0).repeat(10), (flips > 0).repeat(10)
    found = mcnemar(before.tolist(), after.tolist(), [f"c{number // 10}" for number in range(400)])
    differences = [*flips, 1, -1]
    centre, error = np.mean(differences), np.std(differences, ddof=1) / math.sqrt(42)
    assert found.p_clustered == pytest.approx(2 * t.sf(abs(centre) / error, 39))
    assert (found.low, found.high) == pytest.approx((centre - 2.0227 * error, centre + 2.0227 * error), abs=1e-5)


def test_of_a_model_against_itself_clusters_count_as_single_questions():
    """By hand, 168 clusters of 4 and one gained, one lost: variance 2 * 4**2 / (1 - 4/680) / 680**2, t = 1.97427."""
    found = mcnemar([True] * 672, [True] * 672, [f"c{number // 4}" for number in range(672)])
    half = 1.97427 * math.sqrt(2 * 16 / (1 - 4 / 680)) / 680
    assert (found.low, found.high) == pytest.approx((-half, half), abs=1e-6)
    alone = mcnemar([True] * 168, [True] * 168)
    assert found.high == pytest.approx(alone.high, rel=0.02)


def test_a_cluster_that_flips_is_one_flip_however_many_questions_it_has():
    """By hand, 10 clusters of 3 of which one is gained: 2 gained and 1 lost of 12, a mean of 1/12."""
    found = mcnemar([False] * 3 + [True] * 27, [True] * 30, [f"c{number // 3}" for number in range(30)])
    error = math.sqrt((2 * (11 / 12) ** 2 + (13 / 12) ** 2 + 9 * (1 / 12) ** 2) / 11 / 12)
    assert (found.low, found.high) == pytest.approx((1 / 12 - 2.262157 * error, 1 / 12 + 2.262157 * error))


@pytest.mark.parametrize(
    ("flipped", "size"),
    [([], 4), ([0, 1, 2, 3], 4), ([0, 4, 8], 2), ([0, 4, 8, 12, 16, 20, 24, 28, 32], 2), (range(0, 400, 4), 1)],
)
def test_flips_are_added_as_wholes_until_the_data_show_that_questions_flip_alone(flipped, size):
    """By hand, clusters of 4: 8/2; 16 and 8 over 4 and 2; 3 and 8 over 3 and 2; 9 and 8 over 9 and 2; 108/102."""
    differences = np.zeros(400)
    differences[list(flipped)] = 1
    values, of = add_pseudo_flips(differences, np.arange(400) // 4)
    assert values.tolist()[400:] == [1] * size + [-1] * size
    assert of.tolist()[400:] == [100] * size + [101] * size


def test_clusters_of_unequal_size_add_flips_of_their_mean_size():
    values, of = add_pseudo_flips(np.zeros(9), np.array([0, 0, 0, 0, 0, 0, 1, 2, 2]))
    assert values.tolist() == [0] * 9 + [1] * 3 + [-1] * 3
    assert of.tolist()[9:] == [3] * 3 + [4] * 3


def test_gains_and_losses_that_cancel_within_clusters_are_single_flips():
    values, _ = add_pseudo_flips(np.array([1.0, -1.0] * 50), np.repeat(np.arange(10), 10))
    assert values.tolist()[100:] == [1, -1]


@settings(deadline=None)
@given(clustered_marks)
def test_with_clusters_too_the_interval_holds_the_difference(rows):
    found = mcnemar(*zip(*rows, strict=True))
    assert -1 <= found.low <= found.difference <= found.high <= 1


def test_one_cluster_proves_no_difference():
    found = mcnemar(*pairs(gained=9), clusters=["passage"] * 9)
    assert (found.low, found.high, found.p_clustered) == (-1, 1, 1)
    assert found.p == pytest.approx(1 / 2**9)


@settings(deadline=None)
@given(st.integers(10, 100_000), st.floats(0, 1), st.floats(1, 20))
def test_the_minimum_detectable_difference_solves_connors_formula(n, disagreement, design_effect):
    d = minimum_detectable_difference(n, disagreement, design_effect)
    assume(d < 1 and d > 5.001 * design_effect / n)
    share = max(disagreement, d)
    needed = (1.959963984540054 * math.sqrt(share) + 0.8416212335729143 * math.sqrt(share - d**2)) ** 2 / d**2
    assert needed == pytest.approx(n / design_effect)


@settings(deadline=None)
@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0, 1))
def test_the_minimum_detectable_difference_grows_with_disagreement_and_falls_with_questions(n, one, other):
    less, more = sorted((one, other))
    assert minimum_detectable_difference(n, less) <= minimum_detectable_difference(n, more) <= 1
    assert minimum_detectable_difference(n, less) >= minimum_detectable_difference(n + 1, less)


def test_models_that_never_disagreed_would_need_eight_flips():
    """With every flip in one direction d = k**2, k the positive root of k sqrt(n) = 1.96 + 0.8416 sqrt(1 - k**2)."""
    assert 1000 * minimum_detectable_difference(1000, 0) == pytest.approx(7.8, abs=0.1)


@pytest.mark.parametrize("n", [1, 5, 6, 7, 8, 9, 20])
def test_no_difference_is_returned_that_mcnemars_test_cannot_detect(n):
    flips = round(n * minimum_detectable_difference(n, 0.0) + 0.4999)
    assert flips == n if n < 5 else mcnemar(*pairs(gained=flips, both=n - flips)).p < 0.05


def test_few_clusters_detect_less_than_as_many_questions_alone():
    many, ten, four = (minimum_detectable_difference(200, 0.2, 2.0, df) for df in (None, 9, 3))
    error = math.sqrt(0.2 * 2 / 200)
    assert many == pytest.approx(2.8 * error, rel=0.02)
    assert (ten, four) == pytest.approx((3.15 * error, 4.26 * error), rel=0.03)
    assert minimum_detectable_difference(200, 0.2, 50.0, 3) == 1, "four wholes, and t is 3.18: nothing is significant"


def test_a_difference_that_every_cluster_shows_is_found_in_four_clusters():
    before, after = [False] * 200, [number % 4 == 0 for number in range(200)]
    found = mcnemar(before, after, [f"c{number // 50}" for number in range(200)])
    assert found.p_clustered < 0.01 and found.minimum_detectable_difference < 0.25


def test_with_an_unknown_design_effect_nothing_can_be_detected():
    assert minimum_detectable_difference(1000, 0.1, math.nan) == 1


def test_a_design_effect_below_1_adds_no_questions():
    assert minimum_detectable_difference(1000, 0.1, 0.2) == minimum_detectable_difference(1000, 0.1)
