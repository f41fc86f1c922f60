"""What the samplers learn from."""

import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler

from mcqa.sweep.optuna_study.pruner import PAUSED, PROMOTED
from mcqa.sweep.optuna_study.samplers import TPEWithPauses

SPACE = {"x": optuna.distributions.FloatDistribution(0, 1), "y": optuna.distributions.FloatDistribution(0, 1)}


def suggestion(make, end):
    """Return what a sampler suggests after twelve trials, each of which `end` leaves in some state."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    for number in range(12):
        trial = study.ask(SPACE)
        trial.report(abs(trial.params["x"] - 0.3), 10)
        end(study, trial, number)
    study.sampler = make(seed=1)
    return study.ask(SPACE).params


def prune(study, trial, number):
    study.tell(trial, state=optuna.trial.TrialState.PRUNED)


def pause(study, trial, number):
    trial.set_user_attr(PAUSED, 10)


def pause_and_promote(study, trial, number):
    trial.set_user_attr(PAUSED, 10)
    trial.set_user_attr(PROMOTED, 10)


@pytest.mark.parametrize("multivariate", [False, True])
def test_a_paused_trial_teaches_what_a_pruned_one_does(multivariate):
    def make(seed):
        return TPEWithPauses(seed=seed, multivariate=multivariate)

    def optunas(seed):
        return TPESampler(seed=seed, multivariate=multivariate)

    assert suggestion(make, pause) == suggestion(optunas, prune)
    assert suggestion(make, pause) != suggestion(optunas, pause)  # there it draws at random


def test_a_trial_that_runs_teaches_nothing():
    assert suggestion(TPEWithPauses, pause_and_promote) == suggestion(TPESampler, pause_and_promote)
