"""The jobs of a product as a table at its end: what differs between them, how they ended, and what they measured."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa.evaluation.report.formatting import percent, percent_interval
from mcqa.runs import run_folder
from mcqa.sweep.controller.events import Outcome

SPLITS = ("dev", "test")


def lines(
    jobs: Sequence[Sequence[str]], results: Mapping[int, Mapping[str, Any]], outcomes: Mapping[int, Outcome]
) -> list[str]:
    """Return a table of the jobs that have ended, and the command that compares those that are runs of mcqa.

    jobs: the overrides of each. results: what each that has ended left. outcomes: how each of them ended.
    """
    shared = set.intersection(*(set(job) for job in jobs)) if len(jobs) > 1 else set()
    splits = [split for split in SPLITS if any(_accuracy(result, split) for result in results.values())]
    columns = ["job", "overrides", *(f"{split}/acc (95 % interval)" for split in splits or ["value"])]
    if not splits:
        columns[-1] = "value"
    rows = [[*columns, "status", "folder"]]
    for number, outcome in outcomes.items():
        result = results[number]
        measured = [_accuracy(result, split) or "–" for split in splits] or [_value(outcome)]
        own = " ".join(text for text in jobs[number] if text not in shared)
        rows.append([str(number), own, *measured, outcome.status, _folder(result)])
    return [*_aligned(rows), *_comparison(results, outcomes)]


def _accuracy(result: Mapping[str, Any], split: str) -> str | None:
    """The accuracy on a split with its interval; None where it was not measured."""
    metrics = result.get("metrics")
    known = metrics if isinstance(metrics, Mapping) else {}
    value, low, high = (known.get(f"{split}/{name}") for name in ("acc", "acc_ci_low", "acc_ci_high"))
    if value is None or low is None or high is None:
        return None
    return f"{percent(value)} ({percent_interval(low, high)})"


def _value(outcome: Outcome) -> str:
    return "–" if outcome.value is None else f"{outcome.value:.6g}"


def _folder(result: Mapping[str, Any]) -> str:
    folder = result.get("folder")
    return run_folder.shown(Path(folder)) if isinstance(folder, str) else "–"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _comparison(results: Mapping[int, Mapping[str, Any]], outcomes: Mapping[int, Outcome]) -> list[str]:
    """How to tell which of the differences chance explains."""
    runs = [
        _folder(results[number])
        for number, outcome in outcomes.items()
        if outcome.status == "complete" and _accuracy(results[number], "test") and _folder(results[number]) != "–"
    ]
    return ["Compare them:", f"  {shlex.join(['python', '-m', 'mcqa.compare', *runs])}"] if len(runs) > 1 else []
