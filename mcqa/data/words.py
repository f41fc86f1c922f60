"""The words of texts, and which questions stand in a text word for word.

Words are runs of letters and digits, in any language that separates them, without regard to case.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from mcqa.data.question import Question

WORD = re.compile(r"[^\W_]+")
LONG = 4  # words from which on a question that stands in a text is not there by chance


def words(text: str) -> list[str]:
    """Return the words of a text, as they are compared."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def questions_within(texts: Sequence[str], questions: Sequence[Question]) -> int:
    """Return how many questions stand in one of the texts, word for word; those of less than LONG words are not
    looked for."""
    by_start = defaultdict[tuple[str, ...], dict[str, tuple[str, ...]]](dict)
    for question in questions:
        if len(asked := tuple(words(question.question))) >= LONG:
            by_start[asked[:LONG]][question.id] = asked
    found: set[str] = set()
    for text in texts:
        told = tuple(words(text))
        for i in range(len(told) - LONG + 1):
            for id, asked in by_start.get(told[i : i + LONG], {}).items():
                if told[i : i + len(asked)] == asked:
                    found.add(id)
    return len(found)
