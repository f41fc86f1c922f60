"""Does a model learn more facts from more phrasings of each, at the same number of updates?

    python benchmarks/paraphrases.py <folder> [override ...] [--phrasings 1,2,4,8] [--seeds 5] [--picture <file>]

Each arm is trained on texts that state every invented fact of data=new_facts in 1, 2, 4 … phrasings, and measured on
test, once. All runs of an arm have the same number of updates, so fewer phrasings are read more often. The slope is
that of the least-squares line of test accuracy over log2 of the phrasings; its interval covers seeds and facts. Runs
that are complete in the folder are not repeated.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from single_runs import answers, finished

from mcqa.evaluation.report.charts import style
from mcqa.evaluation.statistics import pooled_accuracy_interval
from mcqa.evaluation.statistics.clusters import cluster_ids, cluster_robust_variance, degrees_of_freedom, t_quantile
from mcqa.evaluation.statistics.pooling import seed_variance, total_variance

ARMS = {"text only": ["objective=pretrain"], "text and questions mixed": ["objective=mixed"]}
UPDATES = 250
FIXED = [
    "model=starter",
    "data=new_facts",
    "peft=none",
    "objective.packing=false",
    "objective.epochs=null",
    f"objective.max_steps={UPDATES}",
    "optimizer.batch_size=16",
    "optimizer.learning_rate=1e-3",
    "evaluation.every=1000000",
]


class Slope(NamedTuple):
    """Accuracy for each doubling of the phrasings, with its 95 % interval."""

    value: float
    low: float
    high: float


def slope(right, phrasings, facts):
    """The slope of accuracy over log2 of the phrasings.

    right[k][s][q]: whether question q is answered right with the k-th number of phrasings and seed s. The slope is a
    weighted sum of accuracies, so each seed and question has a value whose mean it is; their variance is that of a mean
    over seeds and clustered questions (mcqa/evaluation/statistics/pooling.py).
    """
    x = np.log2(phrasings)
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    values = np.tensordot(weights, np.asarray(right, float), 1)  # [seeds, questions]
    ids = cluster_ids(facts, values.shape[1])
    seeds = [seed_variance(values, ids)] if len(values) > 1 else []
    variance, degrees, _ = total_variance(cluster_robust_variance(values.mean(0), ids), seeds, degrees_of_freedom(ids))
    half = t_quantile(degrees) * math.sqrt(variance)
    return Slope(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


@style.styled
def draw(curves, phrasings):
    """Accuracy over the phrasings, with intervals over seeds and facts, and the line of each arm."""
    figure, axes = style.new_figure(4.0)
    x, colours = np.log2(phrasings), (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE)
    for number, ((arm, (right, facts, line)), colour) in enumerate(zip(curves.items(), colours, strict=False)):
        means = np.array([np.mean(runs) for runs in right])
        places = x + 0.05 * number
        axes.plot(places, 100 * means, "o", color=colour, label=arm)
        for place, runs in zip(places, right, strict=True):
            low, high = pooled_accuracy_interval(runs, facts)
            style.interval(axes, place, 100 * low, 100 * high, colour, upright=True)
        axes.plot(x, 100 * (means.mean() + line.value * (x - x.mean())), color=colour, alpha=0.6)
    axes.axhline(25, color=style.GREY, linestyle=":", label="guessing")
    axes.set_xticks(x, [str(k) for k in phrasings])
    axes.set_xlabel("phrasings of each fact")
    axes.set_ylabel("test accuracy, %")
    style.legend(figure, axes, columns=len(curves) + 1)
    return figure


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--phrasings", default="1,2,4,8")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    folder, phrasings, curves = given.folder.absolute(), [int(k) for k in given.phrasings.split(",")], {}
    for arm in given.arms.split(","):
        right, facts = [], None
        for k in phrasings:
            runs = []
            for seed in range(given.seeds):
                own = [*ARMS[arm], f"data.paraphrases={k}", f"seed={seed}", *given.overrides]
                run, facts = answers(finished(folder, f"{arm.replace(' ', '_')}-{k}-{seed}", [*FIXED, *own])[0])
                runs.append(run)
            right.append(runs)
            low, high = pooled_accuracy_interval(runs, facts)
            print(f"{arm}, {k} phrasings: {np.mean(runs):.3f} [{low:.3f}, {high:.3f}]", file=sys.stderr, flush=True)
        curves[arm] = right, facts, slope(right, phrasings, facts)
    for arm, (right, facts, line) in curves.items():
        print(f"{arm}: {len(right[0])} seeds, {len(facts)} questions on {len(set(facts))} facts")
        for k, runs in zip(phrasings, right, strict=True):
            low, high = pooled_accuracy_interval(runs, facts)
            print(f"  {k:>3} phrasings  {100 * np.mean(runs):5.1f} %  [{100 * low:.1f}, {100 * high:.1f}]")
        ends = f"[{100 * line.low:+.1f}, {100 * line.high:+.1f}]"
        print(f"  a doubling of the phrasings: {100 * line.value:+.1f} points {ends}")
    if given.picture:
        style.save(draw(curves, phrasings), given.picture)


if __name__ == "__main__":
    main()
