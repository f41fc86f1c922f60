"""Say from the log of a run what is wrong with it, or looks wrong and is normal, and what to try.

    python -m mcqa.doctor RUN [RUN ...]
    mcqa doctor run=outputs/runs/<name>/<id>

RUN is a run folder (outputs/runs/<name>/<id>, also of a run that goes on or has failed) or an MLflow run id.
docs/doctor.md has every finding.
"""

from collections.abc import Sequence
from pathlib import Path

from mcqa.config import plain_options
from mcqa.config.errors import ConfigError, listing
from mcqa.config.plain_command import plain_command
from mcqa.config.plain_options import Option, file_path, help_lines

OPTIONS = {"outputs": Option("outputs", file_path, "where an MLflow run id is looked up")}

STYLES = {"problem": "bold red", "hint": "yellow", "normal": "green"}


def main(arguments: Sequence[str]) -> None:
    """Show the findings of each run."""
    if {"--help", "-h"} & set(arguments):
        return print(f"{(__doc__ or '').strip()}\n\nOptions (key=value):\n{help_lines(OPTIONS)}")
    problems: list[str] = []
    named, chosen, _ = plain_options.parse([text.removeprefix("run=") for text in arguments], OPTIONS, problems)
    if not named and not problems:
        problems.append("name at least one run: its folder, outputs/runs/<name>/<id>, or its MLflow run id.")
    if problems:
        raise ConfigError(listing(problems))
    from mcqa.runs.lookup import finished_run

    outputs = Path(chosen["outputs"]).expanduser().absolute()
    for number, folder in enumerate([finished_run(name, outputs) for name in named]):
        show(folder, first=not number)


def show(folder: Path, first: bool = True) -> None:
    """Print the findings of a run, the worst first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mcqa.evaluation.doctor.findings import in_short
    from mcqa.evaluation.doctor.history import FEWEST_POINTS
    from mcqa.evaluation.doctor.rules import diagnose
    from mcqa.evaluation.doctor.stored import history_of
    from mcqa.runs import run_folder
    from mcqa.runs.summaries import summary

    console, history = Console(highlight=False), history_of(folder)
    found = diagnose(history)
    if not first:
        console.print()
    console.print(Text(f"{run_folder.shown(folder)} ({summary(folder).status}): {in_short(found)}", style="bold"))
    if not history.updates:
        console.print("It has logged no update of a training yet, so there is little to look at.")
    elif history.every > 1:
        console.print(f"Only means over {history.every} updates are known of it, so spikes and noise cannot be seen.")
    if 0 < len(history.updates) < FEWEST_POINTS:
        console.print(f"It has {len(history.updates)} points, and the rules about a curve need {FEWEST_POINTS}.")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for one in found:
        text = Text.assemble((one.name, "bold"), f"\n{one.evidence}. {one.meaning}")
        if one.override:
            text.append(f"\nTry {one.override}")
        grid.add_row(Text(one.severity, style=STYLES[one.severity]), text)
    console.print(grid)


if __name__ == "__main__":
    plain_command(main)
