"""The report on the questions of a run as a table, with what is to be heeded below it."""

from collections.abc import Callable, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mcqa.data.quality.report import (
    FEW_WORDS,
    MANY_WORDS,
    SKEWED,
    Accuracy,
    Found,
    SetReport,
    SplitReport,
    choices_only_sentence,
)


def shown(report: SetReport) -> Group:
    """Return the table, what the choices alone give away, and the warnings."""
    table = Table("", title="The question set", title_justify="left", title_style="bold")
    for split in report.splits:
        table.add_column(split, justify="right", overflow="fold")
    for name, cell in ROWS:
        table.add_row(name, *(cell(one) for one in report.splits.values()))
    if report.overlap_with_train:
        table.add_section()
        for name, part in (
            ("in train too", "asked"),
            ("  same right answer", "answered"),
            ("  nearly", "near"),
        ):
            cells = ((split, report.overlap_with_train.get(split)) for split in report.splits)
            table.add_row(
                name,
                *(_found(getattr(one, part), report.splits[split].questions) if one else "" for split, one in cells),
            )
    lines = [f"Warning: {warning}" for warning in report.warnings]
    if report.choices_only is not None and not report.choices_only.is_much_above_chance:
        lines.insert(0, choices_only_sentence(report.choices_only))
    return Group(table, *map(Text, lines))


def _positions(report: SplitReport) -> str:
    return " ".join(str(count) for count in report.positions)


def _evenness(report: SplitReport) -> str:
    if report.position_p is None:
        return "too few"
    p = f"p {'< 0.0001' if report.position_p < 1e-4 else f'= {report.position_p:.2g}'}"
    return f"uneven, {p}" if report.position_p < SKEWED else p


def _rule(accuracy: Accuracy) -> str:
    return f"{_percent(accuracy.share)}{' (!)' if accuracy.is_much_above_chance else ''}"


def _found(found: Found, questions: int) -> str:
    return f"{found.count} ({_percent(found.count / questions)})" if found.count else "–"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _finding(name: str) -> Callable[[SplitReport], str]:
    return lambda report: _found(getattr(report, name), report.questions)


ROWS: Sequence[tuple[str, Callable[[SplitReport], str]]] = (
    ("questions", lambda report: str(report.questions)),
    ("guessing gives", lambda report: _percent(report.chance)),
    ("right at A, B, …", _positions),
    ("  spread evenly?", _evenness),
    ("longest choice right", lambda report: _rule(report.longest)),
    ("shortest choice right", lambda report: _rule(report.shortest)),
    ("duplicates", _finding("duplicates")),
    ("  in another order", _finding("reordered")),
    ("near duplicates", _finding("near_duplicates")),
    ("contradictory", _finding("conflicts")),
    ("with equal choices", _finding("repeated_choices")),
    (f"under {FEW_WORDS} words", _finding("short")),
    (f"over {MANY_WORDS} words", _finding("long")),
)
