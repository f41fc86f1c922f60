"""Does a study come to the same end while everything around it dies, and how much longer does it take?

    python benchmarks/chaos.py [--seed 0] [--trials 20] [--slots 4] [--every 8] [--pauses] [override ...]

On a real SLURM that is started on this machine for it (root and Debian's packages, see tests/cluster), a study of
lora_mcqa on the embedded model (random search of the learning rate, no pruning, a trial a node) is run undisturbed,
and again while every few seconds one of these is killed, drawn by the seed: a trial's process, the command, a node,
SLURM's controller; nothing is while no trial runs. The node is drawn from all of them, so that a trial dies as often
when it is the last one as before. The command is started again at once; what is dead of SLURM after 10 s. The second
study must have all trials complete, each once, with the losses of all updates and the values of the first.

With --pauses the second study's trials pause and go on (asha). It must then have some complete trials and no failed
one, and of every trial, complete or pruned, the losses and reported values that it had in the first study up to where
it came: no update lost, and none twice.
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

from mcqa.runs.mailbox import Mailbox
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
        """Of all updates that a trial has made, each told once."""
        run = self.path / "trials" / str(number)
        last = UPDATES if self.result(number)["status"] == "complete" else len(updates(run))
        assert updates(run) == list(range(1, last + 1)), f"trial {number} told of updates {updates(run)}"
        return losses(run)

    def paused(self) -> list[str]:
        """The trials that are paused now."""
        results = {folder.name: Mailbox(folder).result() or {} for folder in self.path.glob("trials/*")}
        return [name for name, result in results.items() if result.get("status") == "paused"]

    def reports(self, number: int) -> list[tuple[int, float]]:
        reports = Mailbox(self.path / "trials" / str(number)).reports()
        return [(report.point, report.value) for report in reports]


class Chaos:
    """Kills something of a study that runs."""

    def __init__(self, slurm: Slurm, study: RealStudy, seed: int) -> None:
        self.slurm, self.study = slurm, study
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.command = study.start()
        self.back_at = float("inf")
        self.dead: set[str] = set()  # nodes
        self.while_paused = 0  # deaths while a trial was paused

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
                self.while_paused += bool(self.study.paused())
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
    parser.add_argument("--pauses", action="store_true", help="the trials of the second study pause and go on")
    options, further = parser.parse_known_args()
    overrides = [f"hydra.sweeper.n_trials={options.trials}", f"hydra.sweeper.n_jobs={options.slots}", *further]
    with tempfile.TemporaryDirectory(prefix="mcqa-chaos-") as folder, running() as slurm:
        os.environ.update(slurm.variables)
        pausing = ["hydra/sweeper/pruner=asha"] if options.pauses else []
        calm = RealStudy(Path(folder) / "calm", overrides)
        wild = RealStudy(Path(folder) / "wild", [*overrides, *pausing])
        calm_s = undisturbed(calm)
        began = time.monotonic()
        chaos = Chaos(slurm, wild, options.seed)
        try:
            chaos.run(options.every)
        finally:
            chaos.command.kill()
        wild_s = time.monotonic() - began
        for number in range(options.trials):
            compare(calm, wild, number, options.pauses)
        statuses = Counter(row["status"] for row in wild.table())
        assert statuses.total() == options.trials and statuses["complete"]
        ends = [entry.end for number in range(options.trials) for entry in wild.submissions(number)]
    told = ", ".join(f"{count} x {what}" for what, count in sorted(chaos.killed.items()))
    print(f"{options.trials} trials in {options.slots} slots; killed: {told}; {len(ends)} submissions")
    if options.pauses:
        print(f"{statuses['complete']} complete, {statuses['pruned']} pruned; {ends.count('paused')} pauses")
        print(f"{chaos.while_paused} of the deaths while trials were paused; none lost, none twice, all losses equal")
    else:
        lost = f"undisturbed {calm_s:.0f} s, disturbed {wild_s:.0f} s: {wild_s - calm_s:.0f} s lost"
        print(f"{lost}; all trials complete, none twice, all losses and values equal")


def compare(calm: RealStudy, wild: RealStudy, number: int, pauses: bool) -> None:
    """Raise AssertionError where a trial of the second study is not what it was in the first."""
    results = [study.result(number) for study in (calm, wild)]
    status = results[1]["status"]
    assert results[0]["status"] == "complete", f"trial {number}: {results}"
    assert status == "complete" or (pauses and status == "pruned"), f"trial {number}: {results}"
    expected, losses, reports = calm.losses(number), wild.losses(number), wild.reports(number)
    assert losses == expected[: len(losses)], f"trial {number} has other losses"
    assert reports == calm.reports(number)[: len(reports)], f"trial {number} has reported other values"
    assert results[1]["value"] == (results[0]["value"] if status == "complete" else reports[-1][1]), (
        f"trial {number} has another value"
    )


if __name__ == "__main__":
    try:
        main()
    except NoSlurm as problem:
        sys.exit(f"No SLURM here: {problem}")
