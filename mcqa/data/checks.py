"""What every question must satisfy before a model is trained or measured on it.

Every reader ends in `validated_question`, so that no dataset has rules of its own. A DataError says what is wrong
with a row; loading.py knows the file and the line and adds them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count
from typing import Any, Literal

from mcqa.config.errors import DataError, nearest
from mcqa.data.conversations.conversation import E, Entry
from mcqa.data.question import Question

EqualChoices = Literal["refuse", "keep_wrong", "keep"]


def validated_question(
    *,
    id: object,
    question: object,
    choices: object,
    answer: int,
    context: object = "",
    subject: object = "",
    cluster: object = None,
) -> Question:
    """Return the question with its texts as they are given, white space included; nothing is repaired.

    Raises:
        DataError: a text is blank, not text or damaged, or there are fewer than two choices.
    """
    if not isinstance(choices, (list, tuple)):
        raise DataError(f"choices are {describe_value(choices)}, not a list.")
    texts = tuple(checked_text(f"choice {n}", choice) for n, choice in enumerate(choices, 1))
    if len(texts) < 2:
        raise DataError(f"a question needs at least two choices, and here are {len(texts)}.")
    assert 0 <= answer < len(texts), "readers.py returns no other index"
    return Question(
        id=checked_name("id", id),
        question=checked_text("question", question),
        choices=texts,
        answer=answer,
        context=checked_text("context", context, required=False),
        subject=checked_name("subject", subject),
        cluster=checked_name("cluster", cluster),
    )


def check_equal_choices(question: Question, equal_choices: EqualChoices) -> None:
    """Refuse a question with choices that are equal, apart from white space around them, where the policy does.

    keep_wrong: it does where one of them is the answer; the question has then no single right choice.

    Raises:
        DataError: it does.
    """
    texts = [choice.strip() for choice in question.choices]
    right = texts[question.answer]
    for n, text in enumerate(texts):
        first = texts.index(text)
        if first == n or equal_choices == "keep" or (equal_choices == "keep_wrong" and text != right):
            continue
        answer = ", and the answer is one of them" if text == right else ""
        kept = " (data.equal_choices=keep keeps the question)" if text == right else ""
        raise DataError(f"choices {first + 1} and {n + 1} are both {text!r}{answer}{kept}.")


def has_equal_choices(question: Question) -> bool:
    """Whether two choices are equal, apart from white space around them."""
    return len({choice.strip() for choice in question.choices}) < len(question.choices)


def has_outer_space(question: Question) -> bool:
    """Whether there is white space around the question or one of its choices."""
    return any(text != text.strip() for text in (question.question, *question.choices))


def checked_name(name: str, value: object) -> str:
    """Return text or a number as text, and "" for None; a list or an object is the value of another column.

    Raises:
        DataError: it is neither, or text that is damaged.
    """
    if isinstance(value, (list, dict, bool)) or value != value:  # NaN differs from NaN
        raise DataError(f"{name} is {describe_value(value)}, neither text nor a number.")
    return checked_text(name, None if value is None else str(value), required=False).strip()


def checked_text(name: str, value: object, required: bool = True) -> str:
    """Return the text as it is given; "" where it is blank or None and not required.

    Raises:
        DataError: it is not text, blank though required, or contains characters that were lost in a conversion.
    """
    value = "" if value is None and not required else value
    if not isinstance(value, str):
        raise DataError(f"{name} is {describe_value(value)}, not text.")
    if required and not value.strip():
        raise DataError(f"{name} is empty.")
    if "\ufffd" in value:
        at = value.index("\ufffd")
        raise DataError(
            f"{name} contains U+FFFD, which stands for a character lost in a conversion: "
            f"{value[max(0, at - 20) : at + 20]!r}. Download the file again from its source."
        )
    if "\0" in value:
        raise DataError(f"{name} contains a NUL character.")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, from JSON such as "\ud83d"
        raise DataError(f"{name} contains half a character, {value[error.start]!r}.") from None
    return value if value.strip() else ""


def field(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise DataError(no_such_field(name, tuple(row)))
    return row[name]


@lru_cache(maxsize=16)
def no_such_field(name: str, names: tuple[str, ...]) -> str:
    """Return that a row has no field of this name, and which it has.

    Usually the same for all rows of a file, and finding the nearest of many names takes time.
    """
    return f"there is no {name!r}; the row has {', '.join(map(str, names))}.{nearest(name, names)}"


def assign_ids(located: Iterable[tuple[str, E]]) -> tuple[list[E], list[tuple[str, str]]]:
    """Return the questions with unique ids, and place and problem of each whose id belongs to a different question.

    located: pairs of a place (`path:line`) and its question. A question without an id is named by a hash of its
    content, which survives reordering. A repetition, id and all, is kept as `<id>#2`, so that the number of questions
    stays the publisher's.
    """
    located = list(located)
    taken = {question.id for _, question in located}
    first: dict[str, tuple[str, E]] = {}
    numbers = defaultdict[str, Iterator[int]](lambda: count(2))  # of the repetitions of each id
    questions, clashes = [], []
    for where, question in located:
        id = question.id or _content_id(question)
        first_where, first_question = first.setdefault(id, (where, question))
        if first_question.content != question.content:
            clashes.append((where, f"id {id!r} is that of another question, at {first_where}."))
            continue
        if first_where != where:
            id = next(free for n in numbers[id] if (free := f"{id}#{n}") not in taken)
        taken.add(id)
        questions.append(replace(question, id=id))
    return questions, clashes


def _content_id(question: Entry) -> str:
    digest = hashlib.sha256(question.content.encode()).hexdigest()[:16]
    return f"{question.subject}/{digest}" if question.subject else digest


def count_overlap(questions: Sequence[Entry], others: Sequence[Entry]) -> int:
    """Return how many of `questions` occur in `others`, ignoring choices, case and white space."""
    known = {_normalized(question) for question in others}
    return sum(_normalized(question) in known for question in questions)


def _normalized(question: Entry) -> str:
    return " ".join(f"{question.context} {question.question}".casefold().split())


def describe_value(value: object) -> str:
    return "absent" if value is None else f"{str(value)[:60]!r} ({type(value).__name__})"
