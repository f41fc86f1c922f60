"""The records that a report is made from: a study and its trials as their files say at one moment."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import yaml

from mcqa.runs.files import flatten
from mcqa.sweep.options import Direction

Status = Literal["complete", "pruned", "failed", "running", "paused", "waiting"]

STATUSES: tuple[Status, ...] = get_args(Status)
ENDED: tuple[Status, ...] = ("complete", "pruned", "failed")


class Stint(NamedTuple):
    """A time in which a trial held a slot, from 0."""

    slot: int
    start: float
    end: float


@dataclass(frozen=True)
class TrialRecord:
    """One trial. Times are in seconds since 1970."""

    number: int
    status: Status
    value: float | None  # of a complete trial that returned a finite number
    params: Mapping[str, Any]  # by swept key
    reports: tuple[tuple[int, float], ...]  # (point, value) in order, each point once
    started: float | None
    ended: float | None
    last_seen: float | None  # the last sign of life of a trial that runs or is paused
    seconds: float | None
    attempts: int
    error: str | None
    commit: str | None  # of the code that ran, known once the trial has ended
    slot: int | None  # of the controller, from 0
    default: bool | None  # whether it has the default configuration; None where the storage does not say
    folder: Path
    values: Mapping[str, Any] = field(default_factory=dict)  # of the keys whose `params` are factors
    stints: tuple[Stint, ...] = ()  # of a trial that has paused

    def value_of(self, key: str) -> Any:
        """Return what the trial's configuration has for a key; None where that is unknown or it lacks the key."""
        return self.values.get(key) if key in self.values else self.params.get(key)


@dataclass(frozen=True)
class SweptKey:
    """A key of the search space."""

    key: str
    log: bool  # searched on a logarithmic scale
    choices: tuple[Any, ...] | None  # of a categorical key, in order
    is_factor: bool = False  # of the recommended value


@dataclass(frozen=True)
class StudyRecord:
    """A study as it is at the time `now`, in seconds since 1970."""

    folder: Path
    name: str
    now: float
    metric: str
    direction: Direction
    base: Mapping[str, Any]  # the configuration that the trials vary
    overrides: tuple[str, ...]  # of the command line that began the study
    description: Mapping[str, Any]  # study.yaml
    swept: tuple[SweptKey, ...]
    trials: tuple[TrialRecord, ...]
    problems: tuple[str, ...]  # what could not be read
    storage: Any = field(repr=False, compare=False)  # the optuna.Study; None where it cannot be read

    @cached_property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The complete trials with a value, the best first."""
        return tuple(sorted((trial for trial in self.trials if trial.value is not None), key=self._rank))

    def _rank(self, trial: TrialRecord) -> tuple[float, int]:
        assert trial.value is not None
        return -trial.value if self.direction == "maximize" else trial.value, trial.number

    @cached_property
    def counts(self) -> Mapping[Status, int]:
        counts = Counter(trial.status for trial in self.trials)
        return {status: counts[status] for status in STATUSES}

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The value, or factor, of every swept key in the base configuration; of a group its option's name."""
        leaves, groups = flatten(self.base), self.base
        return {
            swept.key: 1
            if swept.is_factor
            else group.get("name")
            if isinstance(group := groups.get(swept.key), Mapping)
            else leaves.get(swept.key.lstrip("+"))
            for swept in self.swept
        }

    @cached_property
    def default_trial(self) -> TrialRecord | None:
        """The trial of the default configuration; None where no trial has it.

        A storage that does not mark it leaves only the values to go by, and a group whose option has no name never
        matches.
        """
        if any(trial.default is not None for trial in self.trials):
            return next((trial for trial in self.trials if trial.default), None)
        return next((trial for trial in self.trials if self._has_default_values(trial)), None)

    def _has_default_values(self, trial: TrialRecord) -> bool:
        return bool(trial.params) and all(same(self.defaults[key], value) for key, value in trial.params.items())


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in a configuration: Optuna's choices have a list as text, and True is not 1."""
    if isinstance(one, (list, dict)) and isinstance(other, str):
        return bool(one == parse_yaml(other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def parse_yaml(text: str) -> Any:
    """Return what the text means in YAML, or the text itself where it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def short_commit(commit: str | None) -> str:
    name, plus, dirty = (commit or "none").partition("+")
    return name[:7] + plus + dirty


def is_number(value: Any) -> bool:
    """Whether a stored value is a number; an integer beyond all floats is damage."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300)
