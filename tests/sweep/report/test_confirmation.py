"""The confirmation on new seeds: intervals cover questions and seeds where there are predictions, else seeds alone."""

import json
import math
import re

import pytest
from scipy.stats import ttest_ind

from mcqa.evaluation import predictions, statistics
from mcqa.sweep.report.confirmation import read_confirmation
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.sentences import notes
from mcqa.sweep.report.ties import study_result
from tests.sweep.report.recorded_studies import BASE, NOW, answered, exactly, make_study, trials


def confirmed(folder, configurations, metric="test/acc"):
    (folder / "confirm.json").write_text(json.dumps({"metric": metric, "configurations": configurations}))
    problems: list[str] = []
    return read_confirmation(read_study(folder, NOW), problems), problems


def runs(values, **more):
    return {"trial": 1, "runs": [{"seed": i, "value": value} for i, value in enumerate(values)], **more}


def with_predictions(folder, **rights):
    """confirm.json of configurations with a run for each list of answers; "usual" is the default."""
    rows = []
    for trial, (name, seeds) in enumerate(rights.items()):
        for seed, right in enumerate(seeds):
            predictions.write(folder / f"confirm/{name}{seed}/predictions/test.jsonl", answered(right))
        own = [
            {"seed": seed, "value": sum(right) / len(right), "folder": f"confirm/{name}{seed}"}
            for seed, right in enumerate(seeds)
        ]
        rows.append({"trial": trial, "default": name == "usual", "runs": own})
    return rows


def test_values_alone_have_students_interval_over_seeds(tmp_path):
    folder = make_study(tmp_path, trials(60, 50))
    confirmation, problems = confirmed(folder, [runs([0.5, 0.6, 0.7]), runs([0.5, None], default=True)])
    first, default = confirmation.configurations
    assert first.mean.value == pytest.approx(0.6)
    assert first.mean.high - first.mean.value == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-3)
    assert (len(default.values), default.planned) == (1, 2) and math.isnan(default.mean.low)
    assert first.difference is None and problems == []


def test_predictions_are_compared_with_the_default_question_by_question(tmp_path):
    folder = make_study(tmp_path, trials(60, 50))
    rights = {"a": [exactly(80, 100), exactly(78, 100, 5)], "usual": [exactly(50, 100), exactly(52, 100, 5)]}
    confirmation, _ = confirmed(folder, with_predictions(folder, **rights))
    expected = statistics.pooled_difference(rights["usual"], rights["a"])
    first, default = confirmation.configurations
    assert confirmation.by_questions
    assert first.difference == (expected.difference, expected.low, expected.high)
    assert first.p_holm == pytest.approx(expected.p)
    assert default.difference is None


def test_the_mean_over_seeds_has_the_interval_of_a_pooled_accuracy(tmp_path):
    folder = make_study(tmp_path, trials(60, 50))
    rights = [exactly(80, 100), exactly(78, 100, 5)]
    confirmation, _ = confirmed(folder, with_predictions(folder, a=rights))
    assert confirmation.configurations[0].mean == (0.79, *statistics.pooled_accuracy_interval(rights))


@pytest.mark.parametrize("damage", ["", "{}\n", '{"id": "q0", "correct": tr'])
def test_damaged_predictions_leave_the_values(tmp_path, damage):
    folder = make_study(tmp_path, trials(60, 50))
    rows = with_predictions(folder, a=[exactly(80, 100)], usual=[exactly(50, 100)])
    (folder / "confirm/a0/predictions/test.jsonl").write_text(damage)
    confirmation, problems = confirmed(folder, rows)
    assert [one.mean.value for one in confirmation.configurations] == [0.8, 0.5] and not confirmation.by_questions
    assert "confirm/a0/predictions/test.jsonl is damaged" in problems[0]


def test_a_metric_that_is_no_accuracy_is_compared_over_seeds(tmp_path):
    folder = make_study(tmp_path, trials(60, 50))
    values = {"a": [0.9, 1.0, 1.2], "usual": [1.4, 1.5, 1.5]}
    rows = with_predictions(folder, a=[exactly(80, 100)], usual=[exactly(50, 100)])
    rows = [
        row | {"runs": [row["runs"][0] | {"value": value} for value in own]}
        for row, own in zip(rows, values.values(), strict=True)
    ]
    confirmation, problems = confirmed(folder, rows, metric="test/loss")
    welch = ttest_ind(values["a"], values["usual"], equal_var=False)
    first, default = confirmation.configurations
    assert problems == [] and not confirmation.by_questions
    assert first.p_holm == pytest.approx(welch.pvalue)
    assert first.difference[1:] == pytest.approx(tuple(welch.confidence_interval()))
    assert default.difference is None


def test_seeds_without_variance_are_not_compared(tmp_path):
    folder = make_study(tmp_path, trials(60, 50))
    confirmation, _ = confirmed(folder, [runs([0.5, 0.5]), runs([0.4, 0.4], default=True)], metric="test/loss")
    assert [one.difference for one in confirmation.configurations] == [None, None]


def test_a_failed_run_is_named(tmp_path):
    rows = [runs([0.5, None])]
    rows[0]["runs"][1]["error"] = "Traceback\nValueError: bad"
    _, problems = confirmed(make_study(tmp_path, trials(60, 50)), rows)
    assert problems == ["The confirmation of trial 1 with seed 1 failed: ValueError: bad"]


@pytest.mark.parametrize("text", ["", "[]", '{"configurations": 3}', '{"configurations": [{"trial": 1}]}', '{"a"'])
def test_a_damaged_confirmation_is_named(tmp_path, text):
    folder = make_study(tmp_path, trials(60))
    (folder / "confirm.json").write_text(text)
    problems: list[str] = []
    assert read_confirmation(read_study(folder, NOW), problems) is None
    assert re.match("confirm.json (is damaged|cannot be read): ", problems[0])


@pytest.mark.parametrize(
    ("evaluation", "where"),
    [({"test_limit": 50}, "On a first look at test (evaluation.test_limit=50), with"), ({}, "On test, with")],
)
def test_a_confirmation_on_some_questions_of_test_is_a_first_look(tmp_path, evaluation, where):
    folder = make_study(tmp_path, trials(60, 50), base={**BASE, "evaluation": evaluation})
    confirmation, _ = confirmed(folder, [runs([0.5, 0.6]), runs([0.5, 0.4], default=True)])
    study = read_study(folder, NOW)
    assert notes(study, study_result(study), confirmation)[0].startswith(where)
