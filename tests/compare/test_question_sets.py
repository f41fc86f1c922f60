"""A comparison over several question sets: one row a set, and the macro average."""

import csv

import numpy as np
import pytest

from mcqa.compare import export, options, page, question_sets, sections
from mcqa.compare.estimates import estimate
from mcqa.compare.question_sets import Answers, macro_average
from mcqa.config.errors import ConfigError
from mcqa.evaluation import predictions, statistics
from tests.compare.finished_runs import answered, asked, compared, make_run


def some(share, generator, questions=100):
    return (generator.random(questions) < share).tolist()


def on_sets(tmp_path, gains=(0.0, 0.3), seeds=1, sizes=(100, 60)):
    """Runs of two configurations on test and a set named `more`."""
    generator, runs = np.random.default_rng(0), []
    for side in (0, 1):
        for seed in range(seeds):
            test, more = (some(0.4 + side * gain, generator, n) for gain, n in zip(gains, sizes, strict=True))
            runs.append(make_run(tmp_path, f"r{side}{seed}", test, seed=seed, peft__rank=side))
            predictions.write(runs[-1] / "predictions" / "more.jsonl", answered(more))
    return runs


def _answers(runs, name):
    configurations = compared(*runs, split=name).configurations
    return [[[row.correct for row in rows] for rows in own.predictions] for own in configurations]


def over(runs, **given):
    return question_sets.over_sets(compared(*runs), asked(*runs, **given))


def test_every_set_is_compared_as_if_alone_and_adjusted_for_all(tmp_path):
    runs = on_sets(tmp_path)
    [found] = over(runs, sets="test,more")
    alone = [compared(*runs, split=name).pairs[0].difference for name in ("test", "more")]
    assert [(on.name, on.questions) for on in found.sets] == [("test", 100), ("more", 60)]
    assert [(on.difference.estimate, on.difference.low, on.difference.p) for on in found.sets] == [
        (one.estimate, one.low, one.p) for one in alone
    ]
    level = 1 - 0.95**0.5  # of two independent comparisons (Šidák)
    for on in found.sets:
        its = estimate(*_answers(runs, on.name), None, trained=True)
        assert on.adjusted.p == pytest.approx(1 - (1 - its.p) ** 2, abs=2e-4)
        assert on.adjusted.interval == pytest.approx(its.interval(1 - level), abs=1e-3)
    assert found.macro == pytest.approx(sum(one.estimate for one in alone) / 2)


def test_the_variance_of_single_runs_is_that_of_stratified_means():
    generator = np.random.default_rng(1)
    sides = [(some(0.4, generator, n), some(0.6, generator, n)) for n in (400, 100)]
    found = macro_average([Answers([before], [after], None) for before, after in sides], trained=True)
    variances = [np.subtract(after, before, dtype=float).var(ddof=1) / len(after) for before, after in sides]
    assert found.standard_error == pytest.approx((sum(variances) / 4) ** 0.5, rel=0.02)
    weight = variances[0] ** 2 / 399 + variances[1] ** 2 / 99
    assert found.degrees_of_freedom == pytest.approx(sum(variances) ** 2 / weight, rel=0.02)


def test_one_set_alone_is_its_own_macro_average():
    generator = np.random.default_rng(2)
    before, after = ([some(share, generator) for _ in range(3)] for share in (0.4, 0.6))
    clusters = [f"c{i // 4}" for i in range(100)]
    found, pooled = macro_average([Answers(before, after, clusters)], True), statistics.pooled_difference(
        before, after, clusters
    )  # fmt: skip
    assert (found.p, found.standard_error) == pytest.approx((pooled.p, pooled.standard_error))


def test_seeds_that_are_better_on_all_sets_do_not_average_out():
    """The same answers twice are no second set for the seeds, and half the variance for the questions."""
    generator = np.random.default_rng(3)
    before, after = ([some(share + shift, generator, 300) for shift in (-0.2, 0.0, 0.2)] for share in (0.4, 0.5))
    one = macro_average([Answers(before, after, None)], True)
    both = macro_average([Answers(before, after, None)] * 2, True)
    of_seeds = statistics.pooled_difference(before, after).from_seeds
    assert of_seeds < both.standard_error < one.standard_error < 1.2 * both.standard_error


def test_the_interval_holds_the_truth_where_sets_gain_differently():
    generator, gains, held = np.random.default_rng(4), (0.0, 0.3), 0
    for _ in range(300):
        sets = [
            Answers([some(0.4, generator, n)], [some(0.4 + gain, generator, n)], None)
            for gain, n in zip(gains, (150, 50), strict=True)
        ]
        low, high = macro_average(sets, True).interval(0.95)
        held += low <= 0.15 <= high
    assert 0.92 < held / 300 < 0.98


def test_a_set_of_one_cluster_leaves_the_macro_average_unknown():
    generator = np.random.default_rng(5)
    before, after = [some(0.4, generator)], [some(0.9, generator)]
    found = macro_average([Answers(before, after, None), Answers(before, after, ["one"] * 100)], True)
    assert (found.interval(0.95), found.p) == ((-1, 1), 1)


def test_all_are_those_that_the_runs_share_without_dev_and_base(tmp_path):
    runs = on_sets(tmp_path)
    for folder in runs:
        predictions.write(folder / "predictions" / "dev.jsonl", answered([True, False]))
    predictions.write(runs[0] / "predictions" / "odd.jsonl", answered([True, False]))
    [found] = over(runs, sets="all")
    assert {on.name for on in found.sets} == {"test", "more"}


def test_a_set_that_a_run_lacks_and_all_of_one_set_are_refused(tmp_path):
    runs = [make_run(tmp_path, f"r{i}", [True, False], peft__rank=i) for i in range(2)]
    with pytest.raises(ConfigError, match="has no predictions for split=more"):
        over(runs, sets="test,more")
    with pytest.raises(ConfigError, match="sets=all: the runs share test only"):
        over(runs, sets="all")


@pytest.mark.parametrize("value", ["test", "test,test", "test,", "all,test,all"])
def test_sets_are_two_or_more_names(value):
    with pytest.raises(ConfigError, match="must be all, or two or more names with commas between, each once"):
        options.parse(["a", f"sets={value}"])


def test_the_table_its_file_and_the_sentence(tmp_path):
    runs = on_sets(tmp_path, seeds=3)
    comparison, chosen = compared(*runs), asked(*runs, sets="test,more", out=str(tmp_path / "out"))
    answers = [its for its in sections.answer(comparison, chosen) if its.name == "sets"]
    [sentence] = answers[0].answers
    assert sentence.startswith("rank=1 against rank=0 over 2 sets: macro average +")
    assert sentence.endswith("significantly better on 1 of them and worse on 0.")
    rows = list(csv.DictReader((export.write(comparison, chosen, answers) / "sets.csv").open()))
    assert [row["set"] for row in rows] == ["test", "more", "macro average"]
    assert float(rows[2]["difference"]) == pytest.approx(sum(float(row["difference"]) for row in rows[:2]) / 2)
    assert "Over question sets" in page.render_page(comparison, {}, answers)


def test_the_test_of_a_mix_is_not_one_of_its_sets_again(tmp_path):
    runs = [make_run(tmp_path, f"r{side}", [True, False] * 20, data__reader="mix", peft__rank=side) for side in (0, 1)]
    for run in runs:
        for name in ("arc", "mine"):
            predictions.write(run / "predictions" / f"{name}.jsonl", answered([True, False] * 10))
    [found] = over(runs, sets="all")
    assert [on.name for on in found.sets] == ["arc", "mine"]
