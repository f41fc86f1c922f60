"""The best of many models on the same questions, and which of the others it cannot be told apart from.

Whoever came out best was looked for, so comparing it with each of the others is comparing all with all: correcting for
K - 1 tests against it errs in up to a third of studies of 64 equal models. Here the largest difference of all pairs is
held against what it is where nothing but chance decides: the signs of whole questions, or clusters, are flipped at
random, for all models at once. Models that err alike make that largest difference smaller, and cost less.

Shapes: K models, Q questions, G clusters, F flips.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from mcqa.evaluation.statistics.clusters import FloatArray, cluster_ids

SIGN_FLIPS = 5000


SEED = 0


AT_ONCE = 2**22  # signs in memory: 32 MiB


def p_values_against_best(
    right: Sequence[Sequence[bool]], best: int, clusters: Sequence[str] | None = None, flips: int = SIGN_FLIPS
) -> list[float]:
    """Adjusted p-values of every model against right[best], in the order given; the best's own is 1.

    right[k][q]: did model k answer question q right. Calling those below 5 % worse errs at all in at most 5 % of
    studies, however many of the models are equal. Of two models it is McNemar's exact test (by simulation), and of
    clusters the same with a cluster's questions flipping together.

    The studentised maximum over pairs, step-down: whoever is worse than the best is left out before the next is judged
    (Romano & Wolf 2005), as in the model confidence set of Hansen, Lunde & Nason (2011). p is at least 1 / (flips + 1).

    Raises:
        ValueError: there are no questions, or the models answered different numbers of them.
    """
    if len({len(one) for one in right}) != 1:
        raise ValueError(f"answers to the same questions are needed, not to {[len(one) for one in right]}")
    of = cluster_ids(clusters, len(right[0]))
    sums = np.array([np.bincount(of, one) for one in right], float)
    scale = _scale(sums)
    found = abs(sums[best].sum() - sums.sum(1)) / scale[best]
    order = [best, *sorted((k for k in range(len(right)) if k != best), key=lambda k: float(found[k]))]
    apart, flipped = scale[np.ix_(order, order)], _flips(sums[order], flips)
    reached = np.sum([_reached(some, apart, found[order]) for some in flipped], axis=0)
    ps = (reached + 1) / (flips + 1)
    adjusted = np.maximum.accumulate(ps[::-1])[::-1]
    return [float(adjusted[order.index(k)]) for k in range(len(right))]


def _scale(sums: FloatArray) -> FloatArray:
    """[K, K] root of the sum of squared differences over clusters; 1 where two models answer all alike."""
    products = sums @ sums.T
    squares = np.diag(products)
    found = np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0.0))
    return np.where(found > 0, found, 1.0)


def _flips(sums: FloatArray, flips: int) -> Iterator[FloatArray]:
    """[some of F, K] sums of every model after flips. Where all models are alike a flip changes no difference."""
    sums = sums[:, (sums != sums[0]).any(0)]
    generator, rows = np.random.default_rng(SEED), max(1, AT_ONCE // max(1, *sums.shape))
    for start in range(0, flips, rows):
        signs = generator.integers(0, 2, (min(rows, flips - start), sums.shape[1])) * 2.0 - 1
        yield signs @ sums.T


def _reached(flipped: FloatArray, scale: FloatArray, found: FloatArray) -> FloatArray:
    """[K] how many of these flips have a pair among the model and those before it that differs by as much."""
    reached, largest = np.zeros(len(found)), np.zeros(len(flipped))
    reached[0] = len(flipped)
    for k in range(1, len(found)):
        differences = abs(flipped[:, :k] - flipped[:, [k]]) / scale[k, :k]
        largest = np.maximum(largest, differences.max(1))
        reached[k] = (largest >= found[k]).sum()
    return reached
