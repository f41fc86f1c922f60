"""What a question must be before anything learns from it or is measured on it.

Every reader ends in `checked`, so that no dataset has rules of its own. What is wrong raises a DataError
that says what was found; where it was found is known to, and added by, loading.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mcqa.config.errors import DataError, nearest
from mcqa.data.question import Question


def checked(
    *,
    id: object,
    question: object,
    choices: object,
    answer: int,
    context: object = "",
    subject: object = "",
    cluster: object = None,
) -> Question:
    """A Question that can be trusted; white space around its texts is dropped, and nothing is repaired.

    Two choices that read the same are refused even where neither is the answer: the model then sees a
    question that its author did not mean to ask, and a score per choice has no unique best.
    """
    if not isinstance(choices, (list, tuple)):
        raise DataError(f"choices are {shown(choices)}, not a list.")
    texts = tuple(text(f"choice {n}", choice) for n, choice in enumerate(choices, 1))
    if len(texts) < 2:
        raise DataError(f"a question needs two choices or more, and here are {len(texts)}.")
    for n, choice in enumerate(texts):
        if choice in texts[:n]:
            raise DataError(f"choices {texts.index(choice) + 1} and {n + 1} are both {choice!r}.")
    assert 0 <= answer < len(texts), "answers.py lets no other index through"
    return Question(
        id=text("id", "" if id is None else str(id), needed=False),
        question=text("question", question),
        choices=texts,
        answer=answer,
        context=text("context", context, needed=False),
        subject=text("subject", subject, needed=False),
        cluster=text("cluster", None if cluster is None else str(cluster), needed=False),
    )


def text(name: str, value: object, needed: bool = True) -> str:
    """`value` without the white space around it, if it is whole text; None is an absent text."""
    value = "" if value is None and not needed else value
    if not isinstance(value, str):
        raise DataError(f"{name} is {shown(value)}, not text.")
    if needed and not value.strip():
        raise DataError(f"{name} is empty.")
    if "\ufffd" in value:
        at = value.index("\ufffd")
        raise DataError(
            f"{name} holds U+FFFD, the mark of a character that was lost on the way: "
            f"{value[max(0, at - 20) : at + 20]!r}. Take the file anew from its source."
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{name} holds half a character, {value[error.start]!r}.") from None
    return value.strip()


def field(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise DataError(f"there is no {name!r}; the row has {', '.join(map(str, row))}.{nearest(name, row)}")
    return row[name]


def with_ids(located: Iterable[tuple[str, Question]]) -> tuple[list[Question], list[str]]:
    """The questions with ids that are unique among them, and a message for each that has another one's id.

    Without an id a question is named by what it asks, which survives reordering. A question that stands
    there again, id and all, is kept as `<id>#2`: publishers' counts hold, and notes tell how many.
    """
    located = list(located)
    taken = {question.id for _, question in located}
    first: dict[str, tuple[str, Question]] = {}
    questions, bad = [], []
    for where, question in located:
        id = question.id or _named_by_content(question)
        there, same = first.setdefault(id, (where, question))
        if same.content != question.content:
            bad.append(f"{where}: id {id!r} is that of another question, at {there}.")
            continue
        if there != where:
            id = next(again for n in range(2, len(located) + 2) if (again := f"{id}#{n}") not in taken)
        taken.add(id)
        questions.append(replace(question, id=id))
    return questions, bad


def _named_by_content(question: Question) -> str:
    digest = hashlib.sha256(question.content.encode()).hexdigest()[:16]
    return f"{question.subject}/{digest}" if question.subject else digest


def repeats(questions: list[Question]) -> int:
    """How many questions stand there again, with the same choices and answer."""
    return len(questions) - len({question.content for question in questions})


def shared(ours: list[Question], theirs: list[Question]) -> int:
    """How many of `ours` are asked in `theirs` too, whatever the choices, the case and the white space."""
    known = {_asked(question) for question in theirs}
    return sum(_asked(question) in known for question in ours)


def _asked(question: Question) -> str:
    return " ".join(f"{question.context} {question.question}".casefold().split())


def shown(value: object) -> str:
    return "absent" if value is None else f"{str(value)[:60]!r} ({type(value).__name__})"
