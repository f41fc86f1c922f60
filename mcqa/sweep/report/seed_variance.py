"""What luck does to a study: other seeds of the same configuration, and having looked at many."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import yaml

from mcqa.runs.files import flat
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.study_data import StudyRecord

SEED = "seed"


_BESIDE = ("name", "seed", "outputs", "resume", "from_run", "dry_run", "tracking", "hardware", "evaluation", "hydra")
"""What may differ between two studies of one experiment without another noise floor."""


@dataclass(frozen=True)
class SeedVariance:
    """Values of one configuration under several seeds. differs: keys whose values the compared study does not have.

    reach: two single runs of one configuration differ by more than this in one case of twenty.
    """

    study: str
    values: tuple[float, ...]
    differs: tuple[str, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float:
        """Over seeds, n - 1 below the sum."""
        return statistics.stdev(self.values)

    @property
    def reach(self) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(len(self.values) - 1, 0.975)) * sqrt(2) * self.deviation


def is_of_seeds(study: StudyRecord) -> bool:
    return [one.key for one in study.swept] == [SEED]


def own(study: StudyRecord) -> SeedVariance | None:
    """Of a study that varies nothing but the seed."""
    if not is_of_seeds(study) or len(study.metrics) > 1 or len(study.complete) < 2:
        return None
    return SeedVariance(study.name, tuple(trial.values[0] for trial in study.complete), ())


def floor(study: StudyRecord, problems: list[str]) -> SeedVariance | None:
    """Of the study of seeds of the same experiment and metric that stands beside this one; the one with most seeds."""
    if is_of_seeds(study):
        return own(study)
    found = [one for folder in _beside(study.folder) if (one := _floor(study, folder, problems)) is not None]
    return max(found, key=lambda one: (-len(one.differs), len(one.values)), default=None)


def _beside(folder: Path) -> list[Path]:
    """The studies of seeds in the same folder."""
    here = folder.resolve()
    near = (path.parent for path in here.parent.glob("*/study.yaml") if path.parent != here)
    return sorted(path for path in near if _varies_seeds(path))


def _varies_seeds(folder: Path) -> bool:
    """A study.yaml that cannot be read is taken at its name."""
    try:
        described = yaml.load((folder / "study.yaml").read_text("utf-8"), yaml.CSafeLoader)
        return list(described["space"]) == [SEED]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return folder.name.startswith("seeds")


def _floor(study: StudyRecord, folder: Path, problems: list[str]) -> SeedVariance | None:
    other = read_study(folder, study.now)
    problems += [f"In the study {folder.name} beside this one: {problem}" for problem in other.problems]
    if chosen(study.overrides, "experiment") != chosen(other.overrides, "experiment") or other.metrics != study.metrics:
        return None
    noise = own(other)
    return noise and SeedVariance(noise.study, noise.values, _differing(study, other.base))


def _differing(study: StudyRecord, base: Mapping[str, Any]) -> tuple[str, ...]:
    mine, theirs = flat(study.base), flat(base)
    swept = {one.key for one in study.swept}
    keys = [
        key for key in mine.keys() | theirs.keys() if key.split(".")[0] not in {*_BESIDE, *swept} and key not in swept
    ]
    return tuple(sorted(key for key in keys if mine.get(key) != theirs.get(key)))


def chosen(overrides: tuple[str, ...], group: str) -> str | None:
    """The option of a group on the command line: qlora_mcqa for `+experiment=qlora_mcqa`."""
    found = [one.partition("=")[2] for one in overrides if one.partition("=")[0].lstrip("+") == group]
    return found[-1] if found else None


def highest_of(count: int) -> float:
    """How many standard deviations the highest of `count` normal values is expected above their mean (Blom 1958)."""
    from scipy.special import ndtri

    return float(ndtri((count - 0.375) / (count + 0.25)))
