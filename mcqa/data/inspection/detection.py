"""Which columns of a file are its questions, choices and answers, where its rows leave no doubt.

Every candidate is read by the reader of a run. What is certain reads all rows without an error and is the only reading
that does; two that give the same questions are one. Where several remain, a person decides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast

from mcqa.config.errors import DataError
from mcqa.config.schema import ColumnName, Columns
from mcqa.data.checks import check_equal_choices
from mcqa.data.inspection import candidates
from mcqa.data.inspection.candidates import Choices, Table
from mcqa.data.question import Question
from mcqa.data.readers.columns import read_local

FIRST_LOOK = 100  # rows that a candidate must read before it reads all
MOST_ERRORS = 3  # of a failure, in as many words
NUMBERS = ("index", "index_from_one")

NOTHING: dict[str, Any] = dict.fromkeys(
    ["choices", "fixed_choices", "right", "wrong", "answer", "context", "subject", "cluster", "id"]
) | {"answer_as": "index", "empty_choices": "refuse", "strip_labels": False}


@dataclass(frozen=True)
class Reading:
    """Columns that read all rows, and the questions that they give.

    named: whether the name of the answer's column says that it is one. optional: further columns that could be used.
    """

    columns: Columns
    questions: list[Question]
    named: bool
    optional: dict[str, ColumnName]

    @property
    def is_evident(self) -> bool:
        """Whether its answers can be nothing else; numbers under any name could be."""
        return self.named or self.columns.answer_as not in NUMBERS


@dataclass(frozen=True)
class Failure:
    """The candidate that comes nearest: in how many rows it fails, and what it reads of the others.

    errors: the first ones, each with the number of its row.
    """

    columns: Columns
    failing: int
    errors: list[tuple[int, str]]
    questions: list[Question]


@dataclass(frozen=True)
class Detection:
    """The readings of all rows, each of other questions, or else the nearest failure if there is any candidate."""

    readings: list[Reading]
    nearest: Failure | None

    @property
    def certain(self) -> Reading | None:
        """The only reading, where there is no other and no doubt."""
        return self.readings[0] if len(self.readings) == 1 and self.readings[0].is_evident else None


def detect(table: Table) -> Detection:
    """Return the readings of a table."""
    sample = table.rows[:FIRST_LOOK]
    failures: list[tuple[int, Columns]] = []
    for level in _levels(table) if table.has_names else [list(_without_names(table))]:
        readings: list[Reading] = []
        for columns, named in level:
            failing = _failure(columns, sample).failing
            if failing == 0 and (questions := _questions(columns, table.rows)) is not None:
                if not any(_same(questions, other.questions) for other in readings):
                    optional = _readable(columns, candidates.optional_columns(table, _taken(columns)), table)
                    readings.append(Reading(columns, questions, named, optional))
            else:
                failures.append((failing, columns))
        if readings:
            return Detection(readings, None)
        if any(failing * 2 < len(sample) for failing, _ in failures):
            break  # most rows say what the columns are, and the others are wrong
    if not failures:
        return Detection([], None)
    nearest = min(failures, key=lambda failure: failure[0])[1]
    return Detection([], _failure(nearest, table.rows))


# --- candidates ------------------------------------------------------------------------------------------------------


def _levels(table: Table) -> Iterator[list[tuple[Columns, bool]]]:
    """Yield candidates, first those whose names say most; the others count only where none of these reads the rows."""
    own = candidates.choices_candidates(table)
    for choices_named, answer_named in ((True, True), (False, True), (True, False), (False, False)):
        level = [one for one in own if one.named == choices_named]
        yield [found for choices in level for found in _with_answers(table, choices, answer_named)]
        if answer_named and not choices_named and not any(one.named for one in own):
            yield list(_of_fixed_choices(table))


def _with_answers(table: Table, choices: Choices, answer_named: bool) -> Iterator[tuple[Columns, bool]]:
    if "right" in choices.keys:
        if answer_named:
            for question in candidates.question_candidates(table, choices.taken):
                yield Columns(**NOTHING | choices.keys | {"question": question}), True
        return
    is_labelled = choices.keys["choices"] in table.labelled if isinstance(choices.keys["choices"], str) else False
    for answer in candidates.answer_candidates(table, choices.taken, answer_named):
        for kind in candidates.answer_kinds(table, answer):
            if is_labelled != (kind == "label") and kind not in ("text", "one_hot"):
                continue
            if kind == "one_hot" and _parent(answer) != _parent(choices.keys["choices"]):
                continue  # TruthfulQA has other labels beside other choices
            for question in candidates.question_candidates(table, choices.taken | {answer}):
                keys = {"question": question, "answer": answer, "answer_as": kind}
                yield Columns(**NOTHING | choices.keys | keys), answer_named


def _of_fixed_choices(table: Table) -> Iterator[tuple[Columns, bool]]:
    printed = candidates.printed_choices(table)
    for answer in [] if printed else candidates.answer_candidates(table, frozenset(), named=True):
        if choices := candidates.fixed_choices(table, answer):
            for question in candidates.question_candidates(table, frozenset([answer])):
                yield Columns(**NOTHING | choices.keys | {"question": question, "answer": answer}), True


def _without_names(table: Table) -> Iterator[tuple[Columns, bool]]:
    """The choices stand between the question and the answer, or behind both."""
    names = [name for name in table.columns if name.isdecimal()]  # and not the subject, which a file's name may give
    for answer, question in product(names, [name for name in names if name in table.texts]):
        at, asked = names.index(answer), names.index(question)
        runs = [names[first:at] for first in range(asked + 1, at - 1)] if asked < at else []
        runs += [names[first:] for first in range(max(asked, at) + 1, len(names) - 1)] if asked != at else []
        for run, kind in product(runs, candidates.answer_kinds(table, answer)):
            if kind in ("letter", "text", *NUMBERS):
                numbers = {"question": int(question), "choices": [int(name) for name in run], "answer": int(answer)}
                yield Columns(**NOTHING | numbers | {"answer_as": kind}), False


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(columns: Columns, row: Any) -> Question:
    question = read_local(row, columns)
    check_equal_choices(question, "keep_wrong")
    return question


def _questions(columns: Columns, rows: Sequence[Any]) -> list[Question] | None:
    try:
        return [_read(columns, row) for row in rows]
    except DataError:
        return None


def _failure(columns: Columns, rows: Sequence[Any]) -> Failure:
    """What reading the rows ends in, with the first messages that differ."""
    failing, errors, questions = 0, dict[str, int](), list[Question]()
    for number, row in enumerate(rows):
        try:
            questions.append(_read(columns, row))
        except DataError as error:
            failing += 1
            if len(errors) < MOST_ERRORS:
                errors.setdefault(str(error), number)
    return Failure(columns, failing, [(number, message) for message, number in errors.items()], questions)


def _same(questions: Sequence[Question], others: Sequence[Question]) -> bool:
    pairs = zip(questions, others, strict=True)
    return all((a.question, a.choices, a.answer) == (b.question, b.choices, b.answer) for a, b in pairs)


def _readable(columns: Columns, optional: dict[str, ColumnName], table: Table) -> dict[str, ColumnName]:
    """Those of the optional columns with which all rows can be read."""
    return {
        key: name
        for key, name in optional.items()
        if _questions(replace(columns, **cast(Any, {key: name})), table.rows) is not None
    }


def _parent(name: Any) -> str:
    return name.rpartition(".")[0] if isinstance(name, str) else ""


def _taken(columns: Columns) -> frozenset[str]:
    found: list[Any] = [columns.question, columns.choices, columns.right, columns.wrong, columns.answer]
    return frozenset(str(name) for one in found for name in (one if isinstance(one, list) else [one]))
