"""Calibration of configurations side by side: which errors, at which temperature, and what is said of them."""

import csv
import math
import random

import numpy as np
import pytest

from mcqa.compare import calibration, export, page, sections
from mcqa.compare.analysis import compare
from mcqa.compare.configurations import group_runs
from mcqa.compare.runs import find
from mcqa.evaluation import predictions
from mcqa.evaluation.calibration import fit_temperature
from mcqa.evaluation.calibration_error import calibration_error
from mcqa.evaluation.predictions import Prediction
from tests.compare.finished_runs import asked, make_run, question


def confident(temperature, n=400, seed=0):
    """A model whose scores, times the temperature, would be calibrated."""
    chance, rows = random.Random(seed), []
    for number in range(n):
        truth = [chance.gauss(0, 2) for _ in range(4)]
        answer = chance.choices(range(4), [math.exp(t) for t in truth])[0]
        logits = [t / temperature for t in truth]
        total = math.log(math.fsum(map(math.exp, logits)))
        rows.append(Prediction(question(number, answer=answer), tuple(one - total for one in logits), (1,) * 4))
    return rows


def run(root, name, temperature, dev=True, **changes):
    folder = make_run(root, name, test=confident(temperature), **changes)
    if dev:
        predictions.write(folder / "predictions" / "dev.jsonl", confident(temperature, n=500, seed=1))
    return folder


def compared(*folders, **given):
    options = asked(*folders, **given)
    return compare(group_runs([find(str(folder), options, "") for folder in folders], options), options)


def test_a_model_that_is_too_sure_differs_as_measured_and_hardly_at_its_temperature(tmp_path):
    runs = [run(tmp_path, "a", 1.0), run(tmp_path, "b", 0.3, peft__rank=2)]
    plain, scaled = calibration.calibrations(compared(*runs))
    assert (plain.scaled, scaled.scaled) == (False, True)
    assert plain.adjusted.p < 0.01 < scaled.adjusted.p and plain.difference.centre > 0.1
    rows = confident(0.3)
    assert plain.after[0].ece == calibration_error(rows).ece
    temperature = fit_temperature(confident(0.3, n=500, seed=1))
    assert scaled.after[0].ece == calibration_error(rows, temperature).ece


def test_without_dev_there_is_no_temperature_and_dev_is_not_scaled_by_its_own(tmp_path):
    runs = [run(tmp_path, "a", 1.0), run(tmp_path, "b", 0.5, dev=False, peft__rank=2)]
    assert [one.scaled for one in calibration.calibrations(compared(*runs))] == [False]
    both = [runs[0], run(tmp_path, "c", 0.5, peft__rank=3)]
    assert [one.scaled for one in calibration.calibrations(compared(*both, split="dev"))] == [False]


def test_a_damaged_dev_leaves_the_comparison_as_it_is(tmp_path):
    runs = [run(tmp_path, "a", 1.0), run(tmp_path, "b", 0.5, peft__rank=2)]
    (runs[0] / "predictions" / "dev.jsonl").write_text("no JSON")
    assert [one.scaled for one in calibration.calibrations(compared(*runs))] == [False]


def test_base_and_fine_tuned_have_each_their_own_temperature(tmp_path):
    folder = make_run(tmp_path, "a", test=confident(0.5), base=confident(2.0))
    for name, temperature in (("dev", 0.5), ("base_dev", 2.0)):
        predictions.write(folder / "predictions" / f"{name}.jsonl", confident(temperature, seed=1))
    base, tuned = compared(folder).configurations
    assert calibration.temperatures(base)[0] == fit_temperature(confident(2.0, seed=1))
    assert calibration.temperatures(tuned)[0] == fit_temperature(confident(0.5, seed=1))


def test_seeds_are_averaged_and_widen_the_interval(tmp_path):
    seeds = [run(tmp_path, f"b{seed}", 0.3 + 0.2 * seed, seed=seed, peft__rank=2) for seed in range(2)]
    first = run(tmp_path, "a", 1.0)
    pooled = calibration.calibrations(compared(first, *seeds))[0]
    single = calibration.calibrations(compared(first, seeds[0]))[0]
    assert len(pooled.after) == 2
    assert np.diff(pooled.difference.interval(0.95)) > np.diff(single.difference.interval(0.95))


def test_the_answer_is_in_every_file_and_says_what_it_is_about(tmp_path):
    runs = [run(tmp_path, "a", 1.0), run(tmp_path, "b", 0.3, peft__rank=2)]
    comparison, chosen = compared(*runs), asked(*runs, out=str(tmp_path / "out"))
    answers = sections.answer(comparison, chosen)
    [found] = [one for one in answers if one.name == "calibration"]
    as_measured, at_temperature = found.answers
    assert as_measured.startswith("Calibration: the debiased error of rank=2 is significantly higher than that of ")
    assert "one seed each, so this is about these runs, not their configurations" in as_measured
    assert at_temperature.startswith(
        "Calibration at temperatures fitted on dev: no statistically significant difference"
    )
    folder = export.write(comparison, chosen, answers)
    rows = list(csv.DictReader((folder / "calibration.csv").open()))
    assert [row["at_temperatures_of_dev"] for row in rows] == ["False", "True"]
    assert float(rows[0]["ece_after"]) == pytest.approx(calibration_error(confident(0.3)).ece)
    assert "Guo et al. 2017" in page.render_page(comparison, {}, answers)
    assert "Guo et al." not in page.render_page(comparison, {})


def test_of_several_pairs_it_says_how_many_differ(tmp_path):
    runs = [run(tmp_path, f"r{i}", t, peft__rank=i) for i, t in enumerate((1.0, 1.0, 0.3))]
    found = calibration.section(compared(*runs))
    assert found.answers[0] == "Calibration: 2 of 3 pairs differ significantly (adjusted for 3 comparisons, max-T)."
    assert len(found.table.rows) == 6 and found.table.columns[3][0] == "p (max-T)"
    for row in found.rows:
        assert (row["p_adjusted"] < 0.05) == (not row["simultaneous_low"] <= 0 <= row["simultaneous_high"])
