"""Errors that a user can act on.

Each is shown as its message alone, without a traceback, and ends the command with status 1. A message says
what is wrong and where, what would do instead and the likely cause. Everything else that is raised is a bug.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class McqaError(Exception):
    """What the doors show as a message; never raised itself, only its kinds."""


class ConfigError(McqaError):
    """The composed configuration cannot run; the message lists every problem found."""


class DataError(McqaError):
    """Questions that cannot be read or must not be trusted."""


class ModelError(McqaError):
    """A model or tokenizer that cannot be loaded or does not fit the run."""


class SweepError(McqaError):
    """A study or a product that ended before all of it was done, or with jobs that failed."""


class ProcessError(McqaError):
    """One of the processes of a run failed; the message has its rank, its host and its own error."""


class TrainingError(McqaError):
    """A training that cannot go on, such as a loss that is not a number."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known name, or nothing when none is near: accuracy means acc."""
    names, given = list(known), str(name)
    begun = sorted((one for one in names if len(one) > 2 and given.startswith(one)), key=len)[-1:]
    found = get_close_matches(given, names, 1, 0.85) or begun or get_close_matches(given, names, 1, 0.65)
    return f" Did you mean {found[0]!r}?" if found else ""


def listing(problems: list[str]) -> str:
    head = (
        "The configuration has a problem:" if len(problems) == 1 else f"The configuration has {len(problems)} problems:"
    )
    return "\n".join([head, *(f"  {problem}" for problem in problems)])
