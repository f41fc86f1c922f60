"""Asynchronous successive halving with promotion (Li et al. 2020, arXiv 1810.05934, algorithm 2).

Optuna's pruner of that name cannot let a trial go on later, so it ends for good what happens to come early: the first
trial of a rung goes on however bad it is, and a good one that is second among two ends.
"""

import math
from collections.abc import Iterator, Sequence

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mcqa.sweep.controller.events import Judgement, Otherwise
from mcqa.sweep.optuna_study.pruner import DEFAULT, TO_THE_END, Promotion, Pruner

ROUNDING = 1e-3  # of shares: the first update at or past a point is measured


class Asha(Pruner):
    """A trial that reaches a rung pauses, unless it is among the best 1/reduction_factor of those that have reached it.

    Whenever more trials have reached the rung, more of them go on: the best paused one of the highest rung first. Rung
    k is reached by the first report at or past min_resource * reduction_factor**k.

    Args:
        min_resource: the first rung, a point, or below 1 a share of the training; `first` is the first point that any
            trial of the study has reported, which is also meant where trials do not report a share.
        reduction_factor: between two rungs.
        complete: share of all trials that run to their end at least. When no new trial is to be asked for, the most
            promising paused ones go on to their end until there are so many.

    Raises:
        ValueError: for other values than these.
    """

    def __init__(self, min_resource: float | str = "first", reduction_factor: int = 2, complete: float = 0.0) -> None:
        super().__init__()
        if min_resource != "first" and not _is_resource(min_resource):
            raise ValueError(
                f"min_resource={min_resource!r} is neither `first`, a point of at least 1 nor a share below 1"
            )
        if not isinstance(reduction_factor, int) or reduction_factor < 2:
            raise ValueError(f"reduction_factor={reduction_factor!r} is no whole number of at least 2")
        if isinstance(complete, bool) or not isinstance(complete, int | float) or not 0 <= complete <= 1:
            raise ValueError(f"complete={complete!r} is no share from 0 to 1")
        self._min_resource, self._factor, self._complete = min_resource, reduction_factor, complete

    def judge(self, study: Study, trial: FrozenTrial) -> Judgement:
        last = max(trial.intermediate_values)
        before = [point for point in trial.intermediate_values if point < last]
        first = self._first_rung(study)
        done = self._done(first, trial, last)
        rung = self._rung(first, done)
        if (
            rung < 0
            or (first < 1 <= done)
            or (before and self._rung(first, self._done(first, trial, max(before))) == rung)
        ):
            return "continue"
        return "continue" if trial.number in self._promotable(study, first, rung) else "pause"

    def promote(self, study: Study, paused: Sequence[int], otherwise: Otherwise) -> Promotion | None:
        """Return the best promotable trial of the highest rung, else the most promising one that has to be complete.

        At the end of the study the best of the highest rung runs to its end, whatever its share: a rung of fewer than
        reduction_factor trials promotes none, and a study without a complete trial has no answer.
        """
        first, rungs = self._first_rung(study), self._rungs(study, paused)
        for rung in sorted({rung for rung in rungs.values() if rung >= 0}, reverse=True):
            for number in self._promotable(study, first, rung):
                if rungs.get(number) == rung:
                    return Promotion(number, to_the_end=otherwise == "end")
        if otherwise != "ask" and self._lacks_complete(study):
            return Promotion(self._most_promising(study, paused), to_the_end=True)
        if otherwise != "end":
            return None
        trials, highest = study.get_trials(deepcopy=False), max(rungs.values())
        ranked = self._ranked(study, first, highest) if highest >= 0 else paused
        best = next((number for number in ranked if not trials[number].user_attrs.get(DEFAULT)), None)
        return Promotion(best, to_the_end=True) if best is not None and rungs.get(best) == highest else None

    def _lacks_complete(self, study: Study) -> bool:
        """Whether fewer trials than wanted are complete or run to their end."""
        trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.FAIL]
        return sum(map(_runs_to_its_end, trials)) < self._complete * len(trials)

    def _most_promising(self, study: Study, paused: Sequence[int]) -> int:
        """Return the best paused trial of the highest rung that any of them has reached."""
        rungs = self._rungs(study, paused)
        highest = max(rungs.values())
        ranked = self._ranked(study, self._first_rung(study), highest) if highest >= 0 else []
        return next((number for number in ranked if rungs.get(number) == highest), paused[0])

    def _rungs(self, study: Study, numbers: Sequence[int]) -> dict[int, int]:
        """Return the highest rung that each of these trials has reached."""
        first, trials = self._first_rung(study), study.get_trials(deepcopy=False)
        last = {number: max(trials[number].intermediate_values, default=0) for number in numbers}
        return {number: self._rung(first, self._done(first, trials[number], point)) for number, point in last.items()}

    def _first_rung(self, study: Study) -> float:
        """Return the first rung: below 1 a share, else a point."""
        if isinstance(self._min_resource, str) or (self._min_resource < 1 and not self._has_shares(study)):
            return max(1, min(_points(study), default=1))
        return self._min_resource

    def _has_shares(self, study: Study) -> bool:
        trials = study.get_trials(deepcopy=False)
        return any(report.share is not None for trial in trials for report in self.reports(trial).values())

    def _done(self, first: float, trial: FrozenTrial, point: int) -> float:
        """Return what rungs are counted in: the point itself, or the share of the training that was done there."""
        if first >= 1:
            return point
        report = self.reports(trial).get(point)
        return 0.0 if report is None or report.share is None else report.share + ROUNDING

    def _rung(self, first: float, done: float) -> int:
        """Return the highest rung that a trial has reached with this; -1 for none."""
        rung = -1
        while first * self._factor ** (rung + 1) <= done:
            rung += 1
        return rung

    def _promotable(self, study: Study, first: float, rung: int) -> list[int]:
        """Return the numbers of the best 1/factor of a rung, the best first."""
        ranked = self._ranked(study, first, rung)
        return ranked[: len(ranked) // self._factor]

    def _ranked(self, study: Study, first: float, rung: int) -> list[int]:
        """Return the numbers of the trials that have reached a rung, the best first, without those that failed."""
        resource, sign = first * self._factor**rung, -1 if study.direction == StudyDirection.MAXIMIZE else 1
        values = {}
        for trial in study.get_trials(deepcopy=False):
            reached = [point for point in trial.intermediate_values if self._done(first, trial, point) >= resource]
            if reached and trial.state != TrialState.FAIL:
                values[trial.number] = sign * trial.intermediate_values[min(reached)]
        return sorted(values, key=lambda number: (math.isnan(values[number]), values[number], number))


def _is_resource(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value < 1 or (isinstance(value, int) and value >= 1)


def _runs_to_its_end(trial: FrozenTrial) -> bool:
    if trial.state == TrialState.RUNNING:
        return bool(trial.user_attrs.get(DEFAULT) or trial.user_attrs.get(TO_THE_END))
    return trial.state == TrialState.COMPLETE


def _points(study: Study) -> Iterator[int]:
    for trial in study.get_trials(deepcopy=False):
        yield from trial.intermediate_values
