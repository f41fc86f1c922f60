"""The entry of a command that composes no configuration and so needs no Hydra."""

import logging
import shlex
import sys
from collections.abc import Callable, Sequence

from mcqa.config.errors import McqaError
from mcqa.config.output import outlast_readers
from mcqa.config.secrets import keep_secrets, redact


def command_line(more: Sequence[str] = ()) -> str:
    """Return the command of this process with its arguments and more, to be pasted into a shell."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    command = ["-m", module.name.removesuffix(".__main__")] if module else [sys.argv[0]]
    return redact(shlex.join(["python", *command, *sys.argv[1:], *more]))


def plain_command(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main` with the command line, for a command that composes no configuration and so needs no Hydra."""
    outlast_readers(quietly=True)
    keep_secrets()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    for library in ("mlflow", "alembic", "matplotlib", "urllib3"):
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        main(sys.argv[1:])
    except McqaError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")
