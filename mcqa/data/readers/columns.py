"""Questions whose parts stand in named columns (data.columns): the user's own, and most published sets."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.schema import ColumnName, Columns
from mcqa.data.checks import describe_value, no_such_field, validated_question
from mcqa.data.question import Question
from mcqa.data.readers.answers import from_boolean, from_index, from_label, from_letter, from_one_hot, from_text
from mcqa.data.readers.labelled import labels_and_texts

ANSWERS: dict[str, Callable[[object, Sequence[object]], int]] = {
    "index": from_index,
    "index_from_one": partial(from_index, first=1),
    "letter": from_letter,
    "text": from_text,
    "boolean": from_boolean,
    "one_hot": from_one_hot,
}
"""Besides label, which needs the labels."""

OPTIONAL = ("context", "subject", "cluster", "id")
"""Columns that may be absent from some rows, as keys in JSON are, but not from all."""

LABELS = (ascii_uppercase, ascii_lowercase, [str(number) for number in range(1, 27)])
"""What choices may be labelled with in their own texts, as "A) …"."""

ABSENT = object()


def read_local(row: Mapping[str, Any], columns: Columns | None) -> Question:
    """Return a row of the user's own by the names of its columns (data.columns).

    Where each choice has a column, none may be empty: an empty cell may be a choice that does not exist or one that
    was lost, and then the letters after it would mean other choices. With empty_choices=drop_trailing those after the
    last choice do not exist.

    Raises:
        DataError: what a question needs is absent or in doubt.
    """
    assert columns is not None, "a rule of the configuration"
    choices, answer = _choices_and_answer(row, columns)
    optional = {key: optional_value_of(row, getattr(columns, key)) for key in OPTIONAL}
    if columns.subject is None:
        optional["subject"] = row.get("subject")  # that of the file's name, if files.split_rows has added one
    return validated_question(question=value_of(row, columns.question), choices=choices, answer=answer, **optional)


class LocalReader:
    """Reads rows by their columns, and remembers which of the optional columns no row has had."""

    def __init__(self, columns: Columns | None) -> None:
        assert columns is not None, "a rule of the configuration"
        self.columns = columns
        self._unseen = {key: name for key in OPTIONAL if (name := getattr(columns, key)) is not None}
        self._names: dict[str, None] = {}  # of the columns of rows that lacked one

    def __call__(self, row: Mapping[str, Any]) -> Question:
        """Return the question, as read_local does."""
        for key in [key for key, name in self._unseen.items() if lookup(row, name) is not ABSENT]:
            del self._unseen[key]
        if self._unseen and len(self._names) < 1000:
            self._names |= dict.fromkeys(column_names(row))
        return read_local(row, self.columns)

    def check_optional(self) -> None:
        """Check that every optional column was in some row.

        Raises:
            DataError: one was in none; it is misspelt, or of another file.
        """
        for key, name in self._unseen.items():
            raise DataError(f"data.columns.{key}={name}: no row has it; {no_such_field(str(name), tuple(self._names))}")


def lookup(row: Mapping[str, Any], name: ColumnName) -> Any:
    """Return what a row has under a name, or ABSENT.

    `question.stem` is the column of that name, where there is one, and else the stem of a nested question.
    """
    name = str(name)
    if name in row:
        return row[name]
    for dot in re.finditer(r"\.", name):
        nested = row.get(name[: dot.start()])
        if isinstance(nested, dict) and (found := lookup(nested, name[dot.end() :])) is not ABSENT:
            return found
    return ABSENT


def column_names(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of a row's columns, and with dots those of nested rows."""
    for name, value in row.items():
        if isinstance(value, dict) and value:
            yield from (f"{name}.{inner}" for inner in column_names(value))
        else:
            yield str(name)


def text_of(value: Any) -> Any:
    """Return a number as text: 3 as "3", and from JSON 3.0 and 0.50 as they are written there; all else as it is."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return str(value) if is_number else value


def label_ends(choices: Sequence[str]) -> list[int] | None:
    """Return where the label ends that each choice begins with: A) (A) A. or A: before the first one, or a or 1.

    None where a choice begins otherwise.
    """
    for labels in LABELS:
        found = [_label(label).match(choice) for label, choice in zip(labels, choices, strict=False)]
        if len(found) == len(choices) and all(found):
            return [match.end() for match in found if match]
    return None


@cache
def _label(label: str) -> re.Pattern[str]:
    return re.compile(rf"\s*[(\[]?{label}(?:[)\]]|[.:](?!\d))\s*")  # 1.5 and 1:2 are numbers


# --- choices and answer ----------------------------------------------------------------------------------------------


def _choices_and_answer(row: Mapping[str, Any], columns: Columns) -> tuple[list[Any], int]:
    if columns.right is not None:
        assert columns.wrong is not None, "a rule of the configuration"
        return [text_of(value_of(row, columns.right)), *_texts(row, columns.wrong, "wrong", columns)], 0
    assert columns.answer is not None, "a rule of the configuration"
    answer = value_of(row, columns.answer)
    if columns.fixed_choices is not None:
        return columns.fixed_choices, _index(answer, columns.fixed_choices, columns)
    assert columns.choices is not None, "a rule of the configuration"
    if not isinstance(columns.choices, list) and is_labelled(labelled := value_of(row, columns.choices)):
        labels, texts = _labels_and_texts(labelled)
        return _without_labels(texts, columns), _index_among_labels(answer, labels, texts, columns)
    if columns.answer_as == "label":
        raise DataError(f"{columns.choices!r} holds {describe_value(labelled)}, not labels with texts.")
    texts = _texts(row, columns.choices, "choices", columns)
    stripped = _without_labels(texts, columns)
    by_text = columns.answer_as == "text" and text_of(answer) not in texts
    return stripped, _index(answer, stripped if by_text else texts, columns)


def _index(answer: Any, texts: Sequence[Any], columns: Columns) -> int:
    return ANSWERS[columns.answer_as](text_of(answer) if columns.answer_as == "text" else answer, texts)


def _index_among_labels(answer: Any, labels: list[str], texts: list[Any], columns: Columns) -> int:
    """The position of a labelled choice says nothing that its label might not deny."""
    if columns.answer_as == "label":
        return from_label(text_of(answer), labels)
    if columns.answer_as in ("text", "one_hot"):
        return _index(answer, texts, columns)
    raise DataError(f"the choices have labels, {', '.join(labels)}; data.columns.answer_as is label, text or one_hot.")


def _texts(row: Mapping[str, Any], names: ColumnName | list[ColumnName], key: str, columns: Columns) -> list[Any]:
    """The texts of one column that holds a list, or of several columns; numbers become texts."""
    if not isinstance(names, list):
        texts = value_of(row, names)
        if not isinstance(texts, list):
            raise DataError(
                f"{str(names)!r} is {describe_value(texts)}, not a list. "
                f"If each choice has a column, name them: data.columns.{key}=[A,B,C,D]."
            )
        return [text_of(text) for text in _trimmed(texts, columns)]
    texts = _trimmed([value_of(row, name) for name in names], columns)
    for name, text in zip(names, texts, strict=False):
        if _is_empty(text):
            raise DataError(
                f"choice {str(name)!r} is empty. Where questions differ in how many choices they have, "
                "data.columns.empty_choices=drop_trailing leaves out the empty cells after the last one; or keep the "
                "choices as a list in one column (JSON Lines, Parquet)."
            )
    return [text_of(text) for text in texts]


def _trimmed(texts: list[Any], columns: Columns) -> list[Any]:
    last = len(texts)
    while columns.empty_choices == "drop_trailing" and last and _is_empty(texts[last - 1]):
        last -= 1
    return texts[:last]


def _is_empty(text: Any) -> bool:
    return text is None or (isinstance(text, str) and not text.strip())


def is_labelled(choices: Any) -> bool:
    """Whether these are labels with texts, in any of the shapes that are read."""
    return isinstance(choices, dict) or (isinstance(choices, list) and any(isinstance(one, dict) for one in choices))


def _labels_and_texts(choices: Any) -> tuple[list[str], list[Any]]:
    """Labels and texts, of {"A": "…", "B": "…"} too, where a table's rows that differ in their labels hold nulls."""
    if isinstance(choices, dict) and not {"label", "text"} <= choices.keys():
        found = {label: text for label, text in choices.items() if text is not None}
        return list(found), [text_of(text) for text in found.values()]
    if isinstance(choices, list) and all(isinstance(one, dict) and one.keys() == {"key", "value"} for one in choices):
        choices = [{"label": one["key"], "text": one["value"]} for one in choices]
    labels, texts = labels_and_texts(choices)
    return labels, [text_of(text) for text in texts]


def _without_labels(texts: list[Any], columns: Columns) -> list[Any]:
    if not columns.strip_labels or not all(isinstance(text, str) for text in texts):
        return texts
    if (ends := label_ends(texts)) is None:
        raise DataError(
            f"choices do not begin with their letters or numbers in order, as 'A) …' (data.columns.strip_labels): "
            f"{[text[:20] for text in texts]}."
        )
    return [text[end:] for text, end in zip(texts, ends, strict=True)]


def value_of(row: Mapping[str, Any], name: ColumnName) -> Any:
    """Return the value of a column.

    Raises:
        DataError: the row has no such column; the message has the nearest one.
    """
    if (found := lookup(row, name)) is ABSENT:
        raise DataError(no_such_field(str(name), tuple(column_names(row))))
    return found


def optional_value_of(row: Mapping[str, Any], name: ColumnName | None) -> Any:
    """Return the value of a column; None where none is named, or the row does not have it."""
    found = None if name is None else lookup(row, name)
    return None if found is ABSENT else found
