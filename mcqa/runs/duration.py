"""Durations as users read them."""

from itertools import pairwise

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))  # seconds, largest first


def duration(seconds: float) -> str:
    """Write a duration in its largest unit and the next smaller one: `45 s`, `1 min 5 s`, `2 h 13 min`."""
    seconds = round(seconds)
    for (size, unit), (smaller, next_unit) in pairwise(UNITS):
        if seconds >= size:
            count, rest = divmod(round(seconds / smaller), size // smaller)
            return f"{count} {unit} {rest} {next_unit}" if rest else f"{count} {unit}"
    return f"{seconds} s"
