"""The entry of a command that composes no configuration and so needs no Hydra."""

import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

from mcqa.config.errors import McqaError
from mcqa.config.output import calm_libraries, outlast_readers
from mcqa.config.secrets import redact


def command_line(more: Sequence[str] = ()) -> str:
    """Return the command of this process with its arguments and more, to be pasted into a shell."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    command = ["-m", module.name.removesuffix(".__main__")] if module else [sys.argv[0]]
    return redact(shlex.join(["python", *command, *sys.argv[1:], *more]))


def installed_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("mcqa")
    except PackageNotFoundError:  # a folder with the code alone
        return "(not installed)"


def show_version(arguments: Sequence[str]) -> None:
    """End the process with the version where --version is given; Hydra would show its own."""
    if "--version" in arguments:
        print(f"mcqa {installed_version()}")
        sys.exit(0)


def plain_command(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main` with the command line, for a command that composes no configuration and so needs no Hydra."""
    outlast_readers(quietly=True)
    show_version(sys.argv[1:])
    calm_libraries()
    logging.getLogger("mcqa").setLevel(logging.WARNING)
    try:
        main(sys.argv[1:])
    except McqaError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")
