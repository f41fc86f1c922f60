"""Where the noise comes from: how much of a difference's variance is that of questions, of seeds, and of both."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.components import Components, components
from mcqa.compare.tables import LABEL, NUMBER, Section, Table

SOURCES = ("questions", "seeds", "interaction")


@dataclass(frozen=True)
class Noise:
    """The variances of a pair's difference, by source, as it was measured; components: what they were computed from."""

    pair: Pair
    components: Components
    questions: float
    seeds: float
    interaction: float

    @property
    def total(self) -> float:
        return self.questions + self.seeds + self.interaction

    def share(self, source: str) -> float:
        return float(getattr(self, source)) / self.total if self.total else 0.0


def noise(comparison: Comparison) -> list[Noise]:
    """Return the noise of every pair of which a side has several seeds; others cannot tell its sources apart."""
    return [its for pair in comparison.pairs if comparison.several_seeds(pair) and (its := _noise(comparison, pair))]


def _noise(comparison: Comparison, pair: Pair) -> Noise | None:
    before, after = (comparison.correct[i] for i in (pair.before, pair.after))
    trained = comparison.configurations[pair.before].trained, comparison.configurations[pair.after].trained
    found = components(before, after, comparison.cluster_names, trained)
    if found is None:
        return None
    seeds = sum(side.seeds / max(1, side.known) for side in found.sides)
    interaction = sum(side.interaction / max(1, side.known) for side in found.sides)
    return Noise(pair, found, found.questions, seeds, interaction)


def sections(comparison: Comparison) -> list[Section]:
    """Return the section; none where no configuration has several seeds, or all questions are one cluster."""
    found = noise(comparison)
    return [_section(comparison, found)] if found else []


def _section(comparison: Comparison, found: list[Noise]) -> Section:
    headings = (*SOURCES, "total", "seed SD (95 %)")
    rows = [
        [
            f"{its.pair.after + 1} vs {its.pair.before + 1}",
            *(f"{_points(getattr(its, source))} ({100 * its.share(source):.0f} %)" for source in SOURCES),
            _points(its.total),
            _deviation(its.components),
        ]
        for its in found
    ]
    return Section(
        name="noise",
        title="Where the noise comes from",
        table=Table([("", LABEL), *((heading, NUMBER) for heading in headings)], rows),
        note="Standard error of the difference in points (share of its variance); seed SD: between single runs.",
        answers=[_sentence(comparison, its) for its in found] if len(found) == 1 else [],
        rows=list(_rows(comparison, found)),
    )


def _points(variance: float) -> str:
    return f"{100 * math.sqrt(variance):.1f}"


def _deviation(its: Components) -> str:
    low, high = its.seed_deviation_interval
    return f"{100 * its.seed_deviation:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _sentence(comparison: Comparison, its: Noise) -> str:
    """Say which source is the largest, and what makes that one smaller."""
    names = f"{comparison.label(its.pair.after)} against {comparison.label(its.pair.before)}"
    source = max(SOURCES, key=its.share)
    fewer = {
        "questions": "which more questions make smaller, and more seeds do not",
        "seeds": "which more seeds make smaller, and more questions do not",
        "interaction": "which both more seeds and more questions make smaller",
    }[source]
    what = {"interaction": "chance answers of single seeds to single questions"}.get(source, source)
    return f"Noise of {names}: {100 * its.share(source):.0f} % of the variance comes from {what}, {fewer}."


def _rows(comparison: Comparison, found: list[Noise]) -> Iterator[dict[str, object]]:
    for its in found:
        low, high = its.components.seed_deviation_interval
        yield {
            "before": comparison.label(its.pair.before),
            "after": comparison.label(its.pair.after),
            **{f"standard_error_{source}": math.sqrt(getattr(its, source)) for source in SOURCES},
            "standard_error": math.sqrt(its.total),
            **{f"share_{source}": its.share(source) for source in SOURCES},
            "seed_deviation": its.components.seed_deviation,
            "seed_deviation_low": low,
            "seed_deviation_high": high,
        }
