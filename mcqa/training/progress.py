"""Progress in the terminal: a live bar where there is one, and a line for every measurement anywhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class TrainingProgress:
    """Shows loss, what steers, questions per second and time left; feed it the metrics as they come."""

    def __init__(self, console: Console, updates: int, best_metric: str = "dev/acc") -> None:
        self.console, self.updates, self.best_metric = console, updates, best_metric
        self.values: dict[str, float] = {}
        self.began = time.perf_counter()
        self.first: int | None = None  # a resumed run has not just done the updates before its start
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
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

    def update(self, metrics: dict[str, float], step: int) -> None:
        self.first = step - 1 if self.first is None else self.first
        self.values |= metrics
        self.bar.update(self.task, completed=step, values=self._shown())
        if self.best_metric in metrics:
            width = len(str(self.updates))
            self.console.print(
                f"update {step:>{width}}/{self.updates}  {self._shown()}  {self._left(step)} left",
                highlight=False,
                markup=False,
            )

    def _shown(self) -> str:
        parts = []
        if "train/loss" in self.values:
            parts.append(f"loss {self.values['train/loss']:.3f}")
        if self.best_metric in self.values:
            parts.append(f"{self.best_metric} {self.values[self.best_metric]:.3f}")
        if "questions_per_second" in self.values:
            parts.append(f"{self.values['questions_per_second']:.0f} questions/s")
        return "  ".join(parts)

    def _left(self, step: int) -> str:
        done = step - (self.first or 0)
        seconds = (time.perf_counter() - self.began) / max(1, done) * (self.updates - step)
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
