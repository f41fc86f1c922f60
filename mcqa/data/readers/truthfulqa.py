"""TruthfulQA with one true answer (mc1)."""

from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.checks import describe_value, field, validated_question
from mcqa.data.question import Question
from mcqa.data.readers.answers import from_one_hot


def read_truthfulqa(row: dict[str, Any]) -> Question:
    """Return a row of TruthfulQA (Lin et al. 2021, arXiv:2109.07958): one true answer among common errors.

    On the hub, `mc1_targets` holds choices and labels; in the publisher's mc_task.json it is {"<choice>": 1 or 0, …}.
    The true answer is the first choice of every row.
    """
    targets = field(row, "mc1_targets")
    if not isinstance(targets, dict):
        raise DataError(f"mc1_targets is {describe_value(targets)}, not choices with labels.")
    if "choices" in targets and isinstance(targets["choices"], list):
        choices, labels = targets["choices"], field(targets, "labels")
    else:
        choices, labels = list(targets), list(targets.values())
    return validated_question(
        id=None,
        question=field(row, "question"),
        choices=choices,
        answer=from_one_hot(labels, choices),
        subject=row.get("category"),
    )
