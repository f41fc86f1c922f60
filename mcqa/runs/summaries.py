"""What a table of runs says of each: its configuration in a few words, and what came out."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mcqa.config.errors import McqaError
from mcqa.runs import run_folder
from mcqa.runs.files import read_optional


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RunSummary:
    """One run; what it has not measured, or what its configuration does not have, is None.

    status: that of result.json; without one `running`, where a process of this machine has the folder, or `unfinished`.
    """

    folder: Path
    name: str
    model: str
    data: str
    peft: str
    learning_rate: float | None
    seed: int | None
    dev: Accuracy | None
    test: Accuracy | None
    base_test: Accuracy | None
    minutes: float | None
    status: str

    @property
    def started(self) -> str:
        """When the run was made, as its folder says: 2026-11-29 20:56."""
        day, _, rest = self.folder.name.partition("-")
        if len(day) == 8 and day.isdecimal() and rest[:4].isdecimal():
            return f"{day[:4]}-{day[4:6]}-{day[6:]} {rest[:2]}:{rest[2:4]}"
        return ""


def find_runs(outputs: Path, trials: bool = False) -> list[Path]:
    """Return the run folders below outputs/runs, and with trials=True below outputs/sweeps, by name and time."""
    patterns = ["runs/*/*", *(["sweeps/*/trials/*", "sweeps/*/confirm/trials/*"] if trials else [])]
    return [path.parent for pattern in patterns for path in sorted(outputs.glob(f"{pattern}/config.yaml"))]


def summaries(folders: Iterable[Path]) -> tuple[list[RunSummary], list[str]]:
    """Return the summary of each run that can be read, and a line for every other."""
    read, problems = list[RunSummary](), list[str]()
    for folder in folders:
        try:
            read.append(summary(folder))
        except (McqaError, OSError) as error:
            problems.append(f"{run_folder.shown(folder)}: {error}")
    return read, problems


def summary(folder: Path) -> RunSummary:
    """Return what a run folder says of its run.

    Raises:
        FileError: its configuration cannot be read.
    """
    config, result = run_folder.config_of(folder), run_folder.read_result(folder)
    metrics, seconds = result.get("metrics"), result.get("seconds")
    metrics = metrics if isinstance(metrics, dict) else {}
    return RunSummary(
        folder=folder,
        name=str(config.get("name")),
        model=run_folder.short_name(config, "model"),
        data=run_folder.short_name(config, "data"),
        peft=str(_key(config, "peft", "name")),
        learning_rate=_number(_key(config, "optimizer", "learning_rate")),
        seed=_key(config, "seed"),
        dev=_accuracy(metrics, "dev"),
        test=_accuracy(metrics, "test"),
        base_test=_accuracy(metrics, "base/test"),
        minutes=None if not isinstance(seconds, int | float) or not result else seconds / 60,
        status=str(result.get("status") or ("running" if _is_held(folder) else "unfinished")),
    )


def _key(config: dict[str, Any], *keys: str) -> Any:
    """Return the value of a key of a stored configuration, of which a part may be missing."""
    value: Any = config
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _accuracy(metrics: dict[str, Any], split: str) -> Accuracy | None:
    value, low, high = (_number(metrics.get(f"{split}/{key}")) for key in ("acc", "acc_ci_low", "acc_ci_high"))
    return None if value is None else Accuracy(value, value if low is None else low, value if high is None else high)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_held(folder: Path) -> bool:
    """Whether a process has the lock of the run; the lock itself is not kept."""
    if not (folder / "process.lock").exists() or not read_optional(folder / "process.json"):
        return False
    try:
        with FileLock(folder / "process.lock", timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
