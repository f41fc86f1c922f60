"""What the rules look at: the set-up of a run, its updates, what dev measured and how it answers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import Any

from mcqa.evaluation.doctor import robust
from mcqa.evaluation.doctor.updates import Update
from mcqa.runs.files import flatten

FEWEST_POINTS = 20
"""With fewer points a rule about a curve says nothing, unless its own docstring names another number."""

ADAM_LIKE = ("adamw", "adamw_8bit", "paged_adamw_8bit", "muon")
"""Optimizers whose learning rates model.learning_rate is meant for. Their steps do not grow with the gradient."""


@dataclass(frozen=True)
class Setup:
    """What the configuration says; None where a run of an earlier version does not."""

    learning_rate: float | None = None
    recommended: float | None = None  # learning rate of this model and peft
    optimizer: str = "adamw"
    max_grad_norm: float | None = None  # None: no clipping
    batch_size: int | None = None
    scheduler: str = "cosine"
    objective: str = "sft"
    precision: str = "fp32"
    letters: bool = False
    updates_per_epoch: int | None = None
    planned: int | None = None  # updates

    @classmethod
    def of(cls, config: Mapping[str, Any], questions: int | None = None) -> "Setup":
        """Return the set-up that a stored configuration describes. questions: to train on, where they are known."""
        leaves = flatten(config)

        def number(key: str) -> float | None:
            value = leaves.get(key)
            return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

        batch, epochs, most = number("optimizer.batch_size"), number("objective.epochs"), number("objective.max_steps")
        per_epoch = math.ceil(questions / batch) if questions and batch else None
        limits = [limit for limit in (most, per_epoch and epochs and math.ceil(per_epoch * epochs)) if limit]
        style, recommended = leaves.get("prompt.style"), number(f"model.learning_rate.{leaves.get('peft.trainable')}")
        return cls(
            learning_rate=number("optimizer.learning_rate"),
            recommended=recommended and recommended * (number("objective.learning_rate_factor") or 1.0),
            optimizer=str(leaves.get("optimizer.name")),
            max_grad_norm=number("optimizer.max_grad_norm") or None,
            batch_size=int(batch) if batch else None,
            scheduler=str(leaves.get("scheduler.name")),
            objective=str(leaves.get("objective.name")),
            precision=str(leaves.get("hardware.precision")),
            letters=(leaves.get("data.prompt.style") if style == "published" else style) == "letters",
            updates_per_epoch=per_epoch,
            planned=int(min(limits)) if limits else None,
        )

    @property
    def factor(self) -> float | None:
        """The learning rate over the recommended one; None where there is none for this optimizer."""
        if not self.learning_rate or not self.recommended or self.optimizer not in ADAM_LIKE:
            return None
        return self.learning_rate / self.recommended


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Measurement:
    """Dev after an update. loss: nats per token of the right choices. nll: of a softmax over the choices."""

    update: int
    accuracy: Accuracy | None
    loss: float | None
    nll: float | None


@dataclass(frozen=True)
class Answers:
    """Which choices a model picks: by position, how often it is picked and how often it is right.

    chance: accuracy of guessing. ln_choices: nats of a question whose choices are all equally likely.
    """

    picked: Mapping[int, int]
    right: Mapping[int, int]
    chance: float
    ln_choices: float

    @classmethod
    def of(cls, rows: Sequence[tuple[int | None, int, int]]) -> "Answers | None":
        """Return the answers of questions, each with the choice that is picked, the right one and how many there
        are."""
        if not rows:
            return None
        picked = Counter(choice for choice, _, _ in rows if choice is not None)
        chance = sum(1 / choices for _, _, choices in rows) / len(rows)
        ln_choices = sum(math.log(choices) for _, _, choices in rows) / len(rows)
        return cls(picked, Counter(right for _, right, _ in rows), chance, ln_choices)

    @property
    def questions(self) -> int:
        return sum(self.right.values())


@dataclass(frozen=True)
class History:
    """A run so far, or to its end.

    every: updates for each of `updates`: 1, or more where only means are known. base: accuracy of the base on dev.
    answers: of dev (or test) by the model, and questions: the same of whatever model, for what guessing gives.
    gain: what training changed on test, paired, with its interval. elsewhere: the same of each further set.
    ended: the training has made its last update.
    group_zero: groups of parameters with a zero gradient at the first update.
    """

    setup: Setup
    updates: Sequence[Update] = ()
    every: int = 1
    dev: Sequence[Measurement] = ()
    base: Accuracy | None = None
    answers: Answers | None = None
    questions: Answers | None = None
    gain: Accuracy | None = None
    elsewhere: Mapping[str, Accuracy] = field(default_factory=dict)
    ended: bool = True
    group_zero: Sequence[str] = field(default_factory=tuple)

    @cached_property
    def losses(self) -> list[float]:
        """The losses that are numbers."""
        return robust.finite([one.loss for one in self.updates])

    @property
    def last(self) -> int:
        """The number of updates so far."""
        return self.updates[-1].number if self.updates else 0

    @property
    def has_curve(self) -> bool:
        """Whether there are enough points for a rule about the loss."""
        return len(self.losses) >= FEWEST_POINTS

    @cached_property
    def noise(self) -> float:
        """The standard deviation of the loss of an update around the trend."""
        return robust.noise(self.losses)

    @cached_property
    def start(self) -> float:
        """The loss at the beginning: the median of the first twentieth of the points, of at least three."""
        return median(self.losses[: max(3, min(20, len(self.losses) // 20))])

    @property
    def window(self) -> int:
        """How many points make the end: a tenth of them, and at least five."""
        return max(5, len(self.losses) // 10)

    @cached_property
    def end(self) -> float:
        """The loss at the end."""
        return median(self.losses[-self.window :])

    @cached_property
    def best(self) -> float:
        """The lowest loss over a window."""
        return min([*robust.running_medians(self.losses, self.window), self.end])

    def around(self, update: int) -> float | None:
        """The loss of training near an update."""
        near = [one.loss for one in self.updates if abs(one.number - update) <= max(5 * self.every, self.last // 20)]
        return median(robust.finite(near)) if robust.finite(near) else None

    @property
    def above_chance(self) -> bool:
        """Whether dev was ever answered better than by guessing, beyond the interval."""
        chance = self.questions.chance if self.questions else None
        return chance is not None and any(one.accuracy and one.accuracy.low > chance for one in self.dev)
