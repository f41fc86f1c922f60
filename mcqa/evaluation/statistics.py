"""What an accuracy proves: intervals, and the paired test of two models on the same questions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


def standard_error(right: int, n: int) -> float:
    """Of the mean of n zeros and ones: sample standard deviation (n - 1) over sqrt(n); 0 for one question."""
    share = right / n
    return math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else 0.0


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927), at 95 %."""
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Paired:
    """Two models on the same questions: accuracy of the second minus the first, and whether that is noise.

    p is the exact McNemar test's (McNemar 1947): two-sided binomial over the questions that only one of the two
    answers right.
    """

    difference: float
    newly_right: int
    newly_wrong: int
    p: float


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> Paired:
    from scipy.stats import binomtest

    pairs = list(zip(before, after, strict=True))
    gained, lost = pairs.count((False, True)), pairs.count((True, False))
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return Paired((gained - lost) / len(pairs), gained, lost, p)
