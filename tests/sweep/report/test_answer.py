"""The first sentence of a report answers the study's question, and the last one says what to do next."""

import json
from dataclasses import replace

import pytest
import yaml

from mcqa.sweep.report import answer, next_step, sentences
from mcqa.sweep.report.confirmation import read_confirmation
from mcqa.sweep.report.importances import Importances
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.ties import study_result
from tests.sweep.report.recorded_studies import NOW, Written, exactly, make_study, params, seed_study

RATE = "optimizer.learning_rate"


def two(default, other, of=100):
    """The default and another trial, by their right answers."""
    return [
        Written(right=exactly(default, of), params=params(0.001), default=True),
        Written(right=exactly(other, of, 31), params=params(0.002, 16), default=False),
    ]


def said(folder, importances=None):
    study = read_study(folder, NOW)
    return answer.answer(study, study_result(study), importances or Importances(trials=2))


def advice(folder, trials=16):
    study = read_study(folder, NOW)
    return next_step.next_step(study, study_result(study), Importances(trials=trials), read_confirmation(study, []))


@pytest.mark.parametrize(
    ("importances", "head"),
    [
        (Importances(trials=3), "Which of the two parameters matter is open: not enough trials to compare, 3 of at "),
        (Importances(trials=16), "None of the two parameters is shown to matter in 16 trials; "),
        (Importances(trials=16, matter=(RATE,)), "Of the two parameters, only learning_rate is shown to matter; "),
        (Importances(trials=16, point=400, matter=(RATE, "peft.rank")), "All of the two parameters matter at 400 ques"),
    ],
)
def test_the_first_sentence_says_which_parameters_are_shown_to_matter(tmp_path, importances, head):
    assert said(make_study(tmp_path, two(60, 62)), importances).startswith(head)


@pytest.mark.parametrize(
    ("default", "other", "tail"),
    [
        (62, 60, "no trial is better than the default, 62.0 %."),
        (
            60,
            62,
            "no statistically significant difference between the best, trial 1 (62.0 %), and the default (60.0 %).",
        ),
        (
            20,
            90,
            "the best, trial 1 (90.0 %), is significantly better than the default (20.0 %); one seed each, so this is "
            "about these runs, not their configurations.",
        ),
    ],
)
def test_the_first_sentence_ends_with_what_the_search_has_gained(tmp_path, default, other, tail):
    assert said(make_study(tmp_path, two(default, other))).endswith(f"; {tail}")


def test_a_study_of_seeds_is_asked_for_its_variance(tmp_path):
    folder = seed_study(tmp_path, [0.5, 0.6])
    assert said(folder).startswith("2 seeds of one configuration") and advice(folder) is None


def test_a_study_that_has_not_ended_has_no_next_step(tmp_path):
    assert advice(make_study(tmp_path, [*two(60, 70), Written("running")])) is None


def test_a_default_that_is_the_best_or_no_worse_is_kept_and_nothing_is_confirmed(tmp_path):
    assert advice(make_study(tmp_path / "a", two(62, 60))).text == "Keep the default: no trial is better."
    step = advice(make_study(tmp_path / "b", two(60, 61)))
    assert step.text.startswith("Keep the default: the best trial is not significantly better") and step.command is None


def test_a_default_that_is_kept_after_a_few_trials_leaves_open_what_matters(tmp_path):
    step = advice(make_study(tmp_path, two(62, 60)), trials=2)
    assert step.text.endswith("More trials would say which parameters matter:")
    assert step.command.endswith("hydra.sweeper.n_trials=20")


def test_a_best_that_beats_the_default_is_confirmed_at_a_cost_that_is_said(tmp_path):
    folder = make_study(tmp_path, two(30, 90))
    (folder / "multirun.yaml").write_text(
        yaml.safe_dump({"hydra": {"overrides": {"hydra": ["hydra.sweeper.n_trials=2", "hydra.mode=MULTIRUN"]}}})
    )
    step = advice(folder)
    assert step.text == (
        "Confirm whether the candidate, trial 1, beats the default: 6 runs with new seeds measured on test, about 6 "
        "min with 1 at a time."
    )
    assert step.command.endswith(
        " --multirun +experiment=qlora_mcqa +sweeps=core hydra.sweeper.n_trials=2 hydra.sweeper.confirm=3"
    )


def test_an_application_without_seeds_runs_the_best(tmp_path):
    step = advice(make_study(tmp_path, two(30, 90), base={"optimizer": {"learning_rate": 0.001}}))
    assert step.text.startswith("Run the best") and step.command.endswith("+experiment=best")


def test_one_complete_trial_asks_for_more(tmp_path):
    step = advice(make_study(tmp_path, [Written(value=0.5), Written("pruned")]))
    assert step.text.startswith("Too few trials") and step.command.endswith("hydra.sweeper.n_trials=4")


@pytest.mark.parametrize(("best", "text"), [(0.9, "Run trial 1, which new seeds"), (0.5, "Keep the default: with new")])
def test_after_a_confirmation_new_seeds_have_the_last_word(tmp_path, best, text):
    folder = make_study(tmp_path, two(60, 75))
    rows = [
        {"trial": trial, "default": trial == 0, "runs": [{"seed": i, "value": mean + i / 1000} for i in range(3)]}
        for trial, mean in ((0, 0.5), (1, best))
    ]
    (folder / "confirm.json").write_text(json.dumps({"metric": "test/acc", "configurations": rows}))
    assert advice(folder).text.startswith(text)


def test_the_candidate_named_before_test_was_looked_at_comes_first(tmp_path):
    folder = make_study(tmp_path, [*two(30, 75), Written(right=exactly(74, 100, 3), params=params(0.003, 4))])
    means = {0: 0.5, 1: 0.8, 2: 0.9}

    def step(candidate, looks=1):
        rows = [
            {"trial": trial, "default": trial == 0, "runs": [{"seed": i, "value": mean + i / 1000} for i in range(3)]}
            for trial, mean in means.items()
        ]
        (folder / "confirm.json").write_text(json.dumps({"metric": "test/acc", "configurations": rows}))
        look = {"time": "2026-11-29T12:00:00+0000", "by": "hydra.sweeper.confirm", "data": "", "candidate": candidate}
        (folder / "looks_at_test.jsonl").write_text(f"{json.dumps(look)}\n" * looks)
        return advice(folder)

    assert step(1).text == "Run trial 1, which new seeds confirm:"
    assert step(2).text.startswith(
        "Take trial 2, the candidate, which new seeds confirm: optimizer.learning_rate=0.003"
    )
    means[1] = 0.5
    text = step(1, looks=2).text
    assert text.startswith("Take trial 2, significantly better than the default with new seeds where the candidate, tr")
    assert text.endswith("It was chosen by test, so its value there is likely too good.")
    study = read_study(folder, NOW)
    first, second, *_ = sentences.notes(study, study_result(study), read_confirmation(study, []))
    assert "trial 1, the candidate, 50.1 %" in first
    assert second.startswith("Looks at test in this study: 2 (hydra.sweeper.confirm, 2026-11-29; hydra.sweeper.confirm")


def test_a_confirmation_with_one_seed_says_nothing_of_seeds(tmp_path):
    folder = make_study(tmp_path, two(60, 75))
    rows = [
        {"trial": trial, "default": trial == 0, "runs": [{"seed": 1, "value": value}]}
        for trial, value in ((0, 0.5), (1, 0.9))
    ]
    (folder / "confirm.json").write_text(json.dumps({"metric": "test/acc", "configurations": rows}))
    step = advice(folder)
    assert step.text == "One new seed does not show how much seeds change the result: confirm with three."
    assert step.command.endswith("hydra.sweeper.confirm=3")
    confirmation = read_confirmation(read_study(folder, NOW), [])
    assert replace(confirmation, by_questions=True).sources == "questions alone"


def test_after_a_confirmation_its_p_values_are_said_and_no_other_is_advised(tmp_path):
    folder = make_study(tmp_path, two(60, 75))
    rows = [
        {"trial": trial, "default": trial == 0, "runs": [{"seed": i, "value": mean + i / 1000} for i in range(3)]}
        for trial, mean in ((0, 0.5), (1, 0.6))
    ]
    (folder / "confirm.json").write_text(json.dumps({"metric": "test/acc", "configurations": rows}))
    study = read_study(folder, NOW)
    said = sentences.notes(study, study_result(study), read_confirmation(study, []))
    assert (
        "difference from the default: trial 1 +10.0 points (95 % CI 9.8 to 10.2), Holm-adjusted p < 0.0001" in said[0]
    )
    (note,) = (note for note in said if note.startswith("Each trial is one seed"))
    assert "hydra.sweeper.confirm" not in note and "+sweeps=seeds" in note
