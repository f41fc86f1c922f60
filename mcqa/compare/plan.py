"""How many seeds and questions does it take to show a difference?"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.components import Components, components
from mcqa.compare.runs import Run
from mcqa.compare.tables import NUMBER, Section, Table
from mcqa.evaluation.report.formatting import count, more_seeds
from mcqa.evaluation.statistics.clusters import detectable_in_standard_errors

SEEDS, TIMES = (2, 3, 5, 8, 12, 20), (0.5, 1, 2, 4, 10)
FEWEST_SEEDS, MOST_SEEDS = 3, 50  # that are advised: two hardly show how seeds vary
HARDLY_MORE = 1.5
ASSUMED = 0.01  # standard deviation between seeds where no configuration has two


@dataclass(frozen=True)
class Plan:
    """What it takes to show a difference `target` (a share) between the two configurations of a pair.

    components: the noise, seen or, where `assumed`, with a standard deviation between seeds that was assumed.
    """

    pair: Pair
    questions: int
    target: float
    components: Components
    assumed: bool

    def shows(self, questions: float, seeds: int) -> float:
        """Return the true difference that the test finds with a power of 80 %; 1 where it finds none."""
        variance, degrees = self.components.variance(questions / self.questions, seeds)
        return min(1.0, detectable_in_standard_errors(degrees) * math.sqrt(variance))

    @property
    def seeds(self) -> int | None:
        """The fewest seeds of each side, from FEWEST_SEEDS, that show the target on these questions; None where
        MOST_SEEDS do not."""
        return next((seeds for seeds in self._numbers if self.shows(self.questions, seeds) <= self.target), None)

    @property
    def sensible_seeds(self) -> int:
        """The fewest seeds with which hardly more questions are needed than with very many seeds."""
        needed = {seeds: self.questions_with(seeds) or math.inf for seeds in SEEDS if seeds >= FEWEST_SEEDS}
        return next(seeds for seeds in needed if needed[seeds] <= HARDLY_MORE * needed[SEEDS[-1]])

    @property
    def _numbers(self) -> range:
        return range(FEWEST_SEEDS, MOST_SEEDS + 1) if self.components.sides else range(1, 2)

    def questions_with(self, seeds: int) -> int | None:
        """Return the number of questions of this kind that show the target with so many seeds, to two digits; None
        where a thousand times as many do not."""
        low, high = 1.0, 1000.0 * self.questions
        if self.shows(high, seeds) > self.target:
            return None
        while high > low * 1.001:
            middle = (low * high) ** 0.5
            low, high = (low, middle) if self.shows(middle, seeds) <= self.target else (middle, high)
        return _rounded_up(high)


def _rounded_up(number: float) -> int:
    digit = int(10 ** max(0, len(str(int(number))) - 2))
    return math.ceil(number / digit) * digit


def plan(comparison: Comparison, target: float, deviation: float | None) -> Plan | None:
    """Return the plan of the pair with most noise; None where the questions are one cluster.

    deviation: the standard deviation between seeds to assume, a share; None takes the one seen.
    """
    plans = [found for pair in comparison.pairs if (found := _plan(comparison, pair, target, deviation))]
    return max(plans, key=lambda its: its.shows(its.questions, 3), default=None)


def _plan(comparison: Comparison, pair: Pair, target: float, deviation: float | None) -> Plan | None:
    sides = pair.before, pair.after
    before, after = (comparison.correct[i] for i in sides)
    trained = comparison.configurations[sides[0]].trained, comparison.configurations[sides[1]].trained
    found = components(before, after, comparison.cluster_names, trained)
    if found is None:
        return None
    assumed = deviation is not None or (bool(found.sides) and len(before) == len(after) == 1)
    found = found.with_seed_deviation(ASSUMED if deviation is None else deviation) if assumed else found
    return Plan(pair, len(comparison.questions), target, found, assumed)


def sections(comparison: Comparison, target: float, deviation: float | None) -> list[Section]:
    """Return the section of the plan; none where the questions are one cluster."""
    found = plan(comparison, target, deviation)
    return [_section(comparison, found)] if found else []


def _section(comparison: Comparison, found: Plan) -> Section:
    target = found.target
    numbers = [found.questions if times == 1 else _rounded_up(times * found.questions) for times in TIMES]
    seeds = SEEDS if found.components.sides else (1,)
    shown = [[found.shows(n, s) for n in numbers] for s in seeds]
    rows = [
        [str(s), *(f"{_points(its)} {'*' if its <= target else ' '}" for its in row)]
        for s, row in zip(seeds, shown, strict=True)
    ]
    pairs = len(comparison.pairs)
    of_many = f", the pair with most noise, without a correction for {pairs} pairs" if pairs > 1 else ""
    return Section(
        name="plan",
        title="How many seeds and questions?",
        table=Table([("seeds each", NUMBER), *((f"n = {n}", NUMBER) for n in numbers)], rows),
        note="True differences in points that the test finds with a power of 80 % on n such questions, for "
        f"{found.pair.after + 1} vs {found.pair.before + 1}{of_many}; * at most {_points(target)}.",
        answers=list(_advice(comparison, found)),
        rows=[
            {"seeds": s, "questions": n, "detectable_difference": its}
            for s, row in zip(seeds, shown, strict=True)
            for n, its in zip(numbers, row, strict=True)
        ],
    )


def _points(share: float) -> str:
    return f"{100 * share:.1f}" if share < 1 else "–"


def _advice(comparison: Comparison, found: Plan) -> Iterator[str]:
    """What is needed, what that rests on, and the commands."""
    unit = "point" if found.target == 0.01 else "points"
    difference, here = f"a true difference of {100 * found.target:g} {unit}", f"these {found.questions} questions"
    if not found.components.sides:
        enough = found.shows(found.questions, 1) <= found.target
        yield f"{_upper(here)} {'show' if enough else 'do not show'} {difference} (80 % power)." + _more(found, 1)
        return
    each = _each(found)
    if (seeds := found.seeds) is not None:
        yield f"{seeds} seeds{each} show {difference} on {here} (80 % power){_rests_on(found)}."
        yield from _commands(comparison, found, seeds)
    else:
        yield (
            f"On {here} up to {MOST_SEEDS} seeds{each} do not show {difference} (80 % power)"
            f"{_rests_on(found)}.{_more(found, found.sensible_seeds)}"
        )
    yield "Fix the number of seeds beforehand: adding some until a difference is significant errs in more than 5 %."


def _each(found: Plan) -> str:
    return " each" if len(found.components.sides) > 1 else ""


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _more(found: Plan, seeds: int) -> str:
    """How many questions it takes where these do not suffice."""
    if found.shows(found.questions, seeds) <= found.target:
        return ""
    needed, each = found.questions_with(seeds), f" with {seeds} seeds{_each(found)}" if found.components.sides else ""
    return f" About {needed} such questions do{each}." if needed else f" No number of questions does{each}."


def _rests_on(found: Plan) -> str:
    deviation = f"{100 * found.components.seed_deviation:.1f} points"
    if found.assumed:
        return f"; a standard deviation of {deviation} between seeds is assumed, and seed_sd= assumes another"
    low, high = (f"{100 * end:.1f}" for end in found.components.seed_deviation_interval)
    return f"; between seeds the accuracy has a standard deviation of {deviation} (95 % CI {low} to {high})"


def _commands(comparison: Comparison, found: Plan, seeds: int) -> Iterator[str]:
    for i in (found.pair.before, found.pair.after):
        own = comparison.configurations[i]
        if own.trained and len(own.runs) < seeds:
            missing = seeds - len(own.runs)
            yield f"{count(missing, 'more seed')} of {own.label}: {_command(own.runs, missing)}"


def _command(runs: Sequence[Run], number: int) -> str:
    """Return the command that trains a configuration with so many further seeds."""
    last = max((run.seed for run in runs if isinstance(run.seed, int)), default=-1)
    return more_seeds(runs[0].shown, last, number, runs[0].order_is_fixed)
