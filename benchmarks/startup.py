"""How long does a user wait for the configuration? `--cfg job` against `python -c "import hydra"`.

    python benchmarks/startup.py [runs]

Whole processes, in turn, after one warm-up each; prints medians and the median of the ratios pair by pair.
"""

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "import hydra": [sys.executable, "-c", "import hydra"],
    "mcqa.train --cfg job": [sys.executable, "-m", "mcqa.train", "+experiment=qlora_mcqa", "--cfg", "job"],
    "mcqa.train --help": [sys.executable, "-m", "mcqa.train", "--help"],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(runs: int) -> None:
    for command in COMMANDS.values():
        seconds(command)
    rounds = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(runs)]
    base = next(iter(COMMANDS))
    for name in COMMANDS:
        ratio = statistics.median(times[name] / times[base] for times in rounds)
        print(f"{name:22} {statistics.median(times[name] for times in rounds):.3f} s   x {ratio:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
