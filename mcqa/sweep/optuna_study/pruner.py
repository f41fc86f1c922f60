"""What a pruner of ours may decide, beyond ending a trial as Optuna's do: to pause it, and to let it go on later."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial

from mcqa.config.errors import FileError
from mcqa.runs.mailbox import Mailbox, Report
from mcqa.sweep.controller.events import Judgement, Otherwise

DEFAULT = "default"
"""User attribute of a trial: whether it is the default configuration; of the first one, and of all in a grid."""


PAUSED = "paused"
"""User attribute of a trial: the point at which it was decided last that it pauses."""

PROMOTED = "promoted"
"""User attribute of a trial: the last point that it had reported when it was decided that it goes on."""

TO_THE_END = "to_the_end"
"""User attribute of a trial: whether it was promoted to be paused no more."""


class Promotion(NamedTuple):
    """A paused trial that goes on."""

    number: int
    to_the_end: bool  # it is paused no more


class Pruner(BasePruner):
    """A pruner that can pause trials.

    Both decisions depend on nothing but the study's trials and what stands in their attributes, so that they are the
    same after a restart. The study keeps each: a point is judged once, and the default configuration never.
    """

    folder: Path | None = None
    """The folder of the study, which the study sets: the trials' reports say more than Optuna keeps of them."""

    def __init__(self) -> None:
        self._cached: dict[int, tuple[int, dict[int, Report]]] = {}

    @abstractmethod
    def judge(self, study: Study, trial: FrozenTrial) -> Judgement:
        """Return what becomes of a trial that has just reported its last intermediate value."""

    def promote(self, study: Study, paused: Sequence[int], otherwise: Otherwise) -> Promotion | None:
        """Return the paused trial that goes on; None to leave the slot to what `otherwise` says.

        With `end` nothing else runs and no trial will be asked for: what is not promoted now is pruned.

        Args:
            study: with all trials; those that are paused are `running` in Optuna.
            paused: numbers of the paused trials, in order, at least one.
            otherwise: what the slot is used for if no paused trial goes on.
        """
        return None

    def reports(self, trial: FrozenTrial) -> Mapping[int, Report]:
        """Return the reports of a trial by point, read again where it has reported more than before."""
        count = len(trial.intermediate_values)
        if trial.number not in self._cached or self._cached[trial.number][0] != count:
            assert self.folder is not None
            try:
                reports = Mailbox(self.folder / "trials" / str(trial.number)).reports()
            except FileError:
                reports = []
            known = {report.point: report for report in reports if report.point in trial.intermediate_values}
            self._cached[trial.number] = count, known
        return self._cached[trial.number][1]

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return self.judge(study, trial) == "prune"


def is_paused(trial: FrozenTrial) -> bool:
    """Whether a trial that has not ended is paused, or was asked to."""
    attributes = trial.user_attrs
    return not trial.state.is_finished() and bool(attributes.get(PAUSED, -1) > attributes.get(PROMOTED, -1))


def last_point(trial: FrozenTrial) -> int:
    """Return the last point that the trial has reported; -1 if there is none."""
    return max(trial.intermediate_values, default=-1)
