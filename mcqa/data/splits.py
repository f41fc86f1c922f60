"""Who belongs where, by a hash of what is asked instead of by chance or position.

Each question is placed by (seed, content) alone. So reordering or appending rows, changing ids or running
another Python moves no question, and one that stands there twice lands on one side only.
"""

import hashlib
from collections.abc import Mapping, Sequence

from mcqa.data.question import Question


def split_by_hash(questions: Sequence[Question], seed: int, shares: Mapping[str, float]) -> dict[str, list[Question]]:
    """Splits of about these shares (0 to 1, of all questions) in this order, and "train" with the rest."""
    parts: dict[str, list[Question]] = {"train": [], **{name: [] for name in shares}}
    for question in questions:
        parts[_side(_place("cut", seed, question), shares)].append(question)
    return parts


def _side(place: float, shares: Mapping[str, float]) -> str:
    upto = 0.0
    for name, share in shares.items():
        upto += share
        if place < upto:
            return name
    return "train"


def subsample(questions: Sequence[Question], seed: int, limit: int) -> list[Question]:
    """`limit` questions in their old order; a smaller limit draws a part of what a larger one draws."""
    places = [_place("limit", seed, question) for question in questions]
    drawn = sorted(range(len(questions)), key=places.__getitem__)[:limit]
    return [questions[n] for n in sorted(drawn)]


def _place(purpose: str, seed: int, question: Question) -> float:
    """From 0 to below 1, uniformly, and independently for each purpose."""
    digest = hashlib.sha256(f"{purpose}\n{seed}\n{question.content}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
