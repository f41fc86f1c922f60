"""Arms: each counts by its best trial, and is called worse only where all its trials are."""

import csv
import json

import numpy as np
import pytest
import yaml

from mcqa.evaluation import statistics
from mcqa.sweep.confirmation import select_configurations
from mcqa.sweep.report import arms, next_step, write
from mcqa.sweep.report.confirmation import read_confirmation
from mcqa.sweep.report.importances import Importances
from mcqa.sweep.report.load import read_study
from tests.sweep.report.recorded_studies import FACTORS, NOW, Written, exactly, make_study, result_of

SPACE = {"scheduler": "choice(cosine,linear,constant)", "optimizer.beta": "tag(factor,choice(0.1,0.3,1.0,3.0,10.0))"}


def arm_study(root, metric="dev/acc", keys=("scheduler",), **counts):
    """For each scheduler, how many of 100 questions its trials answer right, in the order of FACTORS; None: failed."""
    rows = [
        Written(
            status="failed" if count is None else "complete",
            right=None if count is None or metric != "dev/acc" else exactly(count, 100),
            value=None if metric == "dev/acc" else count,
            params={"scheduler": name, "optimizer.beta": factor},
            values={"optimizer.beta": 0.02 * factor},
        )
        for name, own in counts.items()
        for factor, count in zip(FACTORS, own, strict=False)
    ]
    folder = make_study(root, rows, space=SPACE, metric=metric)
    description = yaml.safe_load((folder / "study.yaml").read_text()) | {"arms": list(keys)}
    (folder / "study.yaml").write_text(yaml.safe_dump(description))
    return folder


def compared(folder):
    return arms.compare_arms(read_study(folder, NOW), result_of(folder))


def test_each_arm_counts_by_its_best_trial_and_the_verdict_is_one_sentence(tmp_path):
    folder = arm_study(tmp_path, cosine=(10, 20, 60, 58, 30), linear=(10, 62, 61, 40, 30), constant=(9, 20, 30, 20, 10))
    linear, cosine, constant = compared(folder)
    assert [linear.name, cosine.name, constant.name] == ["scheduler=linear", "scheduler=cosine", "scheduler=constant"]
    assert (linear.best.number, linear.setting, linear.comparison) == (6, "beta 0.006 (0.3 ×)", None)
    assert cosine.tied and not constant.tied and constant.p < 0.001
    summary = write.write_report(folder)
    assert summary.verdict == (
        "Each at the best of its own trials, scheduler=linear is the best of 3 arms, dev/acc 62.0 % with beta 0.006 "
        "(0.3 ×); scheduler=cosine is tied with it (no statistically significant difference), scheduler=constant "
        "(−32.0 points) is significantly worse; one seed each, so this is about these runs, not their configurations."
    )
    assert not any(note.startswith("Best at an end") for note in summary.notes)
    page = (folder / "report.html").read_text()
    assert "<h2>Arms" in page and "beta 0.02 (1 ×), trial 2" in page
    rows = list(csv.DictReader((folder / "arms.csv").open()))
    assert [row["arm"] for row in rows] == [linear.name, cosine.name, constant.name]
    assert [row["best_trial"] for row in rows] == ["6", "2", "12"]


def test_arms_that_are_all_tied_are_no_ranking(tmp_path):
    folder = arm_study(tmp_path, cosine=(10, 20, 60, 58, 30), linear=(10, 62, 61, 40, 30))
    assert arms.verdict(read_study(folder, NOW), result_of(folder)) == (
        "Each arm at the best of its own trials, there is no statistically significant difference between the two arms "
        "by dev/acc: scheduler=linear 62.0 % with beta 0.006 (0.3 ×) and scheduler=cosine 60.0 % with beta 0.02 (1 ×)."
    )


def test_an_arm_is_as_good_as_the_p_value_of_its_best_trial_allows(tmp_path):
    folder = arm_study(tmp_path, cosine=(10, 20, 60, 58, 30), linear=(10, 62, 61, 40, 30))
    result = result_of(folder)
    assert compared(folder)[1].p == max(result.by_trial[number].p_adjusted for number in range(5))


def test_arms_whose_best_is_at_an_end_are_named_with_one_command(tmp_path):
    folder = arm_study(tmp_path, cosine=(10, 20, 30, 40, 60), linear=(70, 62, 61, 40, 30))
    (note,) = arms.notes(read_study(folder, NOW), result_of(folder))
    assert "scheduler=linear (optimizer.beta = 0.002 (0.1 ×), tried from 0.1 to 10 ×) and scheduler=cosine (" in note
    assert "'optimizer.beta=tag(factor,choice(0.01,0.03,0.1,0.3,1.0,3.0,10.0,30.0,100.0))'" in note


def test_arms_with_fewer_complete_trials_are_named(tmp_path):
    folder = arm_study(tmp_path, cosine=(10, 70, None, None, 30), linear=(10, 62, 61, 40, 30), constant=(None,) * 5)
    assert compared(folder)[2].best is None
    (note,) = arms.notes(read_study(folder, NOW), result_of(folder))
    assert note.endswith("not all trials are complete: scheduler=cosine 3 of 5, scheduler=constant 0 of 5.")
    assert "is the best of 2 arms" in write.write_report(folder).verdict
    assert '<td class="n">3 of 5</td>' in (folder / "report.html").read_text()


def test_without_predictions_the_best_is_named_and_ties_are_unknown(tmp_path):
    folder = arm_study(tmp_path, metric="score", cosine=(1.0, 2.0, 1.5), linear=(1.0, 4.0, 1.5))
    assert write.write_report(folder).verdict == (
        "Each at the best of its own trials, scheduler=linear is the best of 2 arms, score 4 with beta 0.006 (0.3 ×); "
        "whether scheduler=cosine is significantly worse is unknown."
    )


@pytest.mark.parametrize("keys", [(), ("nothing",), (3,)])
def test_a_study_without_arms_has_none(tmp_path, keys):
    folder = arm_study(tmp_path, keys=keys, cosine=(10, 20, 60))
    assert compared(folder) == [] and arms.verdict(read_study(folder, NOW), result_of(folder)) is None
    write.write_report(folder)
    assert not (folder / "arms.csv").exists()


def test_the_best_of_each_arm_is_confirmed(tmp_path):
    folder = arm_study(tmp_path, cosine=(10, 20, 60, 58, 30), linear=(10, 62, 61, 40, 30), constant=(9, 20, 30, 20, 10))
    chosen = select_configurations(read_study(folder, NOW), [])
    assert [each.trial for each in chosen] == [6, 2, 12, None]


def test_equal_arms_are_seldom_called_different(tmp_path):
    """Three arms of five learning rates whose best are equally good: at most 5 % may be called worse, here of 200."""
    generator, truth = np.random.default_rng(1), [0.55, 0.75, 0.9, 0.9, 0.4] * 3
    wrong = 0
    for _ in range(200):
        easy = generator.random(200)
        right = [easy * 0.5 + generator.random(200) * 0.5 < chance for chance in truth]
        best = int(np.argmax([each.sum() for each in right]))
        ps = statistics.p_values_against_best([each.tolist() for each in right], best, flips=300)
        wrong += any(max(ps[start : start + 5]) < 0.05 for start in (0, 5, 10))
    assert wrong <= 16  # of 200, P(more) = 2 % at a true 5 %


def advice(folder):
    study = read_study(folder, NOW)
    return next_step.next_step(study, result_of(folder), Importances(trials=10), read_confirmation(study, []))


def test_what_to_do_next_is_about_the_arms_and_not_the_default(tmp_path):
    folder = arm_study(tmp_path, cosine=(10, 20, 60, 58, 30), linear=(10, 62, 61, 40, 30))
    step = advice(folder)
    assert step.text.startswith("Compare the best trial of each of 2 arms with new seeds, the default beside them: ")
    assert step.command.endswith("hydra.sweeper.confirm=3")
    rows = [
        {"trial": trial, "default": default, "runs": [
            {"seed": seed, "value": value, "folder": f"confirm/{trial}/{seed}"} for seed in (1, 2)
        ]}
        for trial, default, value in ((6, False, 0.61), (2, False, 0.63), (0, True, 0.9))
    ]  # fmt: skip
    (folder / "confirm.json").write_text(json.dumps({"metric": "test/acc", "configurations": rows}))
    step = advice(folder)
    assert step.text == "See every question that the arms answer differently, in a comparison of these runs:"
    assert step.command.startswith("python -m mcqa.compare ") and step.command.count("/confirm/") == 4
