"""The comparison in the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich import table as rich_table
from rich.console import Console

from mcqa.compare import sentences, tables
from mcqa.compare.analysis import Comparison
from mcqa.compare.configurations import Compared
from mcqa.compare.options import Options
from mcqa.evaluation.report.formatting import count
from mcqa.runs import run_folder

SUBJECTS, PAIRS, KEYS = 12, 30, 20  # rows in the terminal; the files have all
ANSWERS = 6  # sentences of a section
MDD = "MDD: minimum detectable difference in points (80 % power)"
TESTS = {
    "McNemar mid-p": "McNemar mid-p test",
    "clustered": "paired test with cluster-robust variance",
    "pooled over seeds": "pooled over seeds",
}


def show(console: Console, comparison: Comparison, sections: Sequence[tables.Section] = ()) -> None:
    """Print the tables, then the notes, and the verdict and answers last, which should stay on the screen."""
    _say(console, sentences.measured(comparison))
    _keys(console, comparison.compared)
    _print(console, "Accuracy", tables.accuracies(comparison))
    _differences(console, comparison)
    for section in sections:
        _section(console, section)
    _say(console, *(f"Note: {note}" for note in sentences.notes(comparison)), "", sentences.verdict(comparison))
    for section in sections:
        _say(console, *section.answers[:ANSWERS])


def _section(console: Console, section: tables.Section) -> None:
    columns, rows = section.table
    rest = [f"and {len(rows) - SUBJECTS} more in {section.name}.csv"] if len(rows) > SUBJECTS else []
    _print(console, section.title, tables.Table(columns, rows[:SUBJECTS]), "\n".join([section.note, *rest]))


def preview(console: Console, compared: Compared, options: Options) -> None:
    questions = count(len(compared.questions), "question")
    _say(console, f"Would compare {options.metric} on {compared.split}, {questions}:")
    for number, configuration in enumerate(compared.configurations, 1):
        seeds = ", ".join(run.seed_shown for run in configuration.runs)
        runs = ", ".join(run.shown for run in configuration.runs)
        _say(console, f"  {number} {configuration.label} (seed {seeds}): {runs}")
    _keys(console, compared)
    _say(console, *(f"Note: {remark}" for remark in sentences.remarks(compared)))
    mlflow = " and to MLflow" if options.track else ""
    _say(console, f"It would be written to {run_folder.shown(options.out)}{mlflow}.")


def show_files(console: Console, folder: Path, tracked: str | None) -> None:
    page = run_folder.shown(folder / "comparison.html")
    _say(console, "", f"Page: {page}", f"Tables: {run_folder.shown(folder)}", *([tracked] if tracked else []))


def _differences(console: Console, comparison: Comparison) -> None:
    tests = [TESTS[test] for test in dict.fromkeys(pair.difference.test for pair in comparison.pairs)]
    rest = f"; and {len(comparison.pairs) - PAIRS} more in pairs.csv" if len(comparison.pairs) > PAIRS else ""
    several = f"max-T: adjusted for {len(comparison.pairs)} comparisons; " if len(comparison.pairs) > 1 else ""
    caption = f"{', '.join(tests)}; {several}* significant at 5 %{rest}\n{MDD}"
    _print(console, "Differences", tables.differences(comparison, PAIRS, detailed=False), caption)


def _keys(console: Console, compared: Compared) -> None:
    """The keys of the configuration that differ; those of speed and of extra measurements below."""
    if not compared.differing and not any(len(set(values)) > 1 for values in compared.speed_only.values()):
        return
    columns, rows = tables.keys(compared.differing, len(compared.configurations))
    hidden = [f"and {len(rows) - KEYS} more on the page"] if len(rows) > KEYS else []
    speed = [f"speed only: {', '.join(compared.speed_only)}"] if compared.speed_only else []
    _print(console, "What differs", tables.Table(columns, rows[:KEYS]), "; ".join(hidden + speed) or None)


def _print(console: Console, title: str, table: tables.Table, caption: str | None = None) -> None:
    shown = rich_table.Table(title=title, title_justify="left", title_style="bold")
    for heading, kind in table.columns:
        right = kind == tables.NUMBER
        shown.add_column(heading, justify="right" if right else "left", no_wrap=right)
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown, highlight=False, markup=False)
    if caption:  # not the table's own, which would break at its width
        console.print(caption, style="dim italic", highlight=False, markup=False, soft_wrap=True)


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
