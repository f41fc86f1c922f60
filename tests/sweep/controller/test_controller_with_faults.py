"""The controller in a world that is as unkind as it can be."""

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import given, note, settings
from hypothesis import strategies as st

from mcqa.sweep.controller import events
from mcqa.sweep.controller.backoff import FIRST_PAUSE_S, LONGEST_PAUSE_S, MAX_REFUSALS
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import Limits, Outcome, RecoveredTrial
from tests.sweep.controller.timelines import OUTCOMES, shown


@dataclass
class Job:
    trial: int
    attempt: int
    alive: bool = True
    given_up: bool = False  # it was said to be gone, truly or not
    paused: bool = False  # it has ended so


@dataclass
class Life:
    """What one controller was told and did, counted independently of it."""

    controller: Controller
    running: set[int]
    asks: int = 0
    submits: Counter = field(default_factory=Counter)
    preemptions: Counter = field(default_factory=Counter)
    refusals: Counter = field(default_factory=Counter)
    promotions: Counter = field(default_factory=Counter)
    promoting: bool = False  # a Promote has no answer yet
    promoted: set[int] = field(default_factory=set)
    accepts: bool = False  # the scheduler did once
    held_until: float = 0.0  # nothing may be asked or submitted before, by the controller's clock
    deaths: dict[int, set[int]] = field(default_factory=dict)  # attempts
    judged: list[tuple[int, int]] = field(default_factory=list)
    pruned: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)  # of trials that failed


class World:
    """A study, a scheduler, and jobs that outlive the controller. News under way is lost with it, the truth is not."""

    def __init__(self, limits, space, dice):
        self.limits, self.space, self.dice = limits, space, dice
        self.study: dict[int, Outcome | None] = {}  # None: not told
        self.results: dict[int, Outcome] = {}
        self.attempts: Counter = Counter()
        self.noted: dict[int, Job] = {}  # a trial's last job
        self.deaths: Counter = Counter()  # of former lives
        self.reports: list[events.Reported] = []
        self.jobs: list[Job] = []
        self.past: list[events.Event] = []
        self.log: list[str] = []
        self.now = 0.0
        self.outage = dice.choice([0, 0, 60, 290])  # seconds of every five minutes
        self.judgements: dict[tuple[int, int], str] = {}  # by trial and point, once for all
        self.due: dict[int, int] = {}  # how many judgements there must be before a trial may go on
        self.chosen: set[int] = set()  # to go on, and not judged to pause again since
        self.pause_files: set[int] = set()
        self.paused: set[int] = set()  # their last submission ended so, as job.json says
        self.live()

    def live(self):
        """Start a controller from what the world knows, and tell it of the jobs that are gone."""
        self.log.append("--- a controller starts")
        self.inbox: list[events.Event] = list(self.reports)
        self.pending: list[events.Submit] = []
        controller = Controller(self.limits, [self.known(trial) for trial in self.study], self.now)
        self.life = Life(controller, {n for n in self.noted if self.study[n] is None and not self.is_paused(n)})
        self.slots = len(self.life.running)  # more than n_jobs, perhaps, but never growing
        for job in self.noted.values():
            if self.is_paused(job.trial):
                continue
            job.given_up = False
            if job.trial in self.results:
                self.inbox.append(events.Ended(job.trial, self.results[job.trial]))
            elif job.paused:
                self.inbox.append(events.Paused(job.trial, job.attempt))
            elif not job.alive:
                self.gone(job)
        self.carry_out(controller.start(self.now))

    def known(self, trial):
        job = f"job {trial}/{self.noted[trial].attempt}" if trial in self.noted else None
        pause = "done" if self.is_paused(trial) else "asked" if trial in self.pause_files else None
        job = None if pause == "done" else job
        return RecoveredTrial(trial, self.study[trial], self.attempts[trial], job, self.deaths[trial], pause)

    def is_paused(self, trial):
        """As the files say when a controller starts."""
        return trial in self.paused and trial not in self.results

    def gone(self, job):
        job.given_up = True
        self.inbox.append(events.Vanished(job.trial, job.attempt, "gone"))

    def send(self, event):
        match event:
            case events.Asked(trial) if all(trial != old.number for old in self.life.controller.trials):
                self.life.asks -= 1
                self.life.running.add(trial)
            case events.Exhausted():
                self.life.asks -= 1
            case events.JobPreempted(trial, attempt) | events.Vanished(trial, attempt) | events.Paused(trial, attempt):
                self.lose(event, trial, attempt)
            case events.Promoted(trial):
                self.life.promoting = False
                self.life.promotions[trial] += 1
        self.log.append(f"{self.now:.0f} {event}")
        self.hold(event)
        self.carry_out(self.life.controller.on(event, self.now))
        if not isinstance(event, events.Exhausted | events.Interrupted | events.Promoted):
            self.past.append(event)
        self.check()

    def hold(self, event):
        """A refusal holds everything for a while, unless a job is accepted or ends."""
        submitted = {(one.number, one.attempt) for one in self.life.controller.trials if one.state == "submitting"}
        match event:
            case events.Refused(trial, attempt) if (trial, attempt) in submitted:
                self.life.refusals[trial] += 1
                self.life.running.discard(trial)
                self.life.held_until = self.life.controller.elapsed + FIRST_PAUSE_S
            case events.Submitted(trial, attempt) if (trial, attempt) in submitted:
                self.life.accepts, self.life.held_until = True, 0.0
            case events.Ended() | events.Vanished() | events.JobPreempted() | events.Paused():
                self.life.held_until = 0.0

    def lose(self, event, trial, attempt):
        for job in self.jobs:
            job.given_up |= (job.trial, job.attempt) == (trial, attempt)
        if isinstance(event, events.Vanished):
            self.life.deaths.setdefault(trial, set()).add(attempt)
        if any(attempt == now.attempt for now in self.life.controller.trials if now.number == trial):
            self.life.running.discard(trial)  # until it is submitted again
            if isinstance(event, events.Paused) and self.noted[trial].attempt == attempt:
                self.paused.add(trial)
            self.life.preemptions[trial] += isinstance(event, events.JobPreempted)

    def carry_out(self, actions):
        for action in actions:
            self.log.append(f"    {shown(action)}")
            assert not self.life.finishes or isinstance(action, events.Cancel)
            assert self.study.get(getattr(action, "trial", None)) is None, "it has ended"
            held = self.life.controller.elapsed < self.life.held_until
            assert not (held and isinstance(action, events.Ask | events.Submit)), "no pause after a refusal"
            match action:
                case events.Ask():
                    self.ask()
                case events.Submit(trial):
                    assert trial not in self.paused or trial in self.life.promoted, "nobody promoted it"
                    self.pause_files.discard(trial)
                    self.life.running.add(trial)
                    self.life.submits[trial] += 1
                    self.pending.append(action)
                case events.Tell(trial, outcome):
                    self.tell(trial, outcome)
                case events.Judge(trial, point, value):
                    self.life.judged.append((trial, point))
                    self.inbox.append(events.Judged(trial, self.judge(trial, point, value), point))
                case events.Promote(paused, otherwise):
                    self.promote(paused, otherwise)
                case events.Pause(trial):
                    self.pause_files.add(trial)
                case events.Close(trial):
                    assert trial not in self.life.running
                    self.results.setdefault(trial, Outcome("pruned", None, None))
                case events.Prune(trial):
                    self.life.pruned.append(trial)
                case events.Cancel(trial):
                    self.life.cancelled.append(trial)
                case events.Finish(reason):
                    self.life.finishes.append(reason)
                    enough = self.life.refusals.total() > MAX_REFUSALS
                    assert reason != "refused" or enough or not self.life.accepts, "no patience with the scheduler"

    def judge(self, trial, point, value):
        """A judgement is for good, except that a trial that may go on is not paused again for an old report."""
        if (trial, point) not in self.judgements:
            judgement = {0.4: "prune", 0.5: "pause", 0.6: "continue"}[value]
            self.judgements[trial, point] = judgement
            if judgement == "pause":
                self.due[trial] = len(self.judgements) + self.dice.randint(0, 5)
                self.chosen.discard(trial)
        judgement = self.judgements[trial, point]
        return "continue" if judgement == "pause" and trial in self.chosen else judgement

    def promote(self, paused, otherwise):
        assert paused and not self.life.promoting
        assert (otherwise == "end") <= (not self.life.running and not self.life.asks), "others run"
        self.life.promoting = True
        promoted = self.promotable(paused, otherwise)
        self.chosen |= {promoted} - {None}
        self.life.promoted.add(promoted)
        self.inbox.append(events.Promoted(promoted))

    def promotable(self, paused, otherwise):
        """One that was chosen before, one whose time has come, or at the end every second one."""
        ways = (
            (trial for trial in paused if trial in self.chosen),
            (trial for trial in paused if self.due.get(trial, 0) <= len(self.judgements)),
            (trial for trial in paused if otherwise == "end" and trial % 2),
        )
        return next((trial for way in ways for trial in way), None)

    def ask(self):
        self.life.asks += 1
        if self.space is not None and len(self.study) >= self.space:
            self.inbox.append(events.Exhausted())
        else:
            self.inbox.append(events.Asked(len(self.study)))
            self.study[len(self.study)] = None

    def tell(self, trial, outcome):
        assert self.study[trial] is None, "told twice"
        deaths = self.deaths[trial] + len(self.life.deaths.get(trial, ()))
        assert outcome.error != "gone" or deaths > self.limits.max_resubmits
        assert outcome.error != "refused" or self.life.refusals[trial] > MAX_REFUSALS
        self.study[trial] = outcome
        if outcome.status == "failed" and self.life.submits[trial] and trial not in self.told_of():
            self.life.errors.append(outcome.error)
        self.life.running.discard(trial)

    def moves(self):
        """What may happen next, with its weight."""
        living = [job for job in self.jobs if job.alive]
        asked = [job for job in living if job.trial in self.pause_files]
        return [
            (lambda: self.end(self.dice.choice(asked), "paused"), 20 * bool(asked)),
            (self.something_arrives_in_any_order_perhaps_twice, 30 * bool(self.inbox)),
            (lambda: self.send(self.dice.choice(self.past)), 5 * bool(self.past)),
            (self.time_jumps, 3 + 10 * (self.life.controller.backoff.message is not None)),
            (lambda: self.answer(self.dice.choice(self.pending), not self.is_away()), 15 * bool(self.pending)),
            (lambda: self.a_job_reports(self.dice.choice(living)), 5 * bool(living)),
            (lambda: self.end(self.dice.choice(living), self.dice.choice(ENDS)), 10 * bool(living)),
            (lambda: self.send(events.Interrupted()), 0.5 + bool(self.life.finishes)),
            (self.the_controller_is_killed_and_starts_again, 1 + 10 * bool(self.life.finishes)),
        ]

    def is_away(self):
        """The scheduler, for some stretches of time and now and then."""
        return self.now % 300 < self.outage or self.dice.random() < 0.1

    def something_arrives_in_any_order_perhaps_twice(self):
        event = self.inbox.pop(self.dice.randrange(len(self.inbox)))
        if self.dice.random() < 0.2 and not isinstance(event, events.Exhausted | events.Promoted):
            self.inbox.append(event)
        self.now += self.dice.uniform(-5, 10)
        self.send(event)

    def time_jumps(self):
        self.now += self.dice.choice([-1e6, -60, 30, 200])
        self.send(events.Tick())

    def answer(self, submit, accepts):
        """The scheduler does, to a submission."""
        last = self.noted.pop(submit.trial, None)
        assert last is None or (last.given_up and last.attempt < submit.attempt), "the trial has a job"
        self.pending.remove(submit)
        self.attempts[submit.trial] = submit.attempt + 1
        if not accepts:
            self.inbox.append(events.Refused(submit.trial, submit.attempt, "refused"))
            return
        self.noted[submit.trial] = Job(submit.trial, submit.attempt)
        self.paused.discard(submit.trial)
        self.jobs.append(self.noted[submit.trial])
        self.inbox.append(events.Submitted(submit.trial, submit.attempt, f"job {submit.trial}/{submit.attempt}"))

    def a_job_reports(self, job):
        report = events.Reported(job.trial, self.dice.randint(1, 3), self.dice.choice([0.4, 0.5, 0.5, 0.6]))
        self.reports.append(report)
        self.inbox.append(report)

    def end(self, job, how):
        """A silent job is taken for dead and lives on: its result comes late."""
        job.alive = how == "silent"
        if how in OUTCOMES:
            self.inbox.append(events.Ended(job.trial, self.results.setdefault(job.trial, OUTCOMES[how])))
        elif how == "paused":
            job.paused = True
            if not job.given_up:
                job.given_up = True
                self.inbox.append(events.Paused(job.trial, job.attempt))
        elif how == "preempted" and not job.given_up:
            job.given_up = True
            self.inbox.append(events.JobPreempted(job.trial, job.attempt))
        elif not job.given_up:
            self.gone(job)

    def the_controller_is_killed_and_starts_again(self):
        """Local jobs die with it. A submission under way is forgotten, or stands in job.json without a job."""
        for submit in self.pending if self.dice.random() < 0.5 else []:
            self.attempts[submit.trial] = submit.attempt + 1
            self.noted.pop(submit.trial, None)
            self.paused.discard(submit.trial)
        for job in self.jobs if self.dice.random() < 0.5 else []:
            job.alive = False
        self.deaths.update({trial: len(attempts) for trial, attempts in self.life.deaths.items()})
        self.limits = replace(self.limits, n_jobs=self.dice.randint(1, 4))
        self.live()

    def check(self):
        life, limits = self.life, self.limits
        occupied = life.asks + len(life.running) + life.promoting
        self.slots = max(limits.n_jobs, min(self.slots, occupied))
        assert occupied <= self.slots or life.finishes, "more than n_jobs"
        assert occupied >= limits.n_jobs or life.finishes or not self.wants_more(), "an idle slot"
        assert len(self.study) <= limits.n_trials
        for once in (life.judged, life.pruned, life.cancelled, life.finishes):
            assert len(set(once)) == len(once) and len(life.finishes) <= 1
        for trial, submits in life.submits.items():
            again = life.preemptions[trial] + life.refusals[trial] + life.promotions[trial]
            assert submits <= 1 + limits.max_resubmits + again

    def wants_more(self):
        """Whether a slot should not be idle, as far as the controller can know: no answer of the study is under way."""
        if self.life.promoting or any(isinstance(event, events.Judged) for event in self.inbox):
            return False
        refused = self.life.controller.backoff.message is not None
        if not refused and not self.ends_early() and self.promotable(self.life.controller.paused, "wait") is not None:
            return True
        return self.wants_a_new_trial()

    def ends_early(self):
        limits = self.limits
        return limits.timeout_s is not None or limits.max_failures is not None or self.all_fail_alike()

    def wants_a_new_trial(self):
        unlimited = self.limits.timeout_s is None and self.space is None and self.limits.max_failures is None
        refused = self.life.controller.backoff.message is not None
        return len(self.study) < self.limits.n_trials and unlimited and not refused and not self.all_fail_alike()

    def told_of(self):
        """The trials whose reports this controller was told."""
        return {trial for trial, _ in self.life.judged}

    def all_fail_alike(self):
        well = any(outcome and outcome.status != "failed" for outcome in self.study.values())
        enough = (
            self.limits.max_identical_failures is not None
            and len(self.life.errors) >= self.limits.max_identical_failures
        )
        return not well and enough and len(set(self.life.errors)) == 1

    def come_to_an_end(self):
        """From here on the world is kind, and every study ends, if need be by starting it again."""
        for _ in range(3):
            self.settle()
            assert self.life.finishes, "the loop would wait for ever"
            if self.life.finishes[0] in (
                events.COMPLETE,
                events.EXHAUSTED,
                events.IDENTICAL_FAILURES,
                events.FAILURES,
                events.TIMEOUT,
            ):
                return self.life.finishes[0]
            self.live()
        raise AssertionError("refused or interrupted for ever")

    def settle(self):
        while self.pending or self.inbox or not self.life.finishes:
            living = [job for job in self.jobs if job.alive]
            if self.pending:
                self.answer(self.pending[0], True)
            elif self.inbox:
                self.send(self.inbox.pop(0))
            elif living:
                self.end(living[0], "complete")
            elif self.life.controller.backoff.message is not None:
                self.now += LONGEST_PAUSE_S
                self.send(events.Tick())
            else:
                return


ENDS = [*OUTCOMES, "dies", "dies", "preempted", "silent"]


@settings(max_examples=400, deadline=None)
@given(
    st.builds(
        Limits,
        n_trials=st.integers(0, 8),
        n_jobs=st.integers(1, 4),
        max_failures=st.none() | st.integers(0, 3),
        max_resubmits=st.integers(0, 2),
        timeout_s=st.none() | st.just(150.0),
        max_identical_failures=st.none() | st.integers(1, 3),
    ),
    st.none() | st.integers(0, 8),
    st.integers(0, 150),
    st.integers(0, 2**32),
)
def test_whatever_fails_no_trial_is_lost_or_reported_twice_and_every_study_ends(limits, space, moves, seed):
    world = World(limits, space, Random(seed))
    try:
        for _ in range(moves):
            possible, weights = zip(*world.moves(), strict=True)
            world.dice.choices(possible, weights)[0]()
        reason = world.come_to_an_end()
    finally:
        note("\n".join(world.log))
    unfinished = {trial for trial, outcome in world.study.items() if outcome is None}
    may_go_on = reason not in (events.COMPLETE, events.EXHAUSTED)  # where the next start resumes the study
    assert unfinished == (set(world.life.controller.paused) if may_go_on else set()), "lost"
    failed = sum(outcome is not None and outcome.status == "failed" for outcome in world.study.values())
    assert reason != events.COMPLETE or len(world.study) == limits.n_trials
    assert reason != events.EXHAUSTED or len(world.study) == space
    assert reason != events.IDENTICAL_FAILURES or world.all_fail_alike()
    assert reason != events.FAILURES or failed > limits.max_failures
    assert reason != events.TIMEOUT or limits.timeout_s is not None
