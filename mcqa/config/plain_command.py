"""The entry of a command that composes no configuration and so needs no Hydra."""

import logging
import sys
from collections.abc import Callable, Sequence

from mcqa.config.errors import McqaError
from mcqa.config.output import outlast_readers
from mcqa.config.secrets import RedactedRecord


def plain_command(main: Callable[[Sequence[str]], None]) -> None:
    """Call `main` with the command line, for a command that composes no configuration and so needs no Hydra."""
    outlast_readers(quietly=True)
    logging.setLogRecordFactory(RedactedRecord)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    for library in ("mlflow", "alembic", "matplotlib", "urllib3"):
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        main(sys.argv[1:])
    except McqaError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")
