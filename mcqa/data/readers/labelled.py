"""Rows whose choices carry labels and whose answer is one of these: ARC, OpenBookQA, CommonsenseQA.

Two shapes of the same row, as on the hub and as in the files that the Allen Institute publishes:

    {"question": "…", "choices": {"label": ["A", …], "text": ["…", …]}, "answerKey": "B"}
    {"question": {"stem": "…", "choices": [{"label": "A", "text": "…"}, …]}, "answerKey": "B"}
"""

from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.checks import checked, field, shown
from mcqa.data.question import Question
from mcqa.data.readers.answer_keys import from_label


def read(row: dict[str, Any], stem: str = "question") -> Question:
    """`stem` is the name of the question's text in the flat shape."""
    nested = row.get("question")
    asked = nested if isinstance(nested, dict) else row
    labels, texts = _labels_and_texts(field(asked, "choices"))
    return checked(
        id=row.get("id"),
        question=field(asked, "stem" if asked is nested else stem),
        choices=texts,
        answer=from_label(row.get("answerKey"), labels),
    )


def _labels_and_texts(choices: Any) -> tuple[list[str], list[Any]]:
    if isinstance(choices, list) and all(isinstance(choice, dict) for choice in choices):
        labels = [field(choice, "label") for choice in choices]
        texts = [field(choice, "text") for choice in choices]
    elif isinstance(choices, dict):
        labels, texts = field(choices, "label"), field(choices, "text")
    else:
        raise DataError(f"choices are {shown(choices)}, not labels with texts.")
    if not isinstance(labels, list) or not isinstance(texts, list) or len(labels) != len(texts):
        raise DataError(f"the labels {labels} and the texts {texts} do not go together one to one.")
    if wrong := [label for label in labels if not isinstance(label, str)]:
        raise DataError(f"label {wrong[0]!r} is not text.")
    return labels, texts
