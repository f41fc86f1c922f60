"""Which published question sets have rows such as these: every option of data reads them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from mcqa.config.composition import ROOT
from mcqa.config.errors import DataError
from mcqa.config.schema import Columns, Conversations
from mcqa.data.checks import EqualChoices, check_equal_choices
from mcqa.data.formats import Rows
from mcqa.data.question import Question
from mcqa.data.readers import READERS, WITHOUT_HEADER, single_rows
from mcqa.data.readers.columns import read_local
from mcqa.data.readers.conversations import CONVERSATIONS


def sets_that_read(open_rows: Callable[[Sequence[str]], Rows]) -> dict[str, list[Question]]:
    """Return the questions by each published set that reads all rows without an error.

    open_rows: returns the rows anew; it takes the names of the columns of a table without a header.
    """
    found = {}
    for name, reader, columns, equal_choices in _sets():
        read = READERS.get(reader) or partial(read_local, columns=columns)
        names = WITHOUT_HEADER.get(reader, ())
        if (questions := _questions(open_rows(names), reader, read, equal_choices)) is not None:
            found[name] = questions
    return found


def form_of_conversations(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the option of data that reads all rows as conversations, None where none does."""
    folder = ROOT / "conf" / "data"
    base = yaml.safe_load((folder / "messages.yaml").read_text("utf-8"))
    for name in ("messages", "sharegpt", "instructions", "pairs"):
        own = yaml.safe_load((folder / f"{name}.yaml").read_text("utf-8"))
        read = CONVERSATIONS[own.get("reader", base["reader"])]
        columns = Conversations(**base["conversations"] | own["conversations"])
        try:
            for row in rows:
                read(row, columns)
        except DataError:
            continue
        return name
    return None


def _questions(
    rows: Rows, reader: str, read: Callable[[dict[str, Any]], Question], equal_choices: EqualChoices
) -> list[Question] | None:
    found = []
    try:
        for _, row in single_rows(rows, reader):
            if isinstance(row, DataError):
                return None
            question = read(row)
            check_equal_choices(question, equal_choices)
            found.append(question)
    except DataError:
        return None
    return found or None


Published = tuple[str, str, Columns | None, EqualChoices]


@cache
def _sets() -> tuple[Published, ...]:
    """Name, reader, columns and policy of every published set; local is the user's own, and some have no questions."""
    return tuple(_published(ROOT / "conf" / "data"))


def _published(folder: Path) -> Iterator[Published]:
    own = yaml.safe_load((folder / "local.yaml").read_text("utf-8"))
    for file in sorted(folder.glob("*.yaml")):
        option: Mapping[str, Any] = yaml.safe_load(file.read_text("utf-8"))
        reader, columns = option.get("reader", "local"), option.get("columns")
        if file.stem != "local" and (reader in READERS or (reader == "local" and columns)):
            named = Columns(**own["columns"] | columns) if columns else None
            yield file.stem, reader, named, option.get("equal_choices", own["equal_choices"])
