"""The names of the metrics and splits, and which direction is better."""

from collections.abc import Mapping
from typing import Any

CONVERSATION_READERS = ("messages", "instructions", "pairs")
"""The values of data.reader whose rows have no choices, unless questions are recognised in them."""

NEEDS: dict[str, str | None] = {
    "acc": None,
    "acc_norm": None,
    "acc_bytes": None,
    "acc_tokens": None,
    "acc_mutual_info": "unconditional",
    "acc_choices_only": "choices_only",
    "acc_orders": "permutations",
    "acc_worst": "permutations",
    "acc_debiased": "permutations",
    "acc_averaged": "permutations",
    "consistency": "permutations",
    "loss": None,
    "nll": None,
    "brier": None,
    "ece": None,
    "aurc": None,
    "recall_std": "permutations",
}
"""The metrics that evaluation.best_metric may name, each with the key of evaluation that turns it on, if any."""

PAIR_METRICS = ("acc_pairs",)
"""What is measured of data=pairs beside the loss: the share of rows whose better answer is the likelier one."""

LOWER_IS_BETTER = ("loss", "nll", "brier", "ece", "aurc", "recall_std")
HIGHER_IS_BETTER = tuple(name for name in NEEDS if name not in LOWER_IS_BETTER)
DEV_METRICS = tuple(f"dev/{name}" for name in (*NEEDS, *PAIR_METRICS))
SPLITS = ("train", "dev", "test")


def greater_is_better(metric: str) -> bool:
    """Whether a larger value of a metric such as dev/acc is the better one."""
    return metric.removeprefix("dev/") in (*HIGHER_IS_BETTER, *PAIR_METRICS)


def needed_for(metric: str) -> str | None:
    """Return the key of evaluation that turns a metric such as dev/acc on; None where it is always measured."""
    name = metric.removeprefix("dev/")
    return None if name in PAIR_METRICS else NEEDS[name]


LENGTHS = {"acc_norm": "characters", "acc_bytes": "bytes", "acc_tokens": "tokens"}
"""By what lengths a metric divides the scores of choices, where it does."""


ACCURACIES = ("acc", *LENGTHS, "acc_mutual_info", "acc_choices_only")
"""The accuracies that the scores of a question's choices decide, in their given order."""


def length_of(metric: str) -> str:
    """Return by what length a metric such as dev/acc_norm divides scores: none, characters, bytes or tokens."""
    return LENGTHS.get(metric.removeprefix("dev/"), "none")


def recommended_rate(rate: Any, factor: Any) -> Any:
    """Return the learning rate times the factor; the rate where one is no number, which validation then says."""
    both = (rate, factor)
    return rate * factor if all(isinstance(one, int | float) and not isinstance(one, bool) for one in both) else rate


def steering_metric(data: Mapping[str, Any], dev: object) -> str:
    """Return dev/acc, or dev/loss where dev has no choices: conversations of data, and no question set as dev."""
    conversations = data.get("conversations")
    without_choices = data.get("reader") in CONVERSATION_READERS and not (conversations or {}).get("questions")
    return "dev/loss" if without_choices and dev is None else "dev/acc"
