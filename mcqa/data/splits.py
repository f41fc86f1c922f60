"""Split and subsample by a hash of (seed, content) instead of by chance or position.

Reordering or appending rows, changing ids or running another Python version moves no question. Questions of one
cluster or passage land in one split, so that a model is not tested on passages and facts that it was trained on.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal

from mcqa.data.conversations.conversation import E, Entry

SplitBy = Literal["cluster", "question"]


def split_by_hash(
    questions: Sequence[E], seed: int, shares: Mapping[str, float], split_by: SplitBy
) -> dict[str, list[E]]:
    """Return splits of about these shares (fractions of all questions), and "train" with the rest.

    split_by: what stays in one split, the questions of a cluster (`related`) or only equal questions.
    """
    names, ends = [*shares, "train"], list(accumulate(shares.values()))
    parts: dict[str, list[E]] = {name: [] for name in ("train", *shares)}
    for question in questions:
        key = (related(question) if split_by == "cluster" else "") or question.content
        parts[names[bisect_right(ends, _uniform("cut", seed, key))]].append(question)
    return parts


def related(question: Entry) -> str:
    """Return what questions that belong together share: the cluster, else the passage, else nothing ("")."""
    return question.cluster or passage(question)


def passage(question: Entry) -> str:
    """Return the passage, ignoring case and white space."""
    return " ".join(question.context.casefold().split())


def subsample(questions: Sequence[E], seed: int, limit: int, published: Mapping[str, Entry] | None = None) -> list[E]:
    """Return `limit` questions in their original order; a smaller limit returns a subset of a larger one.

    published: by id the questions whose contents the draw is from, where the options are shown in another order.
    """
    published = published or {}
    keys = [_uniform("limit", seed, published.get(question.id, question).content) for question in questions]
    smallest = sorted(range(len(questions)), key=keys.__getitem__)[:limit]
    return [questions[n] for n in sorted(smallest)]


def _uniform(purpose: str, seed: int, text: str) -> float:
    """A uniform number in [0, 1), independent for each purpose."""
    digest = hashlib.sha256(f"{purpose}\n{seed}\n{text}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # 53 bits: what a float holds exactly
