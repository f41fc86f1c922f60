"""What to train on: the right answer (sft), the choice among all answers (choice_only), or both (choice)?

    python benchmarks/objectives.py <folder> [override ...] [--rates 1e-4,3e-4,1e-3] [--sizes 60,240] [--seeds 5]

For each number of training questions and each objective the learning rate with the best accuracy on dev is taken, of
one seed; then further seeds train at that rate and are measured on test. `mcqa.compare` pools the seeds and says which
differences are significant. Runs that are complete in the folder are not repeated.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from single_runs import finished

OBJECTIVES = ("sft", "choice_only", "choice")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--rates", default="1e-4,3e-4,1e-3")
    parser.add_argument("--sizes", default="60,240")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    folder, tables = given.folder.absolute(), []
    for size in given.sizes.split(","):
        runs = []
        for objective in OBJECTIVES:
            fixed = [*given.overrides, f"objective={objective}", f"data.limit={size}"]

            def trained(rate, seed, objective=objective, fixed=fixed, size=size):
                name = f"{objective}-{size}-{rate}-{seed}"
                return finished(folder, name, [*fixed, f"optimizer.learning_rate={rate}", f"seed={seed}"])

            accuracy = {rate: trained(rate, 0)[1]["dev/acc"] for rate in given.rates.split(",")}
            best = max(accuracy, key=accuracy.get)
            results = [trained(best, seed) for seed in range(given.seeds)]
            runs += [str(place) for place, _ in results]
            test = [metrics["test/acc"] for _, metrics in results]
            shown = ", ".join(f"{rate}: {value:.3f}" for rate, value in accuracy.items())
            tables.append(
                f"{size:>5} {objective:12} rate {best} (dev {shown}); test {sum(test) / len(test):.3f} {test}"
            )
        print(*tables, sep="\n", flush=True)
        subprocess.run([sys.executable, "-m", "mcqa.compare", *runs, f"out={folder}/compare-{size}"], check=True)
    print(*tables, sep="\n")


if __name__ == "__main__":
    main()
