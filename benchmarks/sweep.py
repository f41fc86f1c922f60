"""What does a study cost, and what does it bring?

    python benchmarks/sweep.py released    our sweeper against hydra-optuna-sweeper 1.3.0 on an app that sleeps
    python benchmarks/sweep.py scale       2,000 trials in 200 slots, simulated: the controller's time, memory, files
    python benchmarks/sweep.py start       a trial's fixed cost, phase by phase

Each takes --help. Tables go to the standard output, everything else to the standard error.
"""

import subprocess
import sys
from pathlib import Path

PARTS = Path(__file__).with_suffix("")


def main(arguments: list[str]) -> int:
    part = PARTS / f"{arguments[0]}.py" if arguments else None
    if part is None or arguments[0] not in ("released", "scale", "start"):
        sys.exit(__doc__)
    return subprocess.call([sys.executable, str(part), *arguments[1:]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
