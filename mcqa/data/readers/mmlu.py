"""MMLU in the three shapes it is published in."""

from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.checks import describe_value, field, validated_question
from mcqa.data.question import Question
from mcqa.data.readers.answers import from_index, from_letter

MMLU_LETTERS = ["A", "B", "C", "D"]
MMLU_NUMBERED = ["choice0", "choice1", "choice2", "choice3"]
MMLU_COLUMNS = ["question", *MMLU_LETTERS, "answer"]
"""The columns of the publisher's CSV files, which have no header."""


def read_mmlu(row: dict[str, Any]) -> Question:
    """Return a row of MMLU: four choices, 57 subjects from abstract algebra to world religions.

    Hendrycks et al. 2021, arXiv:2009.03300. It exists in three shapes:

        hub:        question, choices (a list), answer (an index from 0), subject
        publisher:  <subject>_<split>.csv without a header: question, A, B, C, D, the answer's letter
        with names: question, choice0 … choice3, answer (an index from 0)

    There are no ids. Files without a subject column hold one subject each, which is then in the file's name.
    """
    answer = row.get("answer")
    if "choices" in row:
        choices = row["choices"]
    else:
        choices = [field(row, name) for name in (MMLU_NUMBERED if MMLU_NUMBERED[0] in row else MMLU_LETTERS)]
    if not isinstance(choices, list):
        raise DataError(f"choices are {describe_value(choices)}, not a list.")
    return validated_question(
        id=row.get("id"),
        question=field(row, "question"),
        choices=choices,
        answer=from_letter(answer, choices) if MMLU_LETTERS[0] in row else from_index(answer, choices),
        subject=row.get("subject"),
    )
