"""What became of a study or a product that is not all done and well, for the user."""

from pathlib import Path

from mcqa import run_folder
from mcqa.sweep.controller import Controller
from mcqa.sweep.events import COMPLETE, EXHAUSTED, FAILURES, LEFT_RUNNING, TIMEOUT, Limits


def unfinished(reason: str, controller: Controller, folder: Path, noun: str) -> str:
    """noun: trial of a study, job of a product."""
    counts, wanted = controller.counts, controller.limits.n_trials
    ended = len(controller.trials) - counts["waiting"] - counts["submitting"] - counts["running"]
    done = f"{ended} of {wanted} {noun}s" if wanted is not None else f"{ended} {noun}s"
    failed = _failed(controller, noun)
    count = f"{len(failed)} of {ended} {noun}s failed"
    where = f"see {run_folder.shown(folder)}"
    if reason in (COMPLETE, EXHAUSTED):
        return "\n  ".join([f"{count}; {where}:", *failed])
    first = f"{_early(reason, controller.limits)} after {done}; {where}. {_further(reason, noun)}"
    return "\n  ".join([first, *([f"{count}:", *failed] if failed else [])])


def _failed(controller: Controller, noun: str) -> list[str]:
    """A line each."""
    return [
        f"{noun} {trial.number}: {((trial.outcome.error or '').strip() or 'failed').splitlines()[-1]}"
        for trial in controller.trials
        if trial.state == "failed" and trial.outcome
    ]


def _early(reason: str, limits: Limits) -> str:
    known = {
        LEFT_RUNNING: "Stopped by Ctrl-C",
        TIMEOUT: f"Out of time (hydra.sweeper.timeout_s={limits.timeout_s})",
        FAILURES: f"Too many failures (hydra.sweeper.max_failures={limits.max_failures})",
    }
    return known.get(reason, f"The scheduler refuses: {reason.strip()}\n  Ended")


def _further(reason: str, noun: str) -> str:
    if noun == "job":
        return "The same command would run all of them, in a folder of its own."
    return (
        "The same command goes on, given a higher max_failures." if reason == FAILURES else "The same command goes on."
    )
