"""What a run measures: predictions, written to its folder, and the metrics that follow from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcqa.data.loading import Data
from mcqa.data.question import Question, fingerprint
from mcqa.evaluation import predictions
from mcqa.evaluation.calibration import fit_temperature
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.predictions import Prediction
from mcqa.runs import processes
from mcqa.runs.record import Record


@dataclass
class Measurements:
    """The predictions of a run by name: `base/test`, `dev`, …"""

    record: Record
    predictions: dict[str, list[Prediction]] = field(default_factory=dict)

    def add(self, name: str, questions: Sequence[Question], measure: Callable[[], list[Prediction]], step: int) -> None:
        """Measure, and record predictions and metrics under `name`; a base is measured once, however often resumed.

        step: updates before the measurement. Every process of the run must call it, at the same place.
        """
        record, evaluation = self.record, self.record.config.evaluation
        path = record.folder / "predictions" / f"{name.replace('/', '_')}.jsonl"
        rows = measured_once(path, questions, measure) if name.startswith("base/") else measured(path, measure)
        self.predictions[name] = rows
        values = compute_metrics(rows, evaluation.cluster, evaluation.bootstrap, self._temperature(name))
        named = {f"{name}/{metric}": value for metric, value in values.items()}
        record.metrics |= named
        record.log(named, step, of=name)
        record.keep(path)

    def _temperature(self, name: str) -> float | None:
        """Return the temperature fitted on dev for everything else that the same model answers, if there is a dev."""
        dev = "base/dev" if name.startswith("base/") else "dev"
        return fit_temperature(self.predictions[dev]) if dev in self.predictions and name != dev else None


def measured(path: Path, measure: Callable[[], list[Prediction]]) -> list[Prediction]:
    """Measure, and write the predictions to the file. Every process of the run must call it."""
    rows = measure()
    if processes.is_first():
        predictions.write(path, rows)
    return rows


def measured_once(
    path: Path, questions: Sequence[Question], measure: Callable[[], list[Prediction]]
) -> list[Prediction]:
    """Return the predictions that the file holds, or measure them. Every process of the run must call it."""
    rows = predictions.recalled(path, questions) if processes.broadcast(path.exists()) else None
    any_lacks = processes.any_rank([rows is None])[0]
    return measured(path, measure) if rows is None or any_lacks else rows


def record_inputs(record: Record, data: Data, tokenizer: str) -> None:
    """Record the fingerprints of all questions, that of the tokenizer, and of which sets only some are read."""
    fingerprints = {split: fingerprint(questions) for split, questions in data.splits.items()}
    counts = {split: len(questions) for split, questions in data.splits.items()}
    record.inputs(fingerprints, counts, tokenizer, data.first_looks)
