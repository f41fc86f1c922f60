"""Errors that a user can act on.

Each is shown as its message alone, without a traceback, and ends the command with status 1. A message says
what is wrong and where, what would do instead and the likely cause. Everything else that is raised is a bug.
"""

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr

from mcqa.config.secrets import redact

MOST_LINES = 51  # of a message: a head and 50 problems
LONGEST_LINE = 1000  # characters; what a file or a user gave may have millions
LONGEST_QUOTE = 200


class McqaError(Exception):
    """The base of all errors that commands show as a message, without secrets. Only its subclasses are raised."""

    def __str__(self) -> str:
        return redact(super().__str__())


class ConfigError(McqaError):
    """The composed configuration cannot run; the message lists every problem found."""


class DataError(McqaError):
    """Questions that cannot be read or must not be trusted; what the message quotes of them is shortened."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message))


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


def quoted(value: object) -> str:
    """Return a value as a message quotes it: as Python writes it, a long one without its middle."""
    short = Repr()
    short.maxstring = short.maxother = short.maxlong = LONGEST_QUOTE
    short.maxlist = short.maxtuple = short.maxdict = 10
    short.maxlevel = 4
    try:
        return short.repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"


def listing(problems: list[str]) -> str:
    """Return the message of a ConfigError: how many problems there are, and a line for each of the first."""
    head = (
        "The configuration has a problem:" if len(problems) == 1 else f"The configuration has {len(problems)} problems:"
    )
    return shortened("\n".join([head, *(f"  {problem}" for problem in problems)]))


def shortened(message: str) -> str:
    """Return a message with its first lines, long ones without their middle; what cannot be printed is escaped."""
    lines = message.split("\n")
    more = [f"  … and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return "\n".join([*map(_shortened_line, lines[:MOST_LINES]), *more])


def _shortened_line(line: str) -> str:
    if len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE // 2]} […] {line[-LONGEST_LINE // 2 :]}"
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def without_paths(error: BaseException) -> str:
    """Return an error's text without paths and addresses, in which a number such as 403 is no status of HTTP."""
    return re.sub(r"\S*/\S*", "", str(error))


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a file system raises that has no room; waiting does not help."""

_REFUSALS = ("No space left", "Disk quota exceeded", "File too large", "Read-only file system", "disk is full")
"""The same in the words of safetensors, torch and SQLite, whose errors have no number."""


def disk_problem(error: BaseException | None) -> str | None:
    """Return a sentence about a full or read-only disk, where an error, or one that led to it, comes from there."""
    while error is not None:
        of_system = isinstance(error, OSError) and error.errno in FULL | {errno.EROFS}
        if of_system or any(words in str(error) for words in _REFUSALS):
            place = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            return f"The disk takes nothing more{place}: {reason}. What was written before is kept; make room there."
        error = error.__cause__ or error.__context__
    return None
