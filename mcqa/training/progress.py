"""Progress in the terminal: a live bar where it can be drawn, and a line for every measurement."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mcqa.runs.duration import duration


class TrainingProgress:
    """Show the loss, the metric that chooses the best state, questions per second and the remaining time."""

    def __init__(self, console: Console, updates: int, best_metric: str = "dev/acc") -> None:
        self.console, self.updates, self.best_metric = console, updates, best_metric
        self.values: dict[str, float] = {}
        self.began = time.perf_counter()
        self.first: int | None = None  # the update at which this process began: a resumed run has others before it
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
        """Take metrics as they are logged, after `step` updates."""
        self.first = step - 1 if self.first is None else self.first
        self.values |= metrics
        self.bar.update(self.task, completed=step, values=self._shown())
        if self.best_metric in metrics:
            width = len(str(self.updates))
            self.console.print(
                f"update {step:>{width}}/{self.updates}  {self._shown()}  {self._remaining(step)} left",
                highlight=False,
                markup=False,
            )

    def _shown(self) -> str:
        formats = {
            "train/loss": "loss {:.3f}",
            self.best_metric: f"{self.best_metric} {{:.3f}}",
            "questions_per_second": "{:.0f} questions/s",
        }
        return "  ".join(text.format(self.values[name]) for name, text in formats.items() if name in self.values)

    def _remaining(self, step: int) -> str:
        done = step - (self.first or 0)
        return duration((time.perf_counter() - self.began) / max(1, done) * (self.updates - step))
