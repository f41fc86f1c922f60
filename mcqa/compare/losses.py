"""Are the probabilities better? Paired tests of the Brier score, the negative log-likelihood and the loss."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.compare import sentences, tables
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.estimates import adjust, estimate_of_means
from mcqa.compare.tables import LABEL, NUMBER, Section, Table
from mcqa.evaluation.calibration import negative_log_probability, squared_error
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.formatting import p_equals, p_value, signed
from mcqa.evaluation.statistics import ALPHA, Estimate
from mcqa.evaluation.statistics.clusters import FloatArray, cluster_ids

NOTE = (
    "Lower is better. Brier: squared error of the probabilities; NLL: nats a question; loss: nats a token of the right "
    "choice. By summed scores."
)


def brier(rows: Sequence[Prediction]) -> FloatArray:
    return np.array([squared_error(row) for row in rows])


def nll(rows: Sequence[Prediction]) -> FloatArray:
    return np.array([negative_log_probability(row) for row in rows])


def loss(rows: Sequence[Prediction]) -> FloatArray:
    """Return for each question a value of which the mean is the loss, the ratio of two sums; the variance of that mean
    is the ratio's (linearisation; Cochran 1977)."""
    scores = np.array([row.scores[row.question.answer] for row in rows])
    tokens = np.array([row.tokens[row.question.answer] for row in rows], float)
    ratio = -scores.sum() / tokens.sum()
    return np.asarray(ratio + (-scores - ratio * tokens) / tokens.mean())


MEASURES: dict[str, Callable[[Sequence[Prediction]], FloatArray]] = {"Brier": brier, "NLL": nll, "loss": loss}


@dataclass(frozen=True)
class LossDifference:
    """One measure of a pair: the means of both sides, and `after` minus `before` with its test. p_adjusted and interval
    are adjusted for the pairs of this measure, as those of `Pair`."""

    pair: Pair
    measure: str
    before: float
    after: float
    estimate: Estimate
    p_adjusted: float
    interval: tuple[float, float]

    @property
    def significant(self) -> bool:
        return self.p_adjusted < ALPHA


def losses(comparison: Comparison) -> list[LossDifference]:
    """Return every measure of every pair; without a measure that is not a finite number everywhere."""
    found: list[LossDifference] = []
    for name, measure in MEASURES.items():
        with np.errstate(invalid="ignore"):
            values = [np.array([measure(rows) for rows in one.predictions]) for one in comparison.configurations]
        if all(np.isfinite(one).all() for one in values):
            found += _tested(comparison, name, values)
    return found


def _tested(comparison: Comparison, measure: str, values: Sequence[FloatArray]) -> list[LossDifference]:
    trained = [configuration.trained for configuration in comparison.configurations]
    estimates = [
        estimate_of_means(
            values[pair.before],
            values[pair.after],
            comparison.cluster_names,
            trained[pair.before] and trained[pair.after],
        )
        for pair in comparison.pairs
    ]
    ids = cluster_ids(comparison.cluster_names, len(comparison.questions))
    adjusted = adjust(estimates, values, ids, [(pair.before, pair.after) for pair in comparison.pairs], math.inf)
    means = [float(own.mean()) for own in values]
    return [
        LossDifference(pair, measure, means[pair.before], means[pair.after], its, of.p, of.interval)
        for pair, its, of in zip(comparison.pairs, estimates, adjusted, strict=True)
    ]


def sections(comparison: Comparison) -> list[Section]:
    """Return the section; none where no measure is a finite number everywhere."""
    found = losses(comparison)
    return [_section(comparison, found)] if found else []


def _section(comparison: Comparison, found: Sequence[LossDifference]) -> Section:
    headings = ("means", tables.interval_heading(comparison, "difference"), tables.p_heading(comparison))
    rows = [
        [
            f"{one.pair.after + 1} vs {one.pair.before + 1}",
            one.measure,
            f"{one.before:.3f} → {one.after:.3f}",
            _difference(one),
            p_value(one.p_adjusted) + (" *" if one.significant else "  "),
        ]
        for one in found
    ]
    return Section(
        name="losses",
        title="Brier score, NLL and loss",
        table=Table([("", LABEL), ("", LABEL), *((heading, NUMBER) for heading in headings)], rows),
        note=f"{NOTE} * significant at 5 %, for each measure by itself.",
        answers=list(_sentences(comparison, found)),
        rows=list(_rows(comparison, found)),
    )


def _difference(one: LossDifference) -> str:
    if math.isnan(one.estimate.standard_error):
        return signed(one.estimate.centre, 3)
    low, high = (signed(end, 3).lstrip("+") for end in one.interval)
    return f"{signed(one.estimate.centre, 3)} ({low} to {high})"


def _sentences(comparison: Comparison, found: Sequence[LossDifference]) -> Iterator[str]:
    """One sentence for a single pair; where there are several, the table says it."""
    if len(comparison.pairs) > 1:
        return
    [pair] = comparison.pairs
    parts = [f"{one.measure} {_significance(one)}" for one in found]
    names = f"{comparison.label(pair.after)} against {comparison.label(pair.before)}"
    yield f"{names}: {', '.join(parts)}; {sentences.about(comparison, pair)}."


def _significance(one: LossDifference) -> str:
    p = p_equals(one.p_adjusted)
    if not one.significant:
        return f"not significantly different ({p})"
    return f"significantly {'lower' if one.estimate.centre < 0 else 'higher'} ({signed(one.estimate.centre, 3)}, {p})"


def _rows(comparison: Comparison, found: Sequence[LossDifference]) -> Iterator[dict[str, object]]:
    for one in found:
        low, high = one.estimate.interval(0.95, limit=math.inf)
        simultaneous_low, simultaneous_high = one.interval
        yield {
            "before": comparison.label(one.pair.before),
            "after": comparison.label(one.pair.after),
            "measure": one.measure,
            "mean_before": one.before,
            "mean_after": one.after,
            "difference": one.estimate.centre,
            "low": low,
            "high": high,
            "p": one.estimate.p,
            "simultaneous_low": simultaneous_low,
            "simultaneous_high": simultaneous_high,
            "p_adjusted": one.p_adjusted,
            "significant": one.significant,
        }
