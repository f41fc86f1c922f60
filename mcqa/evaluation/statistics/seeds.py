"""What a difference of single runs says of their configurations: up to which seed variance it stays significant."""

import math

from mcqa.evaluation.statistics.clusters import ALPHA


def seed_deviation_allowed(difference: float, p: float, trained_runs: int, level: float = ALPHA) -> float:
    """Return the standard deviation over seeds up to which a significant difference of two single runs would stay so.

    p gives the standard error of the difference: a two-sided test of a normal estimate has |difference| = z(p) · error.
    Each run that was trained adds the variance of a seed. 0 where the difference is not significant even without seed
    variance.

    Args:
        difference: of the two accuracies, or of other metrics.
        p: of the test of these two runs.
        trained_runs: 2, or 1 where one of the two is a base without training.
        level: below which p is significant; less than 5 % where there are several comparisons.
    """
    return _allowed(difference, p, _z(level), trained_runs)


def seed_deviation_allowed_of_best(difference: float, p: float, runs: int) -> float:
    """Return the same of the best of so many equal runs against another: by Tukey's studentised range."""
    from mcqa.evaluation.statistics.multiple_comparisons import studentized_range

    return _allowed(difference, p, studentized_range(max(2, runs), math.inf) / math.sqrt(2), 2)


def _allowed(difference: float, p: float, critical: float, trained_runs: int) -> float:
    z = _z(p)
    if z <= critical:
        return 0.0
    return abs(difference) * math.sqrt((1 / critical**2 - 1 / z**2) / trained_runs)


def _z(p: float) -> float:
    """The standard normal quantile of a two-sided p-value; infinite for 0."""
    from scipy.special import ndtri

    return float(-ndtri(p / 2))
