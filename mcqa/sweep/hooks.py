"""What an application may add to a study of its runs; it hands these in with its task function."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mcqa.config.schema import ConfigDict
from mcqa.sweep.controller.events import Outcome
from mcqa.sweep.options import Direction

if TYPE_CHECKING:
    from mcqa.sweep.report.write import Summary
    from mcqa.sweep.space.space import Space


class Hooks(Protocol):
    """What an app may add. Every configuration is resolved and without hydra's own node."""

    def complete(self, config_dict: ConfigDict, overrides: Sequence[str]) -> list[str]:
        """Fill in what the app resolves itself; return what is wrong with a configuration before it is submitted."""

    def check(self, base: ConfigDict, space: "Space", metric: str | None, pruner: str) -> list[str]:
        """Return what is wrong with studying this space from this base configuration. pruner: its name."""

    def direction(self, base: ConfigDict) -> Direction:
        """Return that of the metric, for a study whose hydra.sweeper.direction is null."""

    def observers(self, base: ConfigDict, folder: Path, params: Mapping[str, Any]) -> "Sequence[Observer]":
        """Return who is notified while the study in `folder` runs; `params` describe it."""

    def finished(self, summary: "Summary", complete: bool) -> None:
        """Called at the end of a study, after its report is written."""

    def modules(self) -> Sequence[str]:
        """Return what every job imports: a process on this machine imports it once, in this order, and forks the jobs.

        None of them may start a thread or use a GPU at its import.
        """

    # The others are only called where jobs go to a cluster.

    def missing(self, config_dicts: Sequence[ConfigDict]) -> list[str]:
        """Return what these configurations need and a node without a network could not get."""

    def variables(self, config_dict: ConfigDict) -> Mapping[str, str]:
        """Return the environment variables of a job."""

    def memory(self, config_dicts: Sequence[ConfigDict]) -> tuple[list[str], list[str]]:
        """Return what jobs with these need of each GPU, for the user, and which of them do not fit."""

    def seconds(self, config_dict: ConfigDict) -> list[float]:
        """Return how long earlier runs like this one took."""


class Observer(Protocol):
    """Who is notified, such as a tracker. Nothing that it raises stops a study."""

    def tick(self, running: Sequence[Path]) -> None:
        """Called in every round, with the folders of the trials that run."""

    def trial_ended(self, folder: Path, outcome: Outcome) -> None: ...
