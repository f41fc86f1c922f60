"""The statistics of a comparison: which test, on what, and how the numbers hang together."""

import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcqa.compare import sentences
from mcqa.config.errors import ConfigError
from mcqa.evaluation import statistics
from mcqa.evaluation.predictions import OptionOrder, Prediction
from tests.compare.finished_runs import answered, compared, make_run, predicted, question


def some(share, seed, questions=200):
    draw = random.Random(seed)
    return [draw.random() < share for _ in range(questions)]


def with_passages(right, each=4):
    return [predicted(one, question(i, context=f"passage {i // each}")) for i, one in enumerate(right)]


def test_two_single_runs_are_compared_by_mcnemars_test_and_the_bootstrap(tmp_path):
    before, after = some(0.4, 1), some(0.6, 2)
    found = compared(make_run(tmp_path, "a", before, peft__rank=1), make_run(tmp_path, "b", after, peft__rank=2))
    [pair] = found.pairs
    expected = statistics.mcnemar(before, after)
    assert (pair.difference.estimate, pair.difference.p, pair.difference.low) == (
        expected.difference,
        expected.p,
        expected.low,
    )
    assert (pair.difference.test, pair.difference.standard_error_seeds, found.clusters) == ("McNemar mid-p", None, None)
    assert pair.difference.bootstrap == statistics.paired_bootstrap(before, after, None, 10000, 0)
    assert pair.counts.by_kind["newly right"] == expected.newly_right
    assert found.accuracies[0].low == statistics.wilson_interval(sum(before), len(before))[0]


def test_questions_that_share_a_passage_are_tested_by_cluster(tmp_path):
    before, after = some(0.4, 1), some(0.6, 2)
    runs = [
        make_run(tmp_path, name, with_passages(right), peft__rank=name) for name, right in (("a", before), ("b", after))
    ]
    found = compared(*runs)
    [pair] = found.pairs
    names = [question.context for question in found.questions]
    expected = statistics.mcnemar(before, after, names)
    assert found.clusters == 50
    assert (pair.difference.test, pair.difference.p, pair.difference.high) == (
        "clustered",
        expected.p_clustered,
        expected.high,
    )
    assert pair.difference.p_mcnemar == expected.p
    assert found.accuracies[1].high == statistics.clustered_accuracy(after, names).high


def test_several_seeds_are_pooled_and_both_noises_shown(tmp_path):
    before, after = [some(0.4, seed) for seed in (1, 2)], [some(0.6, seed) for seed in (3, 4, 5)]
    runs = [make_run(tmp_path, f"a{i}", right, seed=i, peft__rank=1) for i, right in enumerate(before)]
    runs += [make_run(tmp_path, f"b{i}", right, seed=i, peft__rank=2) for i, right in enumerate(after)]
    found = compared(*runs)
    [pair] = found.pairs
    expected = statistics.pooled_difference(before, after)
    assert (pair.difference.estimate, pair.difference.p) == (expected.difference, expected.p)
    assert (pair.difference.standard_error_questions, pair.difference.standard_error_seeds) == (
        expected.from_questions,
        expected.from_seeds,
    )
    assert pair.single_seed == () and pair.difference.bootstrap is None
    assert [len(one.seeds) for one in found.accuracies] == [2, 3]
    assert all(one.low < one.mean < one.high for one in found.accuracies)


def test_what_a_set_could_show_knows_that_clusters_may_flip_as_wholes(tmp_path):
    """A run against its re-measurement: no flip, one, or a whole cluster of four. 50 clusters show what 50 questions
    show; one flip hardly says that questions flip alone, so it does not show what 200 questions show."""
    before = [True] * 200
    smallest = []
    for number, after in enumerate((before, [False, *before[1:]], [False] * 4 + before[4:])):
        runs = [
            make_run(tmp_path, f"{number}{side}", with_passages(right), peft__rank=side)
            for side, right in enumerate((before, after))
        ]
        found = compared(*runs).pairs[0].difference
        smallest.append(found.minimum_detectable_difference)
        assert max(found.high, -found.low) < found.minimum_detectable_difference
    none, one, whole = smallest
    of_wholes = statistics.minimum_detectable_difference(50, 0, degrees_of_freedom=49)
    assert (none, whole) == pytest.approx((of_wholes, of_wholes), rel=0.05)
    assert 2 * statistics.minimum_detectable_difference(200, 0) < one < none


@pytest.mark.parametrize(("metric", "key"), [("acc_worst", "permutations=cyclic prompt=letters"),
                                             ("acc_mutual_info", "unconditional=true")])  # fmt: skip
def test_a_metric_that_was_not_measured_says_what_to_measure(tmp_path, metric, key):
    runs = [make_run(tmp_path, f"r{i}", [True, False], peft__rank=i) for i in (1, 2)]
    with pytest.raises(ConfigError, match=f"metric={metric}: not every run measured it.* evaluation.{key}"):
        compared(*runs, metric=metric)


def test_orders_of_the_options_are_compared_question_by_question(tmp_path):
    """The first model always says A, the second knows; under the given order they do not differ."""
    asked = [question(i, choices=("oak", "elm"), answer=0) for i in range(20)]
    first, second = (
        [
            Prediction(
                one, (-1.0, -2.0), (1, 1), True, orders=(OptionOrder((0, 1), (-1.0, -2.0)), OptionOrder((1, 0), turned))
            )
            for one in asked
        ]
        for turned in ((-1.0, -2.0), (-2.0, -1.0))
    )
    runs = make_run(tmp_path, "a", first, peft__rank=1), make_run(tmp_path, "b", second, peft__rank=2)
    assert compared(*runs).pairs[0].difference.estimate == 0
    worst = compared(*runs, metric="acc_worst")
    assert (
        worst.pairs[0].difference.estimate,
        worst.pairs[0].counts.by_kind["newly right"],
        worst.pairs[0].significant,
    ) == (1, 20, True)
    assert [one.mean for one in compared(*runs, metric="acc_averaged").accuracies] == [1, 1]


def test_a_configuration_with_one_seed_is_said_to_have_one(tmp_path):
    runs = [make_run(tmp_path, f"a{i}", some(0.4, i), seed=i, peft__rank=1) for i in (0, 1)]
    found = compared(*runs, make_run(tmp_path, "b", some(0.6, 9), peft__rank=2))
    assert found.pairs[0].single_seed == (1,)
    assert sentences.notes(found) == [
        "One seed of rank=2: the interval of its accuracy leaves out seed variance, how much another seed would change "
        "the result; a difference takes it to be that of the other side, which has several seeds. Add runs with other "
        "seeds to measure it."
    ]
    answers = [[[row.correct for row in rows] for rows in own.predictions] for own in found.configurations]
    assert found.pairs[0].difference.p == statistics.pooled_difference(*answers).p
    certain = statistics.pooled_difference(*answers, every_side_has_seeds=False)
    assert found.pairs[0].difference.high > certain.high


def test_single_seeds_on_both_sides_are_said_to_be_so(tmp_path):
    runs = [make_run(tmp_path, f"r{i}", some(0.4, i), peft__rank=i) for i in (0, 1)]
    assert sentences.notes(compared(*runs))[0].startswith("One seed each: the intervals leave out seed variance")


def test_a_base_needs_no_seeds(tmp_path):
    runs = [make_run(tmp_path, f"a{i}", some(0.6, i), base=some(0.4, 9), seed=i) for i in (0, 1)]
    found = compared(*runs)
    assert found.pairs[0].single_seed == ()
    assert sentences.notes(found) == []
    answers = [[[row.correct for row in rows] for rows in own.predictions] for own in found.configurations]
    certain = statistics.pooled_difference(*answers, every_side_has_seeds=False)
    assert found.pairs[0].difference.p == certain.p


def test_one_cluster_or_a_few_say_why_intervals_are_wide(tmp_path):
    def notes(**changes):
        rows = [predicted(i % 3 > 0, question(i, subject="ab"[i % 2])) for i in range(12)]
        name = "".join(changes.values())
        run = make_run(tmp_path, name, rows, base=rows)
        return sentences.notes(compared(run, **changes))

    assert notes(cluster="subject")[0].startswith("2 clusters of related questions say little about other clusters")
    assert "cluster=none" in notes(cluster="subject", split="test")[0]
    assert not any("groups" in note for note in notes(cluster="auto"))


def test_three_configurations_are_adjusted_together_and_grouped_by_what_is_tied(tmp_path):
    low, high = some(0.3, 1), some(0.8, 2)
    near = [not one if i == 0 else one for i, one in enumerate(high)]
    runs = [make_run(tmp_path, f"r{i}", right, peft__rank=i) for i, right in enumerate((low, high, near))]
    found = compared(*runs)
    for pair in found.pairs:
        assert pair.p < pair.p_adjusted <= min(1, 3 * pair.p)
        assert pair.low < pair.difference.low < pair.difference.high < pair.high
    assert [one.group for one in found.accuracies] == ["b", "a", "a"]
    assert [(pair.before, pair.after) for pair in found.with_first] == [(0, 1), (0, 2)]
    best = max((1, 2), key=lambda i: found.accuracies[i].mean)
    assert sentences.verdict(found).startswith(f"rank={best} has the highest accuracy, ")
    assert sentences.verdict(found).endswith(
        f"significantly better than rank=0, no statistically significant difference from rank={3 - best} (adjusted "
        "for 3 comparisons, max-T; one seed each, so this is about these runs, not their configurations)."
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=25))
def test_the_other_way_round_only_the_sign_changes(tmp_path_factory, pairs):
    root = tmp_path_factory.mktemp("runs")
    one, other = (
        make_run(root, f"r{side}", answered([pair[side] for pair in pairs]), peft__rank=side) for side in (0, 1)
    )
    there, back = compared(one, other).pairs[0], compared(other, one).pairs[0]
    assert there.difference.estimate == -back.difference.estimate
    assert there.difference.low == pytest.approx(-back.difference.high)
    assert (there.difference.p, there.difference.minimum_detectable_difference) == pytest.approx(
        (back.difference.p, back.difference.minimum_detectable_difference)
    )
    assert there.counts.by_kind["newly right"] == back.counts.by_kind["newly wrong"]


def test_one_question_and_one_passage_prove_nothing(tmp_path):
    single = compared(make_run(tmp_path, "a", [False], peft__rank=1), make_run(tmp_path, "b", [True], peft__rank=2))
    assert not single.pairs[0].significant
    assert "these questions are too few to detect any difference" in sentences.verdict(single)
    rows = [answered(right, context="one") for right in (some(0.1, 1), some(0.9, 2))]
    found = compared(make_run(tmp_path, "c", rows[0], peft__rank=1), make_run(tmp_path, "d", rows[1], peft__rank=2))
    assert (found.clusters, found.pairs[0].significant, found.pairs[0].difference.minimum_detectable_difference) == (
        1,
        False,
        1.0,
    )
    assert not math.isnan(found.accuracies[0].low)


def test_one_passage_and_several_seeds_prove_nothing_either(tmp_path):
    runs = [
        make_run(tmp_path, f"r{i}{s}", answered(some(0.5, s), context="one"), seed=s, peft__rank=i)
        for i in (1, 2)
        for s in (1, 2)
    ]
    found = compared(*runs)
    assert not found.pairs[0].significant
    assert (found.accuracies[0].low, found.accuracies[0].high) == (0.0, 1.0)
