"""How a trial ended, between Optuna's words and the controller's."""

from math import isfinite

from optuna.trial import FrozenTrial, TrialState

from mcqa.sweep.events import Outcome, Status

ERROR = "error"  # user attribute of a trial in Optuna
STATES: dict[Status, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
STATUS = {state: status for status, state in STATES.items()}


def problem_of(outcome: Outcome, directions: int) -> str | None:
    """Why a trial that says it is complete is not."""
    if outcome.status != "complete":
        return None
    values = outcome.values or ()
    if len(values) != directions:
        return f"the trial returned {len(values)} values where the study has {directions} directions"
    wrong = [value for value in values if not isfinite(value)]
    return f"value is {wrong[0]}" if wrong else None


def outcome_of(trial: FrozenTrial) -> Outcome | None:
    if not trial.state.is_finished():
        return None
    values = None if trial.values is None else tuple(trial.values)
    return Outcome(STATUS[trial.state], values, trial.user_attrs.get(ERROR))
