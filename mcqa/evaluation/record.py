"""What a run measures: predictions, written to its folder, and the metrics that follow from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mcqa.data.loading import Data
from mcqa.data.quality.report import refuse_meaningless, report_on
from mcqa.data.question import Question, fingerprint
from mcqa.evaluation import conversations, predictions
from mcqa.evaluation.calibration import fit_temperature
from mcqa.evaluation.conversations import AnswerLoss, ConversationSet, loss_metrics
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.predictions import Prediction
from mcqa.runs import processes
from mcqa.runs.files import write_json
from mcqa.runs.record import Record


@dataclass
class Measurements:
    """The predictions of a run by name: `base/test`, `dev`, …; and the losses of the conversations of splits.

    parts: of a mix, as in Data; each of its sets has predictions of its own for test, under its name. verdicts: on what
    training changed, by set.
    """

    record: Record
    predictions: dict[str, list[Prediction]] = field(default_factory=dict)
    losses: dict[str, list[AnswerLoss]] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Mapping[str, Question]]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

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
        base, split = ("base/", name[5:]) if name.startswith("base/") else ("", name)
        for part, questions_of_part in self.parts.get(split, {}).items():
            own = [replace(row, question=its) for row in rows if (its := questions_of_part.get(row.question.id))]
            if own and split == "test":  # a question set like those of evaluation.sets, and nothing is measured again
                self.add(f"{base}{part}", [row.question for row in own], partial(list, own), step)
            elif own:
                values = compute_metrics(own, evaluation.cluster, evaluation.bootstrap)
                named |= {f"{name}/{part}/{metric}": value for metric, value in values.items()}
        record.metrics |= named
        record.log(named, step, of=name)
        record.keep(path)

    def add_losses(
        self, held_out: ConversationSet, measure: Callable[[], list[AnswerLoss]], step: int, of: str = ""
    ) -> None:
        """Measure, and record the losses of conversations, as `add` does for questions. of: `base/` for the base."""
        record, name = self.record, f"{of}{held_out.split}"
        path = record.folder / "losses" / f"{name.replace('/', '_')}.jsonl"
        rows = (
            conversations.recalled(path, held_out.conversations) if of and processes.broadcast(path.exists()) else None
        )
        if processes.any_rank([rows is None])[0] or rows is None:
            rows = measure()
            if processes.is_first():
                conversations.write(path, rows)
        self.losses[name] = rows
        named = loss_metrics(held_out, rows, of)
        record.metrics |= named
        record.log(named, step, of=f"losses of {name}")
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


def record_quality(record: Record, splits: Mapping[str, Sequence[Question]], trains: bool = True) -> None:
    """Refuse scores that would mean nothing; else write the report on the questions to quality.json. A trial of a study
    writes none, since all of them have the same questions.

    Raises:
        DataError: as for `refuse_meaningless`.
    """
    refuse_meaningless(record.config, splits, trains)
    if record.is_in_study or not processes.is_first() or not splits:
        return
    report = report_on(record.config, splits)
    record.warnings = report.warnings
    path = record.folder / "quality.json"
    write_json(path, report.as_dict())
    record.keep(path)


def record_inputs(record: Record, data: Data, tokenizer: str) -> None:
    """Record the fingerprints of all questions, that of the tokenizer, of which sets only some are read, and what was
    left out of train; and what retrieval says of the questions."""
    fingerprints = {split: fingerprint(entries) for split, entries in data.entries.items()}
    counts = {split: len(entries) for split, entries in data.entries.items()}
    record.inputs(fingerprints, counts, tokenizer, data.first_looks, data.removed)
    record.warnings = [*record.warnings, *data.warnings]
    if data.retrieval and not record.is_in_study:
        record.metrics |= data.retrieval
        record.log(data.retrieval, step=0, of="retrieval")
