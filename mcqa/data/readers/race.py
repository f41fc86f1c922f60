"""RACE in the three shapes it is published in."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.checks import checked_text, describe_value, field
from mcqa.data.question import Question
from mcqa.data.readers.columns import read_local
from mcqa.data.readers.shapes import COLUMNS

RACE = replace(COLUMNS, answer="answer", answer_as="letter", context="article")
BLANK_AT_END = "  _  ."


def read_race(row: dict[str, Any]) -> Question:
    """Return a row of RACE (Lai et al. 2017, arXiv:1704.04683): English exams of Chinese middle and high schools.

        hub:       a row for each question: article, question, options, answer (a letter), example_id
        publisher: a file for each article: article, questions, options, answers, id (race_rows makes rows of it)
        harness:   a row for each article: article, problems (a list, as text)

    lm-evaluation-harness asks the last problem of each article, after the others with their answers; so the question
    of its rows begins with these. The subject is `high` or `middle`, where the id of the article says so.
    """
    checked_text("article", field(row, "article"))
    asked = _last_problem(row) if "problems" in row else read_local(row, RACE)
    school = re.match("high|middle", str(row.get("example_id", "")))
    return replace(asked, subject=school[0]) if school else asked


def race_rows(row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a row for each question of an article of the publisher's; others as they are.

    Raises:
        DataError: questions, options and answers are not lists of one length, or empty.
    """
    if "questions" not in row:
        yield "", row
        return
    names = {"question": "questions", "options": "options", "answer": "answers"}
    lists = {one: field(row, many) for one, many in names.items()}
    if not all(isinstance(values, list) for values in lists.values()) or len({*map(len, lists.values())}) > 1:
        raise DataError(f"{', '.join(names.values())} are not lists of one length.")
    if not lists["question"]:
        raise DataError("there are no questions about the article.")
    for number, values in enumerate(zip(*lists.values(), strict=True), 1):
        one = dict(zip(lists, values, strict=True))
        yield f"question {number}", {"article": field(row, "article"), "example_id": row.get("id"), **one}


def _last_problem(row: dict[str, Any]) -> Question:
    problems = row["problems"]
    try:
        problems = ast.literal_eval(problems) if isinstance(problems, str) else problems
    except (ValueError, SyntaxError, MemoryError):
        raise DataError(f"problems is {describe_value(problems)}, not a list in Python's notation.") from None
    if not isinstance(problems, list) or not problems or not all(isinstance(one, dict) for one in problems):
        raise DataError(f"problems is {describe_value(problems)}, not a list of questions.")
    *solved, last = (read_local({**one, "article": row["article"]}, RACE) for one in problems)
    return replace(last, question="".join(map(_solved, solved)) + last.question)


def _solved(problem: Question) -> str:
    """A question and its answer, which completes the sentence where it ends in a blank."""
    right = problem.choices[problem.answer]
    if problem.question.endswith(BLANK_AT_END):
        return f"{problem.question.removesuffix(BLANK_AT_END[1:])}{right}\n"
    return f"Question: {problem.question}\nAnswer: {right}\n"
