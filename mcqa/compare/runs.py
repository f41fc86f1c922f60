"""Find a finished run, in a folder or in MLflow, and read what it left behind."""

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
        return read(path, self.shown)


def find(reference: str, options: Options, downloads: str) -> Run:
    """The run that the user means by a folder or by the 32 digits of an MLflow run id.

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


EXAMPLES = 3


_NOT_ABOUT_MEASURING = ("data.limit", "data.licence", "data.recommended.", "data.texts")


def same_questions(
    predictions: Mapping[str, Sequence[Prediction]], runs: Sequence[Run], split: str
) -> dict[str, tuple[Prediction, ...]]:
    """Each run's predictions (by what the run is called) in the order of the first one's.

    Raises:
        DataError: ids or contents are not the same set; says how many are shared, which differ and the likely cause.
    """
    first, *others = predictions
    order = [row.question for row in predictions[first]]
    for other in others:
        if problem := _difference(order, [row.question for row in predictions[other]]):
            raise DataError(f"{other} answered other questions than {first}: {problem} {_cause(runs, split)}")
    by_id = {name: {row.question.id: row for row in rows} for name, rows in predictions.items()}
    return {name: tuple(rows[question.id] for question in order) for name, rows in by_id.items()}


def _difference(one: Sequence[Question], other: Sequence[Question]) -> str | None:
    contents, found = ({question.id: question.content for question in side} for side in (one, other))
    if contents == found:
        return None
    shared = [name for name in contents if found.get(name) == contents[name]]
    changed = [name for name in contents if name in found and found[name] != contents[name]]
    parts = [
        f"{len(names)} {what} ({_examples(names)})"
        for names, what in (
            (changed, "have the same id and other contents"),
            ([name for name in contents if name not in found], "are only in the first"),
            ([name for name in found if name not in contents], "are only in the other"),
        )
        if names
    ]
    moved = len(set(contents.values()) & set(found.values())) - len(shared)
    renamed = f" {moved} have equal contents under another id." if moved > 0 else ""
    return f"{len(shared)} of {len(contents)} and {len(found)} are shared, {', '.join(parts)}.{renamed}"


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
    sets = [_set(run.tree, split) for run in runs]
    if not any(sets):
        return _differing([{key: run.tree[key] for key in run.tree if key.startswith("data.")} for run in runs], "")
    where = "evaluation.dev" if split == "dev" else f"evaluation.sets.{split}"
    return _differing(sets, f"{where}.") if all(sets) else [where]


def _differing(trees: Sequence[Mapping[str, Any]], prefix: str) -> list[str]:
    names = dict.fromkeys(key for tree in trees for key in tree if not key.startswith(_NOT_ABOUT_MEASURING))
    return [f"{prefix}{name}" for name in names if len({str(tree.get(name)) for tree in trees}) > 1][:6]


def _set(tree: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The leaves of the further set that is called split, or that dev is taken from; empty where there is none."""
    if split == "dev":
        prefix = "evaluation.dev."
        return {key.removeprefix(prefix): value for key, value in tree.items() if key.startswith(prefix)}
    sets = [one for one in tree.get("evaluation.sets") or () if isinstance(one, Mapping)]
    return next((flat(one) for one in sets if one.get("name") == split), {})
