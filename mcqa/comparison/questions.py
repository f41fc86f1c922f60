"""Only answers to the same questions can be compared one by one."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcqa import run_folder
from mcqa.comparison.runs import Run
from mcqa.errors import DataError
from mcqa.evaluation.predictions import Prediction
from mcqa.question import Question

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
    return next((run_folder.flat(one) for one in sets if one.get("name") == split), {})
