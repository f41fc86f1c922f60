"""Read the history of a run from its folder: configuration, updates, curves, result and predictions."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from mcqa.config.errors import McqaError
from mcqa.evaluation import predictions
from mcqa.evaluation.doctor import updates
from mcqa.evaluation.doctor.findings import Finding
from mcqa.evaluation.doctor.history import Accuracy, Answers, History, Measurement, Setup
from mcqa.evaluation.doctor.rules import diagnose
from mcqa.evaluation.doctor.updates import Update
from mcqa.evaluation.predictions import Prediction
from mcqa.runs import run_folder
from mcqa.runs.tracking.spool import Event, Spool

FILE = "doctor.json"


def findings_of(folder: Path) -> list[Finding]:
    """Return what the rules find in a run, finished or not.

    Raises:
        FileError: its configuration cannot be read.
    """
    return diagnose(history_of(folder))


def history_of(folder: Path, ended: bool | None = None) -> History:
    """Return the history of a run; what its folder does not have is absent from it.

    ended: whether training has made its last update; None: where there are all updates that
    were planned, or result.json says that the run is complete.

    Raises:
        FileError: its configuration cannot be read.
    """
    events = [event for _, event in Spool(folder).read()]
    result = run_folder.read_result(folder)
    counts = {str(event.get("split")): event.get("questions") for event in events if event["event"] == "dataset"}
    points, metrics = _points(events), result.get("metrics")
    metrics = metrics if isinstance(metrics, dict) and metrics else _all_values(events)
    every = updates.read(folder / updates.FILE)
    curve = every or _curve(points)
    answers = answers_of(_predictions(folder, ("dev", "test")))
    setup = Setup.of(run_folder.config_of(folder), counts.get("train"))
    has_all = bool(curve) and setup.planned is not None and curve[-1].number >= setup.planned
    return History(
        setup=setup,
        updates=curve,
        every=1 if every else max([1, *(b.number - a.number for a, b in pairwise(curve))]),
        dev=[one for step, values in points.items() if (one := _measurement(step, values))],
        base=_accuracy(metrics, "base/dev/acc"),
        answers=answers,
        questions=answers or answers_of(_predictions(folder, ("base_dev", "base_test"))),
        gain=_accuracy(metrics, "test/acc_gain"),
        elsewhere=_gains_elsewhere(run_folder.config_of(folder), metrics),
        ended=(result.get("status") == "complete" or has_all) if ended is None else ended,
        group_zero=_zero_groups(points),
    )


def answers_of(rows: Iterable[Prediction]) -> Answers | None:
    """Return which choices these predictions pick."""
    return Answers.of([(row.prediction, row.question.answer, len(row.scores)) for row in rows])


def _predictions(folder: Path, names: Iterable[str]) -> list[Prediction]:
    """Return the first of these predictions that can be read."""
    for name in names:
        try:
            if rows := list(predictions.read(folder / "predictions" / f"{name}.jsonl")):
                return rows
        except (McqaError, OSError):
            continue
    return []


def _points(events: Iterable[Event]) -> dict[int, dict[str, float]]:
    """Return what was logged of training after each update, in their order; a resumed run may log an update again."""
    points: dict[int, dict[str, float]] = {}
    for event in events:
        if event["event"] == "metrics" and event.get("of", "training") == "training":
            values = event.get("values")
            points.setdefault(int(event["step"]), {}).update(values if isinstance(values, dict) else {})
    return dict(sorted(points.items()))


def _all_values(events: Iterable[Event]) -> dict[str, float]:
    values: dict[str, float] = {}
    for event in events:
        if event["event"] == "metrics" and isinstance(event.get("values"), dict):
            values |= event["values"]
    return values


def _curve(points: Mapping[int, Mapping[str, float]]) -> list[Update]:
    return [
        Update(
            step,
            float(values["train/loss"]),
            float(values.get("grad_norm", "nan")),
            float(values.get("learning_rate", 0)),
        )
        for step, values in points.items()
        if "train/loss" in values
    ]


def _measurement(step: int, values: Mapping[str, Any]) -> Measurement | None:
    accuracy, loss, nll = _accuracy(values, "dev/acc"), values.get("dev/loss"), values.get("dev/nll")
    return Measurement(step, accuracy, loss, nll) if accuracy or loss is not None else None


def _accuracy(values: Mapping[str, Any], name: str) -> Accuracy | None:
    found = [values.get(key) for key in (name, f"{name}_ci_low", f"{name}_ci_high")]
    numbers = [float(one) for one in found if isinstance(one, int | float)]
    return Accuracy(*numbers) if len(numbers) == 3 else None


def _gains_elsewhere(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Accuracy]:
    """Return what training changed on each of evaluation.sets; those of a mix are trained on."""
    names = [str(one["name"]) for one in config.get("evaluation", {}).get("sets", [])]
    gains = {name: _accuracy(metrics, f"{name}/acc_gain") for name in names}
    return {name: gain for name, gain in gains.items() if gain is not None}


def _zero_groups(points: Mapping[int, Mapping[str, float]]) -> list[str]:
    prefix = "grad_norm/"
    return [
        name.removeprefix(prefix) for name, value in points.get(1, {}).items() if name.startswith(prefix) and value == 0
    ]
