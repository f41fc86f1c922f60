"""Seed variance: how much the metric of one configuration changes with nothing but seeds."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcqa.config.errors import FileError
from mcqa.config.schema import SEEDS
from mcqa.evaluation.statistics import studentized_range
from mcqa.evaluation.statistics.clusters import t_quantile
from mcqa.runs.files import flatten, read_stored
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.study_data import StudyRecord

SEED = "seed"

_RUN_KEYS = ("name", "seed", "outputs", "resume", "from_run", "dry_run", "tracking", "hardware", "evaluation", "hydra")
"""Groups that may differ between two studies of one experiment without changing what a seed does to the metric."""


@dataclass(frozen=True)
class SeedVariance:
    """Values of one configuration under several seeds, as a study of seeds measured them."""

    study: str
    values: tuple[float, ...]
    differing_keys: tuple[str, ...] = ()  # whose values the study in question does not share

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def standard_deviation(self) -> float:
        return statistics.stdev(self.values)

    @property
    def least_significant_difference(self) -> float:
        """What two single runs of the configuration differ by more than in only 5 % of cases (Student's t)."""
        return t_quantile(len(self.values) - 1) * math.sqrt(2) * self.standard_deviation

    def range_by_chance(self, runs: int) -> float:
        """Return by how much the best of so many equal runs exceeds the worst in only 5 % of cases.

        It is Tukey's studentised range; the least significant difference is that of two runs named beforehand.
        """
        return studentized_range(runs, len(self.values) - 1) * self.standard_deviation


def varies_only_seed(study: StudyRecord) -> bool:
    """Whether the trials are one configuration under several seeds: of initialisation, order, data, or several."""
    return bool(study.swept) and {swept.key for swept in study.swept} <= set(SEEDS)


def seed_variance(study: StudyRecord) -> SeedVariance | None:
    """Return what a study of seeds measured; None for another study, or below two complete trials."""
    if not varies_only_seed(study) or len(study.complete) < 2:
        return None
    return SeedVariance(study.name, tuple(trial.value for trial in study.complete if trial.value is not None))


def find_seed_variance(study: StudyRecord, problems: list[str]) -> SeedVariance | None:
    """Return the seed variance from the study of seeds that is most like this one and has most seeds.

    It is looked for in the same folder, with the same experiment and metric. What cannot be read there is added to
    `problems`.
    """
    if varies_only_seed(study):
        return seed_variance(study)
    here = study.folder.resolve()
    nearby = sorted(path.parent for path in here.parent.glob("*/study.yaml") if path.parent != here)
    measured = [_measured_in(folder, study, problems) for folder in nearby if _is_study_of_seeds(folder)]
    return max(filter(None, measured), key=lambda seeds: (-len(seeds.differing_keys), len(seeds.values)), default=None)


def _is_study_of_seeds(folder: Path) -> bool:
    """Whether it varies `seed`, for the order or the data alone are less than what changes between two runs.

    A study.yaml that cannot be read leaves the folder's name to go by.
    """
    try:
        return {SEED} <= set(read_stored(folder / "study.yaml", "", dict, waits_s=())["space"]) <= set(SEEDS)
    except (FileError, TypeError, KeyError):
        return folder.name.startswith("seeds")


def _measured_in(folder: Path, study: StudyRecord, problems: list[str]) -> SeedVariance | None:
    other = read_study(folder, study.now)
    problems += [f"In the study {folder.name} beside this one: {problem}" for problem in other.problems]
    same_experiment = chosen_option(study.overrides, "experiment") == chosen_option(other.overrides, "experiment")
    seeds = seed_variance(other) if same_experiment and other.metric == study.metric else None
    return seeds and replace(seeds, differing_keys=_differing_keys(study, other.base))


def _differing_keys(study: StudyRecord, base: Mapping[str, Any]) -> tuple[str, ...]:
    mine, theirs = flatten(study.base), flatten(base)
    swept = {swept.key for swept in study.swept}
    keys = {key for key in mine.keys() | theirs.keys() if not {key, key.split(".")[0]} & {*_RUN_KEYS, *swept}}
    return tuple(sorted(key for key in keys if mine.get(key) != theirs.get(key)))


def chosen_option(overrides: Sequence[str], group: str) -> str | None:
    """Return the option of a group on a command line: qlora_mcqa for `+experiment=qlora_mcqa`."""
    options = [value for name, _, value in (text.partition("=") for text in overrides) if name.lstrip("+") == group]
    return options[-1] if options else None
