"""Does a study come to the same end while everything around it dies, and how much longer does it take?

    python benchmarks/chaos.py [--seed 0] [--trials 20] [--slots 4] [--every 6] [--seconds 4]

On a real SLURM that is started on this machine for it (root and Debian's packages, see tests/cluster), a study is run
undisturbed, and again while every few seconds one of these is killed, drawn by the seed: a trial's process, the
command, a node, SLURM's controller. The command is started again at once; what is dead of SLURM after 10 s. The second
study must have all trials complete, each once, with the values of the first.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.machine import NoSlurm, Slurm, SmallStudy, running

BACK_S = 10.0


class Chaos:
    """Kills something of a study that runs."""

    def __init__(self, slurm: Slurm, study: SmallStudy, overrides: list[str], seed: int) -> None:
        self.slurm, self.study, self.overrides = slurm, study, overrides
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.command = study.start(*overrides)
        self.back_at = float("inf")

    def run(self, every_s: float) -> None:
        """Until the study ends well; raises AssertionError where it does not."""
        next_at = time.monotonic() + every_s
        while (code := self.command.process.poll()) != 0:
            assert code is None, self.command.said.read_text()
            if time.monotonic() >= self.back_at:
                assert (problem := self.slurm.up()) is None, problem
                self.back_at = float("inf")
            if time.monotonic() >= next_at:
                self.kill()
                next_at = time.monotonic() + every_s
            time.sleep(0.1)

    def kill(self) -> None:
        """The first of all kinds, in the order drawn, of which there is one alive."""
        for what in self.random.sample(("trial", "command", "node", "controller"), 4):
            if getattr(self, f"kill_{what}")():
                self.killed[what] += 1
                return print(f"{what} killed", file=sys.stderr, flush=True)

    def kill_trial(self) -> bool:
        if not (alive := self.study.alive()):
            return False
        os.kill(self.random.choice(alive), signal.SIGKILL)
        return True

    def kill_command(self) -> bool:
        self.command.kill()
        self.command = self.study.start(*self.overrides)
        return True

    def kill_node(self) -> bool:
        node = self.random.choice(("n1", "n2", "n3", "n4"))
        if not (self.slurm.folder / "run" / f"slurmd.{node}.pid").exists():
            return False
        self.slurm.kill_nodes(node)
        self._back()
        return True

    def kill_controller(self) -> bool:
        if self.back_at < float("inf"):  # something of SLURM is dead already, and no second thing at a time
            return False
        self.slurm.kill_controller()
        self._back()
        return True

    def _back(self) -> None:
        self.back_at = min(self.back_at, time.monotonic() + BACK_S)


def undisturbed(study: SmallStudy, overrides: list[str]) -> float:
    began = time.monotonic()
    study.start(*overrides).succeeds()
    return time.monotonic() - began


def new_study(folder: Path) -> SmallStudy:
    folder.mkdir()
    return SmallStudy(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--every", type=float, default=6.0, help="seconds between two deaths")
    parser.add_argument("--seconds", type=float, default=4.0, help="that a trial sleeps")
    options = parser.parse_args()
    overrides = [
        f"hydra.sweeper.n_trials={options.trials}", f"hydra.sweeper.n_jobs={options.slots}",
        "hydra.sweeper.max_resubmits=50", "do=sleep", f"seconds={options.seconds}",
        "+hydra.launcher.additional_parameters.exclusive=true",  # a trial a node
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mcqa-chaos-") as folder, running() as slurm:
        os.environ.update(slurm.variables)
        calm, wild = (new_study(Path(folder) / name) for name in ("calm", "wild"))
        calm_s = undisturbed(calm, overrides)
        began = time.monotonic()
        chaos = Chaos(slurm, wild, overrides, options.seed)
        try:
            chaos.run(options.every)
        finally:
            chaos.command.kill()
        wild_s = time.monotonic() - began
        values = [[study.result(number)["value"] for number in range(options.trials)] for study in (calm, wild)]
        assert wild.is_whole(options.trials) and values[0] == values[1]
        ends = [wild.ends(number) for number in range(options.trials)]
        assert ends == [1] * options.trials, f"trials came to their end so often: {ends}"
        starts = sum(wild.starts(number) for number in range(options.trials))
    told = ", ".join(f"{count} x {what}" for what, count in sorted(chaos.killed.items()))
    print(f"{options.trials} trials in {options.slots} slots; killed: {told}; {starts} starts of trials")
    lost = f"undisturbed {calm_s:.0f} s, disturbed {wild_s:.0f} s: {wild_s - calm_s:.0f} s lost"
    print(f"{lost}; all trials complete, none twice, all values equal")


if __name__ == "__main__":
    try:
        main()
    except NoSlurm as problem:
        sys.exit(f"No SLURM here: {problem}")
