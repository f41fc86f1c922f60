"""What is said of a study as its command begins."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa.runs import run_folder
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import (
    COMPLETE,
    EXHAUSTED,
    FAILURES,
    IDENTICAL_FAILURES,
    LEFT_RUNNING,
    TIMEOUT,
    Limits,
    RecoveredTrial,
)
from mcqa.sweep.recovery import ended_for_good
from mcqa.sweep.report.study_data import short_commit
from mcqa.sweep.space.space import DefaultOutsideSpace, Space


def lines(folder: Path, description: Mapping[str, Any], space: Space) -> Iterator[str]:
    """What is studied."""
    number = description["n_trials"] or space.size()
    yield f"Study {description['name']} in {run_folder.shown(folder)}"
    yield (
        f"  {number} trials, {description['n_jobs']} at a time; {description['sampler']['name']} sampler, "
        f"{description['pruner']['name']} pruner; "
        f"{' and '.join(description['directions'])} {description['metric'] or 'what the app returns'}"
    )
    yield from (f"  {key}: {text}" for key, text in description["space"].items())
    yield _default(space)


def _default(space: Space) -> str:
    try:
        differences = "; ".join(space.differences(space.default()))
    except DefaultOutsideSpace as why:
        return f"  the default configuration is no trial: {why}"
    return f"  trial 0 is the default configuration{differences and f', but {differences}'}"


def state(known: Sequence[RecoveredTrial], n_trials: int | None) -> str:
    """Where it is."""
    if not known:
        return "  a new study"
    ended = sum(trial.outcome is not None for trial in known)
    if n_trials is not None and ended >= n_trials:
        return f"  all {ended} trials have ended; a larger hydra.sweeper.n_trials asks for more"
    return f"  goes on: {ended} trials have ended, {len(known) - ended} had begun"


def other_code(what: str, began: str | None, now: str | None) -> str:
    """Where it goes on with another commit than it began with."""
    return f"Note: {what} began on commit {short_commit(began)} and goes on with {short_commit(now)}."


SAME_COMMAND = "the same command"


def unfinished(reason: str, controller: Controller, folder: Path, noun: str, again: str = SAME_COMMAND) -> str:
    """noun: trial of a study, job of a product. again: the command that goes on with it."""
    counts, wanted = controller.counts, controller.limits.n_trials
    ended = len(controller.trials) - counts["waiting"] - counts["submitting"] - counts["running"]
    done = f"{ended} of {wanted} {noun}s" if wanted is not None else f"{ended} {noun}s"
    failed = _failed(controller, noun)
    count = f"{len(failed)} of {ended} {noun}s failed"
    where = f"see {run_folder.shown(folder)}"
    if reason in (COMPLETE, EXHAUSTED):
        return "\n  ".join([f"{count}; {where}:", *failed]) + _once_more(controller, again)
    first = f"{_early(reason, controller.limits)} after {done}; {where}. {_further(reason, noun, again)}"
    return "\n  ".join([first, *([f"{count}:", *failed] if failed else [])])


def _failed(controller: Controller, noun: str) -> list[str]:
    """A line each."""
    return [
        f"{noun} {trial.number}: {((trial.outcome.error or '').strip() or 'failed').splitlines()[-1]}"
        for trial in sorted(controller.trials, key=lambda trial: trial.number)
        if trial.state == "failed" and trial.outcome
    ]


def _once_more(controller: Controller, again: str) -> str:
    if all(ended_for_good(trial.outcome) for trial in controller.trials):
        return ""
    return f"\n{_capitalised(again)} runs what failed again."


def _early(reason: str, limits: Limits) -> str:
    known = {
        LEFT_RUNNING: "Stopped by Ctrl-C",
        TIMEOUT: f"Out of time (hydra.sweeper.timeout_s={limits.timeout_s})",
        IDENTICAL_FAILURES: "The first ones all failed in the same words, so no more were begun. Ended",
        FAILURES: f"Too many failures (hydra.sweeper.max_failures={limits.max_failures})",
    }
    return known.get(reason, f"The scheduler refuses: {reason.strip()}\n  Ended")


def _further(reason: str, noun: str, again: str) -> str:
    """The failed jobs of a product run again; a study has learned from its failed trials."""
    more = ", given a higher max_failures" if reason == FAILURES and noun == "trial" else ""
    return f"{_capitalised(again)} goes on{more}."


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]
