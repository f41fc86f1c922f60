"""PubMedQA in the three shapes it is published in."""

from collections.abc import Iterator
from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.checks import describe_value, field, validated_question
from mcqa.data.question import Question
from mcqa.data.readers.answers import from_text

DECISIONS = ["yes", "no", "maybe"]


def read_pubmedqa(row: dict[str, Any]) -> Question:
    """Return a row of PubMedQA (Jin et al. 2019, arXiv:1909.06146): does an abstract answer its title's question?

        publisher: {"<PMID>": {"QUESTION": …, "CONTEXTS": [ … ], "final_decision": "yes", …}, …}, one object a file
        bigbio:    rows of these keys
        hub:       rows with question, context.contexts, final_decision

    The context is the abstract without its conclusion, a line for each of its parts.
    """
    if "QUESTION" in row:
        question, contexts = row["QUESTION"], field(row, "CONTEXTS")
    else:
        question, contexts = field(row, "question"), field(row, "context")
        contexts = field(contexts, "contexts") if isinstance(contexts, dict) else contexts
    if not isinstance(contexts, list) or not all(isinstance(part, str) for part in contexts):
        raise DataError(f"the contexts are {describe_value(contexts)}, not a list of texts.")
    return validated_question(
        id=row.get("pubid"),
        question=question,
        choices=DECISIONS,
        answer=from_text(field(row, "final_decision"), DECISIONS),
        context="\n".join(contexts),
    )


def pubmedqa_rows(row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a file of the publisher, which is one object with a row for each PMID; others as they are."""
    if row and all(key.isdecimal() and isinstance(value, dict) for key, value in row.items() if key != "subject"):
        yield from ((f"PMID {key}", {**value, "pubid": key}) for key, value in row.items() if key != "subject")
    else:
        yield "", row
