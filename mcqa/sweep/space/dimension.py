"""One swept key: its distribution in Optuna, and how its values are written in Hydra's override grammar.

The kinds of dimensions:

    choice(a,b)   a,b   [lists]    CategoricalDistribution; what Optuna cannot hold stands there as its text
    range(1,9,2)  range(0,1,0.25)  IntDistribution, or FloatDistribution with a step; the end is excluded
    interval(a,b)                  FloatDistribution, both ends included; int(interval(a,b)) IntDistribution
    tag(log,interval(a,b))         the same on a log scale
    tag(factor,…)                  any of these: Optuna holds a factor, and the override is the factor times the value
                                   that the configuration has without it
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial

from mcqa.sweep.space.override_text import text_of

Number = int | float
Distribution = CategoricalDistribution | IntDistribution | FloatDistribution

TOLERANCE = 1e-8  # of a step, within which a number of the configuration is one of a range

NO_VALUES = "there is nothing to choose from."


@dataclass(frozen=True)
class Dimension:
    """A swept key."""

    key: str  # as the override writes it (`+peft.rank`); Optuna and the tables call it `name` (`peft.rank`)
    distribution: Distribution
    grammar: str  # its values in Hydra's grammar, the same text however they were spelt
    options: tuple[Any, ...] = ()  # of a choice, what each of Optuna's choices stands for
    enumerable: bool = True  # the values of a choice and of a range can be listed, those of an interval cannot
    descending: bool = False  # the order in which a grid takes the values
    shuffled: bool = False
    is_factor: bool = False  # of the recommended value: what the trial's configuration has without this override

    @property
    def name(self) -> str:
        return self.key.lstrip("+")

    @property
    def is_log(self) -> bool:
        return bool(getattr(self.distribution, "log", False))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The options of a choice as overrides write them."""
        return tuple(map(text_of, self.options))

    def text(self, value: Any) -> str:
        """Return how an override writes a value that Optuna holds."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.texts[int(self.distribution.to_internal_repr(value))]
        return repr(_nearest(self.distribution, value))

    def suggest(self, trial: BaseTrial) -> Any:
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(self.name, choices)
            case IntDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_int(self.name, low, high, step=step, log=log)
            case FloatDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_float(self.name, low, high, step=step, log=log)

    def param(self, value: Any) -> Any:
        """Return what Optuna holds for a value of the configuration.

        Raises:
            ValueError: the value lies outside.
        """
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            for option, choice in zip(self.options, distribution.choices, strict=True):
                if option == value and isinstance(option, bool) == isinstance(value, bool):
                    return choice
        elif not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value):
            nearest = _nearest(distribution, value)
            near = abs(nearest - value) <= TOLERANCE * (distribution.step or 1)
            if near and distribution.low <= nearest <= distribution.high:
                return nearest
        raise ValueError(f"is not in {self.grammar}")

    def size(self) -> int | None:
        """Return how many values there are; None for an interval."""
        if isinstance(self.distribution, CategoricalDistribution):
            return len(self.options)
        if not self.enumerable:
            return None
        low, step = _low_and_step(self.distribution)
        return int((_decimal(self.distribution.high) - low) / step) + 1

    def values(self) -> Sequence[Any]:
        """Return every value as Optuna holds it, in the order in which they were written; of an interval none."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices
        low, step = _low_and_step(self.distribution)
        values = [_nearest(self.distribution, low + index * step) for index in range(self.size() or 0)]
        return values[::-1] if self.descending else values

    def values_or_ends(self) -> Sequence[Any]:
        """Return every value as Optuna holds it; of an interval both ends."""
        if self.enumerable or isinstance(self.distribution, CategoricalDistribution):
            return self.values()
        return self.distribution.low, self.distribution.high


def choice(key: str, options: Sequence[Any], shuffled: bool = False) -> Dimension:
    """Return a choice. Optuna holds the values, or their texts where two are equal in Python (1 and true) or NaN.

    Raises:
        ValueError: there are none, or one that no override can say.
    """
    if not options:
        raise ValueError(NO_VALUES)
    texts = list(map(text_of, options))
    choices = [text if isinstance(option, list | dict) else option for option, text in zip(options, texts, strict=True)]
    if len(set(choices)) < len(choices) or any(option != option for option in choices):
        choices = texts
    return Dimension(
        key,
        CategoricalDistribution(choices),
        _shuffle(f"choice({','.join(texts)})", shuffled),
        tuple(options),
        shuffled=shuffled,
    )


def number_range(key: str, start: Number, stop: Number, step: Number, shuffled: bool = False) -> Dimension:
    """Return start, start + step, … before stop, in decimals: range(0,0.9,0.3) has no fourth value by rounding.

    Raises:
        ValueError: it is empty or infinite.
    """
    if not all(map(math.isfinite, (start, stop, step))) or step == 0:
        raise ValueError("a range needs finite ends and a step other than 0.")
    count = math.ceil((_decimal(stop) - _decimal(start)) / _decimal(step))
    if count < 1:
        raise ValueError("there is nothing in this range; the end does not belong to it.")
    whole = all(isinstance(number, int) for number in (start, stop, step))
    low, high = sorted((_decimal(start), _decimal(start) + (count - 1) * _decimal(step)))
    distribution = (
        IntDistribution(int(low), int(high), step=abs(int(step)))
        if whole
        else FloatDistribution(float(low), float(high), step=abs(step))
    )
    grammar = _shuffle(f"range({start!r},{stop!r},{step!r})", shuffled)
    return Dimension(key, distribution, grammar, descending=step < 0, shuffled=shuffled)


def interval(key: str, low: Number, high: Number, log: bool = False) -> Dimension:
    """Return an interval with both ends; of whole numbers where both ends are whole, as after int(...).

    Raises:
        ValueError: it is empty or infinite, or begins at 0 or below on a log scale.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("an interval needs two finite ends.")
    if low > high:
        raise ValueError(f"the lower end {low} is above the upper end {high}.")
    if log and low <= 0:
        raise ValueError(f"a log scale cannot begin at {low}; give a lower end above 0.")
    grammar = f"interval({low!r},{high!r})"
    distribution: Distribution = FloatDistribution(low, high, log=log)
    if isinstance(low, int) and isinstance(high, int):
        grammar, distribution = f"int({grammar})", IntDistribution(low, high, log=log)
    return Dimension(key, distribution, f"tag(log,{grammar})" if log else grammar, enumerable=False)


def factors(dimension: Dimension) -> Dimension:
    """Return the same values as factors of the recommended one.

    Raises:
        ValueError: one of them is no number of at least 0.
    """
    for value in dimension.options or dimension.values_or_ends():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"a factor is a number of at least 0, not {text_of(value)}.")
    log, rest = ("log,", dimension.grammar[len("tag(log,") : -1]) if dimension.is_log else ("", dimension.grammar)
    return replace(dimension, grammar=f"tag({log}factor,{rest})", is_factor=True)


def is_factor(grammar: object) -> bool:
    """Whether the values of a key in a stored study are factors, by their text in study.yaml."""
    return str(grammar).startswith(("tag(factor,", "tag(log,factor,"))


def times(factor: Number | Decimal, recommended: Number) -> Number:
    """Return the product in decimals: 0.1 times 0.0003 is 3e-05. It is whole where it can be, as 0.5 times 32."""
    product = _decimal(factor) * _decimal(recommended)
    whole = isinstance(recommended, int) and product == product.to_integral_value()
    return int(product) if whole else float(product)


def _shuffle(grammar: str, shuffled: bool) -> str:
    return f"shuffle({grammar})" if shuffled else grammar


def _nearest(distribution: IntDistribution | FloatDistribution, number: Number | Decimal) -> Number:
    """The number of a range that is nearest: as a sum of floats Optuna's 0.1 + 2 * 0.1 is not 0.3."""
    if distribution.step is None:
        return float(number)
    low, step = _low_and_step(distribution)
    nearest = low + round((_decimal(number) - low) / step) * step
    return int(nearest) if isinstance(distribution, IntDistribution) else float(nearest)


def _low_and_step(distribution: IntDistribution | FloatDistribution) -> tuple[Decimal, Decimal]:
    return _decimal(distribution.low), _decimal(distribution.step or 1)


def _decimal(number: Number | Decimal) -> Decimal:
    return Decimal(str(number))
