"""Medians and noise that single outliers do not move."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

MAD_TO_SIGMA = 1.4826
"""The standard deviation of a normal distribution over its median absolute deviation."""


def finite(values: Sequence[float]) -> list[float]:
    """Return the values that are numbers."""
    return [value for value in values if math.isfinite(value)]


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation by the median absolute deviation."""
    middle = median(values)
    return MAD_TO_SIGMA * median(abs(value - middle) for value in values)


def noise(values: Sequence[float]) -> float:
    """Return the standard deviation of a curve around its trend: that of successive differences, over the root of 2."""
    differences = [after - before for before, after in pairwise(values)]
    return spread(differences) / math.sqrt(2) if differences else 0.0


def running_medians(values: Sequence[float], window: int) -> list[float]:
    """Return the median of every `window` values in a row, half a window apart."""
    step = max(1, window // 2)
    return [median(values[start : start + window]) for start in range(0, len(values) - window + 1, step)]
