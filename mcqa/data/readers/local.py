"""Read the user's own questions by the names of their columns (data.columns)."""

from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.schema import Columns
from mcqa.data.checks import describe_value, field, validated_question
from mcqa.data.question import Question
from mcqa.data.readers import answer_keys


def read(row: dict[str, Any], columns: Columns | None) -> Question:
    """Return the row as a Question.

    Where each choice has a column, none may be empty: an empty cell may be a choice that does not exist or one that
    was lost, and then the letters after it would mean other choices.
    """
    assert columns is not None, "a rule of the configuration"
    choices = _choices(row, columns)
    return validated_question(
        id=field(row, columns.id) if columns.id else None,
        question=field(row, columns.question),
        choices=choices,
        answer=_answer(field(row, columns.answer), choices, columns),
        context=field(row, columns.context) if columns.context else None,
        # Without a column, files.split_rows has added the subject in the file's name, if there is one.
        subject=field(row, columns.subject) if columns.subject else row.get("subject"),
        cluster=field(row, columns.cluster) if columns.cluster else None,
    )


def _choices(row: dict[str, Any], columns: Columns) -> list[Any]:
    if isinstance(columns.choices, str):
        choices = field(row, columns.choices)
        if not isinstance(choices, list):
            raise DataError(
                f"{columns.choices!r} is {describe_value(choices)}, not a list. "
                "If each choice has a column, name them: data.columns.choices=[A,B,C,D]."
            )
        return choices
    choices = [field(row, name) for name in columns.choices]
    for name, choice in zip(columns.choices, choices, strict=True):
        if choice is None or choice == "":
            raise DataError(
                f"choice {name!r} is empty. Where questions differ in how many choices they have, keep the "
                "choices as a list in one column (JSON Lines, Parquet)."
            )
    return choices


def _answer(answer: object, choices: list[Any], columns: Columns) -> int:
    match columns.answer_as:
        case "index":
            return answer_keys.from_index(answer, choices)
        case "index_from_one":
            return answer_keys.from_index(answer, choices, first=1)
        case "letter":
            return answer_keys.from_letter(answer, choices)
        case "text":
            return answer_keys.from_text(answer, choices)
