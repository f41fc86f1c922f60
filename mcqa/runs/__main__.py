"""Show the runs under outputs/ in one table: model, data, adapter, learning rate, accuracies, minutes and status.

python -m mcqa.runs                               the newest last; also writes outputs/runs.html
python -m mcqa.runs sort=test data=arc_easy       by accuracy on test, those on one question set
python -m mcqa.runs --csv > runs.csv              all columns, unrounded
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mcqa.config import plain_options
from mcqa.config.errors import ConfigError, listing
from mcqa.config.plain_command import plain_command
from mcqa.config.plain_options import Option, file_path, help_lines, one_of, some_text, truth
from mcqa.evaluation.report import html
from mcqa.evaluation.report.formatting import percent
from mcqa.runs import run_folder
from mcqa.runs.files import csv_text, write_text
from mcqa.runs.summaries import Accuracy, RunSummary, find_runs, summaries

SORTS: dict[str, Callable[[RunSummary], Any]] = {
    "time": lambda run: (run.started, run.folder),
    "name": lambda run: (run.name, run.started),
    "model": lambda run: (run.model, run.started),
    "data": lambda run: (run.data, run.started),
    "learning_rate": lambda run: run.learning_rate or 0.0,
    "dev": lambda run: run.dev.value if run.dev else -1.0,
    "test": lambda run: run.test.value if run.test else -1.0,
    "minutes": lambda run: run.minutes or 0.0,
    "status": lambda run: (run.status, run.started),
}
"""By what the table can be sorted; what is best, or newest, comes last, next to the prompt."""

OPTIONS = {
    "outputs": Option("outputs", file_path, "where the runs are"),
    "sort": Option("time", one_of(tuple(SORTS)), f"by what: {', '.join(SORTS)}"),
    "name": Option("", some_text, "only runs with this name"),
    "model": Option("", some_text, "only runs of this model"),
    "data": Option("", some_text, "only runs on this question set"),
    "status": Option("", some_text, "only complete, failed, pruned, preempted, running or unfinished ones"),
    "trials": Option("false", truth, "the trials of studies too"),
}

FOLDER = "run folder"
HEADINGS = (
    "name", "model", "data", "peft", "learning rate", "seed", "dev", "test", "95 % interval", "base", "minutes",
    "status", FOLDER,
)  # fmt: skip
NUMBERS = ("learning rate", "seed", "dev", "test", "95 % interval", "base", "minutes")
CHOOSERS = ("name", "model", "data", "status")

NARROW, WIDE = 120, 240
"""Columns of a terminal below which folders have lines of their own, and of a table that goes into a file."""


def main(arguments: Sequence[str]) -> None:
    """Show the table, or print it as CSV; write runs.html beside the runs."""
    if {"--help", "-h"} & set(arguments):
        return print(f"{(__doc__ or '').strip()}\n\nOptions (key=value):\n{help_lines(OPTIONS)}")
    as_csv = "--csv" in arguments
    problems: list[str] = []
    named, chosen, _ = plain_options.parse([text for text in arguments if text != "--csv"], OPTIONS, problems)
    outputs = Path(chosen.get("outputs") or "outputs").expanduser()
    problems += [f"{text}: no option; runs are chosen by name=, model= and data=." for text in named]
    if not problems and not outputs.is_dir():
        problems.append(f"outputs={outputs}: there is no such folder; the first run makes it.")
    if problems:
        raise ConfigError(listing(problems))
    every, unreadable = summaries(find_runs(outputs, chosen["trials"]))
    kept = [
        run
        for run in every
        if all(chosen[key] in (None, getattr(run, key)) for key in ("name", "model", "data", "status"))
    ]
    kept.sort(key=SORTS[chosen["sort"]])
    if as_csv:
        return print(as_csv_text(kept), end="")
    show(kept, unreadable)
    if kept:
        page = outputs / "runs.html"
        write_text(page, page_of(kept, outputs))
        print(f"The same to sort and search: {run_folder.shown(page.absolute())}")


def cells(run: RunSummary) -> tuple[str, ...]:
    """Return the row of a run, one text for each of HEADINGS."""
    rate = "" if run.learning_rate is None else f"{run.learning_rate:.3g}"
    minutes = "" if run.minutes is None else f"{run.minutes:.1f}"
    interval = f"{100 * run.test.low:.1f}–{100 * run.test.high:.1f}" if run.test else ""
    accuracies = _percent(run.dev), _percent(run.test), interval, _percent(run.base_test)
    seed, folder = "" if run.seed is None else str(run.seed), run_folder.shown(run.folder.absolute())
    return run.name, run.model, run.data, run.peft, rate, seed, *accuracies, minutes, run.status, folder


def _percent(accuracy: Accuracy | None) -> str:
    return percent(accuracy.value) if accuracy else ""


def as_csv_text(runs: Sequence[RunSummary]) -> str:
    """Return a line for each run, with unrounded numbers; an accuracy has three columns."""
    rows = []
    for run in runs:
        row: dict[str, Any] = {"started": run.started}
        for key, value in asdict(run).items():
            if key in ("dev", "test", "base_test"):
                row |= {f"{key}_{part}": value[part] if value else "" for part in ("value", "low", "high")}
            else:
                row[key] = "" if value is None else value
        rows.append(row)
    return csv_text(list(rows[0]), [list(row.values()) for row in rows]) if rows else ""


def show(runs: Sequence[RunSummary], unreadable: Sequence[str]) -> None:
    """Print the table; where the terminal is narrow the folders below it, and at the end what could not be read."""
    from rich.console import Console
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=WIDE)
    if not runs:
        console.print("No run is there yet; python -m mcqa.train +experiment=smoke makes one in half a minute.")
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        shared = _same_everywhere(runs)
        if is_narrow := console.width < NARROW:
            table.add_column("", justify="right")
        chosen = [heading for heading in HEADINGS if heading not in shared and not (is_narrow and heading == FOLDER)]
        for heading in chosen:
            table.add_column(heading, justify="right" if heading in NUMBERS else "left", overflow="fold")
        for number, run in enumerate(runs, 1):
            row = dict(zip(HEADINGS, cells(run), strict=True))
            table.add_row(*([str(number)] if is_narrow else []), *(row[heading] for heading in chosen))
        console.print(table)
        if is_narrow:
            folders = [f"{number:>3}  {cells(run)[-1]}" for number, run in enumerate(runs, 1)]
            print("\n".join(folders))
        if shared:
            console.print(
                "All of them: " + ", ".join(f"{heading} {cell}" for heading, cell in shared.items()) + ".",
                highlight=False,
            )
    for line in unreadable:
        print(f"Cannot be read: {line}")


def _same_everywhere(runs: Sequence[RunSummary]) -> dict[str, str]:
    """Return the cells that say the same of all runs: one line says it more briefly than a column."""
    columns = dict(zip(HEADINGS, zip(*map(cells, runs), strict=True), strict=True))
    return {
        heading: column[0]
        for heading, column in columns.items()
        if len(runs) > 1 and len(set(column)) == 1 and column[0]
    }


def page_of(runs: Sequence[RunSummary], outputs: Path) -> str:
    """Return outputs/runs.html: the table, which can be sorted by a click on a heading and searched, with links to the
    pages of the runs."""
    complete = sum(run.status == "complete" for run in runs)
    return html.render(
        Path(__file__).with_name("runs.html"),
        title="Runs",
        subject="",
        verdict=f"{len(runs)} run{'' if len(runs) == 1 else 's'}, {complete} complete",
        remarks=[],
        headings=[(heading, "n" if heading in NUMBERS else "") for heading in HEADINGS[:-1]],
        rows=[(cells(run)[:-1], cells(run)[-1], run.started, _page(run.folder, outputs)) for run in reversed(runs)],
    )


def _page(folder: Path, outputs: Path) -> str | None:
    """Return the address of a run's own page from `outputs`, if it has one."""
    return str((folder / "run.html").relative_to(outputs)) if (folder / "run.html").is_file() else None


if __name__ == "__main__":
    plain_command(main)
