"""Cluster-robust variances, against the matrices of their definition and statsmodels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation.statistics.clusters import (
    add_pseudo_clusters,
    cluster_ids,
    cluster_robust_variance,
    degrees_of_freedom,
    design_effect,
    detectable_in_standard_errors,
    t_quantile,
    two_sided_p,
)

rows = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), st.sampled_from("abcdef")), min_size=2, max_size=40
).filter(lambda drawn: len({cluster for _, cluster in drawn}) > 1)


def columns(drawn):
    values, names = zip(*drawn, strict=True)
    return np.array(values), cluster_ids(names, len(names))


def adjusted(of):
    """(I - H)^(-1/2) of every cluster, where H = 11'/Q is the hat matrix of a mean (Bell & McCaffrey 2002)."""
    for cluster in range(of.max() + 1):
        size = int((of == cluster).sum())
        values, vectors = np.linalg.eigh(np.eye(size) - np.ones((size, size)) / len(of))
        yield cluster, vectors @ np.diag(values**-0.5) @ vectors.T


def test_an_empty_name_is_a_question_alone():
    assert cluster_ids(["a", "", "a", "", "b"], 5).tolist() == [0, 1, 0, 2, 3]
    assert cluster_ids(None, 3).tolist() == [0, 1, 2]


@settings(deadline=None)
@given(rows)
def test_the_variance_is_that_of_the_definition(drawn):
    values, of = columns(drawn)
    residuals = values - values.mean()
    squares = [(matrix @ residuals[of == cluster]).sum() ** 2 for cluster, matrix in adjusted(of)]
    assert cluster_robust_variance(values, of) == pytest.approx(sum(squares) / len(of) ** 2)


@settings(deadline=None)
@given(rows)
def test_the_degrees_of_freedom_are_those_of_the_definition(drawn):
    """2 E(V)**2 / var(V) of independent normal values: squared trace over the trace of the square."""
    _, of = columns(drawn)
    centre = np.eye(len(of)) - 1 / len(of)
    loads = np.stack([centre[:, of == cluster] @ matrix.sum(1) for cluster, matrix in adjusted(of)])
    products = loads @ loads.T
    assert degrees_of_freedom(of) == pytest.approx(np.trace(products) ** 2 / (products**2).sum())


@settings(deadline=None)
@given(rows)
def test_the_variance_differs_from_that_of_statsmodels_only_in_the_factor_for_few_clusters(drawn):
    """CR1 multiplies every cluster by G / (G - 1), CR2 each by 1 / (1 - share)."""
    from statsmodels.api import OLS

    values, of = columns(drawn)
    fit = OLS(values, np.ones(len(of))).fit(cov_type="cluster", cov_kwds={"groups": of, "use_correction": False})
    shares = np.bincount(of) / len(of)
    least, most = (float(fit.cov_params()[0, 0] / (1 - share)) for share in (shares.min(), shares.max()))
    assert least - 1e-12 <= cluster_robust_variance(values, of) <= most + 1e-12


@pytest.mark.parametrize(("clusters", "size"), [(2, 1), (2, 7), (10, 3)])
def test_clusters_of_equal_size_have_one_degree_of_freedom_fewer_than_clusters(clusters, size):
    assert degrees_of_freedom(np.repeat(np.arange(clusters), size)) == pytest.approx(clusters - 1)


def test_one_large_cluster_leaves_few_degrees_of_freedom():
    of = np.repeat(np.arange(50), [500] + [10] * 49)
    assert 3 < degrees_of_freedom(of) < 5


def test_independent_questions_have_the_sample_variance():
    values = np.array([0.0, 1, 1, 0, 1])
    assert cluster_robust_variance(values, cluster_ids(None, 5)) == pytest.approx(values.var(ddof=1) / 5)
    assert design_effect(values, cluster_ids(None, 5)) == pytest.approx(1)


def test_a_cluster_of_equal_answers_counts_as_one():
    """Each of 50 clusters answered ten times over: the design effect is ten, less what n - 1 and G - 1 change."""
    values = np.repeat(np.arange(50) % 2.0, 10)
    assert design_effect(values, np.repeat(np.arange(50), 10)) == pytest.approx(10 * 499 / 490)


def test_values_that_are_all_equal_have_the_largest_design_effect():
    assert design_effect(np.ones(6), np.array([0, 0, 0, 0, 1, 1])) == pytest.approx((16 + 4) / 6)


def test_one_cluster_has_no_variance():
    of = np.zeros(4, int)
    assert math.isnan(cluster_robust_variance(np.array([0.0, 1, 1, 0]), of)) and math.isnan(
        design_effect(np.ones(4), of)
    )
    assert degrees_of_freedom(of) == 0


@pytest.mark.parametrize(("freedom", "reach"), [(None, 1.95996), (1, 12.7062), (10, 2.22814), (120, 1.97993)])
def test_quantiles_are_those_of_the_tables(freedom, reach):
    assert t_quantile(freedom) == pytest.approx(reach, abs=1e-5)


@pytest.mark.parametrize(("freedom", "errors"), [(3, 4.256), (9, 3.150), (1e6, 2.8016)])
def test_the_t_test_finds_a_difference_of_so_many_standard_errors_in_four_of_five_cases(freedom, errors):
    from scipy.stats import nct

    found = detectable_in_standard_errors(freedom)
    assert found == pytest.approx(errors, abs=1e-3)
    assert nct.sf(t_quantile(freedom), freedom, found) == pytest.approx(0.8, abs=1e-3)


def test_the_clusters_that_are_added_are_as_large_as_what_differs_at_once():
    """A difference that all clusters share does not make them differ as wholes."""
    shared = np.tile([1.0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 8)
    values, of = add_pseudo_clusters(shared, np.repeat(np.arange(8), 10), (1.0, -1.0))
    assert values.tolist()[80:] == [1, -1] and of.tolist()[80:] == [8, 9]
    whole = np.repeat([1.0, 0, 0, 1, 0, 0, 0, 0], 10)
    values, _ = add_pseudo_clusters(whole, np.repeat(np.arange(8), 10), (1.0, 0.0))
    assert values.tolist()[80:] == [1] * 10 + [0] * 10


@pytest.mark.parametrize("freedom", [1, 4.5, 200])
def test_an_estimate_at_the_quantile_has_a_p_of_5_percent(freedom):
    assert two_sided_p(-3 * t_quantile(freedom), 3, freedom) == pytest.approx(0.05)
