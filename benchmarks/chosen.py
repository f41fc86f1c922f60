"""The best of many trials against the others: how often it errs, and what it finds, by simulation.

    python benchmarks/chosen.py [repetitions]

Trials share what is easy and what is hard, and each errs by chance beside it. "one worse by" lowers a single trial;
"half worse by" lowers every second one, and erring is then to call one of the equal half worse. With clusters, what a
trial errs about comes in clusters of ten. Holm against the best takes the best as if it had been named before.

Below: by how much the best of equal trials is too good, really and as a report says, where each trial is the best of
several measurements (its checkpoints).
"""

import sys

import numpy as np

from mcqa.evaluation import statistics
from mcqa.sweep.report.optimism import expected_accuracy

FLIPS = 1000
WORLDS = [
    # trials, questions, share flipped by chance, cluster size
    (2, 400, 0.15, 1),
    (8, 400, 0.15, 1),
    (16, 400, 0.15, 1),
    (16, 400, 0.02, 1),
    (16, 100, 0.15, 1),
    (64, 1000, 0.2, 1),
    (16, 1000, 0.15, 10),
    (16, 400, 0.15, 10),
    (16, 100, 0.15, 10),
]
FOUND = [(16, 400, 0.15, 1, 0.05), (16, 400, 0.15, 1, 0.1), (16, 400, 0.15, 10, 0.1)]
SEEDS = [
    # trials, questions, share flipped by chance, cluster size, standard deviation over seeds
    (2, 672, 0.02, 1, 0.01),
    (16, 672, 0.02, 1, 0.01),
    (16, 672, 0.05, 1, 0.01),
    (16, 672, 0.15, 1, 0.01),
]
LIFTS = [
    # trials, measurements of each, clusters, cluster size
    (16, 1, 100, 10),
    (16, 8, 200, 1),
    (16, 8, 672, 1),
    (16, 8, 100, 10),
    (2, 8, 200, 1),
]
HALF = [(16, 400, 0.15, 1, 0.05), (16, 400, 0.15, 1, 0.1), (16, 400, 0.15, 1, 0.3), (32, 400, 0.15, 10, 0.1)]


def world(generator, trials, questions, share, size):
    """right[k, q]: 75 % are easy; per trial and cluster the share that is flipped varies widely (beta)."""
    clusters = questions // size
    easy = (generator.random(clusters) < 0.75).repeat(size)
    spread = 2.0  # flips of one cluster are correlated by 1 / (1 + spread)
    chance = generator.beta(share * spread, (1 - share) * spread, (trials, clusters)).repeat(size, 1)
    flipped = generator.random((trials, questions)) < (chance if size > 1 else share)
    return easy ^ flipped


def worse(generator, right, by):
    """Right answers turned wrong at random, so that the accuracy falls by as much."""
    return right & (generator.random(right.shape) > by / right.mean())


def methods(right, size):
    """Of every method, which trials are called worse than the best."""
    best = int(right.mean(1).argmax())
    rows, names = right.tolist(), None if size == 1 else [f"c{i // size}" for i in range(right.shape[1])]
    others = [k for k in range(len(rows)) if k != best]
    pairs = [statistics.mcnemar(rows[best], rows[k], names) for k in others]
    alone = [pair.p if names is None else pair.p_clustered for pair in pairs]
    ours = statistics.p_values_against_best(rows, best, names, FLIPS)
    count = len(rows) * (len(rows) - 1) / 2
    return best, [
        {k for k in others if ours[k] < 0.05},
        {k for k, p in zip(others, alone, strict=True) if p * count < 0.05},
        {k for k, p in zip(others, statistics.holm(alone), strict=True) if p < 0.05},
    ]


def errs(generator, trials, questions, share, size):
    _, called = methods(world(generator, trials, questions, share, size), size)
    return [bool(one) for one in called]


def errs_of_seeds(generator, trials, questions, share, size, deviation):
    """Equal configurations whose runs differ by their seeds."""
    right = world(generator, trials, questions, share, size)
    shift, mean = generator.normal(0, deviation, (trials, 1)), right.mean()
    lost = right & (generator.random(right.shape) < -shift / mean)
    won = ~right & (generator.random(right.shape) < shift / (1 - mean))
    _, called = methods((right & ~lost) | won, size)
    return [bool(one) for one in called]


def finds(generator, trials, questions, share, size, by):
    right = world(generator, trials, questions, share, size)
    right[-1] = worse(generator, right[-1], by)
    best, called = methods(right, size)
    return [trials - 1 in one for one in called]


def errs_of_half(generator, trials, questions, share, size, by):
    right = world(generator, trials, questions, share, size)
    right[::2] = worse(generator, right[::2], by)
    best, called = methods(right, size)
    good = set(range(1, trials, 2)) if best % 2 else set(range(trials))  # better than the best, or as good
    return [bool(one & good) for one in called]


def states(generator, trials, measurements, clusters, size):
    """right[k, s, q] of equally good models (.6): from one measurement to the next 15 % of clusters are answered anew,
    and 30 % of them as a whole."""

    def answers(trials):
        whole = generator.random((trials, clusters)) < 0.3
        together, alone = generator.random((trials, clusters)), generator.random((trials, clusters * size))
        return np.where(whole.repeat(size, 1), together.repeat(size, 1), alone)

    ease, now = generator.beta(3, 2, clusters).repeat(size), answers(trials)
    found = [now < ease]
    for _ in range(measurements - 1):
        anew = (generator.random((trials, clusters)) < 0.15).repeat(size, 1)
        now = np.where(anew, answers(trials), now)
        found.append(now < ease)
    return np.stack(found, 1)


def lifts(generator, trials, measurements, clusters, size):
    """By how much the best is too good: really, and told without clusters, without checkpoints, and with both."""
    right = states(generator, trials, measurements, clusters, size)
    means = right.mean(2)
    order, names = np.argsort(-means.max(1)), [f"c{i // size}" for i in range(clusters * size)]
    finals = [(right[k, means[k].argmax()].tolist(), 0.0) for k in order]
    every = [*finals, *((state.tolist(), 0.0) for k in order for state in right[k])]
    told = [expected_accuracy(finals, None), expected_accuracy(finals, names), expected_accuracy(every, names)]
    return [means.max() - each for each in (0.6, *told)]


def lift_row(world, repetitions):
    generator = np.random.default_rng(1)
    means = 100 * np.mean([lifts(generator, *world) for _ in range(repetitions)], axis=0)
    trials, measurements, clusters, size = world
    told = f"{clusters} clusters of {size}" if size > 1 else f"{clusters} questions"
    print(
        f"| {trials} trials, best of {measurements}, {told} | {' | '.join(f'{one:.1f}' for one in means)} |", flush=True
    )


def row(what, world, trial, repetitions):
    generator = np.random.default_rng(1)
    shares = np.mean([trial(generator, *world) for _ in range(repetitions)], axis=0)
    trials, questions, share, size, *by = world
    told = (
        f"{trials} trials, {questions} questions{f' in clusters of {size}' if size > 1 else ''}, {share:.0%} by chance"
    )
    more = f", {what}{' by' * what.endswith('worse')} {100 * by[0]:.0f} points" if by else ""
    print(f"| {told}{more} | {' | '.join(f'{one:.3f}' for one in shares)} |", flush=True)


def main(repetitions: int) -> None:
    print(f"{repetitions} repetitions; a share near .05 is uncertain by {1.96 * (0.0475 / repetitions) ** 0.5:.3f}\n")
    head = "| flips | Bonferroni over pairs | Holm against the best |\n|---|---|---|---|"
    print(f"| at least one is called worse though all are equal {head}")
    for one in WORLDS:
        row("", one, errs, repetitions)
    print(f"\n| at least one is called worse though all configurations are equal, their seeds not {head}")
    for one in SEEDS:
        row("standard deviation over seeds", one, errs_of_seeds, repetitions)
    print(f"\n| one of those that are as good as the best is called worse {head}")
    for one in HALF:
        row("half worse", one, errs_of_half, repetitions)
    print(f"\n| the worse one is found {head}")
    for one in FOUND:
        row("one worse", one, finds, repetitions)
    print("\n| points that the best is too good | really | told without clusters | without checkpoints | with both |")
    print("|---|---|---|---|---|")
    for one in LIFTS:
        lift_row(one, max(2, repetitions // 5))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
