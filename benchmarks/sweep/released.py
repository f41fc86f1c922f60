"""Our sweeper against hydra-optuna-sweeper 1.3.0, both over submitit_local, on an app whose trials sleep.

    python benchmarks/sweep.py released [--venvs FOLDER] [--rounds 3] [--trials 16] [--slots 4] [--seed 0]

Each side has a virtual environment of its own, made here when it is missing (the network is needed then only). Trial n
sleeps equally long on both sides. The yardstick is list scheduling by a scheduler that costs nothing: the next trial
goes to the slot that is free first and takes its duration and the start of one empty trial, measured in each round.
"""

import argparse
import heapq
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from printed import table

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
COMMON = ["hydra-core==1.3.8", "hydra-submitit-launcher==1.2.0"]
NEEDED = ["optuna>=5,<6", "rich>=13", "psutil>=6", "filelock>=3.15", "pyyaml>=6", "nvidia-ml-py>=12", "scipy>=1.14"]
MEDIAN_S, SIGMA = 3.0 / math.exp(0.8**2 / 2), 0.8  # 3 s on average
EMPTIES = 5


@dataclass(frozen=True)
class Side:
    name: str
    sweeper: str
    python: Path


@dataclass(frozen=True)
class Taken:
    """Seconds: of the whole command, and from the first trial's beginning to the last one's end."""

    whole: float
    trials: float
    start: float
    yardstick: float


def sides(venvs: Path) -> list[Side]:
    ours = Side("mcqa on Optuna 5", "mcqa", venvs / "mcqa" / "bin" / "python")
    theirs = Side("hydra-optuna-sweeper 1.3.0", "optuna", venvs / "released" / "bin" / "python")
    install(ours.python, [*COMMON, *NEEDED], ["--no-deps", "--editable", str(ROOT)])
    install(theirs.python, [*COMMON, "hydra-optuna-sweeper==1.3.0"])
    return [ours, theirs]


def install(python: Path, *steps: list[str]) -> None:
    done = python.parent.parent / "installed"
    if done.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(python.parent.parent)], check=True)
    for step in steps:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *step], check=True, stdout=sys.stderr)
    done.touch()


def measured(side: Side, durations: list[float], slots: int) -> Taken:
    start = statistics.median(json.loads(said(side.python, str(HERE / "empty.py"), str(EMPTIES))))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        said(
            side.python,
            str(HERE / "sleepy.py"),
            "--multirun",
            f"hydra/sweeper={side.sweeper}",
            "hydra/launcher=submitit_local",
            f"hydra.sweeper.n_trials={len(durations)}",
            f"hydra.sweeper.n_jobs={slots}",
            "hydra.sweeper.study_name=sleepy",
            "x=interval(0,1)",
            f"durations={durations}",
            f"times={folder}",
            f"hydra.sweep.dir={folder}/sweep",
        )
        whole = time.perf_counter() - began
        times = [json.loads(path.read_text()) for path in Path(folder).glob("*.json")]
    assert len(times) == len(durations), "a trial is missing"
    trials = max(end for _, end in times) - min(begin for begin, _ in times)
    return Taken(whole, trials + start, start, list_schedule([each + start for each in durations], slots))


def said(*command: object) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment).stdout


def list_schedule(durations: list[float], slots: int) -> float:
    free = [0.0] * slots
    for each in durations:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def durations_of(trials: int, seed: int) -> list[float]:
    generator = random.Random(seed)
    return [round(generator.lognormvariate(math.log(MEDIAN_S), SIGMA), 2) for _ in range(trials)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venvs", type=Path, default=Path("outputs/benchmarks/venvs"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    both = sides(options.venvs.absolute())
    durations = durations_of(options.trials, options.seed)
    print(f"{options.trials} trials in {options.slots} slots; they sleep {sum(durations):.1f} s in all, the longest")
    print(f"{max(durations):.1f} s. Medians of {options.rounds} rounds, both sides in turn; seconds.")
    rounds = [{side.name: measured(side, durations, options.slots) for side in both} for _ in range(options.rounds)]
    header = ["", "start of an empty trial", "yardstick", "trials", "ratio", "whole command", "ratio"]
    rows = []
    for side in both:
        taken = [each[side.name] for each in rounds]
        rows.append(
            [
                side.name,
                statistics.median(one.start for one in taken),
                statistics.median(one.yardstick for one in taken),
                statistics.median(one.trials for one in taken),
                spread([one.trials / one.yardstick for one in taken]),
                statistics.median(one.whole for one in taken),
                spread([one.whole / one.yardstick for one in taken]),
            ]
        )
    table(header, rows)


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
