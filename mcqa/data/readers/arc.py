"""ARC, the AI2 Reasoning Challenge: grade-school science, an easy and a challenge set.

Clark et al. 2018, arXiv:1803.05457. Most questions have four choices, some three or five. Labels are letters
or digits, as on the exam that a question comes from: "2" is the second choice only because its label says so.
"""

from typing import Any

from mcqa.data.question import Question
from mcqa.data.readers import labelled


def read(row: dict[str, Any]) -> Question:
    return labelled.read(row)
