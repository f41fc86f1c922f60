"""Errors that a user can act on.

Each is shown as its message alone, without a traceback, and ends the command with status 1. A message says
what is wrong and where, what would do instead and the likely cause. Everything else that is raised is a bug.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class McqaError(Exception):
    """The base of all errors that commands show as a message. Only its subclasses are raised."""


class ConfigError(McqaError):
    """The composed configuration cannot run; the message lists every problem found."""


class DataError(McqaError):
    """Questions that cannot be read or must not be trusted."""


class FileError(McqaError):
    """A file of a run or study that is missing, damaged, or cannot be read or written."""


class ModelError(McqaError):
    """A model or tokenizer that cannot be loaded or does not fit the run."""


class SweepError(McqaError):
    """A study or a product of runs that ended before all of it was done, or with jobs that failed."""


class ProcessError(McqaError):
    """One of the processes of a run failed; the message has its rank, its host and its own error."""


class TrainingError(McqaError):
    """A training that cannot continue, for instance because its loss is not a number."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` with the nearest known name, or nothing when none is near.

    A known name of at least three letters that `name` begins with counts as near: accuracy means acc.
    """
    names, typed = list(known), str(name)
    prefixes = sorted((each for each in names if len(each) > 2 and typed.startswith(each)), key=len)[-1:]
    matches = get_close_matches(typed, names, 1, 0.85) or prefixes or get_close_matches(typed, names, 1, 0.65)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def listing(problems: list[str]) -> str:
    """Return the message of a ConfigError: how many problems there are, and a line for each."""
    head = (
        "The configuration has a problem:" if len(problems) == 1 else f"The configuration has {len(problems)} problems:"
    )
    return "\n".join([head, *(f"  {problem}" for problem in problems)])
