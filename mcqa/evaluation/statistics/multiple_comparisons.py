"""Many comparisons at once: family-wise error, groups that share a letter, and the best of many models.

The family-wise error is the probability of calling at least one difference significant where there is none.

Shapes: K models, Q questions, G clusters, F sign flips.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from string import ascii_letters

import numpy as np

from mcqa.evaluation.statistics.clusters import ALPHA, FloatArray, cluster_ids

SIGN_FLIPS = 5000
SEED = 0  # of the sign flips
BATCH = 2**22  # signs in memory at a time: 32 MiB


def holm(ps: Sequence[float]) -> list[float]:
    """Return the adjusted p-values in the order given (Holm 1979).

    Rejecting those below 5 % keeps the family-wise error at 5 %, however the tests depend on each other.
    """
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted


@cache
def studentized_range(count: int, degrees_of_freedom: float) -> float:
    """Return what the range of `count` equal values exceeds, in standard deviations, with a probability of 5 % only.

    The range is the largest minus the smallest of independent normal values, the standard deviation one that was
    estimated from others (Tukey's studentised range). Of two it is sqrt(2) times Student's quantile.
    """
    from scipy.stats import studentized_range as distribution

    return float(distribution.ppf(1 - ALPHA, count, degrees_of_freedom))


# --- compact letter display -------------------------------------------------------------------------------------------


def compact_letter_display(means: Sequence[float], significant: Callable[[int, int], bool]) -> list[str]:
    """Return letters for each item: two items share a letter exactly where they do not differ significantly.

    The insert-and-absorb algorithm of Piepho (2004). significant(i, j) is called once for every i < j. Letters go
    from the best mean to the worst, so the best item has "a".
    """
    by_mean = sorted(range(len(means)), key=lambda index: (-means[index], index))
    rank = {index: position for position, index in enumerate(by_mean)}
    columns = [frozenset(range(len(means)))] if means else []
    for pair in combinations(range(len(means)), 2):
        if significant(*pair):
            columns = _split(columns, *pair)
    columns.sort(key=lambda column: sorted(rank[index] for index in column))
    letters = [_letter(number) for number in range(len(columns))]
    return ["".join(x for x, column in zip(letters, columns, strict=True) if i in column) for i in range(len(means))]


def _split(columns: list[frozenset[int]], i: int, j: int) -> list[frozenset[int]]:
    """No column keeps both: insert the two halves, absorb columns that lie within another."""
    halves = [column - {item} for column in columns if {i, j} <= column for item in (i, j)]
    kept = {column for column in columns if not {i, j} <= column} | set(halves)
    return [column for column in kept if not any(column < other for other in kept)]


def _letter(number: int) -> str:
    """a to z, A to Z, then Greek: no group is left without a letter."""
    return ascii_letters[number] if number < len(ascii_letters) else chr(ord("α") + number - len(ascii_letters))


# --- the best of many -------------------------------------------------------------------------------------------------


def p_values_against_best(
    correct: Sequence[Sequence[bool]], best: int, clusters: Sequence[str] | None = None, flips: int = SIGN_FLIPS
) -> list[float]:
    """Return the adjusted p-value of every model against correct[best], in the order given; the best's own is 1.

    correct[k][q]: whether model k answers question q right. Calling the models below 5 % worse has a family-wise error
    of 5 %, however many of the models are equal.

    The best model was selected for being best, so comparing it with each of the others is comparing all with all: a
    correction for K - 1 tests (Holm) errs in up to a third of studies of 64 equal models. Here the statistic is the
    studentised maximum over all pairs, and its distribution where only chance decides comes from flipping the signs
    of whole questions, or clusters, at random and for all models at once: models that err alike have a smaller
    maximum, and lose less power. Step-down: a model that is worse than the best is left out before the next is judged
    (Romano & Wolf 2005), as in the model confidence set of Hansen, Lunde & Nason (2011).

    For two models it is McNemar's exact test (not its mid-p), by simulation. p is at least 1 / (flips + 1), and 1 for
    all models in one cluster.

    Raises:
        ValueError: there are no questions, or the models answered different numbers of them.
    """
    if len({len(answers) for answers in correct}) != 1:
        raise ValueError(f"answers to the same questions are needed, not to {[len(answers) for answers in correct]}")
    ids = cluster_ids(clusters, len(correct[0]))
    sums = np.array([np.bincount(ids, answers) for answers in correct], float)
    scale = _scale(sums)
    observed = abs(sums[best].sum() - sums.sum(1)) / scale[best]
    order = [best, *sorted((k for k in range(len(correct)) if k != best), key=lambda k: float(observed[k]))]
    batches, scale = _flipped_sums(sums[order], flips), scale[np.ix_(order, order)]
    exceedances = np.sum([_exceedances(flipped, scale, observed[order]) for flipped in batches], axis=0)
    ps = (exceedances + 1) / (flips + 1)
    adjusted = np.maximum.accumulate(ps[::-1])[::-1]
    return [float(adjusted[order.index(k)]) for k in range(len(correct))]


def _scale(sums: FloatArray) -> FloatArray:
    """[K, K] root of the sum of squared differences over clusters; 1 where two models give identical answers."""
    products = sums @ sums.T
    squares = np.diag(products)
    scale = np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0.0))
    return np.where(scale > 0, scale, 1.0)


def _flipped_sums(sums: FloatArray, flips: int) -> Iterator[FloatArray]:
    """Yield batches [part of F, K] of every model's sum after random sign flips."""
    sums = sums[:, (sums != sums[0]).any(0)]  # where all models are identical a flip changes no difference
    generator, rows = np.random.default_rng(SEED), max(1, BATCH // max(1, *sums.shape))
    for start in range(0, flips, rows):
        signs = generator.integers(0, 2, (min(rows, flips - start), sums.shape[1])) * 2.0 - 1
        yield signs @ sums.T


def _exceedances(flipped: FloatArray, scale: FloatArray, observed: FloatArray) -> FloatArray:
    """[K] in how many of these flips a pair among the model and those before it differs by at least as much."""
    counts, largest = np.zeros(len(observed)), np.zeros(len(flipped))
    counts[0] = len(flipped)
    for k in range(1, len(observed)):
        differences = abs(flipped[:, :k] - flipped[:, [k]]) / scale[k, :k]
        largest = np.maximum(largest, differences.max(1))
        counts[k] = (largest >= observed[k]).sum()
    return counts
