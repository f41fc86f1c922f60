"""What a run shows in the terminal, also written to a file of its folder."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.control import Control

from mcqa.config.secrets import redact
from mcqa.runs.files import open_private

log = logging.getLogger(__name__)


class LoggedConsole(Console):
    """A terminal that appends what it prints to a file as plain text, without secrets, colours and moving bars.

    A file that cannot be written loses the run nothing: it is warned of once.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._is_lost = False

    def print(self, *objects: Any, **kwargs: Any) -> None:
        """Print to the terminal and to the file."""
        super().print(*objects, **kwargs)
        if not objects or not all(isinstance(one, Control) for one in objects):  # of a bar: where the cursor goes
            text = StringIO()
            Console(file=text, width=self.width, color_system=None, force_terminal=False).print(*objects, **kwargs)
            self.write(text.getvalue())

    def write(self, text: str) -> None:
        """Append to the file only."""
        if self._is_lost:
            return
        try:
            with open(self.path, "a", encoding="utf-8", errors="replace", opener=open_private) as file:
                file.write(redact(text))
        except OSError as error:
            self._is_lost = True
            log.warning("%s cannot be written: %s. The run continues without it.", self.path, error.strerror or error)

    @contextmanager
    def with_warnings(self) -> Iterator[None]:
        """Write to the file, during the block, also what this process logs."""
        handler = _ToConsole(self)
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        logging.getLogger().addHandler(handler)
        try:
            self.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n")
            yield
        finally:
            logging.getLogger().removeHandler(handler)


class _ToConsole(logging.Handler):
    def __init__(self, console: LoggedConsole) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.console.write(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)
