"""What runs where: the jobs of studies and multiruns, their last words, and a way to end them.

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

from mcqa.config.errors import ConfigError, listing
from mcqa.config.plain_command import plain_command
from mcqa.runs import run_folder
from mcqa.sweep.backends.job_status import Row, cancel, look

COLUMNS = ("trial", "job", "state", "where", "since", "last line of its log")


STATE = 28  # columns of a terminal, in lines of which a long one is folded


@dataclass(frozen=True)
class Options:
    folder: Path
    cancel: frozenset[int] | None  # None: all that have not ended, where cancels is true
    cancels: bool


def main(arguments: Sequence[str]) -> None:
    if {"--help", "-h"} & set(arguments):
        return print((__doc__ or "").strip())
    options = parse(arguments)
    studies = studies_in(options.folder)
    named = options.folder if (options.folder / "job.json").exists() else None
    everything = named is not None or (options.folder / "trials").is_dir()
    found, missing = look(studies, ended=everything)
    if missing:
        print(missing, file=sys.stderr)
    if named is not None:
        found = {study: [row for row in rows if row.folder == named] for study, rows in found.items()}
    if options.cancels:
        return _cancel(found, options.cancel)
    shown = {study: [row for row in rows if everything or not row.ended] for study, rows in found.items()}
    show({study: rows for study, rows in shown.items() if rows})


def parse(arguments: Sequence[str]) -> Options:
    """
    Raises:
        ConfigError: with everything wrong on the command line at once.
    """
    folders, numbers, cancels, problems = list[Path](), None, False, list[str]()
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name == "cancel":
            cancels = True
            if value != "all":
                parts = value.split(",")
                problems += [
                    f"cancel={value}: {part!r} is no trial's number." for part in parts if not part.isdecimal()
                ]
                numbers = frozenset(int(part) for part in parts if part.isdecimal())
        elif argument.startswith("-") or (equals and not Path(argument).exists()):
            problems.append(f"{argument}: unknown; there is only cancel=<numbers>, and cancel=all.")
        else:
            folders.append(Path(argument).expanduser().absolute())
    folder = job_of(folders[0]) if folders else Path("outputs").absolute()
    if len(folders) > 1:
        problems.append("one folder at a time.")
    if not folder.is_dir():
        problems.append(f"{folder}: there is no such folder.")
    if cancels and not studies_in(folder):
        problems.append(f"{folder}: no jobs were sent from here.")
    elif cancels and numbers is not None and len(studies_in(folder)) > 1:
        problems.append("cancel=<numbers> needs the folder of one study; several have such trials.")
    if problems:
        raise ConfigError(listing(problems))
    return Options(folder, numbers, cancels)


def job_of(folder: Path) -> Path:
    """The folder of the job whose run lies in this one; the folder itself where it is none."""
    for kept in folder.parents[2].glob("sweeps/*/trials/*/run_folder") if len(folder.parents) > 2 else ():
        if Path(kept.read_text("utf-8").strip()) == folder:
            return kept.parent
    return folder


def studies_in(folder: Path) -> list[Path]:
    """The folders with trials/ that a path means: of a trial its study, of outputs/ all below sweeps/."""
    if (folder / "job.json").exists() and folder.parent.name == "trials":
        return [folder.parent.parent]
    if (folder / "trials").is_dir():
        return [folder, *([folder / "confirm"] if (folder / "confirm" / "trials").is_dir() else [])]
    return sorted(path.parent for path in [*folder.glob("*/trials"), *folder.glob("sweeps/*/trials")])


def _cancel(found: dict[Path, list[Row]], numbers: frozenset[int] | None) -> None:
    rows = [row for rows in found.values() for row in rows]
    unknown = sorted((numbers or frozenset()) - {row.number for row in rows})
    if unknown:
        raise ConfigError(f"cancel: there is no trial {', '.join(map(str, unknown))}; known are 0 to {len(rows) - 1}.")
    for row in rows:
        if row.number in numbers if numbers is not None else not row.ended:
            print(f"trial {row.number}: {cancel(row)}")


def show(found: dict[Path, list[Row]]) -> None:
    """A table for each study; where nobody looks on a line for each trial, parted by tabs, and one with their names."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not found:
        print("Nothing runs or waits.")
    elif not console.is_terminal:
        print("\t".join(("study", *COLUMNS, "log")))
        for study, row in ((study, row) for study, rows in found.items() for row in rows):
            since = time.strftime("%m-%d %H:%M:%S", time.localtime(row.since)) if row.since else ""
            print("\t".join((run_folder.shown(study), *_cells(row, since), str(row.log or ""))))
        return
    for study, rows in found.items():
        table = Table(
            title=Text(run_folder.shown(study)), title_justify="left", box=None, padding=(0, 2, 0, 0), expand=True
        )
        for name in COLUMNS[:-1]:
            widest = STATE if name == "state" else None
            table.add_column(name, no_wrap=name not in ("state", "where"), overflow="fold", max_width=widest)
        table.add_column(COLUMNS[-1], no_wrap=True, overflow="ellipsis", ratio=1)  # what a narrow terminal cuts
        for row in rows:
            table.add_row(*map(Text, _cells(row, _short(row.since))))
        console.print(table, Text(f"Logs: {run_folder.shown(study)}/trials/<trial>/.submitit/<start>/", "dim"))


def _cells(row: Row, since: str) -> tuple[str, ...]:
    return str(row.number), row.job or "", row.state, row.where, since, row.last_line


def _short(since: float | None) -> str:
    """The time of a moment today, the day of another one."""
    if since is None:
        return ""
    moment, today = time.localtime(since), time.localtime()
    return time.strftime("%H:%M" if moment[:3] == today[:3] else "%b %d", moment)


if __name__ == "__main__":
    plain_command(main)
