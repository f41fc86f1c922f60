"""What an application may add to a study of its runs; it hands these in with its task function."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mcqa.sweep.controller.events import Outcome
from mcqa.sweep.options import Direction

if TYPE_CHECKING:
    from mcqa.sweep.report.write import Summary
    from mcqa.sweep.space.space import Space

ConfigDict = dict[str, Any]


class Hooks(Protocol):
    """What an app may add. Every configuration is a plain tree, resolved and without hydra's own node."""

    def complete(self, tree: ConfigDict, overrides: Sequence[str]) -> list[str]:
        """Fill in what the app resolves itself; returns what is wrong with a configuration before it is submitted."""

    def check(self, tree: ConfigDict, space: "Space", metric: str | None, pruned: bool) -> list[str]:
        """What is wrong with studying this space from this base configuration."""

    def direction(self, tree: ConfigDict) -> Direction:
        """Of the metric, where hydra.sweeper.direction leaves it open."""

    def observers(self, tree: ConfigDict, folder: Path, params: Mapping[str, Any]) -> "Sequence[Observer]":
        """Who is told how the study goes."""

    def finished(self, summary: "Summary", complete: bool) -> None:
        """At the end of a study, after its report is written."""

    # asked only where jobs go to a cluster

    def missing(self, trees: Sequence[ConfigDict]) -> list[str]:
        """What these configurations need and a node without a network could not get."""

    def variables(self, tree: ConfigDict) -> Mapping[str, str]:
        """Of the environment of a job."""

    def memory(self, trees: Sequence[ConfigDict]) -> tuple[list[str], list[str]]:
        """What jobs with these need of each GPU, for the user, and which of them cannot have it."""

    def seconds(self, tree: ConfigDict) -> list[float]:
        """How long earlier runs like this one took."""


class Observer(Protocol):
    """Who wants to know, such as a tracker. Nothing that it raises stops a study."""

    def tick(self, running: Sequence[Path]) -> None: ...
    def told(self, folder: Path, outcome: Outcome) -> None: ...
