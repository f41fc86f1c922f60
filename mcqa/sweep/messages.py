"""What is printed of a study or product as its command begins, and why it ended early."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa.runs import run_folder
from mcqa.sweep.controller import events
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import RecoveredTrial
from mcqa.sweep.recovery import is_final
from mcqa.sweep.report.study_data import short_commit
from mcqa.sweep.space.space import DefaultOutsideSpace, Space

SAME_COMMAND = "the same command"
"""What resumes a study, where nothing need be added to it."""


def describe_study(folder: Path, description: Mapping[str, Any], space: Space) -> Iterator[str]:
    """Yield lines that say what is studied. description: of study.yaml."""
    number = description["n_trials"] or space.size()
    yield f"Study {description['name']} in {run_folder.shown(folder)}"
    yield (
        f"  {number} trials, {description['n_jobs']} at a time; {description['sampler']['name']} sampler, "
        f"{description['pruner']['name']} pruner; "
        f"{' and '.join(description['directions'])} {description['metric'] or 'what the app returns'}"
    )
    yield from (f"  {key}: {text}" for key, text in description["space"].items())
    try:
        differences = "; ".join(space.differences(space.default()))
    except DefaultOutsideSpace as why:
        yield f"  the default configuration is not among the trials: {why}"
    else:
        yield f"  trial 0 is the default configuration{differences and f', but {differences}'}"


def describe_progress(known: Sequence[RecoveredTrial], n_trials: int | None) -> str:
    """Return how far the study is."""
    if not known:
        return "  a new study"
    ended = sum(trial.outcome is not None for trial in known)
    if n_trials is not None and ended >= n_trials:
        return f"  all {ended} trials have ended; a larger hydra.sweeper.n_trials asks for more"
    return f"  resumes: {ended} trials have ended, {len(known) - ended} had started"


def code_changed(what: str, before: str | None, now: str | None) -> str:
    """Return a note that it resumes on another commit."""
    return f"Note: {what} began on commit {short_commit(before)} and resumes on {short_commit(now)}."


def unfinished(reason: str, controller: Controller, folder: Path, noun: str, resume_command: str = SAME_COMMAND) -> str:
    """Return why a study or product is not complete, what failed, and what resumes it.

    Args:
        reason: the controller's reason to end.
        controller: at its end.
        folder: of the study or product.
        noun: `trial` of a study, `job` of a product.
        resume_command: for the user.
    """
    wanted, again = controller.limits.n_trials, resume_command[0].upper() + resume_command[1:]
    ended = [trial for trial in controller.trials if trial.outcome is not None]
    failed = [
        f"{noun} {trial.number}: {((trial.outcome.error or '').strip() or 'failed').splitlines()[-1]}"
        for trial in sorted(ended, key=lambda trial: trial.number)
        if trial.state == "failed" and trial.outcome
    ]
    count, where = f"{len(failed)} of {len(ended)} {noun}s failed", f"see {run_folder.shown(folder)}"
    if reason in (events.COMPLETE, events.EXHAUSTED):
        rerun = "" if all(is_final(trial.outcome) for trial in ended) else f"\n{again} runs what failed again."
        return "\n  ".join([f"{count}; {where}:", *failed]) + rerun
    done = f"{len(ended)} of {wanted} {noun}s" if wanted is not None else f"{len(ended)} {noun}s"
    # the failed jobs of a product run again; a study has learned from its failed trials
    more = ", given a higher max_failures" if reason == events.FAILURES and noun == "trial" else ""
    first = f"{_why_early(reason, controller)} after {done}; {where}. {again} resumes{more}."
    return "\n  ".join([first, *([f"{count}:", *failed] if failed else [])])


def _why_early(reason: str, controller: Controller) -> str:
    limits = controller.limits
    known = {
        events.LEFT_RUNNING: "Stopped by Ctrl-C",
        events.TIMEOUT: f"Timeout (hydra.sweeper.timeout_s={limits.timeout_s})",
        events.IDENTICAL_FAILURES: "The first ones all failed with the same error, so no more were started. Ended",
        events.FAILURES: f"Too many failures (hydra.sweeper.max_failures={limits.max_failures})",
    }
    return known.get(reason, f"The scheduler refuses: {reason.strip()}\n  Ended")
