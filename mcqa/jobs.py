"""Show the jobs of studies and multiruns, with the last line of their logs, and cancel them.

    python -m mcqa.jobs                                   all that has not ended under outputs/
    python -m mcqa.jobs outputs/sweeps/<study>            every trial of one study
    python -m mcqa.jobs outputs/runs/<name>/<id>          the job of one run
    python -m mcqa.jobs outputs/sweeps/<study> cancel=3,5 end two of them for good; cancel=all: all that have not ended

A trial that is cancelled counts as failed: its study does not submit it again.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcqa.config.errors import ConfigError, listing, quoted
from mcqa.config.plain_command import plain_command
from mcqa.config.validation import path_problem
from mcqa.runs import run_folder
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.backends.job_status import TIMEOUT_S, Row, cancel, read_jobs

COLUMNS = ("trial", "job", "state", "where", "since", "last line of its log")
STATE_WIDTH = 28  # characters in a terminal, at which a long state is folded


@dataclass(frozen=True)
class Options:
    folder: Path
    cancels: bool = False
    numbers: frozenset[int] | None = None  # which trials to cancel; None: all that have not ended


def main(arguments: Sequence[str], timeout_s: float = TIMEOUT_S) -> None:
    """timeout_s: of SLURM's commands."""
    if {"--help", "-h"} & set(arguments):
        return print((__doc__ or "").strip())
    options = parse(arguments)
    one_job = options.folder if (options.folder / "job.json").exists() else None
    everything = one_job is not None or (options.folder / "trials").is_dir()
    studies, missing = read_jobs(studies_in(options.folder), everything, timeout_s)
    if missing:
        print(missing, file=sys.stderr)
    if one_job is not None:
        studies = {study: [row for row in rows if row.folder == one_job] for study, rows in studies.items()}
    if options.cancels:
        return _cancel([row for rows in studies.values() for row in rows], options.numbers, timeout_s)
    listed = {study: [row for row in rows if everything or not row.ended] for study, rows in studies.items()}
    show({study: rows for study, rows in listed.items() if rows})


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        ConfigError: with everything that is wrong with it.
    """
    folders, numbers, cancels, problems = list[Path](), None, False, list[str]()
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name == "cancel":
            cancels = True
            if value != "all":
                parts = value.split(",")
                wrong = [part for part in parts if not (part.isascii() and part.isdecimal() and len(part) < 10)]
                problems += [f"cancel={value}: {quoted(part)} is not a trial's number." for part in wrong]
                numbers = frozenset(int(part) for part in parts if part not in wrong)
        elif argument.startswith("-") or (equals and (path_problem(argument) or not Path(argument).exists())):
            problems.append(f"{quoted(argument)[1:-1]}: unknown; there is only cancel=<numbers>, and cancel=all.")
        elif problem := path_problem(argument):
            problems.append(f"{quoted(argument)}: {problem}")
        else:
            folders.append(Path(argument).expanduser().absolute())
    folder = job_of(folders[0]) if folders else Path("outputs").absolute()
    if len(folders) > 1:
        problems.append("one folder at a time.")
    if not folder.is_dir():
        problems.append(f"{folder}: there is no such folder.")
    if cancels and not studies_in(folder):
        problems.append(f"{folder}: no jobs were submitted from here.")
    elif cancels and numbers is not None and len(studies_in(folder)) > 1:
        problems.append("cancel=<numbers> needs the folder of one study; several have such trials.")
    if problems:
        raise ConfigError(listing(problems))
    return Options(folder, cancels, numbers)


def job_of(folder: Path) -> Path:
    """Return the folder of the job that has its run in this folder; the folder itself where there is none."""
    for pointer in folder.parents[2].glob("sweeps/*/trials/*/run_folder") if len(folder.parents) > 2 else ():
        if Mailbox(pointer.parent).run_folder() == folder:
            return pointer.parent
    return folder


def studies_in(folder: Path) -> list[Path]:
    """Return the folders with trials/ that a path stands for: of a trial its study, of outputs/ all below sweeps/."""
    if (folder / "job.json").exists() and folder.parent.name == "trials":
        return [folder.parent.parent]
    if (folder / "trials").is_dir():
        return [folder, *([folder / "confirm"] if (folder / "confirm" / "trials").is_dir() else [])]
    return sorted(path.parent for path in [*folder.glob("*/trials"), *folder.glob("sweeps/*/trials")])


def _cancel(rows: Sequence[Row], numbers: frozenset[int] | None, timeout_s: float) -> None:
    unknown = sorted((numbers or frozenset()) - {row.number for row in rows})
    if unknown:
        raise ConfigError(f"cancel: there is no trial {', '.join(map(str, unknown))}; known are 0 to {len(rows) - 1}.")
    for row in rows:
        if row.number in numbers if numbers is not None else not row.ended:
            print(f"trial {row.number}: {cancel(row, timeout_s)}")


def show(studies: dict[Path, list[Row]]) -> None:
    """Print a table for each study; outside a terminal a header and a line for each trial, separated by tabs."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not studies:
        return print("Nothing runs or waits.")
    if not console.is_terminal:
        print("\t".join(("study", *COLUMNS, "log")))
        for study, row in ((study, row) for study, rows in studies.items() for row in rows):
            since = time.strftime("%m-%d %H:%M:%S", time.localtime(row.since)) if row.since else ""
            print("\t".join((run_folder.shown(study), *_cells(row, since), str(row.log or ""))))
        return
    for study, rows in studies.items():
        title = Text(run_folder.shown(study))
        table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), expand=True)
        for name in COLUMNS[:-1]:
            width = STATE_WIDTH if name == "state" else None
            table.add_column(name, no_wrap=name not in ("state", "where"), overflow="fold", max_width=width)
        table.add_column(COLUMNS[-1], no_wrap=True, overflow="ellipsis", ratio=1)  # what a narrow terminal cuts
        for row in rows:
            table.add_row(*map(Text, _cells(row, _short_time(row.since))))
        console.print(table, Text(f"Logs: {run_folder.shown(study)}/trials/<trial>/.submitit/<start>/", "dim"))


def _cells(row: Row, since: str) -> tuple[str, ...]:
    return str(row.number), row.job or "", row.state, row.where, since, row.last_line


def _short_time(moment: float | None) -> str:
    """The time of a moment today, the day of another one."""
    if moment is None:
        return ""
    then, now = time.localtime(moment), time.localtime()
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%b %d", then)


if __name__ == "__main__":
    plain_command(main)
