"""The verdict and the notes say what the numbers say, in these words."""

import pytest

from mcqa.evaluation.statistics.seeds import seed_deviation_allowed_of_best
from mcqa.sweep.report import sentences
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.ties import study_result
from tests.sweep.report.recorded_studies import NOW, Written, exactly, factor_study, make_study, params, trials

NO = "no statistically significant difference"


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ((60,), "Trial 0 has the best dev/acc, 60.0 %; no other trial is complete."),
        ((60, 20), "Trial 0 has the best dev/acc, 60.0 %, significantly better than the other trial (one seed each)."),
        (
            (60, 20, 10),
            "Trial 0 has the best dev/acc, 60.0 %, significantly better than both other trials (one seed each).",
        ),
        ((60, 59), f"Trial 0 has the best dev/acc, 60.0 %; the other trial is tied with it: {NO}."),
        ((60, 59, 58), f"Trial 0 has the best dev/acc, 60.0 %; both other trials are tied with it: {NO}."),
        ((20, 60, 59), f"Trial 1 has the best dev/acc, 60.0 %; 1 of 2 other trials is tied with it: {NO}."),
        ((), "No trial is complete: no trial."),
    ],
)
def test_the_verdict_says_how_many_are_tied(tmp_path, counts, verdict):
    study = read_study(make_study(tmp_path, trials(*counts)), NOW)
    assert sentences.ties(study, study_result(study)) == verdict


def test_the_default_configuration_is_named_with_its_difference(tmp_path):
    study = read_study(make_study(tmp_path, [Written(params=params(0.001), right=exactly(55, 100)), *trials(60)]), NOW)
    note = sentences.notes(study, study_result(study))[0]
    assert note.startswith("The default configuration, trial 0: 55.0 %, −5.0 points (95 % CI ")
    assert note.endswith(f": {NO}.")


@pytest.mark.parametrize(
    ("default", "note"),
    [
        (Written(value=0.5, default=False), "The default configuration is not among the trials"),
        (Written(value=0.9, default=True), "Trial 0 is the default configuration: the search found nothing better."),
        (Written("pruned", default=True), "The default configuration, trial 0, has no value: it is pruned."),
    ],
)
def test_what_is_known_of_the_default_configuration_is_said(tmp_path, default, note):
    study = read_study(make_study(tmp_path, [default, Written(value=0.6, default=False)]), NOW)
    assert sentences.notes(study, study_result(study))[0].startswith(note)


def test_what_the_best_is_worth_is_corrected_for_its_choice(tmp_path):
    study = read_study(make_study(tmp_path, trials(60, 59, 58)), NOW)
    result = study_result(study)
    note = next(note for note in sentences.notes(study, result) if note.startswith("The best of 3 was chosen"))
    assert f"worth about {100 * result.expected:.1f} % on new questions" in note and 0.5 < result.expected < 0.59


@pytest.mark.parametrize(("value", "ahead"), [(0.3, False), (0.5, True)])
def test_pruned_trials_that_were_ahead_of_the_best_are_named(tmp_path, value, ahead):
    rows = [Written(value=0.8, reports=[(10, 0.4), (20, 0.8)]), Written("pruned", reports=[(10, value)])]
    study = read_study(make_study(tmp_path, rows), NOW)
    notes = sentences.notes(study, study_result(study))
    assert any(note.startswith("1 of 1 pruned trials was ahead of the best one") for note in notes) == ahead


def test_another_application_is_told_nothing_of_seeds_and_test(tmp_path):
    rows = [Written(value=value, params={"x": value}) for value in (0.1, 0.2, 0.3)]
    folder = make_study(tmp_path, rows, metric="value", base={"x": 0.1}, space={"x": "interval(0,1)"}, journal=False)
    study = read_study(folder, NOW)
    assert not [note for note in sentences.notes(study, study_result(study)) if "seed" in note or "test" in note]
    assert sentences.questions(study, 7) == "point 7"


def test_a_factor_stands_beside_the_value_that_it_came_to(tmp_path):
    study = read_study(factor_study(tmp_path, 20, 90, 40), NOW)
    assert sentences.setting(study.trials[1], "optimizer.beta") == "0.006 (0.3 ×)"
    assert sentences.setting(study.trials[1], "peft.rank") == "–"
    assert sentences.value_range(study, [0, 2], "optimizer.beta") == "0.1 to 1 ×"
    assert sentences.default_value(study, "optimizer.beta") == "0.02 (1 ×)"
    without_default = read_study(factor_study(tmp_path / "more", 20, 90), NOW)
    assert sentences.default_value(without_default, "optimizer.beta") == "1 ×"


def test_how_much_seed_variance_the_gain_over_the_default_would_bear_is_said(tmp_path):
    rows = [Written(params=params(0.001), right=exactly(30, 200), default=True), Written(right=exactly(90, 200, 31))]
    study = read_study(make_study(tmp_path, rows), NOW)
    result = study_result(study)
    (note,) = (note for note in sentences.notes(study, result) if note.startswith("Each trial is one seed"))
    pair = result.comparisons[0]
    allowed = seed_deviation_allowed_of_best(pair.difference.value, pair.p, 2)
    assert f"significantly better than the default's up to a seed standard deviation of {100 * allowed:.1f} p" in note
