"""The bootstrap, against SciPy's and against exact distributions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation.statistics import bootstrap
from mcqa.evaluation.statistics.bootstrap import bootstrap_interval, paired_bootstrap

RESAMPLES = 20_000
marks = st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("abcdef")), min_size=2, max_size=40)


def clustered_answers(seed):
    generator = np.random.default_rng(seed)
    of = np.repeat(np.arange(60), generator.integers(1, 8, 60))
    return generator.random(len(of)) < generator.uniform(0.3, 1, 60)[of], of


def expanded(clusters):
    """The confidence that a plain percentile interval needs to be as long as the expanded one (Hesterberg 2015)."""
    from scipy.stats import norm, t

    return 1 - 2 * norm.cdf(-((clusters / (clusters - 1)) ** 0.5) * t.ppf(0.975, clusters - 1))


def test_whole_clusters_are_drawn_as_scipy_draws_them():
    from scipy.stats import bootstrap as theirs

    correct, of = clustered_answers(1)
    sums, sizes = np.bincount(of, correct), np.bincount(of)
    expected = theirs(
        (sums, sizes),
        lambda right, questions, axis: right.sum(axis) / questions.sum(axis),
        n_resamples=RESAMPLES, paired=True, vectorized=True, method="percentile",
        confidence_level=expanded(60), rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    found = bootstrap_interval(correct.tolist(), [f"c{cluster}" for cluster in of], RESAMPLES, seed=3)
    assert found == pytest.approx((expected.low, expected.high), abs=4e-3)


def test_independent_questions_give_the_quantiles_of_the_binomial():
    from scipy.stats import binom

    tail = (1 - expanded(200)) / 2
    expected = binom.ppf([tail, 1 - tail], 200, 0.7) / 200
    assert bootstrap_interval([True] * 140 + [False] * 60, None, RESAMPLES, seed=4) == pytest.approx(
        tuple(expected), abs=5.1e-3
    )


def test_the_paired_interval_and_p_are_near_those_of_students_t():
    from scipy.stats import ttest_1samp

    generator = np.random.default_rng(5)
    before, after = generator.random((2, 500)) < np.array([[0.5], [0.56]])
    found = paired_bootstrap(before.tolist(), after.tolist(), None, RESAMPLES, seed=6)
    theirs = ttest_1samp(after.astype(float) - before, 0)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()), abs=4e-3)
    assert found.p == pytest.approx(theirs.pvalue, abs=0.02)


@settings(max_examples=50, deadline=None)
@given(marks, st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_interval_in_any_order_of_the_questions(rows, random, seed):
    found = [
        (bootstrap_interval(after, clusters, 200, seed), paired_bootstrap(before, after, clusters, 200, seed))
        for before, after, clusters in (zip(*some, strict=True) for some in (rows, random.sample(rows, len(rows))))
    ]
    assert found[0] == found[1]


@settings(max_examples=50, deadline=None)
@given(marks)
def test_with_six_clusters_or_more_p_is_below_5_percent_where_the_interval_leaves_out_zero(rows):
    every = rows + [(True, True, name) for name in "abcdef"]
    found = paired_bootstrap(*zip(*every, strict=True), 2000, seed=1)
    assert -1 <= found.low <= found.high <= 1 and 0 < found.p <= 1
    if not 0.04 < found.p < 0.06:  # the last resample to either side
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_swapping_the_models_turns_the_interval():
    generator = np.random.default_rng(7)
    before, after = (generator.random((2, 300)) < np.array([[0.5], [0.6]])).tolist()
    there, back = (paired_bootstrap(*pair, None, RESAMPLES, 8) for pair in ((before, after), (after, before)))
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=4e-3)
    assert back.p == pytest.approx(there.p, abs=5e-3)


def test_a_model_does_not_differ_from_itself():
    found = paired_bootstrap([True, False, True], [True, False, True], None, 100, seed=1)
    assert (found.low, found.high, found.p) == (0, 0, 1)


def test_one_cluster_proves_nothing():
    assert bootstrap_interval([True, False], ["a", "a"], 100, seed=1) == (0, 1)
    found = paired_bootstrap([False, False], [True, True], ["a", "a"], 100, seed=1)
    assert (found.low, found.high, found.p) == (-1, 1, 1)


def test_resamples_are_drawn_in_pieces_that_fit_into_memory(monkeypatch):
    correct, of = clustered_answers(9)
    clusters = [f"c{cluster}" for cluster in of]
    whole = bootstrap_interval(correct.tolist(), clusters, 1001, seed=1)
    monkeypatch.setattr(bootstrap, "BATCH", 100)
    assert bootstrap_interval(correct.tolist(), clusters, 1001, seed=1) == whole
