"""A shared file system that stalls: what to wait for, and for how long."""

import errno
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

STALLS = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "ETIMEDOUT", "EAGAIN", "EBUSY", "EINTR", "ENOTCONN", "EHOSTDOWN", "EREMOTEIO")
    if hasattr(errno, name)
)
"""What a network file system raises while its server is away, and when a file was replaced from another machine."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No room: waiting would not help."""

WAITS_S = (0.05, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 120.0)
"""Pauses between two attempts: six minutes in all."""


def is_stall(error: OSError) -> bool:
    return error.errno in STALLS


def patiently(do: Callable[[], T], waits_s: Sequence[float] = WAITS_S) -> T:
    """Do it; where the file system stalls, again after each pause. `do` must bear being done twice.

    Raises:
        OSError: of the last attempt, or at once where it is no stall.
    """
    for wait in waits_s:
        try:
            return do()
        except OSError as error:
            if not is_stall(error):
                raise
        time.sleep(wait)
    return do()
