"""What does a pruner save, and what does it prune by mistake? Replays of real trials that all ran to their end.

    python benchmarks/pruning.py collect <folder of a study> <pool>     keeps its trials in benchmarks/pruning/
    python benchmarks/pruning.py replay [pool ...] [--pruners "name key=value, name, ..."]
    python benchmarks/pruning.py matter [pool ...]      which parameters are shown to matter, by what so many trials say

A pool is a study without pruning, by the random sampler, so that its trials can be put in any order:

    python -m mcqa.train --multirun +experiment=lora_mcqa +sweeps=core hydra/sweeper/pruner=none \
        hydra/sweeper/sampler=random hydra.sweeper.n_trials=64 hydra.sweeper.study_name=facts

A replay draws trials from a pool, the default configuration first, and lets the project's own controller and study run
them in a number of slots, where each trains at the same speed and reports what it reported. Then the pool says what the
pruned ones would have become. A trial is tied with the best of those drawn, as a report has it, if it is not
significantly worse on the dev questions at the end of all trainings.
"""

import argparse
import heapq
import json
import math
import random
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from mcqa.evaluation.statistics import p_values_against_best
from mcqa.runs.files import read_yaml
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.controller import events
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import Limits, Outcome
from mcqa.sweep.optuna_study.study import OptunaStudy
from mcqa.sweep.report.importances import shown_to_matter
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.study_data import SweptKey
from mcqa.sweep.report.ties import clusters_of, parse_metric
from mcqa.sweep.space.space import parse

POOLS = Path(__file__).with_suffix("")
PRUNERS = (
    "none, median, successive_halving, hyperband, asha min_resource=0.25 reduction_factor=4 complete=0.375, paired"
)
LEVEL = 0.05
NEAR = 0.02


# --- a pool -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """What a trial reported: at each point which answers were right. warmup: share of its training."""

    params: dict
    points: list[int]
    warmup: float
    rights: list[str]

    @property
    def values(self):
        return [right.count("1") / len(right) for right in self.rights]

    @property
    def best(self):
        """The answers of the state that the trial would have kept."""
        return self.rights[self.values.index(max(self.values))]


@dataclass(frozen=True)
class Pool:
    name: str
    clusters: list[int] | None
    trials: list[Trial]


def collect(study_folder, name):
    """Keep the complete trials of a study that reported at every point."""
    study = read_study(study_folder, 0.0)
    split, _ = parse_metric(study.metric)
    complete = sorted((trial for trial in study.trials if trial.status == "complete"), key=lambda trial: trial.number)
    clusters = clusters_of(study, complete[0].folder / "predictions" / f"{split}.jsonl")
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters or []))}
    rows = []
    for trial in complete:
        reports = Mailbox(trial.folder).reports()
        warmup = read_yaml(trial.folder / "config.yaml")["scheduler"]["warmup_ratio"]
        rows.append(
            {
                "params": dict(trial.params),
                "points": [report.point for report in reports],
                "warmup": round(warmup, 4),
                "questions": len(reports[0].right),
                "right": [f"{int(report.right, 2):x}" for report in reports],
            }
        )
    path = POOLS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    own = [numbers[cluster] for cluster in clusters] if clusters else None
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f'{{"clusters": {json.dumps(own)}, "trials": [\n{lines}\n]}}\n')
    print(f"{len(rows)} trials in {path}, {path.stat().st_size} bytes")


def read_pool(name):
    stored = json.loads((POOLS / f"{name}.json").read_text())
    trials = [
        Trial(
            row["params"],
            row["points"],
            row["warmup"],
            [f"{int(right, 16):0{row['questions']}b}" for right in row["right"]],
        )
        for row in stored["trials"]
    ]
    return Pool(name, stored["clusters"], trials)


# --- a replay ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replay:
    share: float  # of the questions that the trials would have trained on
    complete: int
    ended: int  # while they ran, because they were behind
    paused: int  # and never went on
    tied: int  # of all drawn, with the best of all drawn
    tied_ended: int
    near_ended: int  # would have come within NEAR of the best
    tied_paused: int
    within_noise: bool  # whether the best complete trial is one of those tied
    starts: int  # of trials, beyond the first of each


def replay(pool, pruner, drawn, slots, folder):
    """Run these trials of a pool, by number, as a study of one key."""
    space = parse({}, [f"trial={','.join(map(str, drawn))}"], {"trial": drawn[0]}, {}, None)
    study = OptunaStudy(
        folder,
        name="replay",
        space=space,
        direction="maximize",
        sampler={"name": "grid"},
        pruner=pruner,
        seed=0,
        storage=None,
    )
    limits = Limits(len(drawn), slots, None, 0, None)
    controller = Controller(limits, [], 0.0)
    queue, order = [], iter(range(10**9))  # of (time, order, trial, index of its point)
    trials, reached, attempts, running, ended, starts = {}, {}, {}, set(), set(), 0
    now, pending = 0.0, list(controller.start(0.0))

    def send(event):
        pending.extend(controller.on(event, now))

    def train(number):
        """Queue the trial's next report."""
        points, index = trials[number].points, reached[number]
        begun = points[index - 1] if index else 0
        heapq.heappush(queue, (now + points[index] - begun, next(order), number, index))

    while not controller.done or pending:
        while pending:
            match pending.pop(0):
                case events.Ask():
                    suggestion = study.ask()
                    if suggestion is None:
                        send(events.Exhausted())
                    else:
                        number = suggestion.number
                        trials[number], reached[number] = pool.trials[suggestion.params["trial"]], 0
                        (folder / "trials" / str(number)).mkdir(parents=True)
                        send(events.Asked(number))
                case events.Submit(number, attempt):
                    running.add(number)
                    attempts[number] = attempt
                    starts += attempt > 0
                    train(number)
                    send(events.Submitted(number, attempt, "job"))
                case events.Tell(number, result):
                    study.tell(number, result)
                case events.Judge(number, point, value):
                    send(events.Judged(number, study.judge(number, point, value), point))
                case events.Promote(paused, otherwise):
                    send(events.Promoted(study.promote(paused, otherwise)))
                case events.Prune(number) if number in running:
                    running.discard(number)
                    ended.add(number)
                    send(events.Ended(number, Outcome("pruned", None, None)))
                case events.Pause(number) if number in running:
                    running.discard(number)
                    send(events.Paused(number, attempts[number]))
        if controller.done:
            break
        now, _, number, index = heapq.heappop(queue)
        if number not in running or reached[number] != index:
            continue
        trial = trials[number]
        reached[number] = index + 1
        if index + 1 == len(trial.points):
            running.discard(number)
            send(events.Ended(number, Outcome("complete", max(trial.values), None)))
            continue
        right = [answer == "1" for answer in trial.rights[index]]
        point, value, share = trial.points[index], trial.values[index], trial.points[index] / trial.points[-1]
        Mailbox(folder / "trials" / str(number)).report(point, value, None, right, share, share > trial.warmup)
        send(events.Reported(number, point, value))
        if number in running:
            train(number)
    return summary(pool, trials, reached, ended, starts)


def summary(pool, trials, reached, ended, starts):
    finals = {number: [answer == "1" for answer in trial.best] for number, trial in trials.items()}
    numbers = sorted(finals, key=lambda number: (-sum(finals[number]), number))
    accuracy = max(trials[numbers[0]].values)
    p_values = p_values_against_best([finals[number] for number in numbers], 0, pool.clusters)
    tied = {number for number, p in zip(numbers, p_values, strict=True) if p >= LEVEL} | {numbers[0]}
    complete = {number for number in trials if reached[number] == len(trials[number].points)}
    trained = sum(trials[number].points[reached[number] - 1] for number in trials if reached[number])
    best = max(complete, key=lambda number: (sum(finals[number]), -number), default=None)
    return Replay(
        share=trained / sum(trial.points[-1] for trial in trials.values()),
        complete=len(complete),
        ended=len(ended),
        paused=len(trials) - len(complete) - len(ended),
        tied=len(tied),
        tied_ended=len(tied & ended),
        near_ended=sum(max(trials[number].values) > accuracy - NEAR for number in ended),
        tied_paused=len(tied - complete - ended),
        within_noise=best in tied,
        starts=starts,
    )


# --- many of them -----------------------------------------------------------------------------------------------------


def spec_of(text):
    name, *arguments = text.split()
    return {"name": name} | {key: json.loads(value) for key, value in (each.split("=") for each in arguments)}


def mean(values, digits=2, scale=1.0):
    """The mean with its 95 % interval over replays."""
    values = [scale * float(value) for value in values]
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    centre = statistics.fmean(values)
    return f"{centre:.{digits}f} ({max(0.0, centre - half):.{digits}f} to {centre + half:.{digits}f})"


def ratio(results, part, whole):
    """One sum over another, with its 95 % interval over replays by bootstrap."""
    parts, wholes = ([getattr(each, name) for each in results] for name in (part, whole))
    if not sum(wholes):
        return "–"
    draw, ratios = random.Random(0), []
    for _ in range(1000):
        drawn = draw.choices(range(len(results)), k=len(results))
        ratios.append(sum(parts[i] for i in drawn) / max(1, sum(wholes[i] for i in drawn)))
    ratios.sort()
    return f"{sum(parts) / sum(wholes):.3f} ({ratios[24]:.3f} to {ratios[974]:.3f})"


def matter(pool, sizes, replays):
    """How often something is shown to matter by trials that all came to a point, or ran to their end (last column)."""
    study = pool.trials[0]
    swept = [
        SweptKey(key, key.endswith(("learning_rate", "max_grad_norm")), (1, 2, 4, 8) if key.endswith("steps") else None)
        for key in study.params
    ]
    columns = [*range(len(study.points) - 1), None]
    shares = [f"{study.points[i] / study.points[-1]:.3g}" for i in columns[:-1]]
    print(f"\n{pool.name}\n\n| trials | {' | '.join(shares)} | end |\n|{'---|' * (len(columns) + 1)}")
    for size in sizes:
        found = dict.fromkeys(columns, 0)
        for seed in range(replays):
            drawn = [pool.trials[i] for i in random.Random(seed).sample(range(len(pool.trials)), size)]
            records = [SimpleNamespace(params=trial.params, number=number) for number, trial in enumerate(drawn)]
            for column in columns:
                values = [max(trial.values) if column is None else trial.values[column] for trial in drawn]
                found[column] += bool(shown_to_matter(swept, records, values)[0])
        print(f"| {size} | {' | '.join(f'{found[column] / replays:.2f}' for column in columns)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect")
    collecting.add_argument("study", type=Path)
    collecting.add_argument("pool")
    replaying = commands.add_parser("replay")
    replaying.add_argument("pools", nargs="*")
    replaying.add_argument("--pruners", default=PRUNERS)
    replaying.add_argument("--trials", type=int, default=16)
    replaying.add_argument("--slots", default="1,2,4")
    replaying.add_argument("--replays", type=int, default=100, help="for each number of slots")
    mattering = commands.add_parser("matter")
    mattering.add_argument("pools", nargs="*")
    mattering.add_argument("--trials", default="16,24,32")
    mattering.add_argument("--replays", type=int, default=100)
    given = parser.parse_args()
    if given.command == "collect":
        return collect(given.study, given.pool)
    names = given.pools or sorted(path.stem for path in POOLS.glob("*.json"))
    for pool in map(read_pool, names):
        if given.command == "matter":
            matter(pool, [n for n in map(int, given.trials.split(",")) if n <= len(pool.trials)], given.replays)
            continue
        print(f"\n{pool.name}: {len(pool.trials)} trials; {given.trials} of them, {given.slots} slots\n")
        header = ("pruner", "questions", "complete", "best within noise", "ended", "of these tied with the best")
        header += (f"within {100 * NEAR:.0f} points", "left paused", "of these tied", "restarts")
        print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
        for text in given.pruners.split(","):
            results = []
            for slots in map(int, given.slots.split(",")):
                for seed in range(given.replays):
                    others = random.Random(seed).sample(range(1, len(pool.trials)), given.trials - 1)
                    with tempfile.TemporaryDirectory(dir=run_in_memory()) as folder:
                        results.append(replay(pool, spec_of(text.strip()), [0, *others], slots, Path(folder)))
            cells = [
                text.strip(),
                mean(each.share for each in results),
                mean((each.complete for each in results), 1),
                mean(each.within_noise for each in results),
                f"{statistics.fmean(each.ended for each in results):.1f}",
                ratio(results, "tied_ended", "ended"),
                ratio(results, "near_ended", "ended"),
                f"{statistics.fmean(each.paused for each in results):.1f}",
                ratio(results, "tied_paused", "paused"),
                f"{statistics.fmean(each.starts for each in results):.1f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def run_in_memory():
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
