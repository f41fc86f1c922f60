"""What the controller costs a trial: 2,000 trials on 200 slots with a fake clock, a fake backend and a real journal.

    python benchmarks/sweep.py scale [--trials 2000] [--slots 200] [--tpe 500] [--folder DIR] [--profile]

The study, the controller, the loop, the journal and the trials' folders are those of a real sweep. Processes there are
none: whenever the loop waits, the clock goes on and the trials whose time has come write their reports and results,
which is not counted. Trials last a minute on average and report four times; a median pruner judges each report and
prunes none.

Samples are drawn at random: what TPE takes for a suggestion grows with the number of trials, and is Optuna's. Its
figures are for fewer trials. Composing a trial's configuration is measured apart, with the main job's configuration.
"""

import argparse
import cProfile
import heapq
import json
import math
import os
import pstats
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from printed import table

MEAN_S, SIGMA, REPORTS = 60.0, 0.8, 4
PARAMS = {
    "optimizer.learning_rate": "tag(log, interval(2.0e-4, 2.0e-2))",
    "optimizer.weight_decay": "interval(0, 0.2)",
    "optimizer.max_grad_norm": "tag(log, interval(0.1, 10))",
    "optimizer.gradient_accumulation_steps": "choice(1, 2, 4, 8)",
    "scheduler.warmup_ratio": "interval(0, 0.3)",
}
BASE = {
    "optimizer": {
        "learning_rate": 2e-3,
        "weight_decay": 0.01,
        "max_grad_norm": 0.5,
        "gradient_accumulation_steps": 2,
    },
    "scheduler": {"warmup_ratio": 0.1},
}


def both_clocks():
    return time.perf_counter(), time.process_time()


def since(began):
    return tuple(now - then for now, then in zip(both_clocks(), began, strict=True))


class World:
    """The clock that the loop sees, and the backend of trials that live by it.

    spent: what is not counted, in seconds by the clock on the wall and of the processor.
    """

    name = "fake"
    grace_s = 1.0

    def __init__(self, seed: int = 0) -> None:
        self.now, self.rounds, self.spent = 1.7e9, 0, (0.0, 0.0)
        self.ends, self.coming = {}, []
        self.random = random.Random(seed)

    def clock(self):
        return self.now

    def sleep(self, seconds):
        began = both_clocks()
        self.now += seconds
        self.rounds += 1
        while self.coming and self.coming[0][0] <= self.now:
            self.happens(*heapq.heappop(self.coming)[1:])
        self.spent = tuple(sum(each) for each in zip(self.spent, since(began), strict=True))

    def happens(self, _, folder, job, step, value):
        from mcqa.runs.mailbox import Mailbox

        box = Mailbox(folder)
        if job not in self.ends or box.is_finished():
            return
        if step <= REPORTS:
            box.report(step, value)
        pruned = box.prune_requested()
        if pruned or step > REPORTS:
            self.ends[job] = self.now
            box.write_result({"status": "pruned" if pruned else "complete", "value": value, "metrics": {}})

    def submit(self, folder, attempt, slot):
        from mcqa.runs.mailbox import Mailbox
        from mcqa.sweep.backends.submission import record_submission

        entry, job = record_submission(folder, attempt, slot, self.name), str(len(self.ends))
        Mailbox(folder).set_job_id(entry.token, job)
        self.ends[job] = math.inf
        lasts = self.random.lognormvariate(math.log(MEAN_S) - SIGMA**2 / 2, SIGMA)
        for step in range(1, REPORTS + 2):  # all alike, so that every report is judged and nobody is pruned
            when = self.now + lasts * step / (REPORTS + 1)
            heapq.heappush(self.coming, (when, len(self.ends), folder, job, step, step / REPORTS))
        return job

    def state(self, job):
        return "running" if self.ends[job] > self.now else "over"

    def reason(self, job):
        return "lost"

    def cancel(self, job):
        self.ends[job] = self.now

    def attach(self, folder, entry):
        return None

    def close(self):
        pass


def composed_by(folder, number, overrides):
    """The three files of a trial, without composing what stands in them."""
    target = folder / "trials" / str(number)
    target.mkdir(parents=True)
    for name in ("hydra.yaml", "overrides.yaml", "config.yaml"):
        (target / name).write_text("\n".join(overrides))
    return target


def opened(folder, sampler):
    from mcqa.sweep.optuna_study.study import OptunaStudy
    from mcqa.sweep.space.space import parse

    return OptunaStudy(
        folder,
        name="scale",
        space=parse(PARAMS, [], BASE, {}, None),
        direction="maximize",
        sampler={"name": sampler},
        pruner={"name": "median"},
        seed=0,
        storage=None,
    )


def whole(folder: Path, trials: int, slots: int, sampler: str, terminal: bool, profiled: bool) -> dict:
    """A study from its first to its last trial."""
    from rich.console import Console

    from mcqa.sweep.controller.controller import Controller
    from mcqa.sweep.controller.events import Limits
    from mcqa.sweep.display import LiveDisplay
    from mcqa.sweep.loop import Loop

    world = World()
    study = opened(folder, sampler)
    controller = Controller(Limits(trials, slots, None, 2, None), [], world.now)
    with open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere, force_terminal=terminal, width=160)
        display = LiveDisplay(console, controller, "maximize", folder, clock=world.clock)
        compose = partial(composed_by, folder)
        loop = Loop(controller, study, world, compose, folder, display, clock=world.clock, sleep=world.sleep)
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, both_clocks()
        with profile(profiled):
            reason = loop.run(0.2)
        took = [all_of_it - not_counted for all_of_it, not_counted in zip(since(began), world.spent, strict=True)]
    assert reason == "complete" and len(controller.trials) == trials, reason
    return {
        "sampler": sampler,
        "trials": trials,
        "slots": slots,
        "screen": "table" if terminal else "lines",
        "controller, ms a trial": 1000 * took[0] / trials,
        "its processor, ms a trial": 1000 * took[1] / trials,
        "rounds": world.rounds,
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "of it before, MB": before / 1000,
        "journal, kB a trial": (folder / "journal.log").stat().st_size / 1000 / trials,
    }


def restart(folder: Path) -> dict:
    """What a controller does before it goes on with the study in the folder."""
    began = time.perf_counter()
    from mcqa.sweep.controller.controller import Controller
    from mcqa.sweep.controller.events import Limits
    from mcqa.sweep.trial_source import recover

    imported = time.perf_counter()
    study = opened(folder, "random")
    read = time.perf_counter()
    known = [recover(folder, one.trial, one.outcome) for one in study.known()]
    Controller(Limits(len(known), 1, None, 2, None), known, time.time())
    ended = time.perf_counter()
    return {
        "trials": len(known),
        "imports, s": imported - began,
        "journal, s": read - imported,
        "folders, s": ended - read,
        "all, s": ended - began,
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def composing(folder: Path, trials: int, profiled: bool) -> dict:
    """A study of the main job from its command line on; only the processes of its trials are not real."""
    from mcqa.config.command import hydra_command
    from mcqa.config.schema import Config
    from mcqa.sweep import start
    from mcqa.sweep.adapter import RunHooks

    world, took, loop = World(), list[tuple[float, ...]](), start.Loop

    def timed(compose):
        def composed(*what):
            began = both_clocks()
            try:
                return compose(*what)
            finally:
                took.append(since(began))

        return composed

    start.make_backend = lambda *_: world
    start.Loop = lambda controller, study, backend, compose, *rest, **more: loop(
        controller, study, backend, timed(compose), *rest, clock=world.clock, sleep=world.sleep, **more
    )
    sizes = [f"hydra.sweeper.n_trials={trials}", "hydra.sweeper.n_jobs=8"]
    main = ["+experiment=lora_mcqa", "+sweeps=core", "tracking=none", f"outputs={folder}"]
    sys.argv = ["scale", "--multirun", *main, *sizes]
    with open(os.devnull, "w") as sys.stdout, profile(profiled):
        hydra_command("config", Config, print, RunHooks("config", Config))
    sys.stdout = sys.__stdout__
    wall, processor = (1000 * statistics.median(times) for times in zip(*took, strict=True))
    return {"trials": trials, "composing, ms a trial": wall, "its processor, ms a trial": processor}


@contextmanager
def profile(wanted: bool):
    if not wanted:
        yield
        return
    with cProfile.Profile() as found:
        yield
    pstats.Stats(found, stream=sys.stderr).sort_stats("cumulative").print_stats(45)


def apart(*arguments: object) -> dict:
    """One measurement in a process of its own, so that memory and imports are its own too."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(
        command, check=True, text=True, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return json.loads(done.stdout.splitlines()[-1])


def measured(options: argparse.Namespace, folder: Path) -> None:
    more = ["--profile"] if options.profile else []
    sizes = [
        (options.trials, options.slots, "random", "lines"),
        (options.trials, options.slots, "random", "table"),
        (options.trials // 4, options.slots // 4, "random", "lines"),
        (options.tpe, options.slots // 4, "tpe", "lines"),
    ]
    studies = [folder / f"{sampler}-{trials}-{screen}" for trials, _, sampler, screen in sizes]
    found = []
    for size, study in zip(sizes, studies, strict=True):
        study.mkdir(parents=True)
        found.append(apart("whole", study, *size, *more))
    table(list(found[0]), [list(one.values()) for one in found])
    again = apart("restart", studies[0])
    table(list(again), [list(again.values())])
    one = apart("composing", folder / "outputs", 40, *more)
    table(list(one), [list(one.values())])


def main(arguments: list[str]) -> None:
    profiled, given = "--profile" in arguments, [word for word in arguments if word != "--profile"]
    match given:
        case ["whole", folder, trials, slots, sampler, screen]:
            print(json.dumps(whole(Path(folder), int(trials), int(slots), sampler, screen == "table", profiled)))
        case ["restart", folder]:
            print(json.dumps(restart(Path(folder))))
        case ["composing", folder, trials]:
            print(json.dumps(composing(Path(folder), int(trials), profiled)))
        case _:
            parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
            parser.add_argument("--trials", type=int, default=2000)
            parser.add_argument("--slots", type=int, default=200)
            parser.add_argument("--tpe", type=int, default=500)
            parser.add_argument("--profile", action="store_true", help="where the time goes, to the standard error")
            parser.add_argument("--folder", type=Path, help="on the disk to measure; kept (default: a temporary one)")
            options = parser.parse_args(arguments)
            if options.folder:
                measured(options, options.folder)
            else:
                with tempfile.TemporaryDirectory() as folder:
                    measured(options, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
