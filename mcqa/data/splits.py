"""Split and subsample by a hash of (seed, content) instead of by chance or position.

Reordering or appending rows, changing ids or running another Python version moves no question, and a question that
occurs twice lands in one split only.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from mcqa.data.question import Question


def split_by_hash(questions: Sequence[Question], seed: int, shares: Mapping[str, float]) -> dict[str, list[Question]]:
    """Return splits of about these shares (fractions of all questions), and "train" with the rest."""
    names, ends = [*shares, "train"], list(accumulate(shares.values()))
    parts: dict[str, list[Question]] = {name: [] for name in ("train", *shares)}
    for question in questions:
        parts[names[bisect_right(ends, _uniform("cut", seed, question))]].append(question)
    return parts


def subsample(questions: Sequence[Question], seed: int, limit: int) -> list[Question]:
    """Return `limit` questions in their original order; a smaller limit returns a subset of a larger one."""
    keys = [_uniform("limit", seed, question) for question in questions]
    smallest = sorted(range(len(questions)), key=keys.__getitem__)[:limit]
    return [questions[n] for n in sorted(smallest)]


def _uniform(purpose: str, seed: int, question: Question) -> float:
    """A uniform number in [0, 1), independent for each purpose."""
    digest = hashlib.sha256(f"{purpose}\n{seed}\n{question.content}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # 53 bits: what a float holds exactly
