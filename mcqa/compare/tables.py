"""The tables of a comparison, as the terminal and the page show them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mcqa.compare import sentences
from mcqa.compare.analysis import Comparison, Difference, Pair
from mcqa.evaluation.report.formatting import p_value, percent, percent_interval, point_interval, points

NUMBER, LABEL, KEY = "n", "label", "key"


class Table(NamedTuple):
    """columns: heading and kind of each (a class of the style sheet); rows: the texts of the cells."""

    columns: list[tuple[str, str]]
    rows: list[list[str]]


class Section(NamedTuple):
    """A further question with its answers. rows: the numbers of the table as <name>.csv has them; note: what its
    headings mean."""

    name: str
    title: str
    table: Table
    note: str
    answers: list[str]
    rows: list[dict[str, Any]]


def accuracies(comparison: Comparison) -> Table:
    several = any(len(accuracy.seeds) > 1 for accuracy in comparison.accuracies)
    headings = [*(["seeds"] if several else []), "accuracy", "95 % interval", "group"]
    rows = [
        [
            *(str(i + 1), comparison.label(i)),
            *([str(len(accuracy.seeds))] if several else []),
            *(percent(accuracy.mean), percent_interval(accuracy.low, accuracy.high), accuracy.group),
        ]
        for i, accuracy in enumerate(comparison.accuracies)
    ]
    return Table([("", NUMBER), ("", LABEL), *((heading, NUMBER) for heading in headings)], rows)


def differences(comparison: Comparison, most: int, detailed: bool) -> Table:
    """The first `most` pairs. detailed: with the bootstrap and McNemar's p, where there are pairs of single runs, and
    with the standard errors, where there are several seeds; else significance is marked with a star."""
    results = [pair.difference for pair in comparison.pairs]
    star = {True: "", False: ""} if detailed else {True: " *", False: "  "}
    columns: dict[str, Callable[[Pair, Difference], str]] = {
        interval_heading(comparison): lambda pair, its: (
            f"{points(its.estimate)} ({point_interval(pair.low, pair.high)})"
        ),
        p_heading(comparison): lambda pair, _: p_value(pair.p_adjusted) + star[pair.significant],
    }
    if detailed and any(difference.bootstrap for difference in results):
        columns |= {"bootstrap": _bootstrap, "McNemar p": lambda _, its: p_value(its.p_mcnemar)}
    if detailed and any(difference.standard_error_questions is not None for difference in results):
        columns |= {
            "SE (questions)": lambda _, its: _in_points(its.standard_error_questions),
            "SE (seeds)": lambda _, its: _in_points(its.standard_error_seeds),
        }
    columns |= {
        "flips": lambda pair, _: sentences.flips(comparison, pair),
        "MDD": lambda _, its: _in_points(its.minimum_detectable_difference),
    }
    rows = [
        [f"{pair.after + 1} vs {pair.before + 1}", *(cell(pair, pair.difference) for cell in columns.values())]
        for pair in comparison.pairs[:most]
    ]
    return Table([("", LABEL), *((heading, NUMBER) for heading in columns)], rows)


def interval_heading(comparison: Comparison, what: str = "points") -> str:
    """Return the heading of differences with their intervals, which are those of all pairs together where there are
    several."""
    return f"{what} (95 %, max-T)" if len(comparison.pairs) > 1 else f"{what} (95 %)"


def p_heading(comparison: Comparison) -> str:
    """Return the heading of the adjusted p-values."""
    return "p (max-T)" if len(comparison.pairs) > 1 else "p"


def _bootstrap(_: Pair, difference: Difference) -> str:
    return point_interval(difference.bootstrap.low, difference.bootstrap.high) if difference.bootstrap else "–"


def _in_points(share: float | None) -> str:
    """A dash for what is not known; 1 as a minimum detectable difference says that none can be detected."""
    return f"{100 * share:.1f}" if share is not None and share < 1 else "–"


def keys(values: Mapping[str, Sequence[str]], configurations: int) -> Table:
    """Keys of the configuration with their value in each configuration."""
    columns = [("", KEY), *((str(number + 1), KEY) for number in range(configurations))]
    return Table(columns, [[key, *own] for key, own in values.items()])
