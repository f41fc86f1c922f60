"""Where the controller takes its trials from: a study that suggests them, a fixed list of jobs, an earlier command."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Protocol

from mcqa.runs.mailbox import PAUSED, Mailbox, result_problem
from mcqa.sweep.controller.events import CANCELLED, Judgement, Otherwise, Outcome, RecoveredTrial


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

    def judge(self, number: int, point: int, value: float) -> Judgement:
        """Record an intermediate value; return what becomes of the trial. The first report of a point counts."""

    def promote(self, paused: Collection[int], otherwise: Otherwise) -> int | None:
        """Return which of the paused trials goes on, now that a slot is free; None if none does.

        The answer depends on nothing but what was reported and decided: after a restart it is the same. A trial that
        was chosen and is still paused, because the controller died in between, is chosen again.
        """

    def tell(self, number: int, outcome: Outcome) -> None:
        """Record how a trial ended; only the first time counts."""

    def known(self) -> list[RecoveredTrial]:
        """Return every trial so far by number, without attempts and jobs, which its folder knows: 0 and None."""


class JobList:
    """A fixed list of jobs in memory, such as the plain product of --multirun.

    jobs: the overrides of each. known: those that an earlier controller started.
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

    def judge(self, number: int, point: int, value: float) -> Judgement:
        return "continue"

    def promote(self, paused: Collection[int], otherwise: Otherwise) -> int | None:
        return None

    def tell(self, number: int, outcome: Outcome) -> None:
        self._outcomes[number] = self._outcomes[number] or outcome

    def known(self) -> list[RecoveredTrial]:
        return [RecoveredTrial(number, outcome, 0, None) for number, outcome in self._outcomes.items()]


# ---- what an earlier command left of its trials, read from their folders


def submitted_jobs(folder: Path, count: int) -> list[RecoveredTrial]:
    """Return those of `count` jobs that were submitted. Only their results say how they ended."""
    jobs = []
    for number in range(count):
        mailbox = Mailbox(folder / "trials" / str(number))
        result = mailbox.result() if mailbox.is_finished() else None
        if result or mailbox.submissions():
            jobs.append(recover(folder, number, outcome(result) if result else None))
    return jobs


def is_final(outcome: Outcome | None) -> bool:
    """Whether a job of a product has ended well or a user cancelled it. Any other that failed may run again."""
    return outcome is not None and (outcome.status != "failed" or outcome.error == CANCELLED)


def recover(folder: Path, number: int, outcome: Outcome | None) -> RecoveredTrial:
    """Return a trial with what its job.json says of its submissions. outcome: how it ended, as far as is known."""
    mailbox = Mailbox(folder / "trials" / str(number))
    submissions = mailbox.submissions()
    last = submissions[-1] if submissions else None
    job = None if last is None or last.end == "refused" else last.job or last.token
    vanished = sum(submission.end == "vanished" for submission in submissions)
    pause: Literal["asked", "done"] | None = None
    if outcome is None and last is not None and not mailbox.is_finished():
        pause = "done" if last.end == PAUSED else "asked" if mailbox.pause_requested() else None
    return RecoveredTrial(number, outcome, len(submissions), None if pause == "done" else job, vanished, pause)


def outcome(result: Mapping[str, Any], needs_value: bool = False) -> Outcome:
    """Return what a result.json says. One that cannot be read is a failure.

    needs_value: a complete trial without exactly one finite value has failed, as every trial of a study.
    """
    value, error = result.get("value"), result.get("error")
    values = value if isinstance(value, list) else [] if value is None else [value]
    problem = result_problem(result)
    if problem is None and needs_value and result["status"] == "complete":
        problem = _value_problem(values)
    if problem is not None:
        return Outcome("failed", None, problem)
    value = float(values[0]) if len(values) == 1 else None
    return Outcome(result["status"], value, None if error is None else str(error))


def _value_problem(values: Sequence[float]) -> str | None:
    if not values:
        return "the trial returned no value; a study needs one number"
    if len(values) > 1:
        return f"the trial returned {len(values)} values; a study needs one number"
    return None if isfinite(values[0]) else f"value is {values[0]}"
