"""CommonsenseQA: five choices that stand in the same relation to one concept.

Talmor et al. 2019, arXiv:1811.00937. The test split comes without answers. In one question of eighty,
two choices read the same; these are bad rows here. The concept is not part of the question and is left aside.
"""

from typing import Any

from mcqa.data.question import Question
from mcqa.data.readers import labelled


def read(row: dict[str, Any]) -> Question:
    return labelled.read(row)
