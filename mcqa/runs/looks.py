"""How often test has been looked at: a line in a run's or study's folder for each time, written before it is measured.

A number on test is honest where nothing has been chosen by test before. So mcqa.train, mcqa.evaluate and the
confirmation of a study write down that they look, and the model card and the report say how often that has been.
"""

import json
import logging
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcqa.runs.files import read_optional, retry_stalled_io, write_text

FILE = "looks_at_test.jsonl"
CARD = "Looks at test: "  # how the line of the model card begins

Look = dict[str, Any]
"""time: in ISO 8601; by: the command; data: the question set; and more that the command says."""

log = logging.getLogger(__name__)


def add(folder: Path, by: str, data: str, **about: Any) -> None:
    """Write down a look; where nothing can be written, as in somebody else's run, the log says so."""
    try:
        append_line(folder / FILE, {"time": now(), "by": by, "data": data, **about})
    except OSError as error:
        log.warning(
            f"{folder / FILE} cannot be written, so this look at test is not counted: {error.strerror or error}."
        )


def append_line(path: Path, values: Look) -> None:
    """Append a line of JSON.

    Raises:
        OSError: nothing can be written there.
    """
    line = json.dumps(values)

    def append() -> None:
        with path.open("a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # an earlier writer was killed in the middle of its line
                    file.write(b"\n")
            file.write(f"{line}\n".encode())

    retry_stalled_io(append)


def add_evaluation(trained: Path, data: str) -> None:
    """Write down a look of mcqa.evaluate in the folder of the run whose model it measures.

    A run of an earlier version has looked at test itself without writing it down, which is done now.
    """
    result = trained / "result.json"
    if not (trained / FILE).exists() and result.exists():
        config = read_optional(trained / "config.yaml").get("data")
        own = str(config.get("name")) if isinstance(config, dict) else data
        add(trained, "mcqa.train", own, time=_iso(result.stat().st_mtime))
    add(trained, "mcqa.evaluate", data)


def now() -> str:
    """Return the time in ISO 8601."""
    return _iso(time.time())


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def read(folder: Path, data: str | None = None) -> list[Look]:
    """Return the looks at test, of one question set where it is named; without lines that cannot be read."""
    looks = read_lines(folder / FILE)
    whole = [look for look in looks if all(isinstance(look.get(key), str) for key in ("time", "by", "data"))]
    return [look for look in whole if data is None or look["data"] == data]


def read_lines(path: Path) -> list[Look]:
    """Return the mappings that a file has a line each for, without lines that cannot be read."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    return [look for line in lines if isinstance(look := _parsed(line), dict)]


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def times(looks: Sequence[Look]) -> str:
    """Return how often test has been looked at, by what and when: `2 (mcqa.train, 2026-11-29; …)`."""
    shown = [f"{look['by']}, {look['time'][:10]}" for look in looks]
    if len(shown) > 6:
        shown[3:-2] = [f"{len(shown) - 5} more"]
    return f"{len(looks)} ({'; '.join(shown)})"


def card_line(looks: Sequence[Look]) -> str:
    """Return the line of the model card."""
    later = " What was chosen after the first look may fit test by chance." if len(looks) > 1 else ""
    return f"{CARD}{times(looks)}.{later}"


def update_card(folder: Path) -> None:
    """Write the number of looks into the model card of a run, where it has one: those at its own question set."""
    config, path = read_optional(folder / "config.yaml").get("data"), folder / "model" / "README.md"
    looks = read(folder, config.get("name") if isinstance(config, dict) else None)
    try:
        text = path.read_text("utf-8")
        changed = re.sub(rf"^{CARD}.*$", lambda _: card_line(looks), text, flags=re.MULTILINE)
        if changed == text and CARD not in text:
            changed = f"{text.rstrip()}\n\n{card_line(looks)}\n"
        write_text(path, changed)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning(f"{path} cannot be changed: {error}. It does not say that test has been looked at again.")
