"""Progress in the terminal: a live bar where it can be drawn, and a line for every measurement."""

import time
from types import TracebackType
from typing import SupportsFloat

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from mcqa.runs.duration import duration

READ_EVERY_S = 0.5
"""Seconds between two losses that the bar reads: reading one waits for the GPU."""

WIDE = 100
"""Columns of a terminal from which on the bar has questions per second too."""


class TrainingProgress:
    """Show the loss, the metric that chooses the best state, questions per second and the remaining time.

    The loss of the bar is that of the current update; that of a printed line is the one that was logged.
    """

    def __init__(self, console: Console, updates: int, best_metric: str = "dev/acc") -> None:
        self.console, self.updates, self.best_metric = console, updates, best_metric
        self.values: dict[str, float] = {}
        self.began = time.perf_counter()
        self.first: int | None = None  # the update at which this process began: a resumed run has others before it
        self.current: float | None = None
        self.read = 0.0
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=24),  # the only column that may become narrower
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[values]}"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=updates, values="")

    def __enter__(self) -> "TrainingProgress":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def advance(self, step: int, loss: SupportsFloat) -> None:
        """Move the bar after an update. loss: its loss; of several processes this one's share."""
        now = time.monotonic()
        if not self.bar.disable and now - self.read >= READ_EVERY_S:
            self.read, self.current = now, float(loss)
            self.bar.update(self.task, completed=step, values=self._shown_in_bar())

    def update(self, metrics: dict[str, float], step: int) -> None:
        """Take metrics as they are logged, after `step` updates."""
        self.first = step - 1 if self.first is None else self.first
        self.values |= metrics
        self.bar.update(self.task, completed=step, values=self._shown_in_bar())
        if self.best_metric in metrics:
            width = len(str(self.updates))
            self.console.print(
                f"update {step:>{width}}/{self.updates}  {self._shown()}  {self._remaining(step)} left",
                highlight=False,
                markup=False,
            )

    def _shown_in_bar(self) -> str:
        current = {} if self.current is None else {"train/loss": self.current}
        return _in_words(self.values | current, self.best_metric, with_speed=self.console.width >= WIDE)

    def _shown(self) -> str:
        return _in_words(self.values, self.best_metric)

    def _remaining(self, step: int) -> str:
        done = step - (self.first or 0)
        return duration((time.perf_counter() - self.began) / max(1, done) * (self.updates - step))


def _in_words(values: dict[str, float], best_metric: str, with_speed: bool = True) -> str:
    formats = {"train/loss": "loss {:.3f}", best_metric: f"{best_metric} {{:.3f}}"}
    formats |= {"questions_per_second": "{:.0f} questions/s"} if with_speed else {}
    return "  ".join(text.format(values[name]) for name, text in formats.items() if name in values)
