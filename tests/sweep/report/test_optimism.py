"""What the best is worth on new questions: the choice corrected for, pruned trials among the candidates."""

import json

import numpy as np
import pytest

from mcqa.sweep.report import sentences
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.optimism import expected_accuracy, measured_states, pruned_candidates
from mcqa.sweep.report.ties import study_result
from tests.sweep.report.recorded_studies import NOW, Written, exactly, make_study


def equal_trials(draw, count, questions):
    """Answers of equally good models to the same questions, the best first."""
    right = draw.random((count, questions)) < draw.uniform(0.2, 1, questions)
    return [(list(row), 0.0) for row in right[np.argsort(-right.mean(1))]]


def test_the_best_of_equal_trials_is_worth_what_each_is_worth():
    draw, found, raw = np.random.default_rng(0), [], []
    for _ in range(40):
        trials = equal_trials(draw, 12, 150)
        found.append(expected_accuracy(trials, None))
        raw.append(np.mean(trials[0][0]))
    assert np.mean(found) == pytest.approx(0.6, abs=0.018)  # 3 standard errors
    assert np.mean(raw) > 0.64


def test_a_best_that_leads_by_far_is_worth_its_value():
    right = [(exactly(count, 200), 0.0) for count in (180, 60, 50)]
    assert expected_accuracy(right, None) == pytest.approx(0.9, abs=0.01)


def test_one_trial_or_a_handful_of_clusters_says_nothing_of_the_choice():
    assert expected_accuracy([(exactly(60, 100), 0.0)], None) is None
    assert expected_accuracy([(exactly(60, 100), 0.0)] * 2, [f"c{i % 5}" for i in range(100)]) is None


def test_more_candidates_are_worth_less():
    trials = equal_trials(np.random.default_rng(3), 16, 200)
    assert expected_accuracy(trials, None) < expected_accuracy(trials[:2], None)


@pytest.mark.parametrize("size", [1, 10])
def test_the_choice_of_the_checkpoint_is_corrected_for_too(size):
    """Four equal trials, each the best of eight measurements: what the best of them is worth is .6."""
    draw, found, without = np.random.default_rng(4), [], []
    for _ in range(20):
        ease = draw.beta(3, 2, 100).repeat(size)
        right = draw.random((4, 8, 100)).repeat(size, 2) < ease
        clusters = [f"c{i // size}" for i in range(100 * size)]
        finals = sorted((max(states, key=np.mean).tolist() for states in right), key=sum, reverse=True)
        candidates = [(each, 0.0) for each in (*finals, *right.reshape(32, -1).tolist())]
        found.append(expected_accuracy(candidates, clusters))
        without.append(expected_accuracy(candidates[:4], clusters))
    assert np.mean(found) == pytest.approx(0.6, abs=0.03)
    assert np.mean(without) > np.mean(found) + 0.03


def test_every_measurement_of_a_trial_is_a_candidate(tmp_path):
    folder = make_study(tmp_path, [Written(right=exactly(80, 100)), Written(right=exactly(70, 100))])
    reports = [
        {"point": point, "value": count / 100, "seen": point, "time": 0.0, "right": "1" * count + "0" * (100 - count)}
        for point, count in ((10, 60), (20, 80), (30, 75))
    ]
    (folder / "trials/0/reports.jsonl").write_text("".join(json.dumps(report) + "\n" for report in reports))
    study = read_study(folder, NOW)
    result = study_result(study)
    assert [sum(state) for state in measured_states(study.trials[0], 100)] == [60, 80, 75]
    assert measured_states(study.trials[0], 50) == []  # another dev, or a part of it
    assert result.measurements == 3
    note = next(note for note in sentences.notes(study, result) if note.startswith("The best of 2 was chosen"))
    assert "corrected for that and for the choice among up to 3 measurements of each" in note


def test_a_pruned_trial_is_a_candidate_by_its_answers_and_what_others_gained_from_there(tmp_path):
    rows = [
        Written(right=exactly(80, 100), reports=[(10, 0.5), (20, 0.8)]),
        Written(right=exactly(70, 100), reports=[(10, 0.5), (20, 0.7)]),
        *(Written("pruned", reports=[(10, value)]) for value in (0.4, 0.6, 0.3)),
    ]
    folder = make_study(tmp_path, rows)
    for number, count in ((2, 40), (3, 60)):
        report = {
            "point": 10,
            "value": count / 100,
            "seen": 10,
            "time": 0.0,
            "right": "1" * count + "0" * (100 - count),
        }
        (folder / f"trials/{number}/reports.jsonl").write_text(json.dumps(report) + "\n")
    (low, its_gain), (high, less) = pruned_candidates(read_study(folder, NOW), 100)
    assert (sum(low), sum(high)) == (40, 60)
    assert its_gain == pytest.approx(0.25) and less == pytest.approx(0.2)  # no better than the best
