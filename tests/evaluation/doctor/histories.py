"""Histories of made-up runs: a healthy one, and what differs from it in an ill one."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from mcqa.evaluation.doctor.history import Accuracy, Answers, History, Measurement, Setup
from mcqa.evaluation.doctor.updates import Update

SETUP = Setup(
    learning_rate=2e-3,
    recommended=2e-3,
    max_grad_norm=1.0,
    batch_size=32,
    updates_per_epoch=50,
    planned=200,
    letters=True,
)


def curve(
    loss: Callable[[int], float] = lambda at: 0.3 + 2 * math.exp(-at / 30),
    updates: int = 200,
    noise: float = 0.03,
    rate: Callable[[float], float] = lambda done: 2e-3 * (1 - done),
    norm: Callable[[int], float] = lambda at: 0.5,
    seed: int = 0,
) -> list[Update]:
    """Return updates whose loss has a noise in proportion to itself."""
    draw = random.Random(seed)
    return [
        Update(at + 1, loss(at) * math.exp(draw.gauss(0, noise)), norm(at), rate(at / updates)) for at in range(updates)
    ]


def answers(picked: Sequence[int] = (0, 1, 2, 3), questions: int = 200) -> Answers:
    """Return answers that pick these positions in turn; each of four is right equally often."""
    rows = [(picked[number % len(picked)], number % 4, 4) for number in range(questions)]
    made = Answers.of(rows)
    assert made is not None
    return made


def dev(*points: tuple[float, float], half: float = 0.05, every: int = 50) -> list[Measurement]:
    """Return measurements, each of an accuracy and a loss."""
    return [
        Measurement(every * number, Accuracy(accuracy, accuracy - half, accuracy + half), loss, loss)
        for number, (accuracy, loss) in enumerate(points, 1)
    ]


HEALTHY = History(
    setup=SETUP,
    updates=curve(),
    dev=dev((0.5, 1.1), (0.6, 0.9), (0.65, 0.85), (0.66, 0.84)),
    base=Accuracy(0.4, 0.35, 0.45),
    answers=answers(),
    questions=answers(),
    gain=Accuracy(0.2, 0.1, 0.3),
)


def healthy(setup: dict[str, Any] | None = None, **changes: Any) -> History:
    """Return the healthy run with changes, to its set-up too."""
    return replace(HEALTHY, setup=replace(SETUP, **(setup or {})), **changes)
