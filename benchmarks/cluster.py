"""How long does a job take to its first update, and to its next one after something killed it?

    python benchmarks/cluster.py [--rounds 3] [--seed 0]

On a real SLURM that is started on this machine for it (root and Debian's packages, see tests/cluster). In every round
one run of lora_mcqa on the embedded model is sent to it and suffers one death of each kind, in an order drawn by the
seed; each comes some updates after a checkpoint. Times are from the command, the acceptance by SLURM, or the death to
the first update that was logged after it.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent / "sweep"))

from printed import table

from tests.cluster.machine import Command, Folder, NoSlurm, Slurm, running
from tests.cluster.runs import EVERY, LONGER, OF_ALL, WHOLE_NODES, events, logged_updates, multirun, sent, trains

Times = dict[str, list[float]]


def killers(slurm: Slurm, jobs: Folder) -> dict[str, Callable[[], object]]:
    return {
        "its process is killed": lambda: slurm.kill_process(*slurm.nodes(jobs.job(0))),
        "scancel": lambda: slurm.ask("scancel", jobs.job(0)),
        "SIGUSR2, as before the time limit": lambda: slurm.ask("scancel", "--signal=USR2", jobs.job(0)),
        "its node loses its power": lambda: slurm.kill_nodes(*slurm.nodes(jobs.job(0))),
    }


def first_update(command: Command, run: Path, since: float, starts: int = 0) -> float:
    """Seconds from `since`, by the clock on the wall, to the first update that was logged after so many starts."""

    def found() -> float | None:
        began = [event["ms"] for event in events(run) if event["event"] == "start"][starts:]
        return next((event["ms"] / 1000 for event in logged_updates(run) if began and event["ms"] > began[0]), None)

    return command.until(found, "an update") - since


def one_round(slurm: Slurm, folder: Path, draw: random.Random, times: Times) -> None:
    began = time.time()
    wanted = ["+experiment=lora_mcqa", "tracking=none", f"outputs={folder}/outputs", "objective.max_steps=100000"]
    command = sent(folder, [*wanted, *OF_ALL, *LONGER, WHOLE_NODES])
    try:
        run, jobs = trains(command, folder), multirun(folder)
        (entry,) = jobs.submissions(0)
        times["start of the command"].append(first_update(command, run, began))
        times["submission"].append(first_update(command, run, entry.submitted))
        kinds = killers(slurm, jobs)
        for kind in draw.sample(list(kinds), len(kinds)):
            death, starts = time.time(), sum(event["event"] == "start" for event in events(run))
            kinds[kind]()
            times[kind].append(first_update(command, run, death, starts))
            print(f"{kind}: {times[kind][-1]:.1f} s", file=sys.stderr, flush=True)
            reached = logged_updates(run)[-1]["step"]
            command.until(lambda reached=reached: logged_updates(run)[-1]["step"] > reached + 2 * EVERY, "a checkpoint")
            assert (problem := slurm.up()) is None, problem
    finally:
        command.kill()
        slurm.reset()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, times = random.Random(options.seed), {}
    with tempfile.TemporaryDirectory(prefix="mcqa-cluster-") as folder, running() as slurm:
        os.environ.update(slurm.variables)
        times = {kind: [] for kind in ("start of the command", "submission", *killers(slurm, Folder(Path(folder))))}
        for number in range(options.rounds):
            own = Path(folder) / str(number)
            own.mkdir()
            one_round(slurm, own, draw, times)
    rows = [[kind, statistics.median(found), min(found), max(found)] for kind, found in times.items()]
    table(["from", "to the next update, s (median)", "least", "most"], rows)


if __name__ == "__main__":
    try:
        main()
    except NoSlurm as problem:
        sys.exit(f"No SLURM here: {problem}")
