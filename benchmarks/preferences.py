"""Does DPO on wrong choices add anything to fine-tuning on right ones?

    python benchmarks/preferences.py <folder> [override ...] [--questions 60] [--epochs 4] [--seeds 3]

All arms see as many questions, or pairs: twice --epochs times the questions. `sft` and `choice` train on them in one
run; `sft then …` trains half of it with sft and then, from that run, the other half; `dpo` begins with the base. Each
arm takes the learning rate with the best accuracy on dev, of three and of one seed; then further seeds train at that
rate and are measured on test. Intervals cover questions and seeds. Runs that are complete in the folder are not
repeated.
"""

import argparse
from pathlib import Path

from single_runs import answers, finished

from mcqa.evaluation.statistics import holm, pooled_accuracy_interval, pooled_difference

ARMS = {
    "sft": ["objective=sft"],
    "choice": ["objective=choice"],
    "sft_then_sft": ["objective=sft"],
    "sft_then_dpo_hardest": ["objective=dpo", "objective.pairs=hardest"],
    "sft_then_dpo_random": ["objective=dpo", "objective.pairs=random"],
    "sft_then_dpo_all": ["objective=dpo", "objective.pairs=all"],
    "dpo": ["objective=dpo", "objective.pairs=hardest"],
}
FACTORS = {"sft": (0.3, 1, 3), "choice": (0.3, 1, 3), "dpo": (0.05, 0.25, 1)}  # of model.learning_rate
WRONG_CHOICES = 3  # of a question of data=facts, each a pair where all are taken


PAIRS = [
    *(("sft_half", f"sft_then_dpo_{pairs}") for pairs in ("hardest", "random", "all")),
    *(("sft_then_sft", f"sft_then_dpo_{pairs}") for pairs in ("hardest", "random", "all")),
    ("sft_half", "sft_then_sft"),
    ("sft", "choice"),
    ("sft", "dpo"),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    folder, right, facts = given.folder.absolute(), {}, []
    fixed = [f"data.limit={given.questions}", "optimizer.batch_size=8", "evaluation.every=1000000", *given.overrides]

    def parent(seed):
        own = ["objective=sft", f"objective.epochs={given.epochs}", f"seed={seed}"]
        return finished(folder, f"half_sft-{seed}", [*fixed, *own])[0]

    def trained(arm, factor, seed):
        continues = arm.startswith("sft_then")
        passes = given.epochs if continues else 2 * given.epochs
        passes = passes / WRONG_CHOICES if arm.endswith("_all") else passes
        own = [*ARMS[arm], f"objective.epochs={passes:.4f}", f"objective.learning_rate_factor={factor}", f"seed={seed}"]
        base = ["model=run", f"model.run={parent(seed)}"] if continues else []
        return finished(folder, f"{arm}-{factor}-{seed}", [*fixed, *own, *base])

    for arm, overrides in ARMS.items():
        rates = FACTORS[overrides[0].removeprefix("objective=")]
        accuracy = {factor: trained(arm, factor, 0)[1]["dev/acc"] for factor in rates}
        best = max(accuracy, key=accuracy.get)
        results = [trained(arm, best, seed) for seed in range(given.seeds)]
        right[arm] = [answers(place)[0] for place, _ in results]
        test = ", ".join(f"{metrics['test/acc']:.3f}" for _, metrics in results)
        shown = ", ".join(f"{factor:g}: {value:.3f}" for factor, value in accuracy.items())
        print(f"{arm:22} factor {best:g} (dev {shown}); test {test}", flush=True)
    halves = [answers(parent(seed)) for seed in range(given.seeds)]
    right["sft_half"], facts = [run for run, _ in halves], halves[0][1]
    for arm, every in right.items():
        low, high = pooled_accuracy_interval(every, facts)
        print(
            f"{arm:22} {100 * sum(map(sum, every)) / sum(map(len, every)):5.1f} %  [{100 * low:.1f}, {100 * high:.1f}]"
        )
    compared = [pooled_difference(right[before], right[after], facts) for before, after in PAIRS]
    for (before, after), one, p in zip(PAIRS, compared, holm([one.p for one in compared]), strict=True):
        ends = f"[{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
        print(f"{before} -> {after}: {100 * one.difference:+.1f} points {ends}, Holm's p {p:.4f}")


if __name__ == "__main__":
    main()
