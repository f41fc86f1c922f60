"""Does pruning find as good a configuration for half the training? The study `core` with and without it.

    python benchmarks/sweep.py pruning [--trials 16] [--slots 2] [--epochs 4] [--pruner NAME] [override ...]

Both studies have the same seed, and are real: python -m mcqa.train --multirun +experiment=lora_mcqa +sweeps=core. The
first trials of both are the same then; later ones differ as soon as what is known differs. Of a pruned trial the
questions are those seen at its last report; it goes on for the fractions of a second that the decision takes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from printed import table


@dataclass(frozen=True)
class Found:
    """A study that has ended. The best accuracy is that of its best complete trial, with its interval."""

    counts: dict[str, int]
    questions: int
    longest_s: float
    seconds: float
    best: float
    low: float
    high: float


def study(pruner: str, options: argparse.Namespace, folder: Path) -> Found:
    name = f"pruning-{pruner}"
    command = [
        *(sys.executable, "-m", "mcqa.train", "--multirun", "+experiment=lora_mcqa", "+sweeps=core"),
        f"hydra/sweeper/pruner={pruner}",
        f"hydra.sweeper.study_name={name}",
        f"hydra.sweeper.n_trials={options.trials}",
        f"hydra.sweeper.n_jobs={options.slots}",
        f"objective.epochs={options.epochs}",
        f"outputs={folder}",
        "tracking=none",
        *(f"hydra.sweeper.pruner.{option}" for option in options.option if pruner != "none"),
        *options.overrides,
    ]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return read(folder / "sweeps" / name, time.perf_counter() - began)


def read(folder: Path, seconds: float) -> Found:
    trials = sorted((folder / "trials").iterdir(), key=lambda path: int(path.name))
    results = [json.loads((trial / "result.json").read_text()) for trial in trials]
    metrics = max((one for one in results if one["status"] == "complete"), key=lambda one: one["value"])["metrics"]
    return Found(
        {status: sum(one["status"] == status for one in results) for status in ("complete", "pruned", "failed")},
        sum(seen(trial) for trial in trials),
        max(one["seconds"] for one in results),
        seconds,
        *(metrics[name] for name in ("dev/acc", "dev/acc_ci_low", "dev/acc_ci_high")),
    )


def seen(trial: Path) -> int:
    """Questions at the last report; none where a trial failed before its first."""
    reports = trial / "reports.jsonl"
    return (
        max((json.loads(line)["seen"] for line in reports.read_text().splitlines()), default=0)
        if reports.exists()
        else 0
    )


def row(pruner: str, found: Found, of: int) -> list[object]:
    counts = ", ".join(f"{number} {status}" for status, number in found.counts.items() if number)
    interval = f"{found.best:.3f} ({found.low:.3f} to {found.high:.3f})"
    return [pruner, counts, found.questions, found.questions / of, interval, found.longest_s, found.seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--pruner", default="successive_halving")
    parser.add_argument("--option", action="append", default=[], help="of the pruner: n_startup_trials=3")
    parser.add_argument("--folder", type=Path, help="kept, with both reports (default: a temporary one)")
    options, options.overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        found = {pruner: study(pruner, options, folder) for pruner in ("none", options.pruner)}
    without, pruned = found.values()
    header = ["pruner", "trials", "questions", "of those", "best dev/acc", "longest trial, s", "study, s"]
    table(header, [row(pruner, one, without.questions) for pruner, one in found.items()])
    alike = without.low <= pruned.best <= without.high and pruned.low <= without.best <= pruned.high
    print(f"\nEach best accuracy lies {'' if alike else 'not '}within the other's interval.")


if __name__ == "__main__":
    main()
