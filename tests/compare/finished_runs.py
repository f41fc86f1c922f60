"""Finished runs that take no training: a configuration, a result and predictions, as a run leaves them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mcqa.compare import options
from mcqa.compare.analysis import Comparison, compare
from mcqa.compare.configurations import Compared, group_runs
from mcqa.compare.options import Options
from mcqa.compare.runs import find
from mcqa.data.question import Question
from mcqa.evaluation import predictions
from mcqa.evaluation.predictions import Prediction


def question(number: int, **changes: Any) -> Question:
    """A question with four choices of which the second is right; name only what the test is about."""
    plain = {"id": f"q{number}", "question": f"Number {number}?", "choices": ("oak", "elm", "ash", "yew"), "answer": 1}
    return Question(**(plain | changes))


def predicted(right: bool, of: Question, margin: float = 1.0) -> Prediction:
    """The right choice scores `margin` nats above the others, or below the first."""
    scores = [-5.0] * len(of.choices)
    scores[of.answer] += margin if right else -margin
    return Prediction(of, tuple(scores), (1,) * len(scores))


def answered(right: Sequence[bool], **changes: Any) -> list[Prediction]:
    return [predicted(one, question(number, **changes)) for number, one in enumerate(right)]


def make_run(
    root: Path,
    run: str,
    /,
    test: Sequence[bool] | Sequence[Prediction] | None = None,
    base: Sequence[bool] | Sequence[Prediction] | None = None,
    status: str = "complete",
    environment: dict[str, Any] | None = None,
    first_look: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """The folder of a run; `changes` are of its configuration, optimizer__learning_rate=… for the dotted key."""
    folder = root / "outputs" / "runs" / "mine" / run
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config_dict(changes), sort_keys=False))
    (folder / "result.json").write_text(json.dumps({"status": status, "first_look": first_look or {}}))
    (folder / "environment.json").write_text(json.dumps(environment or {"git_commit": "abc", "git_dirty": False}))
    for split, rows in (("test", test), ("base_test", base)):
        if rows is not None:
            predictions.write(folder / "predictions" / f"{split}.jsonl", filled(rows))
    return folder


def config_dict(changes: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": "mine", "seed": 0, "optimizer": {"learning_rate": 0.001, "batch_size": 8}}
    for key, value in changes.items():
        *groups, leaf = key.split("__")
        at = plain
        for group in groups:
            at = at.setdefault(group, {})
        at[leaf] = value
    return plain


def filled(rows: Sequence[bool] | Sequence[Prediction]) -> list[Prediction]:
    return [row if isinstance(row, Prediction) else predicted(row, question(i)) for i, row in enumerate(rows)]


def asked(*runs: Path | str, **given: str) -> Options:
    """The options of a command line."""
    return options.parse([*map(str, runs), *(f"{key}={value}" for key, value in given.items())])


def grouped(*runs: Path, **given: str) -> Compared:
    chosen = asked(*runs, **given)
    return group_runs([find(run, chosen, "nowhere") for run in chosen.runs], chosen)


def compared(*runs: Path, **given: str) -> Comparison:
    return compare(grouped(*runs, **given), asked(*runs, **given))
