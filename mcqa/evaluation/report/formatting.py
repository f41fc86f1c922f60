"""Numbers as text, the same in the terminal, on the pages and in sentences. Shares and differences are 0 to 1."""

import json
import shlex
from typing import Any

ONE_SEED_EACH = "one seed each, so this is about these runs, not their configurations"
ONE_SEED = "one seed, so this is about this run, not its configuration"
FEW_CLUSTERS = 10  # below, intervals are so wide that the reader should know why


def config_value(value: Any) -> str:
    """Return a value of the configuration as the user writes it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, (int, str)) else json.dumps(value, default=str, ensure_ascii=False)


def cut(text: str, longest: int) -> str:
    """Return at most this many characters, the last being an ellipsis where some are left out."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def one_line(text: str, longest: int) -> str:
    """Return a text of the data as a label: without control characters, of which XML allows none, and cut."""
    return cut("".join(letter if letter.isprintable() else " " for letter in text), longest)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def percent_interval(low: float, high: float) -> str:
    return f"{100 * low:.1f} – {percent(high)}"


def signed(number: float, decimals: int) -> str:
    """Return a rounded number with its sign; what rounds to 0 has none."""
    text = f"{abs(number):.{decimals}f}"
    return ("" if not float(text) else "+" if number > 0 else "−") + text


def points(difference: float) -> str:
    """Return percentage points with their sign."""
    return signed(100 * difference, decimals=1)


def point_interval(low: float, high: float) -> str:
    """Return the ends of a difference's interval in percentage points, without a plus."""
    return f"{points(low).lstrip('+')} to {points(high).lstrip('+')}"


def p_value(p: float | None) -> str:
    """Return a test's p-value; a dash where there was no test."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def p_equals(p: float, name: str = "p") -> str:
    """Return such as `p = 0.0121` or `p < 0.0001`."""
    text = p_value(p)
    return f"{name} {text}" if text.startswith("<") else f"{name} = {text}"


def difference(estimate: float, low: float, high: float) -> str:
    """Return such as `−2.1 points, 95 % CI −3.5 to −0.7`."""
    return f"{points(estimate)} points, 95 % CI {point_interval(low, high)}"


def detectable_difference(minimum: float) -> str:
    """Return the minimum detectable difference in words; 1 or more: no difference can be detected."""
    if minimum >= 1:
        return "these questions are too few to detect any difference"
    return f"minimum detectable difference {100 * minimum:.1f} points (80 % power)"


def more_seeds(run: str, seed: int, number: int = 2, order_is_fixed: bool = False) -> str:
    """Return the command that trains a run again with further seeds after `seed`. run: its folder or MLflow run id.

    order_is_fixed: the order of questions has a seed of its own, which would be the same in all; it is to follow
    `seed` then.
    """
    seeds, order = ",".join(str(seed + i + 1) for i in range(number)), " order_seed=null" if order_is_fixed else ""
    return f"python -m mcqa.train --multirun from_run={shlex.quote(run)} seed={seeds}{order}"


def few_clusters(clusters: int, key: str) -> str | None:
    """Say why intervals are wide, and which key makes them narrower; None where there are many clusters."""
    caveat = (
        f"{key}=none treats questions as independent; the result then holds for questions from these clusters only."
    )
    if clusters == 1:
        return (
            "All questions are one cluster of related questions, which says nothing about other clusters: intervals "
            f"are 0 to 100 % and no difference can be significant. {caveat}"
        )
    few = f"{clusters} clusters of related questions say little about other clusters, so intervals are wide. {caveat}"
    return few if clusters < FEW_CLUSTERS else None
