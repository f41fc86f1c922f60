"""A study: what is asked for trials, told how they ended, and decides whether one of them should stop.

OptunaStudy    by one of Optuna's samplers, or a grid, kept in a journal or any storage of Optuna's
Plan           a list of jobs in memory: the plain product of --multirun
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from mcqa.config.errors import ConfigError
from mcqa.sweep.controller.events import Outcome, RecoveredTrial, Status
from mcqa.sweep.optuna_study.samplers import GRID, make_pruner, make_sampler
from mcqa.sweep.optuna_study.storage import check, check_choices, check_directions, claim, open_storage
from mcqa.sweep.space.space import DefaultOutsideSpace, Point, Space
from mcqa.sweep.trial_source import Suggestion

OVERRIDES = (
    "overrides"  # user attributes of a trial in Optuna; the first is written last: without it, asking was cut off
)


DEFAULT = "default"  # whether the trial is the default configuration; of the first one, and of all in a grid


PRUNED = "pruned"  # decided; the trial may not know yet


class OptunaStudy:
    """The caller holds `identity.only_controller(folder)`: an unfinished line of a dead controller is cut off here.

    Args:
        folder: of the study, where journal.log is; it exists.
        name: in the storage.
        directions: "minimize" or "maximize", one for each value of a trial.
        sampler, pruner: see samplers.py; the sampler's name may also be grid.
        seed: None draws differently each time.
        storage: a URL that Optuna knows (sqlite:///x.db, postgresql://…); None is the journal.
        take_over: a study of that name in the storage, although another folder's controller began it.

    Raises:
        ConfigError: when these do not go together, or not with the trials that the study has; when the storage
            cannot be opened; when the function of a conditional space failed for every trial so far.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        space: Space,
        directions: Sequence[str],
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any],
        seed: int | None,
        storage: str | None,
        take_over: bool = False,
    ) -> None:
        check(space, directions, sampler, pruner)
        self._space = space
        self._seed = seed
        self._grid = sampler["name"] == GRID
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the table says what is new
        self._journal, opened = open_storage(folder, storage)
        self._study = optuna.create_study(
            storage=opened,
            study_name=name,
            directions=[StudyDirection[direction.upper()] for direction in directions],
            sampler=make_sampler({"name": "random"} if self._grid else sampler, seed),
            pruner=make_pruner(pruner),
            load_if_exists=True,
        )
        check_directions(self._study, directions)
        check_choices(self._study, space)
        if storage is not None:
            claim(self._study, folder, take_over)
        self._texts: dict[int, list[str]] = {}
        self._undrawn: dict[int, ConfigError] = {}
        self._running: dict[int, optuna.Trial] = {}
        self._points: dict[int, set[int]] = {}
        self._pruned: set[int] = set()
        self._combinations = self._not_asked_yet()
        for trial in self._asked():
            self._remember(trial)
        if self._undrawn and not self._texts:  # and nothing was ever found that could be lost
            raise next(iter(self._undrawn.values()))

    def _asked(self) -> list[FrozenTrial]:
        """Not those that somebody put into Optuna's queue and no controller has taken from it yet."""
        return [one for one in self._study.get_trials(deepcopy=False) if one.state != TrialState.WAITING]

    def _not_asked_yet(self) -> Iterator[dict[str, Any]]:
        """The grid without the combinations that the study has. By value: a space may have been changed on purpose."""
        asked = {_identity(trial.params) for trial in self._asked()}
        return (params for params in self._space.combinations(self._seed) if _identity(params) not in asked)

    def _remember(self, trial: FrozenTrial) -> None:
        """Take up a trial of the study; one whose controller died while it asked is asked to its end."""
        texts = trial.user_attrs.get(OVERRIDES)
        if texts is not None:
            self._texts[trial.number] = list(texts)
        if trial.state.is_finished():
            return
        self._running[trial.number] = optuna.Trial(self._study, trial._trial_id)
        self._points[trial.number] = set(trial.intermediate_values)
        if PRUNED in trial.user_attrs:
            self._pruned.add(trial.number)
        if texts is None:
            with self._together(durable=True):
                self._draw(self._running[trial.number])

    def _draw(self, trial: optuna.Trial) -> None:
        """A function that fails, or wants other choices for a key than before, costs this trial and not the study."""
        try:
            texts = self._space.draw(trial)
        except ConfigError as error:
            self._undrawn[trial.number] = error
            return
        if trial.number == 0:
            trial.set_user_attr(DEFAULT, False)  # else it would have come first
        trial.set_user_attr(OVERRIDES, texts)
        self._texts[trial.number] = texts

    def _together(self, durable: bool) -> AbstractContextManager[None]:
        return self._journal.together(durable) if self._journal else nullcontext()

    def ask(self) -> Suggestion | None:
        """
        Raises:
            ConfigError: when the function of a conditional space fails for the first trial, which is drawn again at
                the next start. Of a later one `overrides` raises it.
        """
        with self._together(durable=True):
            point = self._settled()
            if point is not None:
                return self._added(point)
            if self._grid:
                return None
            trial = self._study.ask()
            self._running[trial.number] = trial
            self._points[trial.number] = set()
            self._draw(trial)
            if self._undrawn and not self._texts:
                raise self._undrawn[trial.number]
            return Suggestion(trial.number, trial.params)

    def _settled(self) -> Point | None:
        """What comes next without asking the sampler: a combination of the grid, or the default configuration."""
        if self._grid:
            params = next(self._combinations, None)
            return None if params is None else self._space.point(params)
        return None if self._texts else self._default

    @cached_property
    def _default(self) -> Point | None:
        try:
            return self._space.default()
        except DefaultOutsideSpace:
            return None

    def _added(self, point: Point) -> Suggestion:
        attributes = {DEFAULT: self._is_default(point), OVERRIDES: point.overrides}
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=point.params,
                distributions=point.distributions,
                user_attrs=attributes,
            )
        )
        trial = self._study.get_trials(deepcopy=False)[-1]
        self._remember(trial)
        return Suggestion(trial.number, point.params)

    def _is_default(self, point: Point) -> bool:
        usual = self._default
        return usual is not None and point.overrides == usual.overrides and not any(self._space.moved(usual))

    def overrides(self, number: int) -> list[str]:
        if number in self._undrawn:
            raise self._undrawn[number]
        return [*self._space.fixed, *self._texts[number]]

    def drawn(self, number: int) -> list[str]:
        return list(self._texts.get(number, []))

    def report(self, number: int, point: int, value: float) -> bool:
        trial = self._running.get(number)
        if trial is None or len(self._study.directions) > 1:  # Optuna prunes by one objective only
            return False
        if number in self._pruned:
            return True
        with self._together(durable=False):
            if point not in self._points[number]:
                self._points[number].add(point)
                trial.report(value, point)
            return self._judged(trial)

    def _judged(self, trial: optuna.Trial) -> bool:
        """A decision to stop stands, also after a restart: successive halving says yes only the first time.

        The default configuration runs to its end: without its value nobody could say what the study brought.
        """
        stop = bool(trial.should_prune()) and not trial.user_attrs.get(DEFAULT)
        if stop:
            trial.set_user_attr(PRUNED, True)
            self._pruned.add(trial.number)
        return stop

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


def _identity(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in params.items()))


ERROR = "error"  # user attribute of a trial in Optuna


STATES: dict[Status, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


STATUS = {state: status for status, state in STATES.items()}


def outcome_of(trial: FrozenTrial) -> Outcome | None:
    if not trial.state.is_finished():
        return None
    return Outcome(STATUS[trial.state], trial.value, trial.user_attrs.get(ERROR))
