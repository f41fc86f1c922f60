"""Questions whose parts stand in named columns (data.columns): the user's own, and most published sets."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.schema import Columns
from mcqa.data.checks import describe_value, field, validated_question
from mcqa.data.question import Question
from mcqa.data.readers.answers import from_index, from_letter, from_text

ANSWERS: dict[str, Callable[[object, Sequence[object]], int]] = {
    "index": from_index,
    "index_from_one": partial(from_index, first=1),
    "letter": from_letter,
    "text": from_text,
}


def read_local(row: dict[str, Any], columns: Columns | None) -> Question:
    """Return a row of the user's own by the names of its columns (data.columns).

    Where each choice has a column, none may be empty: an empty cell may be a choice that does not exist or one that
    was lost, and then the letters after it would mean other choices.
    """
    assert columns is not None, "a rule of the configuration"
    choices = _local_choices(row, columns)
    return validated_question(
        id=field(row, columns.id) if columns.id else None,
        question=field(row, columns.question),
        choices=choices,
        answer=ANSWERS[columns.answer_as](field(row, columns.answer), choices),
        context=field(row, columns.context) if columns.context else None,
        # Without a column, files.split_rows has added the subject in the file's name, if there is one.
        subject=field(row, columns.subject) if columns.subject else row.get("subject"),
        cluster=field(row, columns.cluster) if columns.cluster else None,
    )


def _local_choices(row: dict[str, Any], columns: Columns) -> list[Any]:
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
