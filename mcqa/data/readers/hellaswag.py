"""HellaSwag, with its texts as they are scored."""

import re
from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.checks import checked_text, describe_value, field, validated_question
from mcqa.data.question import Question
from mcqa.data.readers.answers import from_index

BRACKETS = re.compile(r"\[.*?\]")


def read_hellaswag(row: dict[str, Any]) -> Question:
    """Return a row of HellaSwag: which of four endings continues a text (Zellers et al. 2019, arXiv:1905.07830).

    The hub and the publisher have the same keys; the label is text on the hub and a number in the publisher's files.
    The question is the activity's name and the text, put together and cleaned as the scores in the literature have it:
    what is left of WikiHow's headings ([title], [step] …) is taken out. The subject is `indomain` or `zeroshot`,
    whether activities of this name are in the training split; the cluster is the video or article.
    """
    endings = field(row, "endings")
    if not isinstance(endings, list):
        raise DataError(f"endings are {describe_value(endings)}, not a list.")
    activity = checked_text("activity_label", field(row, "activity_label"))
    start, continued = _text(row, "ctx_a"), _text(row, "ctx_b").capitalize()
    checked_text("ctx_a with ctx_b", f"{start}{continued}")
    return validated_question(
        id=None,
        question=without_brackets(f"{activity}: {start} {continued}"),
        choices=[without_brackets(ending) if isinstance(ending, str) else ending for ending in endings],
        answer=from_index(field(row, "label"), endings),
        subject=row.get("split_type"),
        cluster=row.get("source_id"),
    )


def without_brackets(text: str) -> str:
    """Return a text of HellaSwag as it is scored."""
    return BRACKETS.sub("", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def _text(row: dict[str, Any], name: str) -> str:
    text = field(row, name)
    if not isinstance(text, str):
        raise DataError(f"{name} is {describe_value(text)}, not text.")
    return text
