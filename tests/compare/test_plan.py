"""How many seeds and questions a difference takes, and where the noise comes from."""

import csv
import math

import numpy as np
import pytest

from mcqa.compare import export, options, page, plan, sections
from mcqa.compare.components import components
from mcqa.config.errors import ConfigError
from mcqa.evaluation import statistics
from tests.compare.finished_runs import asked, compared, make_run


def drawn(seeds, generator, questions=400, between=0.1):
    """Answers of `seeds` runs: questions differ in how hard they are, seeds in how good they are."""
    hard = np.random.default_rng(0).normal(0.5, 1, questions)
    logits = hard + generator.normal(0, between, (seeds, 1)) + generator.normal(0, 1, (seeds, questions))
    return (logits > 0).tolist()


def of_seeds(tmp_path, counts, **changes):
    generator = np.random.default_rng(3)
    return [
        make_run(tmp_path, f"r{side}{seed}", right, seed=seed, peft__rank=side, **changes)
        for side, count in enumerate(counts)
        for seed, right in enumerate(drawn(count, generator))
    ]


@pytest.mark.parametrize("clusters", [None, [f"c{i // 4}" for i in range(400)]])
@pytest.mark.parametrize("counts", [(4, 4), (5, 5)])
def test_the_components_of_as_many_seeds_and_questions_add_up_to_the_variance_of_the_test(counts, clusters):
    generator = np.random.default_rng(1)
    before, after = (drawn(count, generator, between=0.3) for count in counts)
    variance, degrees = components(before, after, clusters, (True, True)).variance(1, counts[0])
    pooled = statistics.pooled_difference(before, after, clusters)
    assert (variance**0.5, degrees) == pytest.approx((pooled.standard_error, pooled.degrees_of_freedom))


def test_the_components_are_found_again():
    """Over many draws: the variance between seeds, and that of chance answers, as they were made."""
    generator = np.random.default_rng(2)
    many = np.array(drawn(4000, generator), float)
    of_seeds_and_chance = many.mean(1).var()
    found = [components(drawn(4, generator), drawn(4, generator), None, (True, True)) for _ in range(150)]
    assert np.mean([side.total for its in found for side in its.sides]) == pytest.approx(of_seeds_and_chance, rel=0.15)
    chance = float((many.mean(0) * (1 - many.mean(0))).mean() / 400)
    assert np.mean([side.interaction for its in found for side in its.sides]) == pytest.approx(chance, rel=0.15)


def test_the_deviation_between_seeds_has_the_interval_of_a_variance():
    """Of 4 + 4 values, 6 degrees of freedom: from .644 to 2.202 times the deviation."""
    generator = np.random.default_rng(1)
    before, after = drawn(4, generator, between=0.4), drawn(4, generator, between=0.4)
    found = components(before, after, None, (True, True))
    observed = math.sqrt((np.mean(before, 1).var(ddof=1) + np.mean(after, 1).var(ddof=1)) / 2)
    assert found.seed_deviation == pytest.approx(observed)
    assert found.seed_deviation_interval == pytest.approx((0.6444 * observed, 2.2021 * observed), rel=1e-3)


def test_a_base_has_no_seeds_and_one_seed_borrows_those_of_the_other_side():
    generator = np.random.default_rng(1)
    several, one = drawn(5, generator), drawn(1, generator)
    certain, borrowing = (components(one, several, None, (trained, True)) for trained in (False, True))
    assert [len(its.sides) for its in (certain, borrowing)] == [1, 2]
    assert borrowing.sides[0].seeds == borrowing.sides[1].seeds > 0
    assert components(one, several, ["one"] * 400, (True, True)) is None


def test_more_seeds_and_more_questions_show_smaller_differences(tmp_path):
    found = plan.plan(compared(*of_seeds(tmp_path, (3, 3))), 0.09, None)
    assert found.shows(400, 3) > found.shows(400, 8) > found.shows(1600, 8)
    needed = found.questions_with(8)
    assert found.shows(needed, 8) <= 0.09 < found.shows(0.85 * needed, 8)
    assert found.questions_with(2) is None  # seeds alone are more than that


def test_the_advice_names_the_fewest_seeds_and_trains_those_that_are_missing(tmp_path):
    runs = of_seeds(tmp_path, (3, 2))
    comparison = compared(*runs)
    found = plan.plan(comparison, 0.09, None)
    assert found.shows(400, found.seeds) <= 0.09 < found.shows(400, found.seeds - 1)
    first, *commands, last = plan.sections(comparison, 0.09, None)[0].answers
    assert first.startswith(f"{found.seeds} seeds each show a true difference of 9 points on these 400 questions (80 %")
    low, high = found.components.seed_deviation_interval
    assert first.endswith(f"points (95 % CI {100 * low:.1f} to {100 * high:.1f}).")
    seeds = ",".join(map(str, range(2, found.seeds)))
    assert commands[-1].endswith(f"rank=1: python -m mcqa.train --multirun from_run={runs[3]} seed={seeds}")
    assert last.startswith("Fix the number of seeds beforehand")


def test_one_seed_each_is_planned_with_a_deviation_that_is_said_to_be_assumed(tmp_path):
    runs = of_seeds(tmp_path, (1, 1))
    wide, narrow = (plan.sections(compared(*runs), 0.05, deviation)[0] for deviation in (None, 0.002))
    assert "a standard deviation of 1.0 points between seeds is assumed, and seed_sd= assumes another" in str(wide)
    assert narrow.rows[0]["detectable_difference"] < wide.rows[0]["detectable_difference"]


def test_a_run_against_its_base_needs_no_seeds_of_the_base(tmp_path):
    generator = np.random.default_rng(3)
    base = drawn(1, generator)[0]
    runs = [make_run(tmp_path, f"r{i}", right, base=base, seed=i) for i, right in enumerate(drawn(3, generator))]
    found = plan.plan(compared(*runs), 0.05, None)
    assert len(found.components.sides) == 1 and not found.assumed


def test_one_passage_has_no_plan(tmp_path):
    runs = of_seeds(tmp_path, (2, 2))
    comparison = compared(*runs, cluster="none")
    assert len(plan.sections(comparison, 0.01, None)) == 1
    one = type(comparison)(**{**vars(comparison), "cluster_names": ["one"] * 400})
    assert plan.sections(one, 0.01, None) == []
    assert not math.isnan(plan.plan(comparison, 0.01, None).shows(400, 2))


def test_the_plan_is_in_the_files(tmp_path):
    runs = of_seeds(tmp_path, (2, 2))
    comparison, chosen = compared(*runs), asked(*runs, plan="2", out=str(tmp_path / "out"))
    answers = sections.answer(comparison, chosen)
    folder = export.write(comparison, chosen, answers)
    rows = list(csv.DictReader((folder / "plan.csv").open()))
    assert len(rows) == len(plan.SEEDS) * len(plan.TIMES)
    text = page.render_page(comparison, {}, answers)
    assert "How many seeds and questions?" in text and "Searle" in text


def test_a_deviation_that_no_plan_uses_is_refused():
    with pytest.raises(ConfigError, match="seed_sd: only plan= uses it"):
        options.parse(["a", "seed_sd=1"])
