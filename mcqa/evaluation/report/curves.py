"""What a training has logged, read from events.jsonl of its folder."""

from collections.abc import Mapping
from pathlib import Path

from mcqa.evaluation.report.charts.training import Curves
from mcqa.runs import run_folder
from mcqa.runs.tracking.spool import Spool


def curves_of(folder: Path, metrics: Mapping[str, float], chance: float | None) -> Curves:
    """Return the curves of a run. metrics: its metrics so far; chance: accuracy of guessing."""
    points: dict[int, dict[str, float]] = {}
    for _, event in Spool(folder).read():
        if event["event"] == "metrics" and event.get("of") == "training" and event["step"] > 0:
            points.setdefault(event["step"], {"step": event["step"]}).update(event["values"])
    config = run_folder.config_of(folder)
    return Curves(
        points=[points[step] for step in sorted(points)],
        metrics=metrics,
        chance=chance,
        clipped_above=config["optimizer"].get("max_grad_norm") or None,
        chosen_by=str(config["evaluation"]["best_metric"]),
        objective=str(config["objective"]["name"]),
    )
