"""Finished runs, in a folder or in MLflow, and whether they answered the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcqa.compare.options import Options
from mcqa.config.errors import ConfigError, DataError, nearest
from mcqa.data.question import Question
from mcqa.evaluation.predictions import Prediction, read
from mcqa.runs import lookup, run_folder
from mcqa.runs.files import flat
from mcqa.runs.lookup import read_json_if_any


@dataclass(frozen=True)
class Run:
    """A finished run. config_dict: its configuration by dotted name; mlflow_id: its id in MLflow if it was tracked."""

    shown: str
    folder: Path
    config_dict: Mapping[str, Any]
    environment: Mapping[str, Any]
    mlflow_id: str | None
    downloaded: bool

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
    def splits(self) -> list[str]:
        """The splits that it has predictions for: `test`, `base/test`, …"""
        names = sorted(path.stem for path in (self.folder / "predictions").glob("*.jsonl"))
        return [f"base/{name.removeprefix('base_')}" if name.startswith("base_") else name for name in names]

    def predictions(self, split: str) -> list[Prediction]:
        """Read the predictions for a split.

        Raises:
            ConfigError: there are none for this split.
            DataError: the file is damaged.
        """
        path = self.folder / "predictions" / f"{split.replace('/', '_')}.jsonl"
        if not path.is_file():
            raise ConfigError(_no_predictions(self, split))
        return read(path, self.shown)


def find(reference: str, options: Options, downloads: str) -> Run:
    """Return the run that a folder or the 32 digits of an MLflow run id refer to.

    Raises:
        ConfigError: there is no such run, or it is not complete.
    """
    folder = lookup.find(reference, options.outputs)
    downloaded = folder is None
    if folder is None:
        target = lookup.download(reference, options.outputs, options.tracking_uri, Path(downloads))
        folder = run_folder.open_existing(str(target))
    _must_be_complete(folder, reference)
    return Run(
        reference if downloaded else run_folder.shown(folder),
        folder,
        flat(run_folder.config_of(folder)),
        read_json_if_any(folder / "environment.json"),
        reference if downloaded else read_json_if_any(folder / "tracking.json").get("run_id"),
        downloaded,
    )


def _must_be_complete(folder: Path, reference: str) -> None:
    status = read_json_if_any(folder / "result.json").get("status", "not written")
    if status != "complete":
        raise ConfigError(
            f"{reference} is not complete (the status in its result.json: {status}), so its predictions may be "
            f"missing or of an earlier state. Finish it: python -m mcqa.train resume={reference}"
        )


def _no_predictions(run: Run, split: str) -> str:
    splits = run.splits
    if not splits:
        return f"{run.shown} has no predictions at all. Is it a run of mcqa.train or mcqa.evaluate?"
    study = " Trials of a study measure dev only." if split == "test" and "dev" in splits else ""
    known = f"it has {', '.join(splits)}"
    return f"{run.shown} has no predictions for split={split}; {known}.{nearest(split, splits)}{study}"


# --- the same questions -----------------------------------------------------------------------------------------------

EXAMPLES, MOST_KEYS = 3, 6
_NOT_MEASURED = ("data.limit", "data.licence", "data.recommended.", "data.texts")


def same_questions(
    predictions: Mapping[str, Sequence[Prediction]], runs: Sequence[Run], split: str
) -> dict[str, tuple[Prediction, ...]]:
    """Return each run's predictions, by the name of the run, in the order of the first one's.

    Raises:
        DataError: ids or contents differ; says how many are shared, which differ and the likely cause.
    """
    first, *others = predictions
    order = [row.question for row in predictions[first]]
    for other in others:
        if problem := _difference(order, [row.question for row in predictions[other]]):
            raise DataError(f"{other} answered other questions than {first}: {problem} {_cause(runs, split)}")
    by_id = {name: {row.question.id: row for row in rows} for name, rows in predictions.items()}
    return {name: tuple(rows[question.id] for question in order) for name, rows in by_id.items()}


def _difference(questions: Sequence[Question], others: Sequence[Question]) -> str | None:
    first, second = ({question.id: question.content for question in side} for side in (questions, others))
    if first == second:
        return None
    shared = [name for name in first if second.get(name) == first[name]]
    changed = [name for name in first if name in second and second[name] != first[name]]
    parts = [
        f"{len(names)} {what} ({_examples(names)})"
        for names, what in (
            (changed, "have the same id and other contents"),
            ([name for name in first if name not in second], "are only in the first"),
            ([name for name in second if name not in first], "are only in the other"),
        )
        if names
    ]
    moved = len(set(first.values()) & set(second.values())) - len(shared)
    renamed = f" {moved} have identical contents under another id." if moved > 0 else ""
    return f"{len(shared)} of {len(first)} and {len(second)} are shared, {', '.join(parts)}.{renamed}"


def _examples(names: Sequence[str]) -> str:
    return ", ".join(name[:60] for name in names[:EXAMPLES]) + (", …" if len(names) > EXAMPLES else "")


def _cause(runs: Sequence[Run], split: str) -> str:
    keys = _data_keys(runs, split.removeprefix("base/"))
    if keys:
        return f"Likely cause: {', '.join(keys)} differ{'s' if len(keys) == 1 else ''}. Compare runs on the same data."
    commits = {run.environment.get("git_commit") for run in runs}
    files = "the question file was changed between the runs"
    return f"Likely cause: {files}{', or the code was (their commits differ)' if len(commits) > 1 else ''}."


def _data_keys(runs: Sequence[Run], split: str) -> list[str]:
    """The keys that differ of what the split is measured on: a set of this name, dev's own set, or data."""
    sets = [_set(run.config_dict, split) for run in runs]
    if not any(sets):
        return _differing([_group(run.config_dict, "data.") for run in runs], "")
    where = "evaluation.dev" if split == "dev" else f"evaluation.sets.{split}"
    return _differing(sets, f"{where}.") if all(sets) else [where]


def _differing(sets: Sequence[Mapping[str, Any]], prefix: str) -> list[str]:
    keys = dict.fromkeys(key for entries in sets for key in entries if not key.startswith(_NOT_MEASURED))
    return [f"{prefix}{key}" for key in keys if len({str(entries.get(key)) for entries in sets}) > 1][:MOST_KEYS]


def _group(config_dict: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key: value for key, value in config_dict.items() if key.startswith(prefix)}


def _set(config_dict: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The leaves of the further set of this name, or of the one that dev is taken from; empty where there is none."""
    if split == "dev":
        prefix = "evaluation.dev."
        return {key.removeprefix(prefix): value for key, value in _group(config_dict, prefix).items()}
    sets = [entry for entry in config_dict.get("evaluation.sets") or () if isinstance(entry, Mapping)]
    return next((flat(entry) for entry in sets if entry.get("name") == split), {})
