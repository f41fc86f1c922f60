"""Numbers as text."""

import pytest

from mcqa.evaluation.report import formatting
from mcqa.evaluation.report.formatting import (
    config_value,
    count,
    cut,
    detectable_difference,
    difference,
    few_clusters,
    p_value,
    percent,
    percent_interval,
    point_interval,
    points,
)


def test_shares_are_per_cent_with_a_decimal():
    assert (percent(0.12345), percent(1), percent(0)) == ("12.3 %", "100.0 %", "0.0 %")
    assert percent_interval(0.1, 0.256) == "10.0 – 25.6 %"


def test_p_values_have_four_decimals():
    assert (p_value(0.04321), p_value(0.00009), p_value(None)) == ("0.0432", "< 0.0001", "–")


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.031, "+3.1"), (-0.0205, "−2.1"), (0.0, "0.0"), (-0.0004, "0.0"), (0.0004, "0.0"), (1, "+100.0")],
)
def test_points_have_a_sign_unless_they_round_to_nothing(share, text):
    assert points(share) == text


def test_a_difference_stands_with_its_interval_whose_ends_have_no_plus():
    assert point_interval(-0.009, 0.053) == "−0.9 to 5.3"
    assert difference(0.031, 0.009, 0.053) == "+3.1 points, 95 % CI 0.9 to 5.3"


def test_a_difference_that_cannot_be_detected_has_no_number():
    assert detectable_difference(0.024) == "minimum detectable difference 2.4 points (80 % power)"
    assert detectable_difference(1.0) == "these questions are too few to detect any difference"


@pytest.mark.parametrize(("clusters", "start"), [(1, "All questions are one cluster"), (9, "9 clusters of related")])
def test_few_clusters_are_explained_with_the_key_that_ignores_them(clusters, start):
    assert few_clusters(clusters, "cluster").startswith(start)
    assert "cluster=none" in few_clusters(clusters, "cluster")
    assert few_clusters(formatting.FEW_CLUSTERS, "cluster") is None


def test_values_are_written_as_in_the_configuration():
    values = (None, True, 0.001, 1e-5, 3, "a b", ["ä", 1], {"a": None})
    assert [config_value(value) for value in values] == [
        "null", "true", "0.001", "1e-05", "3", "a b", '["ä", 1]', '{"a": null}',
    ]  # fmt: skip


def test_long_texts_are_cut_and_counts_agree_with_their_noun():
    assert (cut("abcdef", 6), cut("abcdefg", 6)) == ("abcdef", "abcde…")
    assert (count(1, "question"), count(2, "question"), count(0, "question")) == (
        "1 question",
        "2 questions",
        "0 questions",
    )
