"""Compare finished runs question by question: how much they differ, whether that is significant, and where.

python -m mcqa.compare RUN [RUN ...] [key=value ...]
"""

from collections.abc import Sequence
from tempfile import TemporaryDirectory

from mcqa.compare import options
from mcqa.compare.options import Options
from mcqa.config.plain_command import plain_command


def main(arguments: Sequence[str]) -> None:
    """Compare the runs of a command line; show the result in the terminal and write it to its folder."""
    if {"--help", "-h"} & set(arguments):
        return print(options.HELP)
    chosen = options.parse(arguments)
    options.check_out(chosen)
    with TemporaryDirectory(prefix="mcqa-compare-") as downloads:
        run(chosen, downloads)


def run(chosen: Options, downloads: str) -> None:
    from dataclasses import replace

    from rich.console import Console

    from mcqa.compare import analysis, configurations, export, looks, runs, sections, terminal

    named = [runs.find(reference, chosen, downloads) for reference in chosen.runs]
    compared = configurations.group_runs(named, chosen)
    console = Console()
    if chosen.dry_run:
        return terminal.preview(console, compared, chosen)
    comparison = replace(analysis.compare(compared, chosen), look=looks.number(compared, chosen))
    answers = sections.answer(comparison, chosen)
    # written first, for a reader such as head may close the terminal's end early
    folder = export.write(comparison, chosen, answers)
    terminal.show(console, comparison, answers)
    terminal.show_files(console, folder, export.track(comparison, folder, chosen) if chosen.track else None)


if __name__ == "__main__":
    plain_command(main)
