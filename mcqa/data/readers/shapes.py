"""Published sets whose rows come in several shapes, each of which columns describe.

MedQA (Jin et al. 2020, arXiv:2009.13081): questions of medical licensing exams. The publisher's rows hold the options
    as {"A": "…", …}, five of them in US/ and four in US/4_options; the hub's copy for language models has a column for
    each of four.
LogiQA (Liu et al. 2020, arXiv:2007.08124): logical reasoning about a passage, from Chinese civil service exams,
    translated. Two copies on the hub name the same parts differently and write the answer as a number or as a letter.
CODAH (Chen et al. 2019, arXiv:1904.04365): sentences to complete, written to fool a model. The publisher's TSV has no
    header. `question_propmt` is what the hub calls its column.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.schema import ColumnName, Columns
from mcqa.data.question import Question
from mcqa.data.readers.columns import read_local

COLUMNS = Columns(
    question="question",
    choices="options",
    fixed_choices=None,
    right=None,
    wrong=None,
    answer="label",
    answer_as="index",
    empty_choices="refuse",
    strip_labels=False,
    context=None,
    subject=None,
    cluster=None,
    id=None,
)

MEDQA = {
    "sent1": replace(COLUMNS, question="sent1", choices=["ending0", "ending1", "ending2", "ending3"], id="id"),
    "answer_idx": replace(COLUMNS, answer="answer_idx", answer_as="label"),
}
LOGIQA = {
    "query": replace(COLUMNS, question="query", answer="correct_option", context="context"),
    "question": replace(COLUMNS, answer_as="letter", context="context"),
}

CODAH_CHOICES: list[ColumnName] = ["candidate_answer0", "candidate_answer1", "candidate_answer2", "candidate_answer3"]
CODAH_COLUMNS = ["question_category", "question_propmt", *map(str, CODAH_CHOICES), "correct_answer_idx"]
"""The columns of the publisher's TSV files, which have no header."""

_CODAH = replace(COLUMNS, question="question_propmt", answer="correct_answer_idx")
CODAH = {
    "candidate_answers": replace(_CODAH, choices="candidate_answers"),
    "candidate_answer0": replace(_CODAH, choices=CODAH_CHOICES),
}


def read_shapes(row: dict[str, Any], shapes: Mapping[str, Columns]) -> Question:
    """Return a row in one of several shapes; the first key of `shapes` that is in the row says which.

    Raises:
        DataError: it has none of the keys, or what a question needs is absent or in doubt.
    """
    for key, columns in shapes.items():
        if key in row:
            return read_local(row, columns)
    raise DataError(f"there is neither {' nor '.join(map(repr, shapes))}; the row has {', '.join(map(str, row))}.")
