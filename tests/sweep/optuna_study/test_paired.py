"""The pruner that compares trials question by question: when it ends a trial, and how often by mistake."""

import random
from math import comb

import optuna
import pytest

from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.optuna_study.paired import Paired, p_worse


class Trials:
    """Trials of a study with 8 points each, judged in the order of their reports."""

    def __init__(self, folder, direction="maximize", **arguments):
        self.folder = folder
        self.study = optuna.create_study(direction=direction)
        self.pruner = Paired(**arguments)
        self.pruner.folder = folder
        self.trials = {}

    def report(self, number, point, right, share=None, warm=True):
        if number not in self.trials:
            self.trials[number] = self.study.ask()
            (self.folder / "trials" / str(number)).mkdir(parents=True)
        answers = None if right is None else [answer == "1" for answer in right]
        share = point / 8 if share is None else share
        Mailbox(self.folder / "trials" / str(number)).report(point, 0.5, None, answers, share, warm)
        self.trials[number].report(0.5, point)
        return self.pruner.judge(self.study, self.study.get_trials()[number])


def answers(count, questions=100):
    return "1" * count + "0" * (questions - count)


def first_trial(trials, count=90):
    for point in range(1, 9):
        assert trials.report(0, point, answers(count)) == "continue"


def test_p_is_that_of_an_exact_sign_test_of_the_questions_that_only_one_answers_right():
    right, better = "1100000000", "1011111110"  # one only here, seven only there
    assert p_worse(right, better) == pytest.approx((comb(8, 7) + comb(8, 8)) / 2**8)
    assert p_worse(better, right) > 0.9
    assert p_worse(right, right) == 1.0


def test_a_trial_ends_where_it_is_significantly_worse_than_the_best_was_earlier(tmp_path):
    trials = Trials(tmp_path)
    first_trial(trials)
    assert [trials.report(1, point, answers(30)) for point in (1, 2)] == ["continue"] * 2  # a third is not done yet
    assert trials.report(1, 3, answers(30)) == "prune"


@pytest.mark.parametrize("delay, judgement", [(0.5, "continue"), (1.0, "prune")])
def test_a_slow_learner_is_compared_with_what_the_best_was_after_less_training(tmp_path, delay, judgement):
    trials = Trials(tmp_path, delay=delay)
    for point, count in enumerate((10, 20, 60, 80), 1):
        trials.report(0, point, answers(count))
    assert trials.report(1, 4, answers(25)) == judgement  # better than the best at point 2, worse than it at point 4


def test_no_trial_is_judged_in_its_warm_up_or_after_its_last_update(tmp_path):
    trials = Trials(tmp_path)
    first_trial(trials)
    assert trials.report(1, 6, answers(10), warm=False) == "continue"
    assert trials.report(1, 8, answers(10), share=1.0) == "continue"


def test_a_trial_that_is_only_behind_goes_on(tmp_path):
    trials = Trials(tmp_path)
    first_trial(trials, 90)
    judgements = [trials.report(1, point, answers(84)) for point in range(1, 9)]
    assert set(judgements) == {"continue"}  # 6 against 0: p = .016, before it is adjusted


def test_the_level_is_divided_by_the_trials_that_the_best_is_chosen_from_and_by_the_points(tmp_path):
    few, many = Trials(tmp_path / "few"), Trials(tmp_path / "many")
    for trials, others in ((few, 1), (many, 20)):
        for number in range(others):
            trials.report(number, 2, answers(90))
    # 10 against 0: p = .001, times 5 points (of 8, from a third on), times the trials
    assert [few.report(1, point, answers(80)) for point in range(1, 5)][-1] == "prune"
    assert [many.report(20, point, answers(80)) for point in range(1, 5)][-1] == "continue"


@pytest.mark.parametrize("right", [None, answers(10, questions=50)])
def test_a_trial_without_answers_or_of_other_questions_is_not_compared(tmp_path, right):
    trials = Trials(tmp_path)
    first_trial(trials)
    assert trials.report(1, 4, right) == "continue"


def test_what_is_minimised_is_no_accuracy(tmp_path):
    trials = Trials(tmp_path, direction="minimize")
    first_trial(trials)
    assert trials.report(1, 4, answers(10)) == "continue"


def test_a_trial_that_failed_is_no_standard(tmp_path):
    trials = Trials(tmp_path)
    trials.report(0, 1, answers(90))
    trials.study.tell(trials.trials[0], state=optuna.trial.TrialState.FAIL)
    trials.report(1, 1, answers(20))
    assert trials.report(2, 4, answers(20)) == "continue"


def test_equally_good_trials_rarely_end(tmp_path):
    """Sixteen trials whose answers are drawn alike at every point; at most .05 of them may end, and far fewer do."""
    draw, ended = random.Random(0), 0
    for repetition in range(5):
        trials = Trials(tmp_path / str(repetition))
        for point in range(1, 9):
            for number in range(16):
                right = "".join("01"[draw.random() < 0.7] for _ in range(100))
                ended += trials.report(number, point, right) == "prune"
    assert ended <= 4


@pytest.mark.parametrize("argument", [{"level": 0}, {"level": 2}, {"min_share": "third"}, {"delay": True}])
def test_arguments_are_shares(argument):
    with pytest.raises(ValueError, match=f"{next(iter(argument))}="):
        Paired(**argument)
