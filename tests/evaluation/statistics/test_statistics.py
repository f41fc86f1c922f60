"""What holds for every statistic: the order of questions says nothing, and neither do missing ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation import statistics

STATISTICS = {
    "clustered": lambda before, after, clusters: statistics.clustered_accuracy(after, clusters),
    "bootstrap": lambda before, after, clusters: statistics.bootstrap_interval(after, clusters, 100, 1),
    "mcnemar": statistics.mcnemar,
    "paired_bootstrap": lambda *columns: statistics.paired_bootstrap(*columns, 100, 1),
    "pooled": lambda before, after, clusters: statistics.pooled_difference([before], [after], clusters),
}
rows = st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("abcdef")), min_size=2, max_size=40).filter(
    lambda drawn: len({cluster for _, _, cluster in drawn}) > 1
)
every = pytest.mark.parametrize("statistic", STATISTICS.values(), ids=STATISTICS.keys())


def numbers(found):
    values = found if isinstance(found, tuple) else vars(found).values()
    return [float("nan") if value is None else value for value in values]


@every
@settings(max_examples=30, deadline=None)
@given(drawn=rows, random=st.randoms(use_true_random=False))
def test_the_order_of_questions_does_not_matter(statistic, drawn, random):
    shuffled = random.sample(drawn, len(drawn))
    found, again = (statistic(*zip(*some, strict=True)) for some in (drawn, shuffled))
    assert numbers(again) == pytest.approx(numbers(found), nan_ok=True)


@every
@settings(max_examples=30, deadline=None)
@given(drawn=rows)
def test_names_of_clusters_mean_nothing(statistic, drawn):
    before, after, clusters = zip(*drawn, strict=True)
    found, renamed = (
        statistic(before, after, clusters),
        statistic(before, after, [ord(name) * "x" for name in clusters]),
    )
    assert numbers(renamed) == pytest.approx(numbers(found), nan_ok=True)


@every
def test_no_questions_are_refused(statistic):
    with pytest.raises(ValueError, match="no questions"):
        statistic([], [], [])


@every
def test_a_cluster_is_needed_for_every_question(statistic):
    with pytest.raises(ValueError, match="2 questions, but the clusters of 1"):
        statistic([True, False], [True, True], ["a"])


@pytest.mark.parametrize("name", ["mcnemar", "paired_bootstrap", "pooled"])
def test_answers_to_different_numbers_of_questions_are_not_paired(name):
    with pytest.raises(ValueError):
        STATISTICS[name]([True, False], [True], ["a", "b"])


def test_every_public_name_is_there():
    assert [name for name in statistics.__all__ if not hasattr(statistics, name)] == []
