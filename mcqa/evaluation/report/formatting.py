"""Numbers as texts, the same wherever a measurement is shown: percentages, points, p-values, values of keys."""

import json
from typing import Any


def config_value(value: Any) -> str:
    """A value of the configuration as the user writes it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, (int, str)) else json.dumps(value, default=str, ensure_ascii=False)


def points(share: float) -> str:
    """Percentage points with their sign; a rounded 0 has none."""
    text = f"{abs(100 * share):.1f}"
    if text == "0.0":
        return text
    return ("+" if share > 0 else "−") + text


def bare(share: float) -> str:
    """Percentage points without a plus, as an end of an interval."""
    return points(share).lstrip("+")


def point_interval(low: float, high: float) -> str:
    return f"{bare(low)} to {bare(high)}"


FEW_CLUSTERS = 10  # below, an interval is so wide that the reader should know why


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def p_value(p: float | None) -> str:
    """Of a test; a dash where there was none."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def few_clusters(count: int, key: str) -> str | None:
    """Why intervals are as wide as they are, and the key that makes them narrower; None where clusters are many."""
    alone = f"{key}=none takes questions as independent, which is then true of questions from these groups only."
    if count == 1:
        return (
            "All questions go together in one group, and one group says nothing about others: intervals are 0 to 100 % "
            f"and no difference can be shown. {alone}"
        )
    few = f"{count} groups of questions that go together say little about others, so intervals are wide. {alone}"
    return few if count < FEW_CLUSTERS else None
