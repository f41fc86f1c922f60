"""What is said of a study as its command begins."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa import run_folder
from mcqa.sweep.events import Known
from mcqa.sweep.recorded import short_commit
from mcqa.sweep.space import Outside, Space


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
        moved = "; ".join(space.moved(space.default()))
    except Outside as why:
        return f"  the default configuration is no trial: {why}"
    return f"  trial 0 is the default configuration{moved and f', but {moved}'}"


def state(known: Sequence[Known], n_trials: int | None) -> str:
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
