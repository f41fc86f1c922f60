"""Does a study come to the same end while everything around it dies, and how much longer does it take?

    python benchmarks/chaos.py [--seed 0] [--trials 20] [--slots 4] [--every 8] [override ...]

On a real SLURM that is started on this machine for it (root and Debian's packages, see tests/cluster), a study of
lora_mcqa on the embedded model (random search of the learning rate, no pruning, a trial a node) is run undisturbed,
and again while every few seconds one of these is killed, drawn by the seed: a trial's process, the command, a node,
SLURM's controller; nothing is while no trial runs. The node is drawn from all of them, so that a trial dies as often
when it is the last one as before. The command is started again at once; what is dead of SLURM after 10 s. The second
study must have all trials complete, each once, with the losses of all updates and the values of the first.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.cluster.machine import Command, Folder, NoSlurm, Slurm, running
from tests.cluster.runs import LONGER, OF_ALL, WHOLE_NODES, losses, sent, updates

BACK_S = 10.0
NODES = ("n1", "n2", "n3", "n4")
UPDATES = 40
STUDY = (
    "+experiment=lora_mcqa", "data.limit=160", "optimizer.batch_size=8", f"objective.max_steps={UPDATES}", *LONGER,
    "optimizer.learning_rate=tag(log,interval(1e-4,1e-2))", "hydra/sweeper/sampler=random", "hydra/sweeper/pruner=none",
    "hydra.sweeper.study_name=chaos", "hydra.sweeper.max_resubmits=50", "tracking=none", *OF_ALL, WHOLE_NODES,
)  # fmt: skip


class RealStudy(Folder):
    """A study of real trials in a folder."""

    def __init__(self, folder: Path, overrides: list[str]) -> None:
        super().__init__(folder / "outputs" / "sweeps" / "chaos")
        folder.mkdir()
        self.folder, self.overrides = folder, overrides

    def start(self) -> Command:
        return sent(self.folder, [*STUDY, f"outputs={self.folder}/outputs", *self.overrides])

    def losses(self, number: int) -> list[float]:
        """Of all updates of a trial, each told once."""
        run = self.path / "trials" / str(number)
        assert updates(run) == list(range(1, UPDATES + 1)), f"trial {number} told of updates {updates(run)}"
        return losses(run)


class Chaos:
    """Kills something of a study that runs."""

    def __init__(self, slurm: Slurm, study: RealStudy, seed: int) -> None:
        self.slurm, self.study = slurm, study
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.command = study.start()
        self.back_at = float("inf")
        self.dead: set[str] = set()  # nodes

    def run(self, every_s: float) -> None:
        """Until the study ends well; raises AssertionError where it does not."""
        next_at = time.monotonic() + every_s
        while (code := self.command.process.poll()) != 0:
            assert code is None, self.command.said.read_text()
            if time.monotonic() >= self.back_at:
                assert (problem := self.slurm.up()) is None, problem
                self.back_at = float("inf")
                self.dead.clear()
            if time.monotonic() >= next_at:
                self.kill()
                next_at = time.monotonic() + every_s
            time.sleep(0.1)

    def kill(self) -> None:
        """The first of all kinds, in the order drawn, that there is where it was drawn; nothing while no trial runs."""
        if not self.slurm.busy():
            return
        for what in self.random.sample(("trial", "command", "node", "controller"), 4):
            if getattr(self, f"kill_{what}")():
                self.killed[what] += 1
                return print(f"{what} killed", file=sys.stderr, flush=True)

    def kill_trial(self) -> bool:
        if (node := self.random.choice(NODES)) not in self.slurm.busy():
            return False
        self.slurm.kill_process(node)
        return True

    def kill_command(self) -> bool:
        self.command.kill()
        self.command = self.study.start()
        return True

    def kill_node(self) -> bool:
        if (node := self.random.choice(NODES)) in self.dead:
            return False
        self.slurm.kill_nodes(node)
        self.dead.add(node)
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


def undisturbed(study: RealStudy) -> float:
    began = time.monotonic()
    study.start().succeeds(timeout_s=3600)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--every", type=float, default=8.0, help="seconds between two deaths")
    options, further = parser.parse_known_args()
    overrides = [f"hydra.sweeper.n_trials={options.trials}", f"hydra.sweeper.n_jobs={options.slots}", *further]
    with tempfile.TemporaryDirectory(prefix="mcqa-chaos-") as folder, running() as slurm:
        os.environ.update(slurm.variables)
        calm, wild = (RealStudy(Path(folder) / name, overrides) for name in ("calm", "wild"))
        calm_s = undisturbed(calm)
        began = time.monotonic()
        chaos = Chaos(slurm, wild, options.seed)
        try:
            chaos.run(options.every)
        finally:
            chaos.command.kill()
        wild_s = time.monotonic() - began
        for number in range(options.trials):
            results = [study.result(number) for study in (calm, wild)]
            assert [result["status"] for result in results] == ["complete"] * 2, f"trial {number}: {results}"
            assert results[0]["value"] == results[1]["value"], f"trial {number} has another value"
            assert calm.losses(number) == wild.losses(number), f"trial {number} has other losses"
        rows = wild.table()
        assert [row["status"] for row in rows] == ["complete"] * options.trials
        starts = sum(len(wild.submissions(number)) for number in range(options.trials))
    told = ", ".join(f"{count} x {what}" for what, count in sorted(chaos.killed.items()))
    print(f"{options.trials} trials in {options.slots} slots; killed: {told}; {starts} submissions")
    lost = f"undisturbed {calm_s:.0f} s, disturbed {wild_s:.0f} s: {wild_s - calm_s:.0f} s lost"
    print(f"{lost}; all trials complete, none twice, all losses and values equal")


if __name__ == "__main__":
    try:
        main()
    except NoSlurm as problem:
        sys.exit(f"No SLURM here: {problem}")
