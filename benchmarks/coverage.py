"""Coverage of the 95 % intervals, error rates and power of the tests, by simulation.

    python benchmarks/coverage.py [repetitions [word]]

A word leaves only the rows that have it, such as paired; mcnemar prints the error rates of McNemar's test, which are
computed without simulation.

Every case is a world whose truth is known. tests/evaluation/statistics/test_coverage.py runs the same cases, but for
SLOW_CASES, with fewer repetitions and holds them to the bounds that stand here.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise
from unittest.mock import patch

import numpy as np
from scipy.stats import false_discovery_control

from mcqa.compare.analysis import paired_difference
from mcqa.compare.components import components
from mcqa.compare.estimates import adjust, estimate, estimate_of_means
from mcqa.compare.question_sets import Answers, macro_average
from mcqa.compare.subjects import p_all_equal
from mcqa.evaluation import statistics
from mcqa.evaluation.statistics import simultaneous
from mcqa.evaluation.statistics.clusters import detectable_in_standard_errors
from mcqa.evaluation.statistics.paired import mid_p
from mcqa.sweep.report.seed_variance import SeedVariance

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


def tilted_flips(generator, clusters, size, disagreement, correlation, difference):
    """A difference of at most the disagreement: of the questions that flip in a cluster, a share that varies between
    clusters (beta, with this intra-cluster correlation) is gained."""
    flips = max(disagreement, difference)
    mean, spread = (1 + difference / flips) / 2, (1 - correlation) / correlation
    share = generator.beta(mean * spread, (1 - mean) * spread, clusters) if mean < 1 else np.ones(clusters)
    flipped = generator.random(clusters * size) < flips
    gained = flipped & (generator.random(clusters * size) < share.repeat(size))
    return (flipped & ~gained).tolist(), gained.tolist(), names(np.repeat(np.arange(clusters), size))


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


def of_these_subjects(as_clusters):
    """57 subjects, some easier than others, of which the questions are a sample; no subject is."""
    subjects = np.random.default_rng(0).beta(6, 4, 57)

    def trial(generator):
        correct = generator.random((57, 50)) < subjects[:, None]
        clusters = names(np.arange(57).repeat(50)) if as_clusters else None
        low, high = statistics.accuracy_interval(correct.ravel().tolist(), clusters)
        return low <= subjects.mean() <= high

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
    """Equal models are called different."""

    def trial(generator):
        return p(two_models(generator, 0, *world)) < 0.05

    return trial


def by_mcnemar(world):
    return statistics.mcnemar(*world).p


def robust(world):
    return statistics.mcnemar(*world).p_clustered


def resampled(world):
    return statistics.paired_bootstrap(*world, RESAMPLES, 0).p


def finds(n, disagreement):
    """McNemar's test finds the difference that minimum_detectable_difference names."""
    difference = statistics.minimum_detectable_difference(n, disagreement)

    def trial(generator):
        gain = (disagreement + difference) / 2
        gained, lost, _ = generator.multinomial(n, [gain, disagreement - gain, 1 - disagreement])
        before = [False] * gained + [True] * (n - gained)
        after = [True] * gained + [False] * lost + [True] * (n - gained - lost)
        return statistics.mcnemar(before, after).p < 0.05

    return trial


def detectable(world):
    return statistics.mcnemar(*world).minimum_detectable_difference


def finds_clustered(*world):
    """The clustered test finds the minimum detectable difference that equal models were told."""

    def trial(generator):
        told = min(0.99, detectable(tilted_flips(generator, *world, difference=0)))
        return statistics.mcnemar(*tilted_flips(generator, *world, difference=told)).p_clustered < 0.05

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


def planned(seeds, times, alike=0.0):
    """The difference that a plan from runs of 5 seeds each promises is found by so many seeds and questions."""

    def draw(generator, count, questions, difference=0.0):
        before, after = map(np.array, runs(generator, (count, count), (0.15, 0.15), questions, alike))
        gained = generator.random(after.shape) < difference / (1 - after.mean())
        return before.tolist(), (after | gained).tolist(), names(np.arange(questions) // 10) if alike else None

    def trial(generator):
        noise = components(*draw(generator, 5, 400), (True, True))
        variance, degrees = noise.variance(times, seeds)
        told = detectable_in_standard_errors(degrees) * variance**0.5
        return statistics.pooled_difference(*draw(generator, seeds, 400 * times, told)).p < 0.05

    return trial


def deviation_held(seeds, noise):
    """The interval of the standard deviation between seeds holds that of very many seeds."""
    same = np.random.default_rng(0)
    hard = same.normal(0.8, 1.5, 400)

    def draw(generator, count):
        logits = hard + generator.normal(0, 0.8, (count, 400)) + generator.normal(0, noise, (count, 1))
        return generator.random((count, 400)) < 1 / (1 + np.exp(-logits))

    truth = draw(same, 20_000).mean(1).std()

    def trial(generator):
        sides = draw(generator, seeds).tolist(), draw(generator, seeds).tolist()
        low, high = components(*sides, None, (True, True)).seed_deviation_interval
        return low <= truth <= high

    return trial


def losses_differ(seeds, alike=0.0):
    """Configurations of equal worth differ in their negative log-likelihood, which has a long tail."""

    def trial(generator):
        clusters, hard = names(np.arange(300) // 10) if alike else None, generator.normal(0.8, 1.5, 300)
        sides = []
        for count in seeds:
            own = generator.normal(0, 0.5, 300) + np.repeat(generator.normal(0, alike, 30), 10)
            noise = generator.normal(0, 0.8, (count, 300)) + generator.normal(0, 0.15, (count, 1)) * (count > 1)
            sides.append(np.log1p(np.exp(-3 * (hard + own + noise))))
        return estimate_of_means(*sides, clusters, trained=True).p < 0.05

    return trial


def macro_errs(seeds, alike=0.0):
    """Equal configurations are called different by their macro average over sets of 100, 50 and 300 questions, where
    seeds are better or worse on all sets."""
    sets = (100, 50, 300)

    def trial(generator):
        answers = list(runs(generator, seeds, (0.15, 0.15) if max(seeds) > 1 else (0, 0), sum(sets), alike))
        clusters = names(np.arange(sum(sets)) // 10) if alike else None
        ends = np.cumsum((0, *sets))
        parts = [slice(*span) for span in pairwise(ends)]
        drawn = [
            Answers(*([run[part] for run in side] for side in answers), clusters and clusters[part]) for part in parts
        ]
        return macro_average(drawn, trained=True).p < 0.05

    return trial


def subjects_differ(*world):
    """Clusters are taken for subjects; the permutation test says that the difference is not the same in all."""

    def trial(generator):
        before, after, subjects = two_models(generator, 0.05, *world)
        return p_all_equal(np.subtract(after, before, dtype=float), subjects, None, deals=99) < 0.05

    return trial


def a_subject_is_named(subjects, size):
    """Of equal models some subject is significant, after the adjustment of Benjamini and Hochberg."""

    def trial(generator):
        drawn = [two_models(generator, 0, size // 10, 0) for _ in range(subjects)]
        ps = [estimate([before], [after], None, trained=True).p for before, after, _ in drawn]
        return false_discovery_control(ps).min() < 0.05

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


def pooled_errs(seeds, noise, alike=0.0, certain=False):
    """Equal configurations are called different, which is also when the interval misses the true difference, 0."""

    def trial(generator):
        clusters = names(np.arange(400) // 10) if alike else None
        answers = runs(generator, seeds, noise, alike=alike)
        return statistics.pooled_difference(*answers, clusters, every_side_has_seeds=not certain).p < 0.05

    return trial


def several(generator, configurations, world, seeds, noise=0.0, alike=0.0, better=()):
    """Answers of configurations of equal worth, but for those in `better` by about 10 points, with their pairs: to
    independent questions, to clusters of a size, or nearly the same ones, where a few clusters flip by chance."""
    questions, size, flips = world
    of, answers = np.arange(questions) // size, []
    hard, base = generator.normal(0.8, 1.5, questions), generator.random(questions) < 0.8
    for k in range(configurations):
        if flips:
            flipped, right = (generator.random((seeds, of[-1] + 1)) < share for share in (flips, 0.5))
            answers.append(np.where(flipped[:, of], right[:, of], base))
            continue
        own = generator.normal(0, 0.5, questions) + generator.normal(0, alike, of[-1] + 1)[of]
        single = generator.normal(0, 0.8, (seeds, questions)) + generator.normal(0, noise, (seeds, 1))
        logits = hard + own + single + 0.7 * (k in better)
        answers.append(generator.random((seeds, questions)) < 1 / (1 + np.exp(-logits)))
    return answers, of, list(combinations(range(configurations), 2))


def tests_of_all_pairs(drawn):
    """The pairs with their tests: alone, and adjusted by max-T."""
    answers, of, pairs = drawn
    clusters = names(of) if len(of) > of[-1] + 1 else None
    estimates = [estimate(answers[i].tolist(), answers[j].tolist(), clusters, trained=True) for i, j in pairs]
    with patch.object(simultaneous, "DRAWS", simultaneous.BATCH):  # enough for a share of many comparisons
        return estimates, adjust(estimates, [own.astype(float) for own in answers], of, pairs)


def any_pair_errs(*world, holm=False, **more):
    """Of configurations of equal worth some pair is called different, which is also when not all intervals hold the
    true differences."""

    def trial(generator):
        estimates, adjusted = tests_of_all_pairs(several(generator, *world, **more))
        return min(statistics.holm([its.p for its in estimates]) if holm else [its.p for its in adjusted]) < 0.05

    return trial


def a_pair_is_found(*world, holm=False, **more):
    """A given pair of which one is better is called different."""

    def trial(generator):
        estimates, adjusted = tests_of_all_pairs(several(generator, *world, better=(0,), **more))
        return (statistics.holm([its.p for its in estimates])[0] if holm else adjusted[0].p) < 0.05

    return trial


def until_significant(first, last, noise):
    """Seeds of two equal configurations are added one by one until the difference is significant."""

    def trial(generator):
        before, after = runs(generator, (last, last), (noise, noise))
        looks = range(first, last + 1)
        return any(statistics.pooled_difference(before[:seeds], after[:seeds]).p < 0.05 for seeds in looks)

    return trial


def finds_where_seeds_hardly_disagree(questions, size, seeds):
    """A true difference as large as the minimum detectable one of configurations that are the same but for one flip in
    400 answers is found, where single questions, or clusters, gain."""
    of = np.arange(questions) // size
    clusters = names(of) if size > 1 else None

    def draw(generator, difference):
        base = generator.random(questions) < 0.5
        flips = generator.random((2, seeds, questions)) < 1 / 400
        gained = (generator.random(of[-1] + 1) < 2 * difference)[of]
        before, after = base ^ flips
        return before.tolist(), (after | gained).tolist()

    def trial(generator):
        told = paired_difference(*draw(generator, 0.0), clusters, 1, trained=True).minimum_detectable_difference
        return statistics.pooled_difference(*draw(generator, told), clusters).p < 0.05

    return trial


def noise_of(trials, seeds):
    """Of so many equal trials one is further from the best than the seed variance explains."""

    def trial(generator):
        values, measured = generator.normal(0.8, 0.01, trials), generator.normal(0.8, 0.01, seeds)
        noise = SeedVariance("seeds", tuple(measured)).range_by_chance(trials)
        return float(values.max() - values.min()) > noise

    return trial


def exact_p(gained, lost):
    """McNemar's exact test."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def mcnemar_rates(n, disagreement, difference=0.0, p=mid_p):
    """The probability that McNemar's test is significant, and that the interval beside it says something else.

    Computed over all numbers of questions gained and lost, of n that flip independently.
    """
    from scipy.stats import binom

    gain, rates = (1 + difference / disagreement) / 2, np.zeros(2)
    for flips in range(n + 1):
        weight = binom.pmf(flips, n, disagreement)
        if weight < 1e-9:
            continue
        critical = next(k for k in range(flips + 1) if 2 * k >= flips or p(flips - k, k) >= 0.05)
        gained = np.arange(flips + 1)
        significant = np.minimum(gained, flips - gained) < critical
        centre = (2 * gained - flips) / (n + 2)  # of the interval of Bonett & Price
        excluded = abs(centre) > 1.959964 * np.sqrt(((flips + 2) / (n + 2) - centre**2) / (n + 2))
        probabilities = weight * binom.pmf(gained, flips, gain)
        rates += probabilities[significant].sum(), probabilities[significant != excluded].sum()
    return rates


WILSON = "coverage: accuracy, Wilson"
CLUSTERED = "coverage: accuracy, clustered"
BOOTSTRAP = "coverage: accuracy, bootstrap"
PAIRED = "coverage: difference, paired"
CLUSTERED_PAIRED = "coverage: difference, clustered"
PAIRED_BOOTSTRAP = "coverage: difference, paired bootstrap"
POOLED_ACCURACY = "coverage: accuracy, pooled over seeds"
MCNEMAR_ERRS = "type I error: McNemar mid-p"
CLUSTERED_ERRS = "type I error: clustered test"
BOOTSTRAP_ERRS = "type I error: paired bootstrap"
AS_GOOD = "type I error: not worse by a margin"
POOLED = "type I error: pooled over seeds"
NOISE = "type I error: range of equal trials"
FINDS = "power at the minimum detectable difference: McNemar mid-p"
CLUSTERED_FINDS = "power at the minimum detectable difference: clustered test"
PLANNED = "power at the planned difference"
SUBJECTS = "type I error: subjects"
SUBJECTS_FOUND = "power: subjects"
DEVIATION = "coverage: standard deviation between seeds"
LOSSES = "type I error: paired losses"
MACRO = "type I error: macro average over sets"
MAX_T = "family-wise error: max-T over all pairs"
MAX_T_FINDS = "power: max-T over all pairs"
UNTIL = "type I error: seeds added until significant"
POOLED_FINDS = "power at the minimum detectable difference: over seeds that hardly disagree"

CASES = [
    Case(WILSON, "n 100, accuracy .8", 0.93, 0.97, wilson(0.8, 100)),
    Case(WILSON, "n 1000, accuracy .95", 0.93, 0.97, wilson(0.95, 1000)),
    Case(WILSON, "n 20, accuracy .95", 0.91, 0.97, wilson(0.95, 20)),
    Case(WILSON, "50 clusters of 10, correlation .3 (ignored)", 0.60, 0.75, unclustered(0.8, 0.3, 50)),
    Case(CLUSTERED, "50 clusters of 10, correlation .3", 0.93, 0.97, clustered(0.8, 0.3, 50)),
    Case(CLUSTERED, "20 clusters of 10, correlation .1", 0.93, 0.97, clustered(0.8, 0.1, 20)),
    Case(CLUSTERED, "10 clusters of 10, correlation .3", 0.93, 0.985, clustered(0.8, 0.3, 10)),
    Case(CLUSTERED, "5 clusters of 10, correlation .3", 0.94, 1.0, clustered(0.8, 0.3, 5)),
    Case(CLUSTERED, "5 clusters of 10, correlation .001", 0.98, 1.0, clustered(0.8, 0.001, 5)),
    Case(CLUSTERED, "50 unequal clusters, correlation .3", 0.92, 0.97, clustered(0.8, 0.3, 50, True)),
    Case(CLUSTERED, "10 unequal clusters, correlation .1", 0.93, 0.99, clustered(0.8, 0.1, 10, True)),
    Case(CLUSTERED, "10 unequal clusters, correlation .3", 0.93, 0.99, clustered(0.8, 0.3, 10, True)),
    Case(CLUSTERED, "20 clusters of 10, correlation .3, accuracy .95", 0.95, 1.0, clustered(0.95, 0.3, 20)),
    Case(CLUSTERED, "20 unequal clusters, correlation .3, accuracy .95", 0.93, 0.99, clustered(0.95, 0.3, 20, True)),
    Case(CLUSTERED, "40 clusters of 10, correlation .3, accuracy .98", 0.95, 1.0, clustered(0.98, 0.3, 40)),
    Case(CLUSTERED, "40 clusters of 10, correlation .6, accuracy .98", 0.94, 0.99, clustered(0.98, 0.6, 40)),
    Case(CLUSTERED, "20 clusters of 10, correlation .6, accuracy .95", 0.94, 0.99, clustered(0.95, 0.6, 20)),
    Case(CLUSTERED, "57 subjects of 50, no sample of subjects", 0.99, 1.0, of_these_subjects(as_clusters=True)),
    Case(WILSON, "57 subjects of 50, no sample of subjects", 0.94, 0.99, of_these_subjects(as_clusters=False)),
    Case(BOOTSTRAP, "50 clusters of 10, correlation .3", 0.92, 0.97, bootstrap(0.8, 0.3, 50)),
    Case(BOOTSTRAP, "10 clusters of 10, correlation .3", 0.89, 0.97, bootstrap(0.8, 0.3, 10)),
    Case(BOOTSTRAP, "10 unequal clusters, correlation .3", 0.84, 0.96, bootstrap(0.8, 0.3, 10, True)),
    Case(PAIRED, "n 50, no difference", 0.93, 0.98, paired(0, 5, 0)),
    Case(PAIRED, "n 200, difference .1", 0.93, 0.97, paired(0.1, 20, 0)),
    Case(PAIRED, "50 clusters of 10, ignored", 0.76, 0.90, paired(0.05, 50, 0.12)),
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
    Case(MCNEMAR_ERRS, "n 200", 0.02, 0.05, errs(by_mcnemar, 20, 0)),
    Case(MCNEMAR_ERRS, "50 clusters of 10, ignored", 0.08, 0.22, errs(by_mcnemar, 50, 0.12)),
    Case(CLUSTERED_ERRS, "50 clusters of 10", 0.03, 0.07, errs(robust, 50, 0.12)),
    Case(CLUSTERED_ERRS, "10 unequal clusters", 0.01, 0.07, errs(robust, 10, 0.12, True)),
    Case(CLUSTERED_ERRS, "168 whole clusters of 4, 2 % flip", 0.0, 0.05, whole_clusters_err(168, 4, 0.01, 0.01)),
    Case(CLUSTERED_ERRS, "168 whole clusters of 4, 10 % flip", 0.0, 0.06, whole_clusters_err(168, 4, 0.05, 0.05)),
    Case(BOOTSTRAP_ERRS, "50 clusters of 10", 0.03, 0.08, errs(resampled, 50, 0.12)),
    Case(BOOTSTRAP_ERRS, "10 unequal clusters", 0.02, 0.10, errs(resampled, 10, 0.12, True)),
    Case(FINDS, "n 100, disagreement .3", 0.75, 0.85, finds(100, 0.3)),
    Case(FINDS, "n 1000, disagreement .2", 0.75, 0.85, finds(1000, 0.2)),
    Case(CLUSTERED_FINDS, "4 clusters of 50", 0.75, 0.88, finds_clustered(4, 50, 0.2, 0.05)),
    Case(CLUSTERED_FINDS, "5 clusters of 50", 0.75, 0.88, finds_clustered(5, 50, 0.2, 0.05)),
    Case(CLUSTERED_FINDS, "8 clusters of 40", 0.75, 0.88, finds_clustered(8, 40, 0.2, 0.05)),
    Case(CLUSTERED_FINDS, "10 clusters of 40", 0.75, 0.88, finds_clustered(10, 40, 0.2, 0.05)),
    Case(NOISE, "16 trials, seed variance of 8 seeds", 0.03, 0.07, noise_of(16, 8)),
    Case(NOISE, "2 trials, seed variance of 3 seeds", 0.03, 0.07, noise_of(2, 3)),
    Case(POOLED_ACCURACY, "5 seeds, no noise between seeds", 0.93, 0.99, pooled_accuracy(5, 0)),
    Case(POOLED_ACCURACY, "3 seeds, noise .15", 0.93, 0.98, pooled_accuracy(3, 0.15)),
    Case(POOLED_ACCURACY, "3 seeds, noise .15, 40 clusters", 0.92, 0.98, pooled_accuracy(3, 0.15, 0.5)),
    Case(POOLED, "1 seed each, no noise between seeds", 0.03, 0.07, pooled_errs((1, 1), (0, 0))),
    Case(POOLED, "1 seed each, noise .15 (unknown)", 0.15, 0.35, pooled_errs((1, 1), (0.15, 0.15))),
    Case(POOLED, "1 certain run, 3 seeds with noise .15", 0.02, 0.08, pooled_errs((1, 3), (0, 0.15), certain=True)),
    Case(POOLED, "1 seed, 3 seeds, noise .15", 0.02, 0.08, pooled_errs((1, 3), (0.15, 0.15))),
    Case(POOLED, "1 seed, 5 seeds, noise .15", 0.02, 0.08, pooled_errs((1, 5), (0.15, 0.15))),
    Case(POOLED, "1 seed, 3 seeds, noise .4", 0.02, 0.08, pooled_errs((1, 3), (0.4, 0.4))),
    Case(POOLED, "2 seeds each, no noise", 0.0, 0.06, pooled_errs((2, 2), (0, 0))),
    Case(POOLED, "2 seeds each, noise .15", 0.02, 0.07, pooled_errs((2, 2), (0.15, 0.15))),
    Case(POOLED, "3 seeds each, no noise", 0.0, 0.06, pooled_errs((3, 3), (0, 0))),
    Case(POOLED, "3 seeds each, noise .15", 0.02, 0.07, pooled_errs((3, 3), (0.15, 0.15))),
    Case(POOLED, "5 seeds each, noise .4", 0.03, 0.07, pooled_errs((5, 5), (0.4, 0.4))),
    Case(POOLED, "3 seeds each, noise .15, 40 clusters", 0.02, 0.07, pooled_errs((3, 3), (0.15, 0.15), 0.5)),
    Case(AS_GOOD, "n 500, worse by 5 points", 0.03, 0.07, called_as_good(0.05, 50, 0)),
    Case(AS_GOOD, "50 clusters of 10, worse by 5 points", 0.03, 0.07, called_as_good(0.05, 50, 0.12)),
    Case(AS_GOOD, "3 seeds each, 40 clusters", 0.02, 0.07, called_as_good_over_seeds((3, 3), (0.15, 0.15), 0.5)),
    Case(PLANNED, "3 seeds, as many questions", 0.68, 0.88, planned(3, 1)),
    Case(PLANNED, "5 seeds, twice as many questions", 0.68, 0.88, planned(5, 2)),
    Case(PLANNED, "5 seeds, twice as many questions, clusters of 10", 0.68, 0.88, planned(5, 2, 0.5)),
    Case(SUBJECTS, "differ, 20 subjects of 10", 0.03, 0.08, subjects_differ(20, 0)),
    Case(SUBJECTS, "differ, 10 unequal subjects", 0.03, 0.08, subjects_differ(10, 0, True)),
    Case(SUBJECTS, "any of 20 subjects of 30 (Benjamini and Hochberg)", 0.0, 0.06, a_subject_is_named(20, 30)),
    Case(SUBJECTS_FOUND, "differ by up to 24 points, 50 subjects of 10", 0.5, 1.0, subjects_differ(50, 0.12)),
    Case(DEVIATION, "3 seeds each, noise .15", 0.92, 0.98, deviation_held(3, 0.15)),
    Case(DEVIATION, "5 seeds each, no noise but chance answers", 0.92, 0.995, deviation_held(5, 0.0)),
    Case(LOSSES, "n 300, one run each", 0.03, 0.07, losses_differ((1, 1))),
    Case(LOSSES, "30 clusters of 10, one run each", 0.03, 0.07, losses_differ((1, 1), 0.5)),
    Case(LOSSES, "n 300, 3 seeds each, noise .15", 0.02, 0.07, losses_differ((3, 3))),
    Case(MACRO, "one run each, no noise between seeds", 0.03, 0.07, macro_errs((1, 1))),
    Case(MACRO, "3 seeds each, noise .15", 0.02, 0.07, macro_errs((3, 3))),
    Case(MACRO, "3 seeds each, noise .15, clusters of 10", 0.02, 0.07, macro_errs((3, 3), 0.5)),
    Case(MAX_T, "3 configurations, n 50", 0.02, 0.08, any_pair_errs(3, (50, 1, 0), 1)),
    Case(MAX_T, "3 configurations, 4 clusters of 50", 0.02, 0.07, any_pair_errs(3, (200, 50, 0), 1, alike=0.7)),
    Case(MAX_T, "3 configurations, 3 seeds, noise .4", 0.0, 0.06, any_pair_errs(3, (400, 1, 0), 3, noise=0.4)),
    Case(UNTIL, "2 to 4 seeds, noise .4", 0.06, 0.2, until_significant(2, 4, 0.4)),
    Case(POOLED_FINDS, "n 400, 3 seeds each", 0.7, 1.0, finds_where_seeds_hardly_disagree(400, 1, 3)),
]

SLOW_CASES = [
    Case(MAX_T, "5 configurations, n 200", 0.02, 0.08, any_pair_errs(5, (200, 1, 0), 1)),
    Case(MAX_T, "5 configurations, n 200, nearly identical", 0.0, 0.05, any_pair_errs(5, (200, 1, 0.04), 1)),
    Case(MAX_T, "5 configurations, 4 clusters of 50", 0.02, 0.07, any_pair_errs(5, (200, 50, 0), 1, alike=0.7)),
    Case(MAX_T, "5 configurations, 10 clusters of 10", 0.02, 0.07, any_pair_errs(5, (100, 10, 0), 1, alike=0.7)),
    Case(MAX_T, "5 configurations, 50 clusters of 4, nearly identical", 0, 0.05, any_pair_errs(5, (200, 4, 0.2), 1)),
    Case(MAX_T, "3 configurations, 2 seeds, noise .15", 0.0, 0.06, any_pair_errs(3, (400, 1, 0), 2, noise=0.15)),
    Case(MAX_T, "3 configurations, 3 seeds, noise .15", 0.0, 0.06, any_pair_errs(3, (400, 1, 0), 3, noise=0.15)),
    Case(MAX_T, "5 configurations, 2 seeds, noise .4", 0.0, 0.07, any_pair_errs(5, (400, 1, 0), 2, noise=0.4)),
    Case(MAX_T, "5 configurations, 3 seeds, noise .4", 0.0, 0.07, any_pair_errs(5, (400, 1, 0), 3, noise=0.4)),
    Case(MAX_T, "5 configurations, 5 seeds, noise .4", 0.0, 0.07, any_pair_errs(5, (400, 1, 0), 5, noise=0.4)),
    Case(MAX_T_FINDS, "3 configurations, n 400", 0, 1, a_pair_is_found(3, (400, 1, 0), 1)),
    Case(MAX_T_FINDS, "3 configurations, 2 seeds, noise .15", 0, 1, a_pair_is_found(3, (400, 1, 0), 2, noise=0.15)),
    Case(MAX_T_FINDS, "3 configurations, 3 seeds, noise .15", 0, 1, a_pair_is_found(3, (400, 1, 0), 3, noise=0.15)),
    Case(MAX_T_FINDS, "3 configurations, 5 seeds, noise .15", 0, 1, a_pair_is_found(3, (400, 1, 0), 5, noise=0.15)),
    Case(UNTIL, "2 to 8 seeds, noise .15", 0.06, 0.2, until_significant(2, 8, 0.15)),
    Case(UNTIL, "2 to 8 seeds, noise .4", 0.08, 0.3, until_significant(2, 8, 0.4)),
    Case(POOLED_FINDS, "100 clusters of 4, 3 seeds each", 0.7, 1.0, finds_where_seeds_hardly_disagree(400, 4, 3)),
]


def main(repetitions: int, word: str) -> None:
    uncertain = 1.96 * (0.95 * 0.05 / repetitions) ** 0.5
    print(f"{repetitions} repetitions; a share near .05 or .95 is uncertain by {uncertain:.3f}")
    print("\n| what | world | share |\n|---|---|---|")
    for case in (case for case in CASES + SLOW_CASES if word in case.what):
        print(f"| {case.what} | {case.world} | {case.share(repetitions, seed=1):.3f} |", flush=True)


def show_mcnemar() -> None:
    """Without a difference, and with the minimum detectable one: mid-p, then exact."""
    print("| questions | disagreement | type I error | power | the interval says otherwise |\n|---|---|---|---|---|")
    for n, disagreement in MCNEMAR_WORLDS:
        difference = min(disagreement, statistics.minimum_detectable_difference(n, disagreement))
        columns = zip(*(_errors_and_power(n, disagreement, difference, p) for p in (mid_p, exact_p)), strict=True)
        cells = [", ".join(f"{rate:.3f}" for rate in rates) for rates in columns]
        print(f"| {n} | {disagreement} | {' | '.join(cells)} |", flush=True)


def _errors_and_power(n, disagreement, difference, p):
    (size, without), (power, beside) = (mcnemar_rates(n, disagreement, by, p) for by in (0, difference))
    return size, power, max(without, beside)


MCNEMAR_WORLDS = [(n, d) for n in (50, 100, 200, 400, 672, 1000, 2000) for d in (0.02, 0.05, 0.1, 0.2, 0.4)]


if __name__ == "__main__":
    if sys.argv[2:] == ["mcnemar"]:
        sys.exit(show_mcnemar())
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, sys.argv[2] if len(sys.argv) > 2 else "")
