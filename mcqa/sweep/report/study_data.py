"""What a study has left behind so far: its description, its trials, and what of it cannot be read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from mcqa.runs.files import flat

Status = Literal["complete", "pruned", "failed", "running", "waiting"]


Direction = Literal["maximize", "minimize"]


STATUSES: tuple[Status, ...] = ("complete", "pruned", "failed", "running", "waiting")


ENDED: tuple[Status, ...] = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class TrialRecord:
    """One trial. Times are seconds since 1970; reports are (point, value), each point once, in order.

    values: of a complete trial, one an objective. params: what was swept, by key. alive: when a trial that has not
    ended last gave a sign of life. default: whether it has the default configuration, as the storage says; None where
    it says nothing.
    """

    number: int
    status: Status
    commit: str | None  # of the code that ran, once it ended
    values: tuple[float, ...]
    params: Mapping[str, Any]
    reports: tuple[tuple[int, float], ...]
    started: float | None
    ended: float | None
    alive: float | None
    seconds: float | None
    attempts: int
    error: str | None
    slot: int | None
    default: bool | None
    folder: Path

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True)
class SweptKey:
    """What is swept by one key. choices: of a categorical one, in its order; log: on a logarithmic scale."""

    key: str
    log: bool
    choices: tuple[Any, ...] | None


@dataclass(frozen=True)
class StudyRecord:
    """A study as it is at `now`. `storage` is Optuna's Study, None where it cannot be read."""

    folder: Path
    name: str
    now: float
    metrics: tuple[str, ...]
    directions: tuple[Direction, ...]
    base: Mapping[str, Any]
    overrides: tuple[str, ...]
    description: Mapping[str, Any]
    swept: tuple[SweptKey, ...]
    trials: tuple[TrialRecord, ...]
    problems: tuple[str, ...]
    storage: Any = field(repr=False, compare=False)

    @cached_property
    def complete(self) -> tuple[TrialRecord, ...]:
        """Of one objective the best first, of several in their order."""
        found = [
            trial for trial in self.trials if trial.status == "complete" and len(trial.values) == len(self.metrics)
        ]
        if len(self.metrics) > 1:
            return tuple(found)
        return tuple(sorted(found, key=lambda trial: (self.loss(trial.values), trial.number)))

    @cached_property
    def counts(self) -> Mapping[Status, int]:
        found = Counter(trial.status for trial in self.trials)
        return {status: found[status] for status in STATUSES}

    def loss(self, values: Sequence[float], objective: int = 0) -> float:
        """One objective turned so that less is better."""
        return -values[objective] if self.directions[objective] == "maximize" else values[objective]

    @cached_property
    def front(self) -> tuple[TrialRecord, ...]:
        """The complete trials that no other one beats in every objective; of one objective, the best trial."""
        if len(self.metrics) == 1:
            return self.complete[:1]
        losses = [[self.loss(trial.values, i) for i in range(len(self.metrics))] for trial in self.complete]
        kept = [not any(_dominates(other, one) for other in losses) for one in losses]
        return tuple(trial for trial, keep in zip(self.complete, kept, strict=True) if keep)

    @cached_property
    def default(self) -> TrialRecord | None:
        """The trial that was asked with the values of the base configuration.

        Where the storage does not say, the values are compared, which cannot tell the option of a group without a name.
        """
        if any(trial.default is not None for trial in self.trials):
            return next((trial for trial in self.trials if trial.default), None)
        defaults = flat(self.base)
        return next((trial for trial in self.trials if _is_default(trial, defaults, self.base)), None)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)


def _is_default(trial: TrialRecord, defaults: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    return bool(trial.params) and all(same(default(key, defaults, base), value) for key, value in trial.params.items())


def default(key: str, defaults: Mapping[str, Any], base: Mapping[str, Any]) -> Any:
    """The base configuration's value of a swept key; of a group (`model`) the name of its option."""
    group = base.get(key)
    return group.get("name") if isinstance(group, Mapping) else defaults.get(key.lstrip("+"))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same once they are in a configuration, where a list may stand as text."""
    if isinstance(one, (list, dict)) and isinstance(other, str):
        return bool(one == plain(other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def plain(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def short_commit(commit: str | None) -> str:
    name, plus, dirty = (commit or "none").partition("+")
    return name[:7] + plus + dirty


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
