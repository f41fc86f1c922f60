"""Where the controller takes its trials from: a study that suggests them, or a fixed list of jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mcqa.sweep.controller.events import Outcome, RecoveredTrial


@dataclass(frozen=True)
class Suggestion:
    """A trial to run. params: Optuna's values by name, without what is fixed."""

    number: int
    params: Mapping[str, Any]


class Study(Protocol):
    def ask(self) -> Suggestion | None:
        """Return the next trial; None when there are no more."""

    def overrides(self, number: int) -> list[str]:
        """Return all overrides of a trial.

        Raises:
            ConfigError: there are none, with the reason; the trial has failed.
        """

    def own_overrides(self, number: int) -> list[str]:
        """Return those of the overrides that make it this trial and no other."""

    def report(self, number: int, point: int, value: float) -> bool:
        """Record an intermediate value; return whether to prune. The first report of a point counts."""

    def tell(self, number: int, outcome: Outcome) -> None:
        """Record how a trial ended; only the first time counts."""

    def known(self) -> list[RecoveredTrial]:
        """Return every trial so far by number, without attempts and jobs, which its folder knows: 0 and None."""


class JobList:
    """A fixed list of jobs in memory, such as the plain product of --multirun.

    Args:
        jobs: the overrides of each.
        known: those that an earlier controller started.
    """

    def __init__(self, jobs: Sequence[Sequence[str]], known: Sequence[RecoveredTrial] = ()) -> None:
        self._jobs = [list(job) for job in jobs]
        self._outcomes: dict[int, Outcome | None] = {job.trial: job.outcome for job in known}
        self._left = (number for number in range(len(self._jobs)) if number not in self._outcomes)

    def ask(self) -> Suggestion | None:
        number = next(self._left, None)
        if number is None:
            return None
        self._outcomes[number] = None
        return Suggestion(number, {})

    def overrides(self, number: int) -> list[str]:
        return list(self._jobs[number])

    def own_overrides(self, number: int) -> list[str]:
        return self.overrides(number)

    def report(self, number: int, point: int, value: float) -> bool:
        return False

    def tell(self, number: int, outcome: Outcome) -> None:
        self._outcomes[number] = self._outcomes[number] or outcome

    def known(self) -> list[RecoveredTrial]:
        return [RecoveredTrial(number, outcome, 0, None) for number, outcome in self._outcomes.items()]
