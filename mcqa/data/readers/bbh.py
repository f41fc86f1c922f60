"""The multiple-choice tasks of BIG-Bench Hard."""

import re
from collections.abc import Iterator
from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.checks import describe_value, field, validated_question
from mcqa.data.question import Question
from mcqa.data.readers.answers import from_label, from_text

OPTIONS = "\nOptions:\n"
LETTERED = re.compile(r"(\([A-Z]\)) (.*)")
LISTED = re.compile(r"- (.*)")


def read_bbh(row: dict[str, Any]) -> Question:
    r"""Return a row of BIG-Bench Hard (Suzgun et al. 2022, arXiv:2210.09261) that lists its options.

    The options end the input, a line for each, as `(A) …` with the target `(A)`, or as `- Yes` with the target `Yes`.
    Rows of the tasks that list none, or want another answer than one of them, are refused.
    """
    text, target = field(row, "input"), field(row, "target")
    if not isinstance(text, str):
        raise DataError(f"input is {describe_value(text)}, not text.")
    question, heading, listed = text.rpartition(OPTIONS)
    if not heading:
        raise DataError("the input lists no options: this task of BBH is not multiple choice.")
    lines = listed.split("\n")
    if all(lettered := [LETTERED.fullmatch(line) for line in lines]):
        labels, choices = zip(*(match.groups() for match in lettered if match), strict=True)
        if list(labels) != (expected := [f"({chr(ord('A') + n)})" for n in range(len(labels))]):
            raise DataError(f"the options are labelled {', '.join(labels)}, not {', '.join(expected)}.")
        answer = from_label(target, labels)
    elif all(items := [LISTED.fullmatch(line) for line in lines]):
        choices = tuple(match[1] for match in items if match)
        answer = from_text(target, choices)
    else:
        raise DataError(f"the options are lines neither of '(A) …' nor of '- …': {lines[0][:40]!r} ….")
    return validated_question(id=None, question=question, choices=choices, answer=answer, subject=row.get("subject"))


def bbh_rows(row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the examples of a task's file, which is one object; rows of the hub as they are.

    Raises:
        DataError: the examples are no list of rows.
    """
    if "examples" not in row:
        yield "", row
        return
    examples = row["examples"]
    if not isinstance(examples, list) or not examples or not all(isinstance(example, dict) for example in examples):
        raise DataError(f"examples is {describe_value(examples)}, not a list of rows.")
    for number, example in enumerate(examples):
        yield f"example {number}", {"subject": row.get("subject"), **example}
