"""What each stage of a run has reached and cost, in a table, and what all of them have changed together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from mcqa.evaluation import predictions
from mcqa.evaluation.metrics import chance_accuracy, cluster_names
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.formatting import percent
from mcqa.evaluation.report.tables import interval, verdict
from mcqa.evaluation.statistics import PairedDifference, mcnemar
from mcqa.runs import chain, run_folder
from mcqa.runs.duration import duration

COLUMNS = ("", "objective", "dev", "test", "95 % interval", "time")
CAPTION = "dev chose the state of each stage, so its accuracy is too high on average; nothing was chosen by test"


def rows(folder: Path, metrics: Mapping[str, float], result: Mapping[str, Any]) -> list[list[str]]:
    """Return a row of COLUMNS for the base and for each stage; none for a run of a single training.

    metrics: of the last stage, which is the run in the folder. result: as result.json has it.
    """
    stages = result.get("stages") or []
    if not stages:
        return []
    config = run_folder.config_of(folder)
    objectives = [(stage["config"] or config)["objective"]["name"] for stage in config["stages"]]
    first, *_ = measured = [*(stage.get("metrics") or {} for stage in stages[:-1]), metrics]
    found = [["base", "", *_accuracies(first, "base/"), ""]]
    for stage, objective, values in zip(stages, objectives, measured, strict=True):
        seconds = stage.get("seconds")
        found.append([stage["name"], objective, *_accuracies(values), duration(seconds) if seconds else ""])
    return found


def _accuracies(metrics: Mapping[str, float], of: str = "") -> list[str]:
    dev, test = f"{of}dev/acc", f"{of}test/acc"
    return [
        percent(metrics[dev]) if dev in metrics else "",
        *([percent(metrics[test]), interval(metrics, test)] if test in metrics else ["", ""]),
    ]


def table(rows_of_stages: Sequence[Sequence[str]]) -> Table:
    """Return the rows as a table for the terminal."""
    shown = Table(title="Stages", title_justify="left", title_style="bold", caption=CAPTION, caption_justify="left")
    for heading in COLUMNS:
        shown.add_column(heading, justify="left" if heading in ("", "objective") else "right")
    for row in rows_of_stages:
        shown.add_row(*row)
    return shown


def all_together(folder: Path, after: Sequence[Prediction], cluster: Any) -> PairedDifference | None:
    """Return the difference on test between the base of the first stage and the end of the last one.

    after: the answers at the end. None where the first stage has not measured its base on the same questions, or where
    there is no earlier stage.
    """
    if (its := chain.place(folder)) is None or len(its[0]) == 1 or run_folder.chain_of(folder) is not None:
        return None
    path = folder / run_folder.STAGES / its[0][0] / "predictions" / "base_test.jsonl"
    before = predictions.recalled(path, [row.question for row in after]) if path.is_file() else None
    if before is None:
        return None
    names = cluster_names([row.question for row in after], cluster)
    return mcnemar([row.correct for row in before], [row.correct for row in after], names)


def sentence(folder: Path, paired: PairedDifference, after: Sequence[Prediction]) -> str:
    """Return what all stages have changed on test, in a sentence."""
    names, _ = chain.place(folder) or ([], 0)
    return f"All stages ({', '.join(names)}), over the base that the first one began with: " + verdict(
        paired, chance_accuracy([row.question for row in after])
    )
