"""Is it as good? Whether the difference of two configurations is smaller than a margin that the reader accepts."""

from collections.abc import Iterator
from dataclasses import dataclass

from mcqa.compare import sentences
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.estimates import estimate
from mcqa.compare.tables import LABEL, NUMBER, Section, Table
from mcqa.evaluation.report.formatting import p_equals, p_value, point_interval, points
from mcqa.evaluation.statistics import ALPHA


@dataclass(frozen=True)
class WithinMargin:
    """One pair of configurations against a margin (a share): two one-sided tests (TOST; Schuirmann 1987).

    p_not_worse is of the hypothesis that `after` is worse than `before` by the margin or more, p_not_better of the
    hypothesis that it is better by that. The p-values are multiplied by the number of pairs: of the two hypotheses
    about a pair one at most is true, so there are never more true ones than pairs (Shaffer 1986). low and high are the
    interval that is within the margins just where both are below 5 %; confidence is 90 % for a single pair.
    """

    pair: Pair
    confidence: float
    low: float
    high: float
    p_not_worse: float
    p_not_better: float

    @property
    def p_equivalent(self) -> float:
        return max(self.p_not_worse, self.p_not_better)


def within_margin(comparison: Comparison, margin: float) -> list[WithinMargin]:
    """Test every pair against the margin, a share."""
    return [_tested(comparison, pair, margin) for pair in comparison.pairs]


def _tested(comparison: Comparison, pair: Pair, margin: float) -> WithinMargin:
    sides, pairs = (pair.before, pair.after), len(comparison.pairs)
    trained = all(comparison.configurations[i].trained for i in sides)
    before, after = (comparison.correct[i] for i in sides)
    found = estimate(before, after, comparison.cluster_names, trained)
    ps, confidence = (found.p_at_most(-margin), found.p_at_least(margin)), 1 - 2 * ALPHA / pairs
    return WithinMargin(pair, confidence, *found.interval(confidence), *(min(1.0, pairs * p) for p in ps))


def conclusion(test: WithinMargin) -> str:
    """Return in a word what the tests show at 5 %."""
    if test.p_equivalent < ALPHA:
        return "equivalent"
    return "not worse" if test.p_not_worse < ALPHA else "not better" if test.p_not_better < ALPHA else "not shown"


def sentence(comparison: Comparison, test: WithinMargin, margin: float) -> str:
    """Say what the tests show about a pair, and of what: of these runs, or of the configurations."""
    before, after = comparison.label(test.pair.before), comparison.label(test.pair.after)
    by = _in_points(margin)
    p = {
        "equivalent": test.p_equivalent,
        "not worse": test.p_not_worse,
        "not better": test.p_not_better,
        "not shown": min(test.p_not_worse, test.p_not_better),
    }[conclusion(test)]
    shown = {
        "equivalent": f"{after} and {before} are equivalent within {by}",
        "not worse": f"{after} is not worse than {before} by more than {by}",
        "not better": f"{after} is not better than {before} by more than {by}",
        "not shown": f"Nothing is shown about {after} and {before} within {by}: either may be better by more",
    }[conclusion(test)]
    name = "adjusted one-sided p" if len(comparison.pairs) > 1 else "one-sided p"
    numbers = f"{_percent(test)} CI {point_interval(test.low, test.high)}, {p_equals(p, name)}"
    return f"{shown} ({numbers}; {sentences.about(comparison, test.pair)})."


def _percent(test: WithinMargin) -> str:
    return f"{100 * test.confidence:.3g} %"


def _in_points(margin: float) -> str:
    return f"{100 * margin:g} {'point' if margin == 0.01 else 'points'}"


def section(comparison: Comparison, margin: float) -> Section:
    tests = within_margin(comparison, margin)
    times = f" p is multiplied by {len(tests)}, the number of pairs." if len(tests) > 1 else ""
    headings = (f"points ({_percent(tests[0])})", "p, not worse", "p, not better", "shown")
    rows = [
        [
            f"{test.pair.after + 1} vs {test.pair.before + 1}",
            f"{points(test.pair.difference.estimate)} ({point_interval(test.low, test.high)})",
            *(p_value(test.p_not_worse), p_value(test.p_not_better), conclusion(test)),
        ]
        for test in tests
    ]
    return Section(
        name="margin",
        title=f"As good, within {_in_points(margin)}?",
        table=Table([("", LABEL), *((heading, NUMBER) for heading in headings)], rows),
        note="Not worse, not better: by more than the margin, at 5 % one-sided; equivalent: both." + times,
        answers=[sentence(comparison, test, margin) for test in tests],
        rows=list(_rows(comparison, tests, margin)),
    )


def _rows(comparison: Comparison, tests: list[WithinMargin], margin: float) -> Iterator[dict[str, object]]:
    for test in tests:
        yield {
            "before": comparison.label(test.pair.before),
            "after": comparison.label(test.pair.after),
            "margin": margin,
            "difference": test.pair.difference.estimate,
            "confidence": test.confidence,
            "low": test.low,
            "high": test.high,
            "p_not_worse": test.p_not_worse,
            "p_not_better": test.p_not_better,
            "p_equivalent": test.p_equivalent,
            "conclusion": conclusion(test),
            "of_these_runs_only": bool(test.pair.single_seed) and not comparison.several_seeds(test.pair),
        }
