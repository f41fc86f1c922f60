"""Find a finished run, in a folder or in MLflow, and read what it left behind."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcqa import run_folder
from mcqa.comparison import damage, stored
from mcqa.comparison.options import Options
from mcqa.errors import ConfigError, nearest
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
        return damage.read(path, self.shown)


def find(reference: str, options: Options, downloads: str) -> Run:
    """The run that the user means by a folder or by the 32 digits of an MLflow run id.

    Raises:
        ConfigError: there is no such run, or it is not complete.
    """
    folder = tracked_as(reference, options.outputs) if is_id(reference) else run_folder_of(reference)
    downloaded = folder is None
    if folder is None:
        folder = run_folder_of(str(stored.download(reference, options.outputs, options.tracking_uri, Path(downloads))))
    _must_be_complete(folder, reference)
    return Run(
        reference if downloaded else run_folder.shown(folder),
        folder,
        run_folder.flat(run_folder.read_yaml(folder / "config.yaml")),
        _json(folder / "environment.json"),
        reference if downloaded else _json(folder / "tracking.json").get("run_id"),
        downloaded,
    )


def configuration(reference: str, outputs: Path, tracking_uri: str | None) -> dict[str, Any]:
    """The stored configuration of any run, complete or not, by its folder or its MLflow run id.

    Raises:
        ConfigError: there is no such run.
    """
    folder = tracked_as(reference, outputs) if is_id(reference) else run_folder_of(reference)
    with tempfile.TemporaryDirectory() as downloads:
        if folder is None:
            folder = stored.download(reference, outputs, tracking_uri, Path(downloads), ["config.yaml"])
        tree: dict[str, Any] = run_folder.read_yaml(run_folder_of(str(folder)) / "config.yaml")
        return tree


def is_id(reference: str) -> bool:
    return bool(MLFLOW_ID.fullmatch(reference)) and not Path(reference).exists()


def run_folder_of(path: str) -> Path:
    try:
        return run_folder.open_existing(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: its config.yaml cannot be read: {error}.") from error


def tracked_as(run_id: str, outputs: Path) -> Path | None:
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
