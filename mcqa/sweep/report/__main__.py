"""Write the report of a study into its folder, at its end or at any time before.

    python -m mcqa.sweep.report outputs/sweeps/<study>

report.html          the result with charts and tables, complete in one file
report.md            the arms of a study with new seeds, as a text to be pasted elsewhere (hydra.sweeper.arms, confirm)
trials.csv           one line a trial
importances.csv      how much each parameter mattered
best.yaml            an experiment file of the best trial, to run as it is
optimization_results.yaml   the best parameters and value, in the format of Hydra's own Optuna sweeper

Nothing else is changed, and what cannot be read of the study is named on the page.
"""

from collections.abc import Sequence
from pathlib import Path

from mcqa.config.errors import ConfigError
from mcqa.config.plain_command import plain_command
from mcqa.runs import run_folder
from mcqa.sweep.report.write import write_report


def main(arguments: Sequence[str]) -> None:
    usage = (__doc__ or "").strip()
    if arguments and arguments[0] in ("--help", "-h"):
        return print(usage)
    if len(arguments) != 1:
        raise ConfigError(f"One study folder is needed.\n\n{usage}")
    summary = write_report(Path(arguments[0]).expanduser().absolute())
    for line in summary.lines:
        print(line)
    print(f"Files: {', '.join(run_folder.shown(path) for path in summary.files)}")


if __name__ == "__main__":
    plain_command(main)
