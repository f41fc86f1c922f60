"""Do the intervals keep their word? How often 95 % intervals hold the truth, and how often tests err, by simulation.

    python benchmarks/coverage.py [repetitions [word]]

A word leaves only the rows that have it, such as paired.

Every case is a world whose truth is known. tests/evaluation/test_coverage.py runs the same cases with fewer
repetitions and holds them to the bounds that stand here.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcqa.compare.estimates import estimate
from mcqa.evaluation import statistics

RESAMPLES = 500


@dataclass(frozen=True)
class Case:
    """trial says of one drawn world whether it happened; its share belongs between low and high."""

    what: str
    world: str
    low: float
    high: float
    trial: Callable[[np.random.Generator], bool]

    def share(self, repetitions: int, seed: int) -> float:
        generator = np.random.default_rng(seed)
        return sum(self.trial(generator) for _ in range(repetitions)) / repetitions


def sizes(generator, clusters, unequal):
    """Ten questions a cluster: exactly, or on average with sizes that vary as widely (geometric)."""
    return generator.geometric(0.1, clusters) if unequal else np.full(clusters, 10)


def names(of):
    return [f"c{cluster}" for cluster in of]


def one_model(generator, accuracy, alike, clusters, unequal=False):
    """Beta-binomial answers: alike is the intra-cluster correlation."""
    of = np.repeat(np.arange(clusters), sizes(generator, clusters, unequal))
    spread = (1 - alike) / alike
    shares = generator.beta(accuracy * spread, (1 - accuracy) * spread, clusters)
    return (generator.random(len(of)) < shares[of]).tolist(), names(of)


def two_models(generator, difference, clusters, tilt, unequal=False):
    """30 % disagreement; clusters lie up to 2 * tilt above or below the difference."""
    of = np.repeat(np.arange(clusters), sizes(generator, clusters, unequal))
    gain = 0.15 + difference / 2 + generator.uniform(-tilt, tilt, clusters)[of]
    drawn, both = generator.random(len(of)), generator.random(len(of)) < 0.6
    gained, lost = drawn < gain, (drawn >= gain) & (drawn < 0.3)
    return (both & ~gained | lost).tolist(), (both & ~lost | gained).tolist(), names(of)


def few_flips(generator, clusters, size, gained, lost):
    """Models that hardly differ: whole clusters of one size flip, these shares of them."""
    drawn = generator.random(clusters).repeat(size)
    gain, loss = drawn < gained, (drawn >= gained) & (drawn < gained + lost)
    return loss.tolist(), gain.tolist(), names(np.repeat(np.arange(clusters), size))


def runs(generator, seeds, noise, questions=400, alike=0.0):
    """Answers of two configurations of equal worth, seeds[side] runs each, with noise[side] between seeds (logits).

    Questions differ in how hard they are, configurations in what they find hard, runs in single answers; alike is
    the standard deviation of what a configuration finds hard in clusters of ten.
    """
    hard = generator.normal(0.8, 1.5, questions)
    for count, between in zip(seeds, noise, strict=True):
        own = generator.normal(0, 0.5, questions) + np.repeat(generator.normal(0, alike, questions // 10), 10)
        single = generator.normal(0, 0.8, (count, questions))
        logits = hard + own + single + generator.normal(0, between, (count, 1))
        yield (generator.random((count, questions)) < 1 / (1 + np.exp(-logits))).tolist()


def wilson(accuracy, n):
    def trial(generator):
        low, high = statistics.wilson_interval(int(generator.binomial(n, accuracy)), n)
        return low <= accuracy <= high

    return trial


def unclustered(accuracy, *world):
    """Wilson's interval where the questions come in clusters."""

    def trial(generator):
        correct, _ = one_model(generator, accuracy, *world)
        low, high = statistics.wilson_interval(sum(correct), len(correct))
        return low <= accuracy <= high

    return trial


def clustered(accuracy, *world):
    def trial(generator):
        found = statistics.clustered_accuracy(*one_model(generator, accuracy, *world))
        return found.low <= accuracy <= found.high

    return trial


def bootstrap(accuracy, *world):
    def trial(generator):
        correct, clusters = one_model(generator, accuracy, *world)
        low, high = statistics.bootstrap_interval(correct, clusters, RESAMPLES, int(generator.integers(2**32)))
        return low <= accuracy <= high

    return trial


def paired(difference, *world):
    """The interval that takes the questions as independent."""

    def trial(generator):
        before, after, _ = two_models(generator, difference, *world)
        found = statistics.mcnemar(before, after)
        return found.low <= difference <= found.high

    return trial


def paired_clustered(difference, *world):
    def trial(generator):
        found = statistics.mcnemar(*two_models(generator, difference, *world))
        return found.low <= difference <= found.high

    return trial


def whole_clusters(*world):
    """The clustered paired interval where clusters flip as wholes."""
    *_, gained, lost = world

    def trial(generator):
        found = statistics.mcnemar(*few_flips(generator, *world))
        return found.low <= gained - lost <= found.high

    return trial


def whole_clusters_err(*world):
    def trial(generator):
        return statistics.mcnemar(*few_flips(generator, *world)).p_clustered < 0.05

    return trial


def paired_bootstrap(difference, *world):
    def trial(generator):
        answers = two_models(generator, difference, *world)
        found = statistics.paired_bootstrap(*answers, RESAMPLES, int(generator.integers(2**32)))
        return found.low <= difference <= found.high

    return trial


def errs(p, *world):
    """Equal models are told apart."""

    def trial(generator):
        return p(two_models(generator, 0, *world)) < 0.05

    return trial


def exact(world):
    return statistics.mcnemar(*world).p


def robust(world):
    return statistics.mcnemar(*world).p_clustered


def resampled(world):
    return statistics.paired_bootstrap(*world, RESAMPLES, 0).p


def finds(n, disagreement):
    """The exact McNemar test finds the difference that minimum_detectable_difference names."""
    difference = statistics.minimum_detectable_difference(n, disagreement)

    def trial(generator):
        gain = (disagreement + difference) / 2
        gained, lost, _ = generator.multinomial(n, [gain, disagreement - gain, 1 - disagreement])
        before = [False] * gained + [True] * (n - gained)
        after = [True] * gained + [False] * lost + [True] * (n - gained - lost)
        return statistics.mcnemar(before, after).p < 0.05

    return trial


def called_as_good(margin, *world):
    """A model that is worse by the margin is said not to be."""

    def trial(generator):
        before, after, clusters = two_models(generator, -margin, *world)
        found = estimate([before], [after], clusters if world[1] else None, trained=True)
        return found.p_at_most(-margin) < 0.05

    return trial


def called_as_good_over_seeds(seeds, noise, alike=0.0):
    """A configuration of equal worth is said to be better, which is the edge of a margin of 0."""

    def trial(generator):
        clusters = names(np.arange(400) // 10) if alike else None
        answers = runs(generator, seeds, noise, alike=alike)
        return estimate(*answers, clusters, trained=True).p_at_most(0) < 0.05

    return trial


def pooled_accuracy(seeds, noise, alike=0.0):
    """The mean over seeds holds the accuracy of all seeds on all questions."""
    deviation = (1.5**2 + 0.5**2 + 0.8**2 + noise**2 + alike**2) ** 0.5  # as in `runs`
    points, weights = np.polynomial.hermite_e.hermegauss(99)
    accuracy = float((weights / (1 + np.exp(-0.8 - deviation * points))).sum() / weights.sum())

    def trial(generator):
        clusters = names(np.arange(400) // 10) if alike else None
        low, high = statistics.pooled_accuracy_interval(
            next(runs(generator, (seeds,), (noise,), alike=alike)), clusters
        )
        return low <= accuracy <= high

    return trial


def pooled_errs(seeds, noise, alike=0.0):
    """Equal configurations are told apart, which is also when the interval misses the true difference, 0."""

    def trial(generator):
        clusters = names(np.arange(400) // 10) if alike else None
        return statistics.pooled_difference(*runs(generator, seeds, noise, alike=alike), clusters).p < 0.05

    return trial


WILSON = "Wilson's interval holds the accuracy"
CLUSTERED = "the clustered interval holds the accuracy"
BOOTSTRAP = "the bootstrap's interval holds the accuracy"
PAIRED = "the paired interval holds the difference"
CLUSTERED_PAIRED = "the clustered paired interval holds the difference"
PAIRED_BOOTSTRAP = "the paired bootstrap's interval holds the difference"
ERRS = "tells equal models apart"
POOLED_ACCURACY = "the interval of a mean over seeds holds the accuracy"
POOLED = "pooled p tells equal configurations apart"
AS_GOOD = "type I error: not worse by a margin"

CASES = [
    Case(WILSON, "n 100, accuracy .8", 0.93, 0.97, wilson(0.8, 100)),
    Case(WILSON, "n 1000, accuracy .95", 0.93, 0.97, wilson(0.95, 1000)),
    Case(WILSON, "n 20, accuracy .95", 0.91, 0.97, wilson(0.95, 20)),
    Case(WILSON, "50 clusters of 10, correlation .3 (not heeded)", 0.60, 0.75, unclustered(0.8, 0.3, 50)),
    Case(CLUSTERED, "50 clusters of 10, correlation .3", 0.93, 0.97, clustered(0.8, 0.3, 50)),
    Case(CLUSTERED, "20 clusters of 10, correlation .1", 0.93, 0.97, clustered(0.8, 0.1, 20)),
    Case(CLUSTERED, "10 clusters of 10, correlation .3", 0.93, 0.97, clustered(0.8, 0.3, 10)),
    Case(CLUSTERED, "5 clusters of 10, correlation .3", 0.92, 0.98, clustered(0.8, 0.3, 5)),
    Case(CLUSTERED, "5 clusters of 10, correlation .001", 0.98, 1.0, clustered(0.8, 0.001, 5)),
    Case(CLUSTERED, "50 unequal clusters, correlation .3", 0.92, 0.97, clustered(0.8, 0.3, 50, True)),
    Case(CLUSTERED, "10 unequal clusters, correlation .1", 0.93, 0.99, clustered(0.8, 0.1, 10, True)),
    Case(CLUSTERED, "10 unequal clusters, correlation .3", 0.91, 0.97, clustered(0.8, 0.3, 10, True)),
    Case(CLUSTERED, "20 clusters of 10, correlation .3, accuracy .95", 0.87, 0.94, clustered(0.95, 0.3, 20)),
    Case(CLUSTERED, "20 unequal clusters, correlation .3, accuracy .95", 0.86, 0.94, clustered(0.95, 0.3, 20, True)),
    Case(BOOTSTRAP, "50 clusters of 10, correlation .3", 0.92, 0.97, bootstrap(0.8, 0.3, 50)),
    Case(BOOTSTRAP, "10 clusters of 10, correlation .3", 0.89, 0.97, bootstrap(0.8, 0.3, 10)),
    Case(BOOTSTRAP, "10 unequal clusters, correlation .3", 0.84, 0.96, bootstrap(0.8, 0.3, 10, True)),
    Case(PAIRED, "n 50, no difference", 0.93, 0.98, paired(0, 5, 0)),
    Case(PAIRED, "n 200, difference .1", 0.93, 0.97, paired(0.1, 20, 0)),
    Case(PAIRED, "50 clusters of 10, not heeded", 0.76, 0.90, paired(0.05, 50, 0.12)),
    Case(CLUSTERED_PAIRED, "50 clusters of 10", 0.93, 0.97, paired_clustered(0.05, 50, 0.12)),
    Case(CLUSTERED_PAIRED, "10 clusters of 10", 0.93, 0.98, paired_clustered(0.05, 10, 0.12)),
    Case(CLUSTERED_PAIRED, "5 clusters of 10", 0.94, 1.0, paired_clustered(0.05, 5, 0.12)),
    Case(CLUSTERED_PAIRED, "50 unequal clusters", 0.92, 0.97, paired_clustered(0.05, 50, 0.12, True)),
    Case(CLUSTERED_PAIRED, "10 unequal clusters", 0.93, 0.99, paired_clustered(0.05, 10, 0.12, True)),
    Case(CLUSTERED_PAIRED, "168 whole clusters of 4, 1 % gained", 0.98, 1.0, whole_clusters(168, 4, 0.01, 0)),
    Case(
        CLUSTERED_PAIRED, "168 whole clusters of 4, 2 % gained, 1 % lost", 0.96, 1.0, whole_clusters(168, 4, 0.02, 0.01)
    ),
    Case(
        CLUSTERED_PAIRED, "50 whole clusters of 4, 3 % gained, 1 % lost", 0.98, 1.0, whole_clusters(50, 4, 0.03, 0.01)
    ),
    Case(PAIRED_BOOTSTRAP, "50 clusters of 10", 0.92, 0.97, paired_bootstrap(0.05, 50, 0.12)),
    Case(PAIRED_BOOTSTRAP, "10 unequal clusters", 0.90, 0.97, paired_bootstrap(0.05, 10, 0.12, True)),
    Case(f"McNemar's exact test {ERRS}", "n 200", 0.02, 0.05, errs(exact, 20, 0)),
    Case(f"McNemar's exact test {ERRS}", "50 clusters of 10, not heeded", 0.08, 0.22, errs(exact, 50, 0.12)),
    Case(f"p_clustered {ERRS}", "50 clusters of 10", 0.03, 0.07, errs(robust, 50, 0.12)),
    Case(f"p_clustered {ERRS}", "10 unequal clusters", 0.01, 0.07, errs(robust, 10, 0.12, True)),
    Case(f"p_clustered {ERRS}", "168 whole clusters of 4, 2 % flip", 0.0, 0.05, whole_clusters_err(168, 4, 0.01, 0.01)),
    Case(
        f"p_clustered {ERRS}", "168 whole clusters of 4, 10 % flip", 0.0, 0.06, whole_clusters_err(168, 4, 0.05, 0.05)
    ),
    Case(f"the paired bootstrap {ERRS}", "50 clusters of 10", 0.03, 0.08, errs(resampled, 50, 0.12)),
    Case(f"the paired bootstrap {ERRS}", "10 unequal clusters", 0.02, 0.10, errs(resampled, 10, 0.12, True)),
    Case(
        "McNemar's exact test finds minimum_detectable_difference",
        "n 100, disagreement .3",
        0.70,
        0.83,
        finds(100, 0.3),
    ),
    Case(
        "McNemar's exact test finds minimum_detectable_difference",
        "n 1000, disagreement .2",
        0.75,
        0.83,
        finds(1000, 0.2),
    ),
    Case(POOLED_ACCURACY, "5 seeds, no noise between seeds", 0.93, 0.99, pooled_accuracy(5, 0)),
    Case(POOLED_ACCURACY, "3 seeds, noise .15", 0.93, 0.98, pooled_accuracy(3, 0.15)),
    Case(POOLED_ACCURACY, "3 seeds, noise .15, 40 clusters", 0.92, 0.98, pooled_accuracy(3, 0.15, 0.5)),
    Case(POOLED, "1 seed each, no noise between seeds", 0.03, 0.07, pooled_errs((1, 1), (0, 0))),
    Case(POOLED, "1 seed each, noise .15 (cannot be seen)", 0.15, 0.35, pooled_errs((1, 1), (0.15, 0.15))),
    Case(POOLED, "1 certain run, 3 seeds with noise .15", 0.02, 0.08, pooled_errs((1, 3), (0, 0.15))),
    Case(POOLED, "1 seed, 3 seeds, noise .15 (of one side not seen)", 0.08, 0.22, pooled_errs((1, 3), (0.15, 0.15))),
    Case(POOLED, "2 seeds each, no noise", 0.0, 0.06, pooled_errs((2, 2), (0, 0))),
    Case(POOLED, "2 seeds each, noise .15", 0.02, 0.07, pooled_errs((2, 2), (0.15, 0.15))),
    Case(POOLED, "3 seeds each, no noise", 0.0, 0.06, pooled_errs((3, 3), (0, 0))),
    Case(POOLED, "3 seeds each, noise .15", 0.02, 0.07, pooled_errs((3, 3), (0.15, 0.15))),
    Case(POOLED, "5 seeds each, noise .4", 0.03, 0.07, pooled_errs((5, 5), (0.4, 0.4))),
    Case(POOLED, "3 seeds each, noise .15, 40 clusters", 0.02, 0.07, pooled_errs((3, 3), (0.15, 0.15), 0.5)),
    Case(AS_GOOD, "n 500, worse by 5 points", 0.03, 0.07, called_as_good(0.05, 50, 0)),
    Case(AS_GOOD, "50 clusters of 10, worse by 5 points", 0.03, 0.07, called_as_good(0.05, 50, 0.12)),
    Case(AS_GOOD, "3 seeds each, 40 clusters", 0.02, 0.07, called_as_good_over_seeds((3, 3), (0.15, 0.15), 0.5)),
]


def main(repetitions: int, word: str) -> None:
    uncertain = 1.96 * (0.95 * 0.05 / repetitions) ** 0.5
    print(f"{repetitions} repetitions; a share near .05 or .95 is uncertain by {uncertain:.3f}")
    print("\n| what | world | share |\n|---|---|---|")
    for case in (case for case in CASES if word in case.what):
        print(f"| {case.what} | {case.world} | {case.share(repetitions, seed=1):.3f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, sys.argv[2] if len(sys.argv) > 2 else "")
