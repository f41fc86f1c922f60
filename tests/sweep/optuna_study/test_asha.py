"""Asynchronous successive halving: its decisions are those of the paper's algorithm, also after restarts."""

import heapq
import math
from pathlib import Path
from random import Random

import pytest

from mcqa.config.errors import ConfigError
from mcqa.runs.files import read_yaml
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.controller.events import Outcome
from mcqa.sweep.optuna_study.pruner import Pruner
from mcqa.sweep.optuna_study.samplers import make_pruner
from tests.sweep.optuna_study.test_study import complete, open_study

CONF = Path(__file__).parents[3] / "hydra_plugins/mcqa_sweeper/conf/hydra/sweeper/pruner"
PARAMS, BASE = {"rate": "interval(0.5, 1)"}, {"rate": 0.01}  # which holds no default


class Paper:
    """Algorithm 2 word by word, for trials that are asked for until there are `n`. rungs: value by trial."""

    def __init__(self, n, factor, top, sign):
        self.n, self.factor, self.top, self.sign = n, factor, top, sign
        self.rungs = [{} for _ in range(top + 1)]
        self.promoted = [set() for _ in range(top + 1)]
        self.asked = 0

    def get_job(self):
        for rung in range(self.top - 1, -1, -1):
            results = self.rungs[rung]
            best = sorted(results, key=lambda trial: (-self.sign * results[trial], trial))
            candidates = best[: len(results) // self.factor]
            promotable = [trial for trial in candidates if trial not in self.promoted[rung]]
            if promotable:
                self.promoted[rung].add(promotable[0])
                return promotable[0]
        if self.asked < self.n:
            self.asked += 1
            return self.asked - 1
        return None


class Slots:
    """Trials with random curves in some slots, each as fast as it is; rungs are at every power of the factor."""

    def __init__(self, study, paper, dice, slots, reopen, restarts):
        self.study, self.paper, self.dice, self.reopen, self.restarts = study, paper, dice, reopen, restarts
        self.factor, self.top = paper.factor, paper.top
        self.points = [100 * k for k in range(1, self.factor**self.top + 1)]
        self.free, self.running, self.paused, self.ended = slots, [], set(), {}
        self.curves, self.next = {}, {}
        self.now = 0.0

    def start(self, trial):
        if trial not in self.curves:
            self.curves[trial] = [self.dice.choice([0.1, 0.2, 0.3, 0.4, 0.5]) for _ in self.points]
            self.next[trial] = 0
        self.free -= 1
        heapq.heappush(self.running, (self.now + self.dice.uniform(1, 9), trial))

    def fill(self):
        while self.free:
            wanted = self.paper.get_job()
            otherwise = "ask" if len(self.curves) < self.paper.n else "wait" if self.running else "end"
            promoted = self.study.promote(sorted(self.paused), otherwise) if self.paused else None
            if promoted is None and otherwise == "ask":
                suggestion = self.study.ask()
                assert suggestion.number == wanted
                self.start(suggestion.number)
            elif promoted is None:
                assert wanted is None
                return
            elif otherwise == "end" and wanted is None:
                self.check_last(promoted)
            else:
                assert promoted == wanted and promoted in self.paused
                self.again(promoted)

    def again(self, trial):
        """The controller may die before the trial really goes on, and asks again."""
        if self.dice.random() < 0.3:
            self.study = self.reopen()
            assert self.study.promote(sorted(self.paused), self.dice.choice(["ask", "wait"])) == trial
        self.paused.remove(trial)
        self.start(trial)

    def check_last(self, promoted):
        """Nothing else is left to do: the best of the highest rung goes on, to its end."""
        rung = max(rung for rung, results in enumerate(self.paper.rungs) if results)
        results = self.paper.rungs[rung]
        assert rung < self.top
        assert promoted == min(results, key=lambda trial: (-self.paper.sign * results[trial], trial))
        self.again(promoted)
        for later in range(rung, self.top):
            self.paper.promoted[later].add(promoted)

    def run(self):
        self.fill()
        while self.running:
            self.now, trial = heapq.heappop(self.running)
            self.report(trial)
            self.fill()

    def report(self, trial):
        if self.dice.random() < self.restarts:
            self.study = self.reopen()
        index = self.next[trial]
        self.next[trial] += 1
        point, value = self.points[index], self.curves[trial][index]
        judgement = self.study.judge(trial, point, value)
        if self.dice.random() < 0.3:  # the report is read again after a restart
            self.study = self.reopen()
            assert self.study.judge(trial, point, value) == judgement
        rung = round(math.log(index + 1, self.factor), 6)
        if not rung.is_integer():
            assert judgement == "continue"
            return heapq.heappush(self.running, (self.now + self.dice.uniform(1, 9), trial))
        self.paper.rungs[int(rung)][trial] = value
        if index + 1 == len(self.points):
            self.study.tell(trial, complete(value))
            self.ended[trial] = value
            self.free += 1
            return None
        if trial in self.paper.promoted[int(rung)]:  # to its end
            assert judgement == "continue"
            return heapq.heappush(self.running, (self.now + self.dice.uniform(1, 9), trial))
        results = self.paper.rungs[int(rung)]
        best = sorted(results, key=lambda each: (-self.paper.sign * results[each], each))
        assert judgement == ("continue" if trial in best[: len(results) // self.factor] else "pause")
        if judgement == "continue":
            assert self.paper.get_job() == trial
            return heapq.heappush(self.running, (self.now + self.dice.uniform(1, 9), trial))
        self.paused.add(trial)
        self.free += 1
        return None


@pytest.mark.parametrize("restarts", [0.0, 0.1])
@pytest.mark.parametrize(("factor", "top", "n", "slots"), [(2, 3, 16, 1), (2, 3, 16, 3), (3, 2, 12, 4), (4, 1, 3, 2)])
def test_its_decisions_are_those_of_the_paper_s_algorithm(tmp_path, factor, top, n, slots, restarts):
    for seed in range(3):
        (folder := tmp_path / str(seed)).mkdir()
        direction = ["maximize", "minimize"][seed % 2]
        how = {"pruner": {"name": "asha", "reduction_factor": factor}, "direction": direction}
        paper = Paper(n, factor, top, 1 if direction == "maximize" else -1)
        world = Slots(
            open_study(folder, PARAMS, BASE, **how),
            paper,
            Random(seed),
            slots,
            lambda folder=folder, how=how: open_study(folder, PARAMS, BASE, **how),
            restarts,
        )
        world.run()
        assert len(world.curves) == n and world.ended and world.paused | set(world.ended) == set(range(n))


def test_the_default_configuration_is_never_paused_and_counts_in_its_rungs(tmp_path):
    study = open_study(tmp_path, {"rate": "interval(0, 1)"}, BASE, pruner={"name": "asha"})
    for _ in range(4):
        study.ask()
    assert [study.judge(0, point, 0.5) for point in (100, 200, 400)] == ["continue"] * 3
    assert [study.judge(number, 100, value) for number, value in ((1, 0.4), (2, 0.6), (3, 0.45))] == [
        "pause",
        "continue",
        "pause",
    ]
    assert study.promote([1, 3], "ask") is None  # the best two of four go on already
    assert study.promote([1, 3], "end") is None


def test_a_trial_that_failed_takes_nobody_s_place(tmp_path):
    study = open_study(tmp_path, PARAMS, BASE, pruner={"name": "asha"})
    for _ in range(4):
        study.ask()
    assert [study.judge(n, 100, value) for n, value in enumerate((0.4, 0.6, math.nan, 0.5))] == [
        "pause", "continue", "pause", "continue",
    ]  # fmt: skip
    assert study.promote([0, 2], "ask") is None
    study.tell(1, Outcome("failed", None, "cancelled"))
    assert study.promote([0, 2], "ask") is None  # one of three goes on
    study.ask()
    assert study.judge(4, 100, 0.1) == "pause"
    assert study.promote([0, 2, 4], "ask") == 0  # two of four


def test_reports_between_rungs_and_past_several_of_them_are_judged_by_the_highest_one_that_they_reach(tmp_path):
    study = open_study(tmp_path, PARAMS, BASE, pruner={"name": "asha", "min_resource": 200})
    for _ in range(3):
        study.ask()
    assert [study.judge(0, point, 0.5) for point in (100, 300, 390)] == ["continue", "pause", "continue"]
    assert study.judge(1, 850, 0.6) == "pause"  # in the third rung, where it is alone
    assert study.promote([0, 1], "ask") is None
    assert study.judge(2, 250, 0.4) == "pause"
    assert study.promote([0, 1, 2], "wait") is None  # the best of three in the first rung is in the third
    assert study.promote([0, 1, 2], "end") == 1
    assert study.judge(1, 1700, 0.0) == "continue"  # whatever comes, it was promoted to its end


def test_a_rung_may_be_a_share_of_the_training_however_many_questions_that_are(tmp_path):
    study = open_study(tmp_path, PARAMS, BASE, pruner={"name": "asha", "min_resource": 0.25, "reduction_factor": 4})

    def judged(number, point, value, share):
        (folder := tmp_path / "trials" / str(number)).mkdir(parents=True, exist_ok=True)
        Mailbox(folder).report(point, value, None, None, share)
        return study.judge(number, point, value)

    for number in range(4):
        assert study.ask().number == number
        assert judged(number, 100, 0.0, 0.125) == "continue"
    assert [judged(number, 200, number / 10, 0.2496) for number in range(3)] == ["pause"] * 3
    assert judged(3, 240, 0.3, 0.3) == "continue"  # the best of four
    assert judged(3, 800, 0.3, 1.0) == "continue"  # its last update
    assert study.promote([0, 1, 2], "ask") is None
    study.ask()
    (tmp_path / "trials" / "4").mkdir()
    assert study.judge(4, 900, 0.0) == "continue"  # nobody knows how far it is


def test_where_no_trial_reports_a_share_the_first_point_is_the_first_rung(tmp_path):
    study = open_study(tmp_path, PARAMS, BASE, pruner={"name": "asha", "min_resource": 0.25, "reduction_factor": 2})
    for _ in range(2):
        study.ask()
    assert [study.judge(0, 100, 0.5), study.judge(1, 100, 0.6)] == ["pause", "continue"]


def test_the_most_promising_go_on_until_enough_are_complete(tmp_path):
    how = {"pruner": {"name": "asha", "complete": 0.5}}
    study = open_study(tmp_path, PARAMS, BASE, **how)
    values = (0.4, 0.6, 0.1, 0.3, 0.2, 0.5)
    for _ in values:
        study.ask()
    for number, value in enumerate(values):
        study.judge(number, 100, value)
    assert study.judge(1, 200, 0.6) == "pause"
    paused = [0, 1, 2, 3, 4, 5]
    assert [study.promote(paused, "ask") for _ in range(2)] == [5, 5]  # by its rung, and chosen once
    study.judge(5, 200, 0.4)
    study.judge(0, 200, 0.3)
    assert study.promote([0, 1, 2, 3, 4, 5], "ask") == 1
    study = open_study(tmp_path, PARAMS, BASE, **how)
    study.tell(1, Outcome("complete", 0.7, None))
    left = [0, 2, 3, 4, 5]
    chosen = []
    while (number := study.promote(left, "wait")) is not None:
        chosen.append(number)
        left.remove(number)
        assert study.judge(number, 400, 0.0) == "continue"  # it is paused no more
    assert chosen == [5, 0]  # three of six run to their end: by rung, then by value


@pytest.mark.parametrize(
    "spec",
    [
        {"min_resource": "auto"},
        {"min_resource": 0},
        {"min_resource": 1.5},
        {"reduction_factor": 1},
        {"complete": 2},
        {"x": 1},
    ],
)
def test_what_it_does_not_take_is_refused(spec):
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.pruner \(asha\)"):
        make_pruner({"name": "asha", **spec})


def test_it_cannot_be_wrapped_by_one_that_knows_no_pauses():
    with pytest.raises(ConfigError, match="asha cannot be wrapped"):
        make_pruner({"name": "patient", "patience": 1, "wrapped": {"name": "asha"}})


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_pruner_of_the_configuration_can_be_made(path):
    spec = read_yaml(path)
    assert spec["name"] == path.stem
    assert isinstance(make_pruner(spec), Pruner) == (path.stem in ("asha", "paired"))
