"""One swept key: what it may be, how Optuna is asked for it, and how a value becomes the text of an override.

    choice(a,b)   a,b   [lists]    -> Choice     any values; what Optuna cannot hold stands there as its text
    range(1,9,2)  range(0,1,0.25)  -> Range      a grid of numbers, the end excluded
    interval(a,b)                  -> Interval   floats, both ends included; int(interval(a,b)) whole numbers
    tag(log,interval(a,b))                       on a log scale

Optuna is only used through the trial that a caller hands in, so nothing here imports it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol

from mcqa.sweep.space.override_text import text_of


class Dimension(Protocol):
    """`key` is written as the override writes it (`+peft.rank`); Optuna and the tables call it `name` (`peft.rank`)."""

    @property
    def key(self) -> str: ...
    @property
    def shuffled(self) -> bool: ...
    @property
    def name(self) -> str: ...

    def grammar(self) -> str:
        """In Hydra's grammar, the same text however it was spelt."""

    def suggest(self, trial: Any) -> str:
        """The text of what an Optuna trial suggests."""

    def param(self, value: Any) -> Any:
        """What Optuna holds for a value of the configuration.

        Raises:
            ValueError: when the value lies outside.
        """

    def size(self) -> int | None:
        """How many values there are; None of an interval."""

    def params(self) -> Iterator[Any]:
        """Every value as Optuna holds it, in order. An interval has none."""


class _Named:
    key: str

    @property
    def name(self) -> str:
        return self.key.lstrip("+")


@dataclass(frozen=True)
class Choice(_Named):
    key: str
    options: tuple[Any, ...]
    shuffled: bool

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(map(text_of, self.options))

    @cached_property
    def labels(self) -> tuple[Any, ...]:
        """What Optuna holds: the values, or their texts where two are equal in Python (1 and true) or NaN."""
        labels = tuple(
            text if isinstance(option, list | dict) else option
            for option, text in zip(self.options, self.texts, strict=True)
        )
        return labels if len(set(labels)) == len(labels) and all(one == one for one in labels) else self.texts

    def grammar(self) -> str:
        text = f"choice({','.join(self.texts)})"
        return f"shuffle({text})" if self.shuffled else text

    def suggest(self, trial: Any) -> str:
        return self.texts[self.labels.index(trial.suggest_categorical(self.name, self.labels))]

    def param(self, value: Any) -> Any:
        for option, label in zip(self.options, self.labels, strict=True):
            if option == value and isinstance(option, bool) == isinstance(value, bool):
                return label
        raise ValueError("is none of the choices")

    def size(self) -> int:
        return len(self.options)

    def params(self) -> Iterator[Any]:
        return iter(self.labels)


@dataclass(frozen=True)
class Range(_Named):
    """start, start + step, … before stop, reckoned in decimals: range(0,0.9,0.3) has no fourth value by rounding."""

    key: str
    start: int | float
    stop: int | float
    step: int | float
    shuffled: bool

    @property
    def whole(self) -> bool:
        return all(isinstance(number, int) for number in (self.start, self.stop, self.step))

    def size(self) -> int:
        return max(0, math.ceil((_decimal(self.stop) - _decimal(self.start)) / _decimal(self.step)))

    def value(self, index: int) -> int | float:
        number = _decimal(self.start) + index * _decimal(self.step)
        return int(number) if self.whole else float(number)

    def grammar(self) -> str:
        text = f"range({self.start!r},{self.stop!r},{self.step!r})"
        return f"shuffle({text})" if self.shuffled else text

    def suggest(self, trial: Any) -> str:
        low, high = sorted((self.value(0), self.value(self.size() - 1)))
        if self.whole:
            return repr(trial.suggest_int(self.name, low, high, step=abs(self.step)))
        return repr(self.value(self._place(trial.suggest_float(self.name, low, high, step=abs(self.step)))[0]))

    def param(self, value: Any) -> Any:
        index, off = self._place(_number(value))
        if off > Decimal("1e-8") or not 0 <= index < self.size():
            raise ValueError("is not in the range")
        return self.value(index)

    def _place(self, number: int | float) -> tuple[int, Decimal]:
        """The index of the nearest value, and how many steps it is away: Optuna's 0.1 + 2 * 0.1 is not 0.3."""
        place = (_decimal(number) - _decimal(self.start)) / _decimal(self.step)
        return round(place), abs(place - round(place))

    def params(self) -> Iterator[Any]:
        return map(self.value, range(self.size()))


@dataclass(frozen=True)
class Interval(_Named):
    """Both ends belong to it. Whole numbers where both ends are whole, as after int(...)."""

    key: str
    low: int | float
    high: int | float
    log: bool

    shuffled = False

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def grammar(self) -> str:
        text = f"interval({self.low!r},{self.high!r})"
        text = f"int({text})" if self.whole else text
        return f"tag(log,{text})" if self.log else text

    def suggest(self, trial: Any) -> str:
        ask = trial.suggest_int if self.whole else trial.suggest_float
        return repr(ask(self.name, self.low, self.high, log=self.log))

    def param(self, value: Any) -> Any:
        number = _number(value)
        if not self.low <= number <= self.high or (self.whole and number != int(number)):
            raise ValueError("is not in the interval")
        return int(number) if self.whole else float(number)

    def size(self) -> None:
        return None

    def params(self) -> Iterator[Any]:
        return iter(())


def _decimal(number: int | float) -> Decimal:
    return Decimal(repr(number))


def _number(value: Any) -> int | float:
    """
    Raises:
        ValueError: when it is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("is no number")
    return value
