"""One process at a time works in a folder: a run in its run folder, the controller in its study."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcqa.config.errors import ConfigError
from mcqa.runs.files import read_optional, write_json


@contextmanager
def only_process(folder: Path, name: str, in_use: str, remedy: str, timeout_s: float = 0.0) -> Iterator[None]:
    """Hold the lock <name>.lock in the folder during the block; <name>.json beside it says which process has it.

    The operating system frees the lock however the process ends. On a shared file system it holds between machines as
    well, where that file system supports locks (NFS from version 4, Lustre with -o flock).

    Args:
        in_use: what another process does, for the message: "<folder> <in_use> by process 7 on node3."
        remedy: a sentence that says what to do then.
        timeout_s: seconds to wait for a process that is still ending.

    Raises:
        ConfigError: another process holds the lock, or the folder takes none.
    """
    from filelock import FileLock, Timeout

    lock, holder = FileLock(folder / f"{name}.lock"), folder / f"{name}.json"
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout as error:
        raise ConfigError(f"{folder} {in_use}{_process(holder)}. {remedy}") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{lock.lock_file}: the folder cannot be locked: {reason}. Without the lock two processes could write "
            "there at once. Is it writable, and does its file system support locks (mount option flock)?"
        ) from error
    try:
        write_json(holder, {"host": platform.node(), "pid": os.getpid()})
        yield
    finally:
        lock.release()


def _process(holder: Path) -> str:
    """Return ` by process … on …`; nothing where it has only just begun."""
    content = read_optional(holder)
    return f" by process {content['pid']} on {content['host']}" if {"pid", "host"} <= content.keys() else ""
