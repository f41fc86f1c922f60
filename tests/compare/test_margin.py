"""Whether one configuration is as good as another: two one-sided tests, beside the difference."""

import csv
import json
import math
import random

import pytest

from mcqa.compare import export, margin, options, page, sections
from mcqa.compare.estimates import estimate
from mcqa.config.errors import ConfigError
from mcqa.evaluation import statistics
from tests.compare.finished_runs import asked, compared, make_run


def some(share, seed, questions=400):
    draw = random.Random(seed)
    return [draw.random() < share for _ in range(questions)]


def nearly(right, flipped):
    return [not one if i < flipped else one for i, one in enumerate(right)]


def two(tmp_path, before, after):
    return make_run(tmp_path, "a", before, peft__rank=1), make_run(tmp_path, "b", after, peft__rank=2)


@pytest.mark.parametrize("clusters", [None, [f"c{i // 4}" for i in range(400)]])
@pytest.mark.parametrize("seeds", [(1, 1), (2, 3), (1, 3)])
def test_the_interval_at_95_percent_is_that_of_the_comparison(clusters, seeds):
    before, after = ([some(0.5, 10 * side + seed) for seed in range(count)] for side, count in enumerate(seeds))
    found = estimate(before, after, clusters, trained=True)
    if seeds == (1, 1):
        expected = statistics.mcnemar(before[0], after[0], clusters)
    else:
        expected = statistics.pooled_difference(before, after, clusters)
    assert found.interval(0.95) == pytest.approx((expected.low, expected.high))


def test_one_cluster_shows_nothing():
    found = estimate([some(0.5, 1)], [some(0.5, 2)], ["one"] * 400, trained=True)
    assert (found.interval(0.9), found.p_at_most(-0.9), found.p_at_least(0.9)) == ((-1, 1), 1, 1)


def test_a_conclusion_is_that_of_the_interval_at_90_percent(tmp_path):
    found = compared(*two(tmp_path, some(0.5, 1), nearly(some(0.5, 1), 20)))
    for points in (0.2, 1, 2, 3, 4, 6, 10):
        [test] = margin.within_margin(found, points / 100)
        assert (test.p_not_worse < 0.05, test.p_not_better < 0.05) == (
            test.low > -points / 100,
            test.high < points / 100,
        )


def test_non_inferiority_by_hand(tmp_path):
    """40 gained and 30 lost of 400, with one added on each side 10 / 402, and 1 % are (10/402 + .01) / SE."""
    before, after = [True] * 30 + [False] * 370, [False] * 30 + [True] * 40 + [False] * 330
    [test] = margin.within_margin(compared(*two(tmp_path, before, after)), 0.01)
    centre = 10 / 402
    error = ((72 / 402 - centre**2) / 402) ** 0.5
    assert test.p_not_worse == pytest.approx(0.5 * math.erfc((centre + 0.01) / error / 2**0.5))
    assert test.p_not_better == pytest.approx(0.5 * math.erfc((0.01 - centre) / error / 2**0.5))


def test_sentences_say_what_is_shown_and_of_what(tmp_path):
    right = some(0.5, 1)
    found = compared(*two(tmp_path, right, nearly(right, 4)))
    [equal], [open_question] = margin.within_margin(found, 0.05), margin.within_margin(found, 0.001)
    assert margin.sentence(found, equal, 0.05).startswith("rank=2 and rank=1 are equivalent within 5 points (90 % CI ")
    assert margin.sentence(found, equal, 0.05).endswith(
        ", one-sided p < 0.0001; one seed each, so this is about these runs, not their configurations)."
    )
    assert margin.sentence(found, open_question, 0.001).startswith(
        "Nothing is shown about rank=2 and rank=1 within 0.1"
    )


def test_the_p_values_of_several_pairs_are_multiplied_by_their_number(tmp_path):
    right = some(0.5, 1)
    runs = [make_run(tmp_path, f"r{i}", nearly(right, 9 * i), peft__rank=i) for i in range(3)]
    alone, among = (margin.within_margin(compared(*chosen), 0.02)[0] for chosen in (runs[:2], runs))
    assert among.p_equivalent == pytest.approx(min(1, 3 * alone.p_equivalent))
    assert among.low < alone.low < alone.high < among.high
    assert (alone.confidence, among.confidence) == pytest.approx((0.9, 1 - 0.1 / 3))
    for points in (0.5, 1, 2, 3, 4, 6):
        for test in margin.within_margin(compared(*runs), points / 100):
            assert (test.p_not_worse < 0.05, test.p_not_better < 0.05) == (
                test.low > -points / 100,
                test.high < points / 100,
            )


def test_the_answer_is_in_every_file(tmp_path):
    runs = two(tmp_path, some(0.5, 1), nearly(some(0.5, 1), 4))
    comparison, chosen = compared(*runs), asked(*runs, margin="5", out=str(tmp_path / "out"))
    answers = sections.answer(comparison, chosen)
    folder = export.write(comparison, chosen, answers)
    [row] = csv.DictReader((folder / "margin.csv").open())
    assert (row["conclusion"], row["of_these_runs_only"]) == ("equivalent", "True")
    kept = json.loads((folder / "comparison.json").read_text())["margin"]
    assert kept["answers"] == answers[0].answers and kept["rows"][0]["p_equivalent"] == float(row["p_equivalent"])
    text = page.render_page(comparison, {}, answers)
    assert "As good, within 5 points?" in text and "Schuirmann 1987" in text
    assert answers[0].answers[0].replace("<", "&lt;") in text
    assert "Schuirmann" not in page.render_page(comparison, {})


@pytest.mark.parametrize("value", ["0", "-1", "100", "one", "nan", ""])
def test_a_margin_is_a_number_of_points(value):
    with pytest.raises(ConfigError, match=f"margin={value}: must be a number of points above 0 and below 100"):
        options.parse(["a", f"margin={value}"])
