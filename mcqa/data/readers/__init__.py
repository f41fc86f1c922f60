"""Read a row of each published question set, or of the user's own, as a Question."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.formats import Rows
from mcqa.data.question import Question
from mcqa.data.readers.bbh import bbh_rows, read_bbh
from mcqa.data.readers.hellaswag import read_hellaswag
from mcqa.data.readers.labelled import read_labelled
from mcqa.data.readers.mmlu import MMLU_COLUMNS, read_mmlu
from mcqa.data.readers.pubmedqa import pubmedqa_rows, read_pubmedqa
from mcqa.data.readers.race import race_rows, read_race
from mcqa.data.readers.shapes import CODAH, CODAH_COLUMNS, LOGIQA, MEDQA, read_shapes
from mcqa.data.readers.truthfulqa import read_truthfulqa
from mcqa.data.readers.winogrande import read_winogrande

Row = dict[str, Any]
Reader = Callable[[Row], Question]

READERS: dict[str, Reader] = {
    "arc": read_labelled,
    "openbookqa": partial(read_labelled, stem="question_stem"),
    "commonsenseqa": read_labelled,
    "mmlu": read_mmlu,
    "bbh": read_bbh,
    "codah": partial(read_shapes, shapes=CODAH),
    "hellaswag": read_hellaswag,
    "logiqa": partial(read_shapes, shapes=LOGIQA),
    "medqa": partial(read_shapes, shapes=MEDQA),
    "pubmedqa": read_pubmedqa,
    "qasc": read_labelled,
    "race": read_race,
    "truthfulqa": read_truthfulqa,
    "winogrande": read_winogrande,
}
"""Readers that need only a row. `local` needs its columns too (columns.py), and `facts` has no rows."""

SEVERAL_ROWS: dict[str, Callable[[Row], Iterator[tuple[str, Row]]]] = {
    "bbh": bbh_rows,
    "pubmedqa": pubmedqa_rows,
    "race": race_rows,
}
"""Of sets whose publisher keeps several questions in one row: what yields a row for each, and its place therein."""

WITHOUT_HEADER: dict[str, Sequence[str]] = {"mmlu": MMLU_COLUMNS, "codah": CODAH_COLUMNS}
"""Of sets whose publisher's tables have no header: the names of their columns."""


def single_rows(rows: Rows, reader: str) -> Rows:
    """Yield a row for each question, where the reader's publisher keeps several in one; else the rows as they are."""
    if (several := SEVERAL_ROWS.get(reader)) is None:
        yield from rows
        return
    for where, row in rows:
        if isinstance(row, DataError):
            yield where, row
            continue
        try:
            yield from ((f"{where}, {place}" if place else where, one) for place, one in several(row))
        except DataError as error:
            yield where, error
