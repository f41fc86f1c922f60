"""The names of the metrics and splits, and which direction is better."""

HIGHER_IS_BETTER = {
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
}


LOWER_IS_BETTER = {"loss": None, "nll": None, "brier": None, "ece": None, "aurc": None, "recall_std": "permutations"}


NEEDS = HIGHER_IS_BETTER | LOWER_IS_BETTER
"""What a run can be steered by, and the key of evaluation without which it is not measured."""

DEV_METRICS = tuple(f"dev/{name}" for name in NEEDS)


SPLITS = ("train", "dev", "test")


def greater_is_better(metric: str) -> bool:
    return metric.removeprefix("dev/") in HIGHER_IS_BETTER


def needed_for(metric: str) -> str | None:
    """The key of evaluation that must be set for the metric to be measured."""
    return NEEDS[metric.removeprefix("dev/")]
