"""Where the controller takes its trials from: a study that suggests them, or a fixed list of jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mcqa.sweep.controller.events import Outcome, RecoveredTrial


@dataclass(frozen=True)
class Suggestion:
    """A trial to run; `params` are Optuna's values by name, without what is fixed."""

    number: int
    params: Mapping[str, Any]


class Study(Protocol):
    def ask(self) -> Suggestion | None:
        """The next trial; None when there are no more."""

    def overrides(self, number: int) -> list[str]:
        """Everything on the trial's command line.

        Raises:
            ConfigError: there is none, with the reason; that trial has failed.
        """

    def own_overrides(self, number: int) -> list[str]:
        """Those of the overrides that make it this trial and no other."""

    def report(self, number: int, point: int, value: float) -> bool:
        """Note a value on the way, and whether the trial should stop. The first report of a point counts."""

    def tell(self, number: int, outcome: Outcome) -> None:
        """How the trial ended. Told again, nothing happens."""

    def known(self) -> list[RecoveredTrial]:
        """Every trial so far by number. Attempts and jobs are not known here: 0 and None."""


class JobList:
    """
    Args:
        jobs: the overrides of each.
        known: those that an earlier controller started.
    """

    def __init__(self, jobs: Sequence[Sequence[str]], known: Sequence[RecoveredTrial] = ()) -> None:
        self._jobs = [list(job) for job in jobs]
        self._outcomes: dict[int, Outcome | None] = {one.trial: one.outcome for one in known}
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
