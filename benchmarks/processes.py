"""How much faster do several processes train one model, and how much does each strategy cost?

    python benchmarks/processes.py [--processes 1 2 4] [--strategies ddp] [--rounds 3] [--updates 60] [override ...]

Every cell is a run of full_mcqa of its own, started by its command, with one thread a process; the cells take turns,
and each number is the median over the rounds. Questions a second are those of the updates after the first five, without
measuring dev; those of scoring are test's, asked of the base. On GPUs: hardware=gpus with model= and data=.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "sweep"))

from printed import table

WARM_UP = 5  # updates


def trained(processes: int, strategy: str, options: argparse.Namespace, folder: Path) -> tuple[float, float, float]:
    """Questions a second in training and in scoring, and the last loss."""
    command = [
        sys.executable, "-m", "mcqa.train", "+experiment=full_mcqa", "hardware=cpu_processes", "objective.epochs=null",
        f"objective.max_steps={options.updates}", "evaluation.every=1000000", "evaluation.limit=8", "tracking=none",
        f"outputs={folder}", *options.overrides, f"hardware.devices={processes}", f"hardware.strategy={strategy}",
        "tracking.log_every=1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(done.stderr)
    (run,) = folder.glob("runs/*/*")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    told = {name: (event["ms"], value) for event in events for name, value in event.get("values", {}).items()}
    speeds = [e["values"]["questions_per_second"] for e in events if "questions_per_second" in e.get("values", ())]
    scoring_s = (told["base/test/acc"][0] - told["base/dev/acc"][0]) / 1000
    return statistics.harmonic_mean(speeds[WARM_UP:]), told["base/test/n"][1] / scoring_s, told["train/loss"][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--strategies", nargs="+", default=["ddp"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=60)
    options, options.overrides = parser.parse_known_args()
    cells = list(itertools.product(options.strategies, options.processes))
    rounds: dict[tuple[str, int], list[tuple[float, float, float]]] = {cell: [] for cell in cells}
    for number in range(options.rounds):
        for cell in cells:
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                rounds[cell].append(trained(cell[1], cell[0], options, Path(folder)))
            print(f"round {number}: {cell} {rounds[cell][-1]}", file=sys.stderr, flush=True)
    medians = {cell: [statistics.median(column) for column in zip(*rounds[cell], strict=True)] for cell in cells}
    print(f"{os.cpu_count()} processors; ratios to the first line")
    rows = [
        [strategy, number, train, train / medians[cells[0]][0], score, score / medians[cells[0]][1], f"{loss:.6f}"]
        for (strategy, number), (train, score, loss) in medians.items()
    ]
    table(
        ["strategy", "processes", "training, questions/s", "ratio", "scoring, questions/s", "ratio", "last loss"], rows
    )


if __name__ == "__main__":
    main()
