"""A study in Optuna: it suggests trials, records how they ended, and decides whether one of them should stop."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, TrialState

from mcqa.config.errors import ConfigError
from mcqa.config.validation import RENAMED
from mcqa.sweep.controller.events import Judgement, Otherwise, Outcome, RecoveredTrial, Status
from mcqa.sweep.options import Direction
from mcqa.sweep.optuna_study.pruner import DEFAULT, PAUSED, PROMOTED, TO_THE_END, Pruner, last_point
from mcqa.sweep.optuna_study.samplers import GRID, make_pruner, make_sampler
from mcqa.sweep.optuna_study.storage import check, check_same, claim, open_storage
from mcqa.sweep.space.space import DefaultOutsideSpace, Point, Space
from mcqa.sweep.trial_source import Suggestion

# User attributes of a trial in Optuna. The overrides are written last: without them, asking was cut off.
OVERRIDES = "overrides"
PRUNED = "pruned"  # decided; the trial may not know yet
ERROR = "error"

STATES: dict[Status, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
STATUS = {state: status for status, state in STATES.items()}


class OptunaStudy:
    """A study by one of Optuna's samplers, or a grid, kept in a journal or any storage of Optuna's.

    The caller holds `study_folder.only_controller(folder)`: an unfinished line of a dead controller is cut off here.

    Args:
        folder: of the study, where journal.log is; it exists.
        name: in the storage.
        sampler, pruner: see samplers.py; the sampler's name may also be grid.
        seed: None draws differently each time.
        storage: a URL that Optuna knows (sqlite:///x.db, postgresql://…); None is the journal.
        take_over: a study of that name in the storage, although another folder's controller began it.

    Raises:
        ConfigError: these do not go together, or not with the trials that the study has; the storage cannot be opened;
            the function of a conditional space failed for every trial so far.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        space: Space,
        direction: Direction,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any],
        seed: int | None,
        storage: str | None,
        take_over: bool = False,
    ) -> None:
        check(space, sampler)
        self._space, self._seed = space, seed
        self._is_grid = sampler["name"] == GRID
        self._sampler: Mapping[str, Any] = {"name": "random"} if self._is_grid else sampler
        self._common = IntersectionSearchSpace(include_pruned=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the live table says what is new
        self._journal, opened = open_storage(folder, storage)
        study_sampler, study_pruner = make_sampler(self._sampler, seed), make_pruner(pruner)
        self._pruner = study_pruner if isinstance(study_pruner, Pruner) else None  # else one of Optuna's
        if self._pruner is not None:
            self._pruner.folder = folder
        with self._journal.replaying() if self._journal else _database_errors():
            self._study = optuna.create_study(
                storage=opened,
                study_name=name,
                direction=direction,
                sampler=study_sampler,
                pruner=study_pruner,
                load_if_exists=True,
            )
            for trial in self._study.get_trials(deepcopy=False):
                _check_trial(trial)
        check_same(self._study, direction, space)
        if storage is not None:
            claim(self._study, folder, take_over)
        self._overrides: dict[int, list[str]] = {}
        self._failed_function: dict[int, ConfigError] = {}
        self._running: dict[int, optuna.Trial] = {}
        self._points: dict[int, set[int]] = {}
        for trial in self._asked():
            self._resume(trial)
        if self._failed_function and not self._overrides:  # and no trial that could be lost
            raise next(iter(self._failed_function.values()))
        self._combinations = self._new_combinations()

    def _asked(self) -> list[FrozenTrial]:
        """Not those in Optuna's queue that no controller has taken from it yet."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]

    def _new_combinations(self) -> Iterator[dict[str, Any]]:
        """The grid without the combinations that the study has when the first one is needed.

        They are compared by value: a space may have been changed on purpose.
        """
        trials = self._study.get_trials(deepcopy=False)
        known = {_identity(trial.system_attrs.get("fixed_params", {}) | trial.params) for trial in trials}
        yield from (params for params in self._space.combinations(self._seed) if _identity(params) not in known)

    def _resume(self, trial: FrozenTrial) -> None:
        """Take up a trial of the study; one whose controller died while it asked is asked to its end."""
        overrides = trial.user_attrs.get(OVERRIDES)
        if overrides is not None:
            self._overrides[trial.number] = list(overrides)
        if trial.state.is_finished():
            return
        self._running[trial.number] = optuna.Trial(self._study, trial._trial_id)
        self._points[trial.number] = set(trial.intermediate_values)
        if overrides is None:
            with self._transaction(durable=True):
                self._seed_sampler(trial.number)
                for name, distribution in trial.distributions.items():  # the random numbers that these have used
                    if name not in self._running[trial.number].relative_params and not distribution.single():
                        self._study.sampler.sample_independent(self._study, trial, name, distribution)
                self._finish_asking(self._running[trial.number])

    def _seed_sampler(self, number: int) -> None:
        sampler = make_sampler(self._sampler, self._seed, number)
        if isinstance(sampler, TPESampler):  # what trials have in common is kept, or all are compared for each new one
            sampler._search_space = self._common
        self._study.sampler = sampler

    def _finish_asking(self, trial: optuna.Trial) -> None:
        """A function that fails, or wants other choices for a key than before, costs this trial and not the study."""
        try:
            overrides = self._space.overrides(trial)
        except ConfigError as error:
            self._failed_function[trial.number] = error
            return
        if trial.number == 0 and DEFAULT not in trial.user_attrs:
            trial.set_user_attr(DEFAULT, False)  # else it would have come first
        trial.set_user_attr(OVERRIDES, overrides)
        self._overrides[trial.number] = overrides

    def _transaction(self, durable: bool) -> AbstractContextManager[None]:
        return self._journal.transaction(durable) if self._journal else nullcontext()

    def ask(self) -> Suggestion | None:
        """Return the next trial: one that waits in Optuna's queue, else the default, the grid's or the sampler's.

        Raises:
            ConfigError: the function of a conditional space failed for the first trial, which is asked again at the
                next start. Of a later one `overrides` raises it.
        """
        with self._transaction(durable=True):
            trials = self._study.get_trials(deepcopy=False)
            number = next((trial.number for trial in trials if trial.state == TrialState.WAITING), None)
            if number is None:
                number = len(trials)
                if not self._enqueue(number) and self._is_grid:
                    return None
            self._seed_sampler(number)
            trial = self._study.ask(self._space.distributions)
            self._running[trial.number] = trial
            self._points[trial.number] = set()
            self._finish_asking(trial)
            if self._failed_function and not self._overrides:
                raise self._failed_function[trial.number]
            return Suggestion(trial.number, trial.params)

    def _enqueue(self, number: int) -> bool:
        """Put into Optuna's queue what comes next without the sampler: a grid's combination, or the default first."""
        if self._is_grid:
            params = next(self._combinations, None)
        else:
            params = self._default.params if number == 0 and self._default else None
        if params is None:
            return False
        self._study.enqueue_trial(params, {DEFAULT: self._is_default(params)})
        return True

    @cached_property
    def _default(self) -> Point | None:
        try:
            return self._space.default()
        except DefaultOutsideSpace:
            return None

    def _is_default(self, params: Mapping[str, Any]) -> bool:
        default = self._default
        return default is not None and params == default.params and not any(self._space.differences(default))

    def overrides(self, number: int) -> list[str]:
        if number in self._failed_function:
            raise self._failed_function[number]
        return [*self._space.fixed, *self._overrides[number]]

    def own_overrides(self, number: int) -> list[str]:
        return list(self._overrides.get(number, []))

    def judge(self, number: int, point: int, value: float) -> Judgement:
        """Judgements are for good, also after a restart: successive halving says only once that a trial is pruned.

        The default configuration runs to its end: without its value nobody could say what the study brought.
        """
        trial = self._running.get(number)
        if trial is None:
            return "continue"
        attributes = trial.user_attrs
        if PRUNED in attributes:
            return "prune"
        with self._transaction(durable=False):
            is_new = point not in self._points[number]
            if is_new:
                self._points[number].add(point)
                trial.report(value, point)
            if attributes.get(DEFAULT):
                return "continue"
            if not is_new and self._pruner is not None:
                return "pause" if attributes.get(PAUSED) == point > attributes.get(PROMOTED, -1) else "continue"
            judgement = self._judgement(trial)
            if judgement == "pause" and attributes.get(TO_THE_END):
                return "continue"
            if judgement == "prune":
                trial.set_user_attr(PRUNED, True)
            elif judgement == "pause":
                trial.set_user_attr(PAUSED, point)
        return judgement

    def _judgement(self, trial: optuna.Trial) -> Judgement:
        if self._pruner is None:
            return "prune" if trial.should_prune() else "continue"
        return self._pruner.judge(self._study, self._stored(trial.number))

    def _stored(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def promote(self, paused: Collection[int], otherwise: Otherwise) -> int | None:
        """One that nothing else is left to do for goes on to its end; the choice is on the disk before it does."""
        candidates = [number for number in sorted(paused) if number in self._running]
        for number in candidates:
            trial = self._stored(number)
            if trial.user_attrs.get(PROMOTED, -2) >= last_point(trial):
                return number  # chosen by a controller that died before the trial went on
        if self._pruner is None or not candidates:
            return None
        promoted = self._pruner.promote(self._study, candidates, otherwise)
        if promoted is None:
            return None
        with self._transaction(durable=True):
            self._running[promoted.number].set_user_attr(PROMOTED, last_point(self._stored(promoted.number)))
            if promoted.to_the_end:
                self._running[promoted.number].set_user_attr(TO_THE_END, True)
        return promoted.number

    def tell(self, number: int, outcome: Outcome) -> None:
        trial = self._running.get(number)
        if trial is None:
            return
        if outcome.error:
            trial.set_user_attr(ERROR, outcome.error)
        state = STATES[outcome.status]
        value = outcome.value if state == TrialState.COMPLETE else None
        self._study.tell(number, value, state, skip_if_finished=True)
        del self._running[number], self._points[number]

    def known(self) -> list[RecoveredTrial]:
        return [RecoveredTrial(trial.number, outcome_of(trial), 0, None) for trial in self._asked()]


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # as many kinds as there are databases
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"hydra.sweeper.storage: the study cannot be read there: {reason}. Is the database damaged, full or away?"
        ) from error


def _check_trial(trial: FrozenTrial) -> None:
    """Raise a ValueError where a trial has what no controller has written."""
    overrides = trial.user_attrs.get(OVERRIDES, [])
    if not isinstance(overrides, list) or not all(isinstance(text, str) for text in overrides):
        raise ValueError(f"trial {trial.number} has overrides {overrides!r}")
    if not all(isinstance(value, int | float) for value in trial.values or ()):
        raise ValueError(f"trial {trial.number} has the value {trial.values!r}")


def _identity(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((RENAMED.get(name, name), repr(value)) for name, value in params.items()))


def outcome_of(trial: FrozenTrial) -> Outcome | None:
    if not trial.state.is_finished():
        return None
    return Outcome(STATUS[trial.state], trial.value, trial.user_attrs.get(ERROR))
