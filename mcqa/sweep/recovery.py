"""What an earlier command left of its trials, read from their folders."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from mcqa.runs.mailbox import Mailbox, result_problem
from mcqa.sweep.controller.events import CANCELLED, Outcome, RecoveredTrial


def begun(folder: Path, count: int) -> list[RecoveredTrial]:
    """Of a list of `count` jobs those that were submitted; how they ended, their results alone say."""
    started = []
    for number in range(count):
        box = Mailbox(folder / "trials" / str(number))
        if box.submissions():
            result = box.result()
            started.append(recover(folder, number, outcome(result) if result and box.is_finished() else None))
    return started


def ended_for_good(told: Outcome | None) -> bool:
    """Of a job of a product: it ended well, or a user ended it. Any other that failed may run again."""
    return told is not None and (told.status != "failed" or told.error == CANCELLED)


def recover(folder: Path, number: int, told: Outcome | None) -> RecoveredTrial:
    """With what its job.json says of its submissions. told: how it ended, as far as is known."""
    entries = Mailbox(folder / "trials" / str(number)).submissions()
    last = entries[-1] if entries else None
    job = None if last is None or last.end == "refused" else last.job or last.token
    return RecoveredTrial(number, told, len(entries), job, sum(entry.end == "vanished" for entry in entries))


def outcome(result: dict[str, Any], needs_value: bool = False) -> Outcome:
    """Return what a result.json says. One that cannot be read is a failure.

    Args:
        needs_value: a complete trial without exactly one finite value has failed, as every trial of a study.
    """
    value, error = result.get("value"), result.get("error")
    values = value if isinstance(value, list) else [] if value is None else [value]
    problem = result_problem(result)
    if problem is None and needs_value and result["status"] == "complete":
        problem = _problem_of_value(values)
    if problem is not None:
        return Outcome("failed", None, problem)
    value = float(values[0]) if len(values) == 1 else None
    return Outcome(result["status"], value, None if error is None else str(error))


def _problem_of_value(values: Sequence[float]) -> str | None:
    if not values:
        return "the trial returned no value; a study needs one number"
    if len(values) > 1:
        return f"the trial returned {len(values)} values; a study needs one number"
    return None if isfinite(values[0]) else f"value is {values[0]}"
