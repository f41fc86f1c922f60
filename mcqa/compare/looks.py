"""How often the same configurations have been compared with other seeds: a line in looks.jsonl for each comparison.

To add seeds until a difference is significant, and to stop then, errs more often than the 5 % of one test whose number
of seeds was fixed beforehand (Armitage, McPherson & Rowe 1969). So a comparison says which look it is.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from mcqa.compare.configurations import Compared, identity
from mcqa.compare.options import Options
from mcqa.runs import looks

FILE = "looks.jsonl"

Look = Mapping[str, frozenset[str]]
"""The runs of each configuration, which a digest of its keys and the split names."""


def look_of(compared: Compared) -> Look:
    """Return what a comparison looks at."""
    found, seen = {}, Counter[str]()
    for configuration in compared.configurations:
        text = f"{identity(configuration.runs[0])}\n{configuration.split}"
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        seen[name] += 1
        found[f"{name}-{seen[name]}"] = frozenset(run.id for run in configuration.runs)
    return found


def number(compared: Compared, options: Options) -> int:
    """Return which look this is: 1 where no two of the configurations have been compared with other seeds before.

    Earlier comparisons are those in options.out and in the folder where comparisons are written by default. With more
    than two configurations it is the number of the pair that was looked at most often.
    """
    now = look_of(compared)
    folders = {options.out, *(options.outputs / "compare").glob("*/")}
    lines = [line for folder in folders for line in looks.read_lines(folder / FILE)]
    earlier = [look for line in lines if (look := _read(line)) is not None]
    return 1 + max((len(_other_seeds(pair, now, earlier)) for pair in combinations(now, 2)), default=0)


def _other_seeds(pair: tuple[str, str], now: Look, earlier: list[Look]) -> set[tuple[frozenset[str], ...]]:
    """The different sets of runs with which a pair was compared, other than those of now."""
    found = {tuple(look[one] for one in pair) for look in earlier if look.keys() >= set(pair)}
    return found - {tuple(now[one] for one in pair)}


def add(compared: Compared, options: Options) -> None:
    """Write down a look in options.out.

    Raises:
        OSError: nothing can be written there.
    """
    look = {name: sorted(runs) for name, runs in look_of(compared).items()}
    looks.append_line(options.out / FILE, {"time": looks.now(), "configurations": look})


def _read(line: Mapping[str, Any]) -> Look | None:
    """None for a line that is no look."""
    found = line.get("configurations")
    if not isinstance(found, dict) or not all(isinstance(runs, list) for runs in found.values()):
        return None
    return {name: frozenset(map(str, runs)) for name, runs in found.items()}
