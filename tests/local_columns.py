"""Columns of data=local, of which a test names only what it is about."""

from typing import Any

from mcqa.config.schema import Columns


def own_columns(question: Any, choices: Any, answer: Any, answer_as: Any = "index", **others: Any) -> Columns:
    """Return these columns; every other one is absent."""
    absent = dict.fromkeys(("fixed_choices", "right", "wrong", "context", "subject", "cluster", "id"))
    policies: dict[str, Any] = {"empty_choices": "refuse", "strip_labels": False}
    return Columns(question, choices, answer=answer, answer_as=answer_as, **absent | policies | others)
