"""Whether runs answered the same questions; if not, which differ and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcqa.compare.runs import Run
from mcqa.config.errors import DataError
from mcqa.data.question import Question
from mcqa.evaluation.predictions import Prediction
from mcqa.runs.files import flatten

EXAMPLES, MOST_KEYS = 3, 6
TEST_LIMIT = "evaluation.test_limit"
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
    commits = {str(run.environment.get("git_commit")) for run in runs}
    files = "the question file was changed between the runs"
    return f"Likely cause: {files}{', or the code was (their commits differ)' if len(commits) > 1 else ''}."


def _data_keys(runs: Sequence[Run], split: str) -> list[str]:
    """The keys that differ of what the split is measured on: a set of this name, dev's own set, or data."""
    if split not in ("train", "dev") and len({str(run.config_dict.get(TEST_LIMIT)) for run in runs}) > 1:
        return [TEST_LIMIT]
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
    return next((flatten(entry) for entry in sets if entry.get("name") == split), {})
