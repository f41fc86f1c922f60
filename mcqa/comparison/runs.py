"""Find a finished run, in a folder or in MLflow, and read what it left behind."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcqa import run_folder
from mcqa.comparison import stored
from mcqa.comparison.options import Options
from mcqa.errors import ConfigError, DataError, nearest
from mcqa.evaluation import predictions
from mcqa.evaluation.predictions import Prediction

MLFLOW_ID = re.compile(r"[0-9a-f]{32}")
PLACES = ("runs/*/*", "sweeps/*/trials/*")


@dataclass(frozen=True)
class Run:
    """A finished run: `tree` is its configuration by dotted name, `mlflow_id` its run there if it was tracked."""

    shown: str
    folder: Path
    tree: Mapping[str, Any]
    environment: Mapping[str, Any]
    mlflow_id: str | None
    downloaded: bool

    @property
    def name(self) -> str:
        return str(self.tree.get("name", self.folder.name))

    @property
    def id(self) -> str:
        return self.shown if self.downloaded else self.folder.name

    @property
    def seed(self) -> Any:
        return self.tree.get("seed")

    @property
    def splits(self) -> list[str]:
        """What it has predictions for: `test`, `base/test`, …"""
        names = sorted(path.stem for path in (self.folder / "predictions").glob("*.jsonl"))
        return [f"base/{name.removeprefix('base_')}" if name.startswith("base_") else name for name in names]

    def predictions(self, split: str) -> list[Prediction]:
        """
        Raises:
            ConfigError: there are none for this split.
            DataError: the file is damaged.
        """
        path = self.folder / "predictions" / f"{split.replace('/', '_')}.jsonl"
        if not path.is_file():
            raise ConfigError(_no_predictions(self, split))
        return _read(path, self.shown)


def find(reference: str, options: Options, downloads: str) -> Run:
    """The run that the user means by a folder or by the 32 digits of an MLflow run id.

    Raises:
        ConfigError: there is no such run, or it is not complete.
    """
    by_id = MLFLOW_ID.fullmatch(reference) and not Path(reference).exists()
    folder = _tracked_as(reference, options.outputs) if by_id else run_folder_of(reference)
    downloaded = folder is None
    if folder is None:
        folder = run_folder_of(str(stored.download(reference, options, Path(downloads))))
    _must_be_complete(folder, reference)
    return Run(
        reference if downloaded else run_folder.shown(folder),
        folder,
        run_folder.flat(run_folder.read_yaml(folder / "config.yaml")),
        _json(folder / "environment.json"),
        reference if downloaded else _json(folder / "tracking.json").get("run_id"),
        downloaded,
    )


def run_folder_of(path: str) -> Path:
    try:
        return run_folder.open_existing(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: its config.yaml cannot be read: {error}.") from error


def _tracked_as(run_id: str, outputs: Path) -> Path | None:
    """The folder under outputs whose tracker gave the run this id."""
    for place in PLACES:
        for path in outputs.glob(f"{place}/tracking.json"):
            if _json(path).get("run_id") == run_id:
                return path.parent
    return None


def _must_be_complete(folder: Path, reference: str) -> None:
    status = _json(folder / "result.json").get("status", "not written")
    if status != "complete":
        raise ConfigError(
            f"{reference} is not complete (the status in its result.json: {status}), so its predictions may be "
            f"missing or of an earlier state. Finish it: python -m mcqa.train resume={reference}"
        )


def _json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where the file is missing or damaged: nothing that is compared hangs on it alone."""
    try:
        found = run_folder.read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _no_predictions(run: Run, split: str) -> str:
    splits = run.splits
    if not splits:
        return f"{run.shown} has no predictions at all. Is it a run of mcqa.train or mcqa.evaluate?"
    study = " Trials of a study measure dev only." if split == "test" and "dev" in splits else ""
    known = f"it has {', '.join(splits)}"
    return f"{run.shown} has no predictions for split={split}; {known}.{nearest(split, splits)}{study}"


def _read(path: Path, run: str) -> list[Prediction]:
    try:
        rows = predictions.read(path)
        faults = [f"line {number}: {fault}" for number, row in enumerate(rows, 1) if (fault := _fault(row))]
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        faults = [_damage(path)]
    if not faults and not rows:
        faults = ["it is empty"]
    if not faults and len({row.question.id for row in rows}) < len(rows):
        faults = ["two lines have the same question id"]
    if faults:
        raise DataError(
            f"{path}: {faults[0]}. The file is damaged or was changed; measure again: python -m mcqa.evaluate run={run}"
        )
    return rows


def _fault(row: Prediction) -> str | None:
    """What makes a prediction that could be read impossible to use."""
    question, scores = row.question, row.scores
    if not isinstance(question.id, str) or not isinstance(question.question, str):
        return "id and question must be texts"
    if len(question.choices) < 2 or len(scores) != len(question.choices):
        return f"{len(scores)} scores for {len(question.choices)} choices"
    if not all(isinstance(choice, str) for choice in question.choices):
        return "choices must be texts"
    if not isinstance(question.answer, int) or not 0 <= question.answer < len(question.choices):
        return f"answer {question.answer!r} is none of its {len(question.choices)} choices"
    return None


def _damage(path: Path) -> str:
    """Where a file that cannot be read is damaged."""
    try:
        for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
            if line and not _is_object(line):
                return f"line {number} is no JSON object"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return "a line lacks one of id, question, choices, answer, scores, lengths, or has the wrong kind of value there"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
