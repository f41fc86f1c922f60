"""A study while it runs: one live table in a terminal, elsewhere a line for every trial that starts or ends."""

import math
import re
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from mcqa.sweep.controller.controller import Controller, TrialState

SHOWN = 12  # trials in the table; of running ones all that the terminal has lines for


AROUND = 9  # lines that the table's frame and the summary take


REDRAWN_S = 0.5


LONG = re.compile(r"(?<![\w.])-?\d+\.\d{4,}(e-?\d+)?")


class LiveDisplay:
    """Call `show` after every round; it draws at most every REDRAWN_S, and says every change of a trial once."""

    def __init__(
        self,
        console: Console,
        controller: Controller,
        maximize: bool | None,
        folder: Path,
        fixed: Collection[str] = (),
        noun: str = "trial",
        on_slurm: bool = False,
    ) -> None:
        """maximize None: several objectives, which have no best. fixed: overrides that need not be shown.
        noun: what one of them is called. on_slurm: a job may wait long in the queue before it starts."""
        self.console, self.controller, self.maximize, self.folder = console, controller, maximize, folder
        self.fixed, self.noun, self.on_slurm = fixed, noun, on_slurm
        self.params: dict[int, str] = {}
        self.ended_before = sum(trial.outcome is not None for trial in controller.trials)
        self.taken_up = [trial for trial in controller.trials if trial.outcome is None]
        self.said = {trial.number: _changing(trial) for trial in controller.trials}
        self.asked = 0  # trials that were looked at
        self.open = list[TrialState]()  # those of them that had not ended
        self.leader = None if maximize is None else best(controller.trials, maximize)
        self.drawn = -math.inf
        self.live = RichLive(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> "LiveDisplay":
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def name(self, number: int, overrides: Sequence[str]) -> None:
        """What to call a trial: its overrides, floats to four digits."""
        own = [text for text in overrides if text not in self.fixed]
        self.params[number] = " ".join(LONG.sub(lambda number: f"{float(number[0]):.4g}", text) for text in own)

    def show(self) -> None:
        trials = self.controller.trials
        if self.taken_up:  # what ended while nobody watched tells nothing of the pace
            self.ended_before += sum(trial.outcome is not None for trial in self.taken_up)
            self.taken_up = []
        self.open, self.asked = [*self.open, *trials[self.asked :]], len(trials)
        changed = [trial for trial in self.open if self.said.get(trial.number) != _changing(trial)]
        self.open = [trial for trial in self.open if trial.outcome is None]
        for trial in changed:
            self.said[trial.number] = _changing(trial)
            if self.maximize is not None:
                self.leader = best([*([self.leader] if self.leader else []), trial], self.maximize)
            if line := self._line(trial):
                self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        if not self.live and any(trial.outcome is not None for trial in changed):
            self.console.print(f"  {self.summary()}", highlight=False, markup=False, soft_wrap=True)
        if self.live and time.monotonic() - self.drawn >= REDRAWN_S:
            self.live.update(Group(self._table(), Text(self.summary())), refresh=True)
            self.drawn = time.monotonic()

    def summary(self) -> str:
        """How far the study is."""
        counts, limits = self.controller.counts, self.controller.limits
        done = counts["complete"] + counts["pruned"] + counts["failed"]
        of = f" of {limits.n_trials}" if limits.n_trials is not None else ""
        parts = [
            f"{done}{of} ended ({counts['complete']} complete, {counts['pruned']} pruned, {counts['failed']} failed)",
            f"{counts['running'] + counts['submitting']} of {limits.n_jobs} slots busy",
        ]
        if self.leader:
            parts.append(f"best {values(self.leader)} ({self.noun} {self.leader.number})")
        if limits.n_trials is not None and done > self.ended_before:
            pace = self.controller.elapsed / (done - self.ended_before)  # seconds from one end of a trial to the next
            parts.append(f"about {duration(max(0, limits.n_trials - done) * pace)} left")
        backoff = self.controller.backoff
        if backoff.message is not None:
            pause = duration(max(0.0, backoff.retry_at - self.controller.elapsed))
            parts.append(f"the scheduler refuses, tried again in {pause}")
        return "; ".join(parts)

    def _line(self, trial: TrialState) -> str | None:
        """What to say of a trial that changed; in a terminal the table shows what runs."""
        name, params = f"{self.noun} {trial.number}", self.params.get(trial.number, "")
        if trial.outcome is None and trial.state == "waiting" and self._refusals(trial):
            words = one_line(self.controller.backoff.message or "")
            return f"{name}: refused: {words}" if words else None
        if trial.outcome is None:
            again = f" again (start {self._start(trial)})" if self._start(trial) > 1 else ""
            why = ", for it had died without a result" if again and trial.vanished else ""
            told_here = trial.state == "running" and (again or not self.live)  # a first start is in the table
            sent = f"submitted{again}{why}, SLURM job {trial.job}" if self.on_slurm else f"started{again}{why}"
            return f"{name}: {sent}  {params}" if told_here else None
        return f"{name}: {told(trial)}  {params}".rstrip()

    def _refusals(self, trial: TrialState) -> int:
        return self.controller.backoff.refusals[trial.number]

    def _start(self, trial: TrialState) -> int:
        """Which one it is, from 1; a refused one was none."""
        return 1 + trial.attempt - self._refusals(trial)

    def _table(self) -> Table:
        table = Table(title=Text(self.folder.name), title_justify="left", title_style="bold", expand=True)
        for heading in (self.noun, "state", "value", "for"):
            table.add_column(heading, no_wrap=True)
        table.add_column("what", overflow="ellipsis", no_wrap=True, ratio=1)  # what a narrow terminal cuts
        rows = shown(self.controller.trials)
        fits = max(3, self.console.height - AROUND)  # the rest would be cut off, and is slow to draw for hundreds
        if len(rows) > fits:
            table.caption = f"and {len(rows) - fits} more"
        for trial in rows[:fits]:
            since = duration(self.controller.elapsed - trial.since) if trial.outcome is None else ""
            value = "" if trial.last is None else f"{trial.last[1]:.4g}"
            value = values(trial) or value
            again = f" ({self._start(trial)})" if self._start(trial) > 1 else ""
            what = Text(self.params.get(trial.number, ""))  # no markup: [q_proj,v_proj] is a value
            table.add_row(str(trial.number), trial.state + again, value, since, what)
        return table


def _changing(trial: TrialState) -> tuple[str, int]:
    return trial.state, trial.attempt


def shown(trials: Sequence[TrialState]) -> list[TrialState]:
    """What runs, and of the others those with the highest numbers."""
    running = [trial for trial in trials if trial.outcome is None]
    ended = [trial for trial in trials if trial.outcome is not None]
    return sorted([*running, *ended[-max(0, SHOWN - len(running)) or len(ended) :]], key=lambda trial: trial.number)


def told(trial: TrialState) -> str:
    assert trial.outcome is not None
    reason = one_line(trial.outcome.error or "")
    return f"{trial.state} {values(trial)}".rstrip() + (f": {reason}" if reason else "")


def one_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")[:200]


def values(trial: TrialState) -> str:
    return f"{trial.outcome.value:.4g}" if trial.outcome and trial.outcome.value is not None else ""


def best(trials: Sequence[TrialState], maximize: bool) -> TrialState | None:
    """The first of those with the best value."""
    scored = [
        (trial.outcome.value, trial)
        for trial in trials
        if trial.state == "complete" and trial.outcome and trial.outcome.value is not None
    ]
    return (max if maximize else min)(scored, key=lambda pair: pair[0])[1] if scored else None


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
