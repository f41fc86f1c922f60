"""The charts of a study: every trial in its role, and what plotly.js draws."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.sweep.report import charts
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.ties import study_result
from tests.sweep.optuna_study.example_studies import BASE, CORE, core
from tests.sweep.report.recorded_studies import NOW, Written, factor_study, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Complete, pruned, failed and running trials of six parameters."""
    folder = make_study(tmp_path_factory.mktemp("example"), core(40, 4, questions=60), space=CORE, base=BASE)
    return read_study(folder, NOW)


@pytest.fixture(scope="module")
def result(study):
    return study_result(study)


def test_every_started_trial_has_one_role(study, result):
    roles = charts.roles(study, result)
    numbers = [trial.number for trials in roles.values() for trial in trials]
    assert sorted(numbers) == [trial.number for trial in study.trials if trial.status != "waiting"]
    assert [trial.number for trial in roles["best"]] == [result.best.number]
    assert {trial.number for trial in roles["tied with the best"]} == set(result.tied)


def test_a_trial_without_a_final_value_is_drawn_below_all_that_have_one(study, result):
    data = charts.history(study, result)["data"]
    heights = {n: y for trace in data for n, y in zip(trace.get("customdata", []), trace["y"], strict=False)}
    complete = {trial.number for trial in study.complete}
    assert max(y for n, y in heights.items() if n not in complete) < min(heights[n] for n in complete)


def test_the_best_so_far_never_falls(study, result):
    line = charts.history(study, result)["data"][0]
    assert line["y"] == sorted(line["y"]) and line["y"][-1] == pytest.approx(100 * result.best.value)


def test_a_parameter_on_a_log_scale_is_drawn_on_one(study, result):
    slices = charts.slices(study, result, study.swept)
    assert slices["optimizer.learning_rate"]["layout"]["xaxis"]["type"] == "log"
    assert "type" not in slices["optimizer.weight_decay"]["layout"]["xaxis"]
    assert slices["scheduler"]["layout"]["xaxis"]["ticktext"] == ["cosine", "linear", "constant"]


@given(st.floats(-8, 3), st.floats(0.01, 8))
@settings(max_examples=80, deadline=None)
def test_a_log_axis_has_some_ticks_and_not_too_many(low, decades):
    ends = 10**low, 10 ** (low + decades)
    ticks = [tick for tick in charts.log_ticks(*ends) if ends[0] <= tick <= ends[1]]
    assert len(ticks) <= 8
    assert len(ticks) >= 2 or decades < 0.48  # as from 1.1 to 2.9: the ends, rounded


def test_parallel_coordinates_end_at_the_values(study, result):
    [trace] = charts.parallel_coordinates(study, result, study.swept)["data"]
    *parameters, values = trace["dimensions"]
    assert [axis["label"] for axis in parameters] == [swept.key.rpartition(".")[2] for swept in study.swept]
    assert values["values"] == pytest.approx([100 * trial.value for trial in study.complete])
    assert trace["line"]["color"][0] == 2 and trace["line"]["color"].count(1) == len(result.tied)


def test_parallel_coordinates_have_only_parameters_of_all_trials(tmp_path):
    rows = [Written(params={"seed": i, "optimizer.learning_rate": 0.01, "peft.rank": 4}, value=i / 9) for i in range(3)]
    rows += [Written(params={"seed": 9, "optimizer.learning_rate": 0.002}, value=0.9)]
    study = read_study(make_study(tmp_path, rows), NOW)
    [trace] = charts.parallel_coordinates(study, study_result(study), study.swept)["data"]
    assert [axis["label"] for axis in trace["dimensions"]] == ["learning_rate", "seed", "dev/acc (%)"]


def test_a_number_among_choices_is_drawn_at_its_mark_and_other_choices_side_by_side(study, result, tmp_path):
    slices = charts.slices(study, result, study.swept)
    xs = {key: [x for trace in slices[key]["data"] for x in trace["x"]] for key in ("peft.rank", "scheduler")}
    assert {*xs["peft.rank"]} <= {0, 1, 2} and not {*xs["scheduler"]} <= {0, 1, 2}


def test_axes_have_units(study, result):
    layout = charts.curves(study, result)["layout"]
    assert layout["xaxis"]["title"]["text"] == "questions seen" and layout["yaxis"]["title"]["text"] == "dev/acc (%)"


def test_a_pruned_trial_says_how_far_its_value_is_from_final(study, result):
    (pruned,) = [trace for trace in charts.history(study, result)["data"] if "pruned" in trace.get("hovertemplate", "")]
    assert all(text.startswith("(last ") and "questions" in text for text in pruned["text"])


def test_three_trials_have_no_parallel_coordinates(tmp_path):
    rows = [Written(params={"optimizer.learning_rate": 0.01 / i, "peft.rank": 4}, value=i / 9) for i in range(1, 4)]
    study = read_study(make_study(tmp_path, rows), NOW)
    assert charts.parallel_coordinates(study, study_result(study), study.swept) is None


def test_pruned_curves_end_where_the_trial_last_reported(study, result):
    ends = next(trace for trace in charts.curves(study, result)["data"] if trace["mode"] == "markers")
    pruned = {trial.number: trial.reports[-1][0] for trial in study.trials if trial.status == "pruned"}
    assert dict(zip(ends["customdata"], ends["x"], strict=True)) == pruned


def test_a_slice_of_factors_says_so_and_has_the_values_under_the_pointer(tmp_path):
    folder = factor_study(tmp_path, 20, 90, 40)
    study = read_study(folder, NOW)
    (figure,) = charts.slices(study, study_result(study), study.swept).values()
    assert figure["layout"]["xaxis"]["title"]["text"] == "times the recommended value"
    assert sorted(text for points in figure["data"] for text in points["text"])[0] == "0.002 (0.1 ×)"
