"""Standard output and error: what libraries may say there, and what happens when they go away.

They do behind head, in a closed terminal or on a full disk.
"""

import io
import logging
import os
import sys
import warnings
from typing import Any

from mcqa.config.secrets import keep_secrets

LIBRARIES = (
    "accelerate", "alembic", "bitsandbytes", "datasets", "DeepSpeed", "matplotlib", "mlflow", "peft", "torch",
    "transformers", "urllib3",
)  # fmt: skip


class LastingOutput(io.FileIO):
    """A file descriptor to write to. Once that fails, everything goes nowhere, and nobody sees an error.

    farewell: written to standard error then.
    """

    farewell = ""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if self.farewell:
                print(f"{self.farewell} ({error.strerror}).", file=sys.stderr)
            return len(data)


def outlast_readers(quietly: bool) -> None:
    """Let this process go on when nobody reads its output any more; quietly: without a line about it."""
    for name, farewell in (
        ("stderr", ""),
        ("stdout", "" if quietly else "The command continues, but nobody takes its output any more"),
    ):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper) or stream is not getattr(sys, f"__{name}__"):
            continue  # a test's or an application's own, or done already
        stream.flush()
        raw = LastingOutput(stream.fileno(), "w", closefd=False)
        raw.farewell = farewell
        lasting = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering or name == "stderr",
            write_through=name == "stderr",
        )
        setattr(sys, name, lasting)


def calm_libraries() -> None:
    """Show warnings of our own, and of the libraries only errors."""
    keep_secrets()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("mcqa").setLevel(logging.INFO)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.ERROR)
    logging.getLogger("huggingface_hub").propagate = False  # it prints its warnings itself
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine waiting threads would cost threefold
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DS_LOG_LEVEL", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    warnings.simplefilter("ignore", FutureWarning)
    warnings.filterwarnings("ignore", "Could not find a config file in embedded:")  # PEFT, of a base it need not find
