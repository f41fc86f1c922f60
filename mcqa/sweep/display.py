"""A study while it runs: one live table in a terminal, elsewhere a line for every trial that starts or ends."""

import math
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mcqa.config.secrets import redact
from mcqa.runs.duration import duration
from mcqa.sweep.controller.controller import Controller, TrialState
from mcqa.sweep.options import Direction

ROWS = 12  # of trials in the table; of running ones all that the terminal has lines for
FRAME_LINES = 9  # that the table's frame and the summary take
REDRAW_S = 0.5
LONG_FLOAT = re.compile(r"(?<![\w.])-?\d+\.\d{4,}(e-?\d+)?")


def say(*lines: str, console: Console | None = None) -> None:
    """Print lines as they are, without secrets."""
    for line in lines:
        (console or Console()).print(redact(line), highlight=False, markup=False, soft_wrap=True)


@dataclass
class LiveDisplay:
    """Call `update` after every round; it draws at most every REDRAW_S, and prints every change of a trial once.

    The table is there within `with display.live or nullcontext():`.
    """

    console: Console
    controller: Controller
    direction: Direction | None  # of the study; None: a product, which has jobs instead of trials and no best one
    folder: Path  # of the study
    fixed: Collection[str] = ()  # overrides that need not be shown, since all trials have them
    on_slurm: bool = False  # a job may wait long in the queue before it starts
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        trials = self.controller.trials
        self.noun = "job" if self.direction is None else "trial"
        self.labels: dict[int, str] = {}
        self.ended_before = sum(trial.outcome is not None for trial in trials)  # before the pace counts
        self.recovered = [trial for trial in trials if trial.outcome is None]
        self.printed = {trial.number: _progress(trial) for trial in trials}
        self.seen = 0  # trials that were looked at
        self.unfinished = list[TrialState]()  # those of them that had not ended
        self.best = best(trials, self.direction) if self.direction else None
        self.drawn_at = -math.inf
        self.live = Live(console=self.console, auto_refresh=False, transient=True) if self.console.is_terminal else None

    def print(self, text: str) -> None:
        """Print a line above the table, as it is."""
        say(text, console=self.console)

    def set_label(self, number: int, overrides: Sequence[str]) -> None:
        """Label a trial by its own overrides, keys by their last parts and floats with four significant digits."""
        own = short_keys([text for text in overrides if text not in self.fixed])
        self.labels[number] = " ".join(LONG_FLOAT.sub(lambda match: f"{float(match[0]):.4g}", text) for text in own)

    def update(self) -> None:
        """Print what changed and, in a terminal, redraw the table."""
        trials = self.controller.trials
        if self.recovered:  # what ended while nobody watched tells nothing about the pace
            self.ended_before += sum(trial.outcome is not None for trial in self.recovered)
            self.recovered = []
        self.unfinished, self.seen = [*self.unfinished, *trials[self.seen :]], len(trials)
        changed = [trial for trial in self.unfinished if self.printed.get(trial.number) != _progress(trial)]
        self.unfinished = [trial for trial in self.unfinished if trial.outcome is None]
        for trial in changed:
            self.printed[trial.number] = _progress(trial)
            if self.direction:
                self.best = best([*([self.best] if self.best else []), trial], self.direction)
            if line := self._line(trial):
                self.print(line)
        if not self.live and any(trial.outcome is not None for trial in changed):
            self.print(f"  {self.summary()}")
        if self.live and self.clock() - self.drawn_at >= REDRAW_S:
            self.live.update(Group(self._table(), Text(self.summary())), refresh=True)
            self.drawn_at = self.clock()

    def summary(self) -> str:
        """Return how far the study is, in one line."""
        counts, limits, elapsed = self.controller.counts, self.controller.limits, self.controller.elapsed
        done = counts["complete"] + counts["pruned"] + counts["failed"]
        ended = f"{done} of {limits.n_trials}" if limits.n_trials is not None else f"{done}"
        parts = [
            f"{ended} ended ({counts['complete']} complete, {counts['pruned']} pruned, {counts['failed']} failed)",
            f"{counts['running'] + counts['submitting']} of {limits.n_jobs} slots busy",
        ]
        if counts["paused"]:
            parts.append(f"{counts['paused']} paused")
        if self.best:
            parts.append(f"best {_value(self.best)} ({self.noun} {self.best.number})")
        is_known = not self.controller.paused  # most of them never go on, and nobody knows which
        if is_known and limits.n_trials is not None and done > self.ended_before:
            pace = elapsed / (done - self.ended_before)  # seconds from one end of a trial to the next
            parts.append(f"about {duration(max(0, limits.n_trials - done) * pace)} left")
        backoff = self.controller.backoff
        if backoff.message is not None:
            parts.append(f"the scheduler refuses, retry in {duration(max(0.0, backoff.retry_at - elapsed))}")
        return "; ".join(parts)

    def _line(self, trial: TrialState) -> str | None:
        """What to print of a trial that changed; in a terminal the table shows what runs."""
        name, label, start = f"{self.noun} {trial.number}", self.labels.get(trial.number, ""), self._start(trial)
        if trial.outcome is not None:
            reason = _first_line(trial.outcome.error or "")
            end = f"{trial.state} {_value(trial)}".rstrip() + (f": {reason}" if reason else "")
            return f"{name}: {end}  {label}".rstrip()
        if trial.state == "waiting" and self.controller.backoff.refusals[trial.number]:
            message = _first_line(self.controller.backoff.message or "")
            return f"{name}: refused: {message}" if message else None
        if trial.state == "paused":
            return f"{name}: paused" + (f" at {trial.last[1]:.4g}" if trial.last else "") + f"  {label}".rstrip()
        if trial.state != "running" or (start == 1 and self.live):  # a first start is in the table
            return None
        again = f" again (start {start})" if start > 1 else ""
        why = ", because its job ended without a result" if again and trial.vanished else ""
        why = ", after a pause" if trial.promoted else why
        action = f"submitted{again}{why}, SLURM job {trial.job}" if self.on_slurm else f"started{again}{why}"
        return f"{name}: {action}  {label}"

    def _start(self, trial: TrialState) -> int:
        """Which start it is, from 1; a refused submission was none."""
        return 1 + trial.attempt - self.controller.backoff.refusals[trial.number]

    def _table(self) -> Table:
        table = Table(title=Text(self.folder.name), title_justify="left", title_style="bold", expand=True)
        for heading in (self.noun, "state", "value", "for"):
            table.add_column(heading, no_wrap=True)
        table.add_column("overrides", overflow="ellipsis", no_wrap=True, ratio=1)  # what a narrow terminal cuts
        rows = shown(self.controller.trials)
        fits = max(3, self.console.height - FRAME_LINES)  # the rest would be cut off, and is slow to draw for hundreds
        if len(rows) > fits:
            table.caption = f"and {len(rows) - fits} more"
        for trial in rows[:fits]:
            elapsed = duration(self.controller.elapsed - trial.since) if trial.outcome is None else ""
            value = _value(trial) or ("" if trial.last is None else f"{trial.last[1]:.4g}")
            again = f" ({self._start(trial)})" if self._start(trial) > 1 else ""
            label = Text(self.labels.get(trial.number, ""))  # no markup: [q_proj,v_proj] is a value
            table.add_row(str(trial.number), trial.state + again, value, elapsed, label)
        return table


def short_keys(overrides: Sequence[str]) -> list[str]:
    """Return overrides with the last part of each key: `rank=8` for `peft.rank=8`; whole where two keys share it."""
    pairs = [text.partition("=") for text in overrides]
    last = [key.rpartition(".")[2] for key, _, _ in pairs]
    return [
        f"{short if last.count(short) == 1 else key}{equals}{value}"
        for (key, equals, value), short in zip(pairs, last, strict=True)
    ]


def shown(trials: Sequence[TrialState]) -> list[TrialState]:
    """Return what runs, and of the other trials those with the highest numbers."""
    running = [trial for trial in trials if trial.outcome is None]
    ended = [trial for trial in trials if trial.outcome is not None]
    return sorted([*running, *ended[-max(0, ROWS - len(running)) or len(ended) :]], key=lambda trial: trial.number)


def best(trials: Sequence[TrialState], direction: Direction) -> TrialState | None:
    """Return the first of the complete trials with the best value."""
    values = [
        (trial.outcome.value, trial)
        for trial in trials
        if trial.state == "complete" and trial.outcome and trial.outcome.value is not None
    ]
    return (max if direction == "maximize" else min)(values, key=lambda pair: pair[0])[1] if values else None


def _progress(trial: TrialState) -> tuple[str, int]:
    """What is printed when it changes."""
    return trial.state, trial.attempt


def _value(trial: TrialState) -> str:
    return f"{trial.outcome.value:.4g}" if trial.outcome and trial.outcome.value is not None else ""


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")[:200]
