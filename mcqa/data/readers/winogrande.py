"""WinoGrande, whose sentences have a blank."""

from dataclasses import replace
from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.question import Question
from mcqa.data.readers.columns import read_local
from mcqa.data.readers.shapes import COLUMNS

WINOGRANDE = replace(
    COLUMNS, question="sentence", choices=["option1", "option2"], answer="answer", answer_as="index_from_one"
)


def read_winogrande(row: dict[str, Any]) -> Question:
    """Return a row of WinoGrande (Sakaguchi et al. 2019, arXiv:1907.10641): which of two words fills the blank.

    The hub and the publisher have the same keys. The question is the sentence with its one blank, `_`; prompt=blank
    puts each choice in its place and scores what follows.
    """
    question = read_local(row, WINOGRANDE)
    if (blanks := question.question.count("_")) != 1:
        raise DataError(f"the sentence has {blanks} blanks (_), not one: {question.question[:80]!r}.")
    return question
