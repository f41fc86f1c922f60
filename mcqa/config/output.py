"""Standard output and error that may go away, as they do behind head, in a closed terminal or on a full disk."""

import io
import os
import sys
from typing import Any


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
