"""Finished runs, in a folder or in MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcqa.compare.options import Options
from mcqa.config.errors import ConfigError, nearest
from mcqa.config.schema import SEEDS
from mcqa.evaluation.predictions import Prediction, read
from mcqa.runs import lookup, run_folder
from mcqa.runs.files import flatten, read_optional


@dataclass(frozen=True)
class Run:
    """A finished run.

    config_dict: its configuration by dotted name. mlflow_id: its id in MLflow if it was tracked. first_look, warnings:
    as in result.json.
    """

    shown: str
    folder: Path
    config_dict: Mapping[str, Any]
    environment: Mapping[str, Any]
    mlflow_id: str | None
    downloaded: bool
    first_look: Mapping[str, Any]
    warnings: Sequence[str] = ()

    @property
    def name(self) -> str:
        return str(self.config_dict.get("name", self.folder.name))

    @property
    def id(self) -> str:
        return self.shown if self.downloaded else self.folder.name

    @property
    def seed(self) -> Any:
        return self.config_dict.get("seed")

    @property
    def seeds(self) -> dict[str, Any]:
        """What chance draws from, by the keys of SEEDS; the order follows `seed` where it has no seed of its own."""
        seeds = {key: self.config_dict.get(key) for key in SEEDS}
        return seeds if seeds["order_seed"] is not None else seeds | {"order_seed": self.seed}

    @property
    def order_is_fixed(self) -> bool:
        """Whether the order of questions has a seed of its own, which other values of `seed` leave as it is."""
        return self.config_dict.get("order_seed") is not None

    @property
    def seed_shown(self) -> str:
        """The seed, and that of the order where it is another: `0 (order 1)`."""
        order = self.seeds["order_seed"]
        return str(self.seed) if order == self.seed else f"{self.seed} (order {order})"

    @property
    def splits(self) -> list[str]:
        """The splits that it has predictions for: `test`, `base/test`, …"""
        names = sorted(path.stem for path in (self.folder / "predictions").glob("*.jsonl"))
        return [f"base/{name.removeprefix('base_')}" if name.startswith("base_") else name for name in names]

    def predictions(self, split: str) -> list[Prediction]:
        """Read the predictions for a split.

        Raises:
            ConfigError: there are none for this split.
            FileError: the file cannot be read.
            DataError: the file is damaged.
        """
        try:
            return read(self.folder / "predictions" / f"{split.replace('/', '_')}.jsonl", self.shown)
        except FileNotFoundError:
            raise ConfigError(_no_predictions(self, split)) from None


def find(reference: str, options: Options, downloads: str) -> Run:
    """Return the run that a folder or the 32 digits of an MLflow run id refer to.

    Raises:
        ConfigError: there is no such run, or it is not complete.
        FileError: its result or configuration cannot be read.
    """
    folder = lookup.find(reference, options.outputs)
    downloaded = folder is None
    if folder is None:
        target = lookup.download(reference, options.outputs, options.tracking_uri, Path(downloads))
        folder = run_folder.open_existing(str(target))
    result = run_folder.read_result(folder)
    status = result.get("status", "not written")
    if status != "complete":
        raise ConfigError(
            f"{reference} is not complete (the status in its result.json: {status}), so its predictions may be "
            f"missing or of an earlier state. Finish it: python -m mcqa.train resume={reference}"
        )
    return Run(
        reference if downloaded else run_folder.shown(folder),
        folder,
        flatten(run_folder.config_of(folder)),
        read_optional(folder / "environment.json"),
        reference if downloaded else read_optional(folder / "tracking.json").get("run_id"),
        downloaded,
        looks if isinstance(looks := result.get("first_look"), dict) else {},
        [str(warning) for warning in warnings] if isinstance(warnings := result.get("warnings"), list) else [],
    )


def _no_predictions(run: Run, split: str) -> str:
    splits = run.splits
    if not splits:
        return f"{run.shown} has no predictions at all. Is it a run of mcqa.train or mcqa.evaluate?"
    study = " Trials of a study measure dev only." if split == "test" and "dev" in splits else ""
    known = f"it has {', '.join(splits)}"
    return f"{run.shown} has no predictions for split={split}; {known}.{nearest(split, splits)}{study}"
